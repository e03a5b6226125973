package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestContent(t *testing.T) {
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	v := vaulttest.Open(t, state, key)
	place := []string{"row", "session", "a"}
	seal := func(text string) []byte {
		t.Helper()
		b, err := v.SealContent(t.Context(), []byte("head"), "home", []byte(text), place...)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, []byte("head")) || len(b) != 4+53+len(text) || bytes.Contains(b, []byte(text)) {
			t.Fatalf("%d bytes: %x", len(b), b)
		}
		return b[4:]
	}
	open := func(b []byte, want string) {
		t.Helper()
		got, err := v.OpenContent(t.Context(), "home", b, place...)
		if err != nil || string(got) != want {
			t.Errorf("it opens as %q, %v", got, err)
		}
	}
	refused := func(what string, want error, workspace string, b []byte, place ...string) {
		t.Helper()
		if got, err := v.OpenContent(t.Context(), workspace, b, place...); !errors.Is(err, want) {
			t.Errorf("%s opens as %q, %v", what, got, err)
		}
	}
	first := seal("good morning")
	if bytes.Equal(first, seal("good morning")) {
		t.Error("the same twice")
	}
	open(first, "good morning")
	refused("another place", vault.ErrCorrupt, "home", first, "row", "session", "b")
	refused("a place cut otherwise", vault.ErrCorrupt, "home", first, "row", "sessio", "na")
	refused("a shorter place", vault.ErrCorrupt, "home", first, "row", "session")
	for i := range first {
		b := bytes.Clone(first)
		b[i] ^= 1
		if _, err := v.OpenContent(t.Context(), "home", b, place...); err == nil {
			t.Errorf("it opens with byte %d changed", i)
		}
	}
	if _, err := v.SealContent(t.Context(), nil, "other", nil, place...); err != nil {
		t.Fatal(err)
	}
	refused("another workspace's", vault.ErrNotFound, "other", first, place...)

	if err := v.RotateData(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	open(first, "good morning")
	second := seal("good evening")
	v = vaulttest.Open(t, state, key)
	open(first, "good morning")
	open(second, "good evening")

	another := vaulttest.Open(t, state, key)
	if err := another.RotateData(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	third, err := another.SealContent(t.Context(), nil, "home", []byte("from elsewhere"), place...)
	if err != nil {
		t.Fatal(err)
	}
	open(third, "from elsewhere")

	if err := v.Shred(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{first, second, third} {
		refused("a deleted workspace's", vault.ErrNotFound, "home", b, place...)
	}
	seal("a new life") // of a workspace with the same name
	refused("what was before it", vault.ErrNotFound, "home", first, place...)
}

// FuzzOpenContent: whatever is stored opens as what was sealed, or not at all.
func FuzzOpenContent(f *testing.F) {
	v := vaulttest.Open(f, &vaulttest.State{}, vaulttest.NewKey(f))
	b, err := v.SealContent(f.Context(), nil, "home", []byte("text"), "p")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:40])
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := v.OpenContent(t.Context(), "home", b, "p")
		if err == nil && string(got) != "text" {
			t.Errorf("%x opens as %q", b, got)
		}
	})
}

// BenchmarkContent is what one value costs that is sealed and opened again.
func BenchmarkContent(b *testing.B) {
	v := vaulttest.Open(b, &vaulttest.State{}, vaulttest.NewKey(b))
	for _, size := range []int{200, 4 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			plain := bytes.Repeat([]byte("x"), size)
			buf := make([]byte, 0, size+100)
			b.ReportAllocs()
			for b.Loop() {
				sealed, err := v.SealContent(b.Context(), buf, "home", plain, "body", "inbox", "telegram", "bot", "update/1234567")
				if err == nil {
					_, err = v.OpenContent(b.Context(), "home", sealed, "body", "inbox", "telegram", "bot", "update/1234567")
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
