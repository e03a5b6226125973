package archtest_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gatehouse-chat/gatehouse/internal/archtest"
)

func TestRepository(t *testing.T) {
	found, err := archtest.Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

// TestRules runs the rules over small trees that break them. Each archive in
// testdata holds sources, and in its comment the violations to be found.
func TestRules(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("archives: %v, %v", archives, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			tree, want := unpack(t, name)
			found, err := archtest.Check(tree)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range found {
				got = append(got, v.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckRefusesWhatItCannotRead(t *testing.T) {
	tree := fstest.MapFS{"cmd/gatehouse/main.go": {Data: []byte("package main\nfunc {")}}
	if found, err := archtest.Check(tree); err == nil {
		t.Errorf("a file that does not parse passed, with violations %v", found)
	}
}

func TestExceptions(t *testing.T) {
	tree := fstest.MapFS{
		"vault/pump.go":       {Data: []byte("package vault\n\nfunc pump() { go pump() }\n")},
		"vault/audit/tail.go": {Data: []byte("package audit\n\nfunc tail() { go tail() }\n")},
		"vault/store.go":      {Data: []byte("package vault\n")},
	}
	const pump = "vault/pump.go:3: goroutine: only gateway and cmd start goroutines: offer a Run(ctx) error that blocks"
	const tail = "vault/audit/tail.go:3: goroutine: only gateway and cmd start goroutines: offer a Run(ctx) error that blocks"
	tests := []struct {
		name, path string
		want       []string
	}{
		{"a file", "vault/pump.go", []string{tail}},
		{"a folder", "vault", nil},
		{"nothing that exists", "memory/gone.go", []string{tail, pump}},
		{"what needs none", "vault/store.go", []string{
			tail, pump, "vault/store.go:0: goroutine: the exception (it pumps) excuses nothing any more",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found, err := archtest.CheckExcusing(tree, test.path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range found {
				got = append(got, v.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// unpack turns an archive into a tree, in which MODULE stands for the
// module's path, and the lines of its comment into the violations wanted.
func unpack(t *testing.T, name string) (fs.FS, []string) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tree := fstest.MapFS{}
	for _, f := range archive.Files {
		text := strings.ReplaceAll(string(f.Data), "MODULE", archtest.Module)
		tree[path.Clean(f.Name)] = &fstest.MapFile{Data: []byte(text)}
	}
	var want []string
	for line := range strings.Lines(string(archive.Comment)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			want = append(want, line)
		}
	}
	return tree, want
}
