package vault_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// phrase answers every question for the passphrase.
func phrase(text string, asked *[]bool) func(context.Context, bool) ([]byte, error) {
	return func(_ context.Context, fresh bool) ([]byte, error) {
		*asked = append(*asked, fresh)
		return []byte(text), nil
	}
}

func TestAKeyUnderAPassphrase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "key")
	var asked []bool
	source := func(text string) vault.Source {
		return vault.Source{
			Wrapper:   vault.NewRing(vault.NewLocked(vault.NewFile(path, ""), phrase(text, &asked))),
			Watermark: vault.NewMarks(filepath.Join(dir, "versions"), ""),
		}
	}
	state := &vaulttest.State{}
	v := vaulttest.Open(t, state, source("correct horse"))
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	if len(asked) == 0 || !asked[0] {
		t.Errorf("asked %v: a new passphrase is to be typed twice", asked)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "argon2id 3 65536 4 ") || strings.Contains(string(text), "gatehouse-key-v1") {
		t.Errorf("the file is %s", text)
	}
	if got := read(t, vaulttest.Open(t, state, source("correct horse")), "home", "bot"); got != secret {
		t.Errorf("got %q", got)
	}
	for name, src := range map[string]vault.Source{"a wrong one": source("wrong horse"), "an empty one": source("")} {
		if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: src}); err == nil || strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: source("wrong horse")}); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("got %v", err)
	}
	v = vaulttest.Open(t, state, source("correct horse"))
	if err := v.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(path); string(after) == string(text) {
		t.Error("the file is as before the rotation")
	}
	if got := read(t, vaulttest.Open(t, state, source("correct horse")), "home", "bot"); got != secret {
		t.Errorf("after the rotation %q", got)
	}
	if err := vault.NewLocked(vault.NewFile(path, ""), phrase("x", &asked)).Replace(t.Context(), nil); err == nil {
		t.Error("a key that was not opened is replaced")
	}
}

func TestAPassphraseNobodyGives(t *testing.T) {
	ask := func(context.Context, bool) ([]byte, error) { return nil, errors.New("nobody is there") }
	ring := vault.NewRing(vault.NewLocked(vault.NewFile(filepath.Join(t.TempDir(), "key"), ""), ask))
	if _, err := ring.Wrap(t.Context(), make([]byte, 32), nil); err == nil || !strings.Contains(err.Error(), "nobody is there") {
		t.Errorf("got %v", err)
	}
}

// constant is a text that is only read.
type constant []byte

func (c constant) Load(context.Context) ([]byte, error) { return append([]byte(nil), c...), nil }
func (constant) Create(context.Context, []byte) error   { return fs.ErrExist }
func (constant) Replace(context.Context, []byte) error  { return errors.ErrUnsupported }
func (constant) String() string                         { return "here" }

// A locked file that was changed asks for no more than a sane amount of work, and
// opens for nobody.
func TestLockedFilesThatAreRefused(t *testing.T) {
	const salt, text = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, line := range map[string]string{
		"empty":            "",
		"two lines":        "a\nb",
		"another format":   "gatehouse-locked-v2 argon2id 3 65536 4 " + salt + " " + text,
		"another way":      "gatehouse-locked-v1 scrypt 3 65536 4 " + salt + " " + text,
		"no passes":        "gatehouse-locked-v1 argon2id 0 65536 4 " + salt + " " + text,
		"many passes":      "gatehouse-locked-v1 argon2id 17 65536 4 " + salt + " " + text,
		"little memory":    "gatehouse-locked-v1 argon2id 3 8191 4 " + salt + " " + text,
		"much memory":      "gatehouse-locked-v1 argon2id 3 1048577 4 " + salt + " " + text,
		"no threads":       "gatehouse-locked-v1 argon2id 3 65536 0 " + salt + " " + text,
		"many threads":     "gatehouse-locked-v1 argon2id 3 65536 17 " + salt + " " + text,
		"threads beyond":   "gatehouse-locked-v1 argon2id 3 65536 257 " + salt + " " + text,
		"no number":        "gatehouse-locked-v1 argon2id 3 x 4 " + salt + " " + text,
		"a short salt":     "gatehouse-locked-v1 argon2id 3 65536 4 AAAA " + text,
		"no base64":        "gatehouse-locked-v1 argon2id 3 65536 4 " + salt + " ???",
		"another's text":   "gatehouse-locked-v1 argon2id 1 8192 1 " + salt + " " + text,
		"nothing locked":   "gatehouse-locked-v1 argon2id 1 8192 1 " + salt + " AAAA",
		"a field too many": "gatehouse-locked-v1 argon2id 1 8192 1 " + salt + " " + text + " x",
	} {
		var asked []bool
		l := vault.NewLocked(constant(line), phrase("a passphrase", &asked))
		if got, err := l.Load(t.Context()); err == nil || got != nil || !strings.Contains(err.Error(), "here") {
			t.Errorf("%s: %v", name, err)
		}
		if len(asked) > 0 && name != "another's text" && name != "nothing locked" {
			t.Errorf("%s: the passphrase was asked for", name)
		}
	}
}

func FuzzLockedText(f *testing.F) {
	f.Add([]byte("gatehouse-locked-v1 argon2id 1 8192 1 AAAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Add([]byte("# nothing"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ask := func(context.Context, bool) ([]byte, error) { return nil, errors.New("no work in a fuzz test") }
		if got, err := vault.NewLocked(constant(text), ask).Load(t.Context()); err == nil || got != nil {
			t.Errorf("opened without a passphrase: %v", err)
		}
	})
}

func TestACredential(t *testing.T) {
	dir := t.TempDir()
	text := vault.NewKeyText()
	path := filepath.Join(dir, "gatehouse-key")
	if err := os.WriteFile(path, text, 0o400); err != nil {
		t.Fatal(err)
	}
	marks := vault.NewMarks(filepath.Join(t.TempDir(), "state", "versions"), dir)
	source := vault.Source{Wrapper: vault.NewRing(vault.Credential{Folder: dir, Name: "gatehouse-key"}), Watermark: marks}
	state := &vaulttest.State{}
	v := vaulttest.Open(t, state, source)
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, vaulttest.Open(t, state, source), "home", "bot"); got != secret {
		t.Errorf("got %q", got)
	}
	if err := v.RotateKey(t.Context()); err == nil || !strings.Contains(err.Error(), "systemd-creds") {
		t.Errorf("got %v", err)
	}
	if got := read(t, vaulttest.Open(t, state, source), "home", "bot"); got != secret {
		t.Errorf("after a refused rotation %q", got)
	}
	for name, c := range map[string]vault.Credential{"no folder": {Name: "x"}, "no file": {Folder: dir, Name: "x"}} {
		ring := vault.NewRing(c)
		if _, err := ring.KeyID(t.Context()); !errors.Is(err, vault.ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ring.Wrap(t.Context(), make([]byte, 32), nil); err == nil {
			t.Errorf("%s: a key was made", name)
		}
	}
}

func TestVersionsInsideTheData(t *testing.T) {
	dir := t.TempDir()
	marks := vault.NewMarks(filepath.Join(dir, "versions"), dir)
	if err := marks.Raise(t.Context(), "x", 1); err == nil || !strings.Contains(err.Error(), "inside the data folder") {
		t.Errorf("got %v", err)
	}
}

func TestAStrictVault(t *testing.T) {
	v, err := vault.Open(t.Context(), vault.Options{State: &vaulttest.State{}, Key: vaulttest.NewKey(t), Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte("12345678901"), nil); err == nil || !strings.Contains(err.Error(), "at least 12") {
		t.Errorf("got %v", err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte("123456789012"), nil); err != nil {
		t.Error(err)
	}
	if _, err := v.Rotate(t.Context(), "home", "bot", func([]byte) ([]byte, error) { return []byte("short"), nil }); err == nil {
		t.Error("a short value by rotation")
	}
	if err := v.Grant(t.Context(), "home", "bot", vault.Grant{Kind: "tool", Name: "x"}); err != nil {
		t.Error(err)
	}
}

// What was stored before the vault was strict can still be granted.
func TestAnOldShortValueInAStrictVault(t *testing.T) {
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	if _, err := vaulttest.Open(t, state, key).Set(t.Context(), "home", "bot", []byte("short"), nil); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), vault.Options{State: state, Key: key, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Grant(t.Context(), "home", "bot", vault.Grant{Kind: "tool", Name: "x"}); err != nil {
		t.Error(err)
	}
}
