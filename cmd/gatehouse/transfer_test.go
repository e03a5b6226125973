package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// TestFilesInTheTerminal sends a file over a connection that breaks, and saves
// those that come.
func TestFilesInTheTerminal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "to send.txt")
	if err := os.WriteFile(path, []byte("what I wrote"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	synctest.Test(t, func(t *testing.T) {
		c := chat(t)
		c.server.mu.Lock()
		c.server.away = 1
		c.server.mu.Unlock()
		c.types(`/file "` + path + `"`)
		synctest.Wait()
		c.types("/save 1")
		m := bot(11, 11, "Here.")
		m.Files = []wire.File{{Name: "../up/.report\x1b.bin", Size: 3 << 20, URL: "/chat/api/file?id=1&n=0"}, {Name: "gone.txt", Size: 4, URL: "/chat/api/file?id=1&n=1"}}
		c.server.mu.Lock()
		c.server.content = map[string]string{m.Files[0].URL: "the content"}
		c.server.mu.Unlock()
		c.brings("message", m)
		for _, line := range []string{"/save 1", "/save 1", "/save 1 other.bin", "/save 1 other.bin", "/save 2", "/save 3", "/save x", "/file", "/file nowhere.txt", "/file ."} {
			c.types(line)
		}
		c.left(
			"(not delivered yet; trying again)",
			"(there is no file here)",
			"Here.",
			`[file: ../up/.report\x1b.bin, 3 MB]  /save 1 saves it`,
			"[file: gone.txt, 4 bytes]  /save 2 saves it",
			`(saved as report\x1b.bin)`, `(saved as report\x1b (2).bin)`, "(saved as other.bin)",
			"(not saved: open other.bin: file exists)",
			"(not saved: the gateway answered 404 Not Found)",
			"(name a file by its number, from 1 to 2: /save NUMBER [PATH])",
			"(name a file by its number, from 1 to 2: /save NUMBER [PATH])",
			"(name the file: /file PATH)",
		)
		if len(c.server.says) > 0 {
			t.Errorf("before its time: %+v", c.server.says)
		}
	})
	for _, name := range []string{`report\x1b.bin`, `report\x1b (2).bin`, "other.bin"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "the content" {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 4 {
		t.Errorf("the folder has %v", all)
	}
}

// TestFileIsSent: what cannot be read is said, and a file is named by its message.
func TestFileIsSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := chat(t)
		c.types("/file /nowhere/at-all.txt")
		c.types("/file " + filepath.Dir(path))
		c.types("/file " + path)
		c.left(
			"(not sent: open /nowhere/at-all.txt: no such file or directory)",
			"(not sent: "+filepath.Dir(path)+" is no file)",
			"[sent: a.txt, 4 bytes]",
		)
		if d := cmp.Diff(map[string]string{"a.txt": "text"}, c.server.uploads); d != "" || len(c.server.says) != 1 || len(c.server.says[0].Files) != 1 {
			t.Errorf("%+v %s", c.server.says, d)
		}
	})
}

func FuzzLocalName(f *testing.F) {
	for _, s := range []string{"a.txt", "../../etc/passwd", "/", ".", "..", ".bashrc", "a\x00b", "C:\\x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := localName(name)
		if !filepath.IsLocal(got) || filepath.Base(got) != got || strings.HasPrefix(got, ".") || strings.ContainsAny(got, "\x00\n\x1b") {
			t.Errorf("%q became %q", name, got)
		}
	})
}
