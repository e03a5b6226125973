package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/backup"
)

func quiet(int64) {}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// contents are the files below a folder by name.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := backup.Files(folder)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(f.Path)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name, st.Mode(), err)
		}
		out[f.Name] = string(b)
	}
	return out
}

func TestThereAndBack(t *testing.T) {
	from, id, second := t.TempDir(), identity(t), identity(t)
	want := map[string]string{"gatehouse.db": "the database", filepath.Join("blobs", "aa", "bb"): strings.Repeat("a blob ", 100_000)}
	for name, text := range want {
		path := filepath.Join(from, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(from, "lock"), nil, 0o600), os.Symlink("/etc/passwd", filepath.Join(from, "link"))); err != nil {
		t.Fatal(err)
	}
	files, err := backup.Files(from, "lock")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, backup.Source{Path: filepath.Join(from, "gone"), Name: "gone"})
	var out bytes.Buffer
	var last int64
	if err := backup.Write(t.Context(), &out, files, func(n int64) { last = n }, id.Recipient(), second.Recipient()); err != nil {
		t.Fatal(err)
	}
	if last < 700_000 || bytes.Contains(out.Bytes(), []byte("a blob")) {
		t.Errorf("%d bytes, or in the clear", last)
	}
	for _, by := range []age.Identity{id, second} {
		to := t.TempDir()
		if err := backup.Read(t.Context(), bytes.NewReader(out.Bytes()), to, quiet, by); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, contents(t, to)); diff != "" {
			t.Error(diff)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, bad := range map[string]func(to string) error{
		"another identity": func(to string) error {
			return backup.Read(t.Context(), bytes.NewReader(out.Bytes()), to, quiet, identity(t))
		},
		"cut off": func(to string) error {
			return backup.Read(t.Context(), bytes.NewReader(out.Bytes()[:out.Len()-100]), to, quiet, id)
		},
		"changed": func(to string) error {
			b := bytes.Clone(out.Bytes())
			b[len(b)-100] ^= 1
			return backup.Read(t.Context(), bytes.NewReader(b), to, quiet, id)
		},
		"given up":          func(to string) error { return backup.Read(ended, bytes.NewReader(out.Bytes()), to, quiet, id) },
		"given up, writing": func(string) error { return backup.Write(ended, &bytes.Buffer{}, files, quiet, id.Recipient()) },
		"for nobody":        func(string) error { return backup.Write(t.Context(), &bytes.Buffer{}, files, quiet) },
		"no folder": func(to string) error {
			return backup.Read(t.Context(), bytes.NewReader(out.Bytes()), filepath.Join(to, "none"), quiet, id)
		},
	} {
		if bad(t.TempDir()) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// archive makes a tar of headers and texts.
func archive(t testing.TB, all ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range all {
		if h.Mode == 0 {
			h.Mode = 0o777
		}
		text := []byte("a text")
		if h.Typeflag == tar.TypeReg && h.Name != backup.Mark {
			h.Size = int64(len(text))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Name: name} }

func TestWhatIsNoBackup(t *testing.T) {
	mark := func() *tar.Header { return file(backup.Mark) }
	for name, text := range map[string][]byte{
		"nothing":                 nil,
		"an empty archive":        archive(t),
		"no mark":                 archive(t, file("a")),
		"a mark too late":         archive(t, file("a"), mark()),
		"out of the folder":       archive(t, mark(), file("../out")),
		"out by a detour":         archive(t, mark(), file("a/../../out")),
		"from the root":           archive(t, mark(), file("/out")),
		"backslashes":             archive(t, mark(), file(`..\out`)),
		"a link":                  archive(t, mark(), &tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc"}),
		"a hard link":             archive(t, mark(), file("a"), &tar.Header{Typeflag: tar.TypeLink, Name: "l", Linkname: "a"}),
		"a folder":                archive(t, mark(), &tar.Header{Typeflag: tar.TypeDir, Name: "d/"}),
		"twice":                   archive(t, mark(), file("a"), file("a")),
		"a file that is a folder": archive(t, mark(), file("a/b"), file("a")),
		"cut off":                 archive(t, mark(), file("a"))[:1026],
	} {
		root := t.TempDir()
		folder := filepath.Join(root, "folder")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := backup.Unpack(tar.NewReader(bytes.NewReader(text)), folder); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := os.Stat(filepath.Join(root, "out")); err == nil {
			t.Errorf("%s: written outside of the folder", name)
		}
	}
	good := t.TempDir()
	if err := backup.Unpack(tar.NewReader(bytes.NewReader(archive(t, mark(), file("a/b")))), good); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{filepath.Join("a", "b"): "a text"}, contents(t, good)); diff != "" {
		t.Error(diff)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, file(backup.Mark), file("a/b")))
	f.Add(archive(f, file(backup.Mark), file("../out")))
	f.Add([]byte("nothing"))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		folder := filepath.Join(root, "folder")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = backup.Unpack(tar.NewReader(bytes.NewReader(text)), folder)
		if all, err := os.ReadDir(root); err != nil || len(all) != 1 {
			t.Errorf("beside the folder: %v, %v", all, err)
		}
	})
}
