package wasm_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// telegramPackage builds the shipped guest, once; Go's own cache makes it quick.
var telegramPackage = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "telegram.gwm")
	build := exec.Command("go", "run", "./internal/module/pack", "-o", to, "./adapters/guests/telegram")
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

func newDriver(t testing.TB) *wasm.Driver {
	t.Helper()
	if _, err := telegramPackage(); err != nil {
		t.Fatal(err)
	}
	d := wasm.NewDriver(wasm.Options{
		CacheDir: cacheDir(t), Watch: time.Second, Names: []string{"telegram"},
		Shipped: func(name string) ([]byte, error) {
			if name != "telegram" {
				return nil, os.ErrNotExist
			}
			return telegramPackage()
		},
	})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	// The suite waits for a connection, and not for the compiler.
	if err := d.Ready(t.Context(), json.RawMessage(`{"module":"telegram"}`)); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTelegramConformance holds the guest to what the native adapter is held to,
// on the same stage and with the same goldens.
func TestTelegramConformance(t *testing.T) {
	d := newDriver(t)
	for _, mode := range []string{"poll", "webhook"} {
		t.Run(mode, func(t *testing.T) {
			channeltest.Run(t, channeltest.Suite{
				Driver: d.For(json.RawMessage(`{"module":"telegram"}`)),
				New: func(t testing.TB, _ string) *channeltest.Harness {
					s := stagetest.New(t, mode)
					h := s.Harness()
					h.Config = s.Config("module", "telegram")
					return h
				},
				Lacks:  stagetest.Lacks(mode),
				Golden: "../telegram/testdata/format",
			})
		})
	}
}
