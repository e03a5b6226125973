// Package kitstest builds what the tests of guests in JavaScript need.
package kitstest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Skip is the environment variable that, set to "skip", leaves out the tests that
// need the compilers of other languages.
const Skip = "GATEHOUSE_TEST_KITS"

// Needs says what is missing to build the engine; nil: nothing.
func Needs() error {
	for _, name := range []string{"clang", "wasm-ld", "cargo"} {
		if _, err := exec.LookPath(name); err != nil {
			return err
		}
	}
	_, err := os.Stat("/usr/include/wasm32-wasi/stdlib.h")
	return err
}

// Engine is the module that runs scripts, built from the repository at root.
// Building it takes a minute, so that it is kept in the user's cache folder for
// as long as its sources are the same.
func Engine(root string) ([]byte, error) {
	src := filepath.Join(root, "channels", "guest", "kits", "js", "engine")
	kept, err := place(src)
	if err != nil {
		return nil, err
	}
	if b, err := os.ReadFile(kept); err == nil { //nolint:gosec // of the cache folder
		return b, nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(kept), "build-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	made := filepath.Join(tmp, "engine.wasm")
	build := exec.Command("./build", made) //nolint:noctx // it ends by itself
	build.Dir = src
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the engine for JavaScript: %w\n%s", err, out)
	}
	if err := os.Rename(made, kept); err != nil {
		return nil, err
	}
	return os.ReadFile(kept) //nolint:gosec // of the cache folder
}

// place is where the engine of these sources is kept.
func place(src string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"build", "engine.c", "prelude.js", "Cargo.toml"} {
		b, err := os.ReadFile(filepath.Join(src, name)) //nolint:gosec // the repository's own
		if err != nil {
			return "", err
		}
		sum.Write(b)
	}
	dir, err := os.UserCacheDir()
	dir = filepath.Join(dir, "gatehouse-test-wasm")
	return filepath.Join(dir, "quickjs-"+hex.EncodeToString(sum.Sum(nil)[:8])+".wasm"), errors.Join(err, os.MkdirAll(dir, 0o700))
}
