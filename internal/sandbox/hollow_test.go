package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// machineCode finds the files that the runtime keeps.
func machineCode(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		sizes[f] = info.Size()
	}
	return sizes
}

// TestCodeFromTheCache: what is loaded without its code has it nonetheless, or
// gets it again, however the cache lost it.
func TestCodeFromTheCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	answers := func(t *testing.T) {
		t.Helper()
		m := load(t, newSandbox(t, sandbox.Options{CacheDir: dir}), counter(16), sandbox.Config{})
		r, err := m.Call(t.Context(), sandbox.OpSend, sandbox.Payload{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Out.Body); got != "+++" {
			t.Errorf("the guest answers %q, want +++", got)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "compile-*")); len(left) > 0 {
			t.Errorf("it leaves %q behind", left)
		}
	}
	answers(t)
	first := machineCode(t, dir)
	if len(first) != 1 {
		t.Fatalf("the machine code of one module is %v", first)
	}
	answers(t)
	if d := cmp.Diff(first, machineCode(t, dir)); d != "" {
		t.Errorf("the second load changed the cache:\n%s", d)
	}
	for file := range first {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	answers(t) // the runtime compiles what has no code, and finds out
	if d := cmp.Diff(first, machineCode(t, dir)); d != "" {
		t.Errorf("after the code was lost:\n%s", d)
	}
	for _, file := range metered(t, dir) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	answers(t)
	if d := cmp.Diff(first, machineCode(t, dir)); d != "" {
		t.Errorf("after the metered module was lost:\n%s", d)
	}
}

// TestTypesWithACache: the code is typed before anything of it is kept, each time
// that somebody tries.
func TestTypesWithACache(t *testing.T) {
	g := newGuest(1)
	g.Handle(nil, I64Const(0)) // an i32 is due
	s := newSandbox(t, sandbox.Options{CacheDir: filepath.Join(t.TempDir(), "compiled")})
	for range 2 {
		if _, err := s.Load(t.Context(), g.Bytes(), sandbox.Config{}); err == nil || !strings.Contains(err.Error(), "type") {
			t.Errorf("loaded with %v, want a fault of its types", err)
		}
	}
}

// TestLeftovers: what a process that was killed left unfinished goes away, and
// what another one is at stays.
func TestLeftovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	newSandbox(t, sandbox.Options{CacheDir: dir})
	old := time.Now().Add(-24 * time.Hour)
	for name, when := range map[string]time.Time{"compile-1": old, "metered-1.part": old, "compile-2": time.Now(), "metered-2.part": time.Now(), "metered-3": old} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "with"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	newSandbox(t, sandbox.Options{CacheDir: dir})
	var left []string
	for _, pattern := range []string{"compile-*", "metered-*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			left = append(left, filepath.Base(path))
		}
	}
	if d := cmp.Diff([]string{"compile-2", "metered-2.part", "metered-3"}, left); d != "" {
		t.Error(d)
	}
}
