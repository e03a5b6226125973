package vault_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheKeyIsMadeForItsOwnerAlone(t *testing.T) {
	_, _, key := home(t)
	for path, want := range map[string]os.FileMode{
		key.Path(): 0o600, key.Path() + ".version": 0o600, filepath.Dir(key.Path()): 0o700 | os.ModeDir,
	} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && st.Mode() != want {
			t.Errorf("%s: %v", path, st.Mode())
		}
	}
	left, err := os.ReadDir(filepath.Dir(key.Path()))
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	text, _ := os.ReadFile(key.Path())
	if !bytes.HasPrefix(text, []byte("# ")) {
		t.Errorf("the file does not say what it is: %s", text)
	}
	if err := vault.NewKeyFile(key.Path(), "").Check(); err != nil {
		t.Error(err)
	}
}

func TestAnExistingKeyIsNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := vaulttest.Open(t, &vaulttest.State{}, vault.NewKeyFile(path, ""))
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err == nil {
		t.Error("a secret was stored")
	}
	if text, _ := os.ReadFile(path); string(text) != "something else\n" {
		t.Errorf("the file is now %q", text)
	}
}

func TestProcessesThatMakeTheKeyAtOnce(t *testing.T) {
	for range 30 {
		path := filepath.Join(t.TempDir(), "keys", "key")
		var wg sync.WaitGroup
		var ids [4]string
		start := make(chan struct{})
		for i := range ids {
			wg.Go(func() {
				<-start
				k := vault.NewKeyFile(path, "")
				if _, err := k.Wrap(context.Background(), make([]byte, 32), nil); err != nil {
					t.Error(err)
				}
				ids[i], _ = k.KeyID(context.Background())
			})
		}
		close(start)
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] || id == "" {
				t.Fatalf("keys %v", ids)
			}
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes and symbolic links are those of Unix")
	}
	tests := []struct {
		name string
		make func(t *testing.T, dir, good string) *vault.KeyFile
		says string
	}{
		{"readable by the group", func(t *testing.T, _, good string) *vault.KeyFile {
			chmod(t, good, 0o640)
			return vault.NewKeyFile(good, "")
		}, "chmod 600"},
		{"readable by all", func(t *testing.T, _, good string) *vault.KeyFile {
			chmod(t, good, 0o604)
			return vault.NewKeyFile(good, "")
		}, "chmod 600"},
		{"in the data folder", func(_ *testing.T, dir, good string) *vault.KeyFile {
			return vault.NewKeyFile(good, dir)
		}, "inside the data folder"},
		{"in the data folder by a detour", func(_ *testing.T, dir, good string) *vault.KeyFile {
			return vault.NewKeyFile(good, filepath.Join(dir, "x", ".."))
		}, "inside the data folder"},
		{"in the data folder by a link", func(t *testing.T, dir, good string) *vault.KeyFile {
			link := filepath.Join(t.TempDir(), "data")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			return vault.NewKeyFile(good, link)
		}, "inside the data folder"},
		{"a link into the data folder", func(t *testing.T, dir, good string) *vault.KeyFile {
			link := filepath.Join(t.TempDir(), "key")
			if err := os.Symlink(good, link); err != nil {
				t.Fatal(err)
			}
			return vault.NewKeyFile(link, dir)
		}, "inside the data folder"},
		{"a folder", func(_ *testing.T, dir, _ string) *vault.KeyFile { return vault.NewKeyFile(dir, "") }, "not a regular file"},
		{"damaged", func(t *testing.T, _, good string) *vault.KeyFile {
			text, _ := os.ReadFile(good)
			at := bytes.LastIndexByte(bytes.TrimSpace(text), ' ') + 5
			text[at] ^= 1
			if err := os.WriteFile(good, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return vault.NewKeyFile(good, "")
		}, "damaged"},
		{"empty", func(t *testing.T, _, good string) *vault.KeyFile {
			if err := os.WriteFile(good, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return vault.NewKeyFile(good, "")
		}, "0 lines"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, state, key := home(t)
			bad := tt.make(t, filepath.Dir(key.Path()), key.Path())
			if err := bad.Check(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("check: %v", err)
			}
			if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: bad}); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatOthersCanWriteTo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are those of Unix")
	}
	dir := t.TempDir()
	chmod(t, dir, 0o777)
	v := vaulttest.Open(t, &vaulttest.State{}, vault.NewKeyFile(filepath.Join(dir, "key"), ""))
	_, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil)
	if err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("got %v", err)
	}
}

func TestTheDataFolderBesideTheKey(t *testing.T) {
	dir := t.TempDir()
	k := vault.NewKeyFile(filepath.Join(dir, "data-key"), filepath.Join(dir, "data"))
	if err := k.Check(); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("got %v", err)
	}
	if _, err := k.Wrap(t.Context(), make([]byte, 32), nil); err != nil {
		t.Error(err)
	}
}

func TestALostOrAnotherKey(t *testing.T) {
	_, state, key := home(t)
	if err := os.Rename(key.Path(), key.Path()+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: vault.NewKeyFile(key.Path(), "")}); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("lost: %v", err)
	}
	if _, err := os.Stat(key.Path()); !os.IsNotExist(err) {
		t.Error("another key was made in its place")
	}
	other := vaulttest.NewKey(t)
	if _, err := other.Wrap(t.Context(), make([]byte, 32), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: other}); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("another: %v", err)
	}
}

func TestWrapping(t *testing.T) {
	k := vaulttest.NewKey(t)
	plain := bytes.Repeat([]byte{7}, 32)
	wrapped, err := k.Wrap(t.Context(), plain, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unwrap(t.Context(), wrapped, []byte("a")); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := k.Unwrap(t.Context(), wrapped, []byte("b")); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("bound otherwise: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), wrapped[:27], []byte("a")); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("cut off: %v", err)
	}
}

func TestTheCounterOnlyGrows(t *testing.T) {
	_, _, key := home(t)
	for _, step := range []struct{ raise, want int64 }{{5, 5}, {3, 5}, {5, 5}, {6, 6}} {
		if err := key.Raise(t.Context(), "x", step.raise); err != nil {
			t.Fatal(err)
		}
		got, err := vault.NewKeyFile(key.Path(), "").Highest(t.Context(), "x")
		if err != nil || got != step.want {
			t.Errorf("after %d: %d, %v", step.raise, got, err)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	_, _, key := home(f)
	good, err := os.ReadFile(key.Path())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("gatehouse-key-v1 0011223344556677 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Add([]byte("# nothing"))
	f.Add(bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := vault.ParseKeys(text)
		if (err == nil) != (len(got) > 0) {
			t.Errorf("%d keys, %v", len(got), err)
		}
		for _, key := range got {
			if len(key) != 32 {
				t.Errorf("a key of %d bytes", len(key))
			}
		}
		if err != nil {
			for field := range bytes.FieldsSeq(text) {
				if len(field) > 40 && strings.Contains(err.Error(), string(field)) {
					t.Errorf("the error quotes the file: %v", err)
				}
			}
		}
	})
}

func FuzzCounters(f *testing.F) {
	_, _, key := home(f)
	good, err := os.ReadFile(key.Path() + ".version")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Add("gatehouse-versions-v1\na 1\na 2\n")
	f.Add("gatehouse-versions-v1\na -1\n")
	f.Add("")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		k := vault.NewKeyFile(filepath.Join(dir, "key"), "")
		if err := os.WriteFile(k.Path()+".version", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := k.Highest(t.Context(), "a")
		if err != nil {
			return
		}
		if err := k.Raise(t.Context(), "a", n+1); n < 1<<62 && err != nil {
			t.Fatal(err)
		}
		if again, err := k.Highest(t.Context(), "a"); n < 1<<62 && (err != nil || again != n+1) {
			t.Errorf("%d after %d, %v", again, n, err)
		}
	})
}
