package project_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/module/project"
)

func files(t *testing.T, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPlace(t *testing.T) {
	plain := files(t, map[string]string{"main.go": "", "src/lib.rs": "", "assembly/index.ts": "", "gatehouse/bot.go": "", "main.js": ""})
	// What a bundler writes for three lines, of which the second comes from the
	// fifth line of main.ts and, from its tenth column on, from the seventh.
	bundled := files(t, map[string]string{
		"main.ts": "", "build/main.js.map": `{"version":3,"sources":["../main.ts"],"mappings":"AAAA;AAIA,SAEA;AACA"}`,
	})
	tests := []struct {
		name, dir string
		said      []string
		want      string
	}{
		{"go", plain, []string{"panic: oh", "goroutine 1 [running]:", "mychat/gatehouse.Handle(0x4)", "\tmychat/gatehouse/bot.go:54 +0x1a", "\tmychat/main.go:119 +0xa"}, "main.go:119"},
		{"rust", plain, []string{"panicked at src/lib.rs:12:5:", "index out of bounds"}, "src/lib.rs:12:5"},
		{"assemblyscript", plain, []string{"Index out of range at ~lib/array.ts:110:8", "called at assembly/index.ts:7:3"}, "assembly/index.ts:7:3"},
		{"javascript", plain, []string{"TypeError: cannot read property", "    at poll (script.js:12:8)"}, "main.js:12"},
		{"typescript", bundled, []string{"    at poll (script.js:2:1)"}, "main.ts:5"},
		{"typescript, further along", bundled, []string{"    at poll (script.js:2:20)"}, "main.ts:7"},
		{"elsewhere", plain, []string{"at /usr/lib/runtime.go:7"}, ""},
	}
	for _, x := range tests {
		if got := project.Place(x.dir, x.said); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("AAAA;AAIA,SAEA;AACA")
	f.Fuzz(func(t *testing.T, mappings string) {
		dir := files(t, map[string]string{"build/main.js.map": `{"sources":["a.ts"],"mappings":"` + mappings + `"}`})
		project.Place(dir, []string{"at f (script.js:2:9)"})
	})
}
