// Command pack builds a guest that is written in Go and packs it with its
// manifest, whose sha256 it fills in:
//
//	go run ./internal/module/pack -o talk.gwm ./adapters/wasm/testdata/talk
//
// With further folders it makes one bundle of the program in the first and the
// manifests in the others:
//
//	go run ./internal/module/pack -o shipped.zip ./adapters/guests/program ./adapters/guests/telegram
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

func main() {
	to := flag.String("o", "", "the package to write")
	flag.Parse()
	if flag.NArg() < 1 || *to == "" {
		fmt.Fprintln(os.Stderr, "usage: pack -o FILE FOLDER [MANIFEST-FOLDER ...]")
		os.Exit(2) //nolint:forbidigo // this is main
	}
	if err := pack(context.Background(), flag.Arg(0), flag.Args()[1:], *to); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// pack writes the package, or the bundle, in one step, so that nobody finds half
// of it.
func pack(ctx context.Context, dir string, folders []string, to string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(to), ".pack-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	wasm := filepath.Join(tmp, "module.wasm")
	abs, err := filepath.Abs(wasm)
	if err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w", "-o", abs, ".") //nolint:gosec // the author's own folder
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s: %w", dir, err)
	}
	code, err := os.ReadFile(wasm) //nolint:gosec // it was just built
	if err != nil {
		return err
	}
	b, err := packed(dir, folders, code)
	if err != nil {
		return err
	}
	done := filepath.Join(tmp, "package")
	if err := os.WriteFile(done, b, 0o644); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	return os.Rename(done, to)
}

// packed is a package of the folder's own manifest, or a bundle of those of
// others.
func packed(dir string, folders []string, code []byte) ([]byte, error) {
	if len(folders) == 0 {
		manifest, err := complete(filepath.Join(dir, "manifest.json"), code)
		if err != nil {
			return nil, err
		}
		return module.Pack(manifest, code, nil)
	}
	var all [][]byte
	for _, f := range folders {
		manifest, err := complete(filepath.Join(f, "manifest.json"), code)
		if err != nil {
			return nil, err
		}
		all = append(all, manifest)
	}
	return module.Bundle(all, code)
}

// complete reads a manifest and says which module it is for.
func complete(path string, code []byte) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the author's own file
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(code)
	m["sha256"] = json.RawMessage(`"` + hex.EncodeToString(sum[:]) + `"`)
	return json.MarshalIndent(m, "", "  ")
}
