package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/guest/kits/kitstest"
)

// foreign installs an example's package, which was built outside of the repository
// with nothing of it but the binary, and tested and signed there. It is built once.
func foreign(r *rig, binary, name string) {
	r.t.Helper()
	if os.Getenv(kitstest.Skip) == "skip" {
		r.t.Skip(kitstest.Skip + "=skip")
	}
	shareCompiled(r.t, r.dir)
	made, _ := examples.LoadOrStore(name, sync.OnceValues(func() (string, error) { return madeElsewhere(binary, name) }))
	dir, err := made.(func() (string, error))() //nolint:forcetypeassert // stored above
	if err != nil {
		r.t.Fatal(err)
	}
	said := r.verb("adapter", "inspect", dir)
	at := strings.Index(said, "ed25519:")
	if at < 0 {
		r.t.Fatalf("%s is not signed: %s", name, said)
	}
	r.verb("adapter", "trust", "add", strings.FieldsFunc(said[at:], func(c rune) bool { return strings.ContainsRune(" \n,;)", c) })[0])
	first, _ := compiling.LoadOrStore(name, &sync.Mutex{})                                          // those who come later find what the first one has compiled
	first.(*sync.Mutex).Lock()                                                                      //nolint:forcetypeassert // stored above
	defer first.(*sync.Mutex).Unlock()                                                              //nolint:forcetypeassert // stored above
	said, err = author(binary, dir, "adapter", "install", dir, "--yes", "--config", r.configPath()) // it compiles the module, which can take minutes on a busy machine
	if err != nil || !strings.Contains(said, "passed its tests on both engines") {
		r.t.Fatalf("the installation says %s, %v", said, err)
	}
}

// examples are the folders of examples that were built, by name; compiling are the
// locks under which they are installed.
var examples, compiling sync.Map

// madeElsewhere builds an example in a folder of its own.
func madeElsewhere(binary, name string) (dir string, err error) {
	dir = filepath.Join(built.dir, "elsewhere", name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", name))); err != nil {
		return "", err
	}
	key := filepath.Join(dir, "build", "publisher.key")
	for _, verb := range [][]string{
		{"adapter", "test", "--seed", "1"}, {"adapter", "pack"}, {"adapter", "keygen", "--out", key}, {"adapter", "sign", ".", "--key", key},
	} {
		said, err := author(binary, dir, verb...)
		if err != nil {
			return "", err
		}
		if verb[1] == "test" && !strings.Contains(said, " passed\n") {
			return "", fmt.Errorf("%s: its tests say\n%s", name, said)
		}
	}
	return dir, nil
}

// author runs a verb in a project's folder, with the compilers of whoever runs the
// tests.
func author(binary, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// withEngine is the binary as people get it, with the engine for JavaScript, which
// `make guests` would have put beside the sources.
func withEngine(t testing.TB) string {
	t.Helper()
	overlay, err := engineOverlay()
	if err != nil {
		t.Fatal(err)
	}
	return built.build(t, "gatehouse-engine", "cmd/gatehouse", "-trimpath", "-ldflags=-s -w", "-overlay="+overlay)
}

var engineOverlay = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	engine, err := kitstest.Engine(root)
	if err != nil {
		return "", err
	}
	from := filepath.Join(built.dir, "quickjs.wasm")
	if err := os.WriteFile(from, engine, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "adapters", "guests", "dist", "quickjs.wasm"): from}})
	if err != nil {
		return "", err
	}
	to := filepath.Join(built.dir, "overlay.json")
	return to, os.WriteFile(to, text, 0o600)
})

// twoModels are the models of a gateway whose people can choose.
func twoModels(r *rig) {
	model := fmt.Sprintf(`{provider: compatible, model: %%s, base_url: %q, api_key: "sk-test-123456789"}`, r.model.OpenAI())
	r.set.model = fmt.Sprintf(model+"\n  other: "+model, "scripted", "small")
	r.configure()
}

// TestExamplesHoldTheKit: an example has the kit's sources as a new project has
// them, and nothing else of the repository.
func TestExamplesHoldTheKit(t *testing.T) {
	t.Parallel()
	for example, kit := range map[string]string{
		"matrix/gw1.h":             "channels/guest/kits/c/gw1.h",
		"line/gw.d.ts":             "internal/module/project/template/js/gw.d.ts",
		"mattermost/src/heap.rs":   "channels/guest/kits/rust/src/heap.rs",
		"mattermost/src/gw1.rs":    "channels/guest/kits/rust/src/gw1.rs",
		"teams/gatehouse/abi.go":   "channels/guest/kits/go/abi.go",
		"teams/gatehouse/bot.go":   "channels/guest/kits/go/bot.go",
		"teams/gatehouse/call.go":  "channels/guest/kits/go/call.go",
		"teams/gatehouse/types.go": "channels/guest/kits/go/types.go",
	} {
		got, err := os.ReadFile(filepath.Join("..", "..", "examples", filepath.FromSlash(example)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(kit)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("examples/%s is not %s any more; copy it, and test the example again", example, kit)
		}
	}
}
