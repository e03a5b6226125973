package kits_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestOneABI: what speaks gw1 in Go is one file, in the kit of authors and in ours,
// but for the name of its package.
func TestOneABI(t *testing.T) {
	ours, err := os.ReadFile(filepath.Join("..", "abi.go"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join("go", "abi.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, bytes.Replace(theirs, []byte("\npackage gatehouse\n"), []byte("\npackage guest\n"), 1)) {
		t.Error("channels/guest/abi.go is not kits/go/abi.go any more; change both")
	}
}

// TestShort: what an author has to read of a kit is at most 100 lines, without
// comments and blank lines.
func TestShort(t *testing.T) {
	const most = 100
	for kit, files := range map[string][]string{
		"go": {"go/abi.go", "go/bot.go"}, "rust": {"rust/src/gw1.rs"}, "c": {"c/gw1.h"}, "as": {"as/assembly/gw1.ts"}, "js": {"js/engine/prelude.js"},
	} {
		lines := 0
		for _, file := range files {
			text, err := os.ReadFile(filepath.FromSlash(file))
			if err != nil {
				t.Fatal(err)
			}
			for line := range bytes.Lines(text) {
				if line = bytes.TrimSpace(line); len(line) > 0 && !isComment(line) {
					lines++
				}
			}
		}
		if lines > most {
			t.Errorf("%s's kit has %d lines, at most %d: %q", kit, lines, most, files)
		}
	}
}

func isComment(line []byte) bool {
	for _, mark := range []string{"//", "/*", "* ", "*/"} {
		if bytes.HasPrefix(line, []byte(mark)) {
			return true
		}
	}
	return false
}
