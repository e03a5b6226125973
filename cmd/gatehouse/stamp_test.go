package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestStamps: every way in which people change a file is seen, and looking at it
// is none.
func TestStamps(t *testing.T) {
	moment := time.Now().Truncate(time.Second)
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, moment, moment); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, path string)
		same   bool
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"read", func(t *testing.T, path string) { _, _ = os.ReadFile(path) }, true},
		{"another length within the same second", func(t *testing.T, path string) { write(t, path, "longer") }, false},
		{"touched", func(t *testing.T, path string) { _ = os.Chtimes(path, moment, moment.Add(-time.Hour)) }, false},
		{"another file as old and as long", func(t *testing.T, path string) {
			write(t, path+".new", "b")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"gone", func(t *testing.T, path string) { _ = os.Remove(path) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gatehouse.yaml")
			write(t, path, "a")
			before := stampOf(path)
			c.change(t, path)
			if after := stampOf(path); before.same(after) != c.same || after.same(before) != c.same {
				t.Errorf("same is %v, want %v", !c.same, c.same)
			}
		})
	}
	if !stampOf("").same(stampOf(filepath.Join(t.TempDir(), "none"))) {
		t.Error("no file is not like no file")
	}
}
