package wasm_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// shipped builds the guests that are shipped, once; Go's own cache makes it
// quick.
var shipped = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "shipped.zip")
	folders, err := filepath.Glob("../guests/*/manifest.json")
	if err != nil {
		return nil, err
	}
	args := []string{"run", "./internal/module/pack", "-o", to, "./adapters/guests/program"}
	for _, f := range folders {
		args = append(args, "./adapters/guests/"+filepath.Base(filepath.Dir(f)))
	}
	build := exec.Command("go", args...)
	build.Dir, build.Stderr = "../..", os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(to)
})

// cacheDir keeps compiled guests between runs: compiling one takes seconds.
func cacheDir(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "gatehouse-test-wasm")
}

// newDriver is a driver that has compiled one of the shipped guests: the suite
// waits for a connection, and not for the compiler.
func newDriver(t testing.TB, name string) *wasm.Driver {
	t.Helper()
	bundle, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	d := wasm.NewDriver(wasm.Options{
		CacheDir: cacheDir(t), Watch: time.Second, Names: module.Bundled(bundle),
		Shipped: func(name string) ([]byte, error) { return module.Unbundle(bundle, name) },
	})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.Ready(t.Context(), json.RawMessage(`{"module":"`+name+`"}`)); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestShippedProve: each shipped guest passes the tests of its manifest on both
// engines, the contract's, and hostile inputs.
func TestShippedProve(t *testing.T) {
	bundle, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range module.Bundled(bundle) {
		t.Run(name, func(t *testing.T) {
			pkg, err := module.Unbundle(bundle, name)
			if err != nil {
				t.Fatal(err)
			}
			rep, err := newDriver(t, name).Try(t.Context(), pkg, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rep.Results {
				if r.Err != nil {
					t.Errorf("%s: %v\n%s", r.Name, r.Err, strings.Join(r.Said, "\n"))
				}
			}
		})
	}
}
