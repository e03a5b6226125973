package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

const secret = "123456:AA-the-value-of-the-secret"

func TestConformance(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		vaulttest.Test(t, func(*testing.T) kv.Store { return &vaulttest.State{} })
	})
	t.Run("in the reference engine", func(t *testing.T) {
		vaulttest.Test(t, func(*testing.T) kv.Store { return inprocess.New(inprocess.Options{}) })
	})
}

// home is a vault with one secret, "bot".
func home(t testing.TB) (*vault.Store, *vaulttest.State, *vault.KeyFile) {
	t.Helper()
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	v := vaulttest.Open(t, state, key)
	if _, err := v.Set(context.Background(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	return v, state, key
}

func TestNames(t *testing.T) {
	v, _, _ := home(t)
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"a", true},
		{"0", true},
		{"support-bot_2.x", true},
		{strings.Repeat("a", 64), true},
		{"", false},
		{strings.Repeat("a", 65), false},
		{"-a", false},
		{".a", false},
		{"_a", false},
		{"A", false},
		{"a b", false},
		{"a/b", false},
		{"../a", false},
		{"ä", false},
		{"a\x00", false},
	} {
		_, err := v.Set(t.Context(), "home", tt.name, []byte(secret), nil)
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.name, err)
		}
		if _, ok := vault.ParseRef("secret://" + tt.name); ok != tt.ok {
			t.Errorf("reference to %q: %v", tt.name, ok)
		}
	}
	if _, ok := vault.ParseRef("bot"); ok {
		t.Error("a literal is taken for a reference")
	}
}

func TestWorkspacesThatReachIntoOthers(t *testing.T) {
	v, _, _ := home(t)
	for _, w := range []string{"", "home/", "home/bot", "a b", "a\x00", strings.Repeat("a", 129)} {
		if _, err := v.Set(t.Context(), w, "bot", []byte(secret), nil); err == nil {
			t.Errorf("%q: set", w)
		}
		if err := v.Configure(w); err == nil {
			t.Errorf("%q: configured", w)
		}
	}
}

func TestValues(t *testing.T) {
	v, _, _ := home(t)
	for _, tt := range []struct {
		size      int
		ok, short bool
	}{
		{0, false, false},
		{1, true, true},
		{11, true, true},
		{12, true, false},
		{64 << 10, true, false},
		{64<<10 + 1, false, false},
	} {
		got, err := v.Set(t.Context(), "home", "x", bytes.Repeat([]byte("x"), tt.size), nil)
		if (err == nil) != tt.ok || got.Short != tt.short || (got.Warning() != "") != tt.short {
			t.Errorf("%d bytes: short %v, %v", tt.size, got.Short, err)
		}
	}
}

func TestHosts(t *testing.T) {
	v, _, _ := home(t)
	tests := []struct {
		in, want []string // want nil: refused
	}{
		{[]string{"API.Example.com"}, []string{"api.example.com:443"}},
		{[]string{"b:1", "a:1", "b:1"}, []string{"a:1", "b:1"}},
		{[]string{"[::1]:80", "::1"}, []string{"[::1]:443", "[::1]:80"}},
		{[]string{"https://api.example.com"}, nil},
		{[]string{"api.example.com/x"}, nil},
		{[]string{"a@b"}, nil},
		{[]string{"*.example.com"}, nil},
		{[]string{"a:0"}, nil},
		{[]string{"a:b:c"}, nil},
		{[]string{""}, nil},
		{[]string{"a b"}, nil},
	}
	for _, tt := range tests {
		got, err := v.Set(t.Context(), "home", "bot", []byte(secret), tt.in)
		if diff := cmp.Diff(tt.want, got.Hosts); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %v %s", tt.in, err, diff)
		}
	}
}

func TestSetKeepsHostsUnlessTold(t *testing.T) {
	v, _, _ := home(t)
	for _, step := range []struct{ set, want []string }{
		{[]string{"a:1"}, []string{"a:1"}},
		{nil, []string{"a:1"}},
		{[]string{}, nil},
	} {
		got, err := v.Set(t.Context(), "home", "bot", []byte(secret), step.set)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got.Hosts); diff != "" {
			t.Error(diff)
		}
	}
}

func TestList(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	v, err := vault.Open(t.Context(), vault.Options{
		State: &vaulttest.State{}, Key: vaulttest.NewKey(t), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	first := now
	for range 2 {
		if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), []string{"a:1"}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	got, err := v.List(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	want := []vault.Meta{{Name: "bot", Version: 2, Created: first, Changed: first.Add(time.Hour), Hosts: []string{"a:1"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text, _ := json.Marshal(got); bytes.Contains(text, []byte(secret)) {
		t.Error("the list holds the value")
	}
	got[0].Hosts[0] = "evil:1"
	if again, _ := v.List(t.Context(), "home"); again[0].Hosts[0] != "a:1" {
		t.Error("the list gives the vault's own memory away")
	}
}

// Nothing that is stored may hold the value, or what gives it away.
func TestNothingReadableIsStored(t *testing.T) {
	v, state, _ := home(t)
	if _, err := v.Seal(t.Context(), "home", "via", []byte(secret)); err != nil {
		t.Fatal(err)
	}
	n := 0
	state.Tamper(func(_ string, e kv.Entry) []byte {
		n++
		if bytes.Contains(e.Value, []byte(secret)) || bytes.Contains(e.Value, []byte("the-value")) {
			t.Errorf("%s holds the value", e.Key)
		}
		return e.Value
	})
	if n != 3 {
		t.Errorf("%d rows, want key, list and secret", n)
	}
}

func TestRotate(t *testing.T) {
	v, _, _ := home(t)
	var held []byte
	got, err := v.Rotate(t.Context(), "home", "bot", func(old []byte) ([]byte, error) {
		held = old
		return append(slices.Clone(old), "+1"...), nil
	})
	if err != nil || got.Version != 2 {
		t.Fatalf("version %d, %v", got.Version, err)
	}
	if !bytes.Equal(held, make([]byte, len(held))) {
		t.Error("the old value was not cleared")
	}
	l, err := vaulttest.Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	if got := vaulttest.Value(t, l); got != secret+"+1" {
		t.Errorf("got %q", got)
	}
	if _, err := v.Rotate(t.Context(), "home", "none", func(b []byte) ([]byte, error) { return b, nil }); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	_, err = v.Rotate(t.Context(), "home", "bot", func(b []byte) ([]byte, error) { return nil, fmt.Errorf("refused: %s", b) })
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a failure: %v", err)
	}
	// What f returns may be what it was given.
	if _, err := v.Rotate(t.Context(), "home", "bot", func(b []byte) ([]byte, error) { return b[:6], nil }); err != nil {
		t.Fatal(err)
	}
	if l, err = vaulttest.Lease(t, v, "home", "bot"); err != nil {
		t.Fatal(err)
	}
	if got := vaulttest.Value(t, l); got != "123456" {
		t.Errorf("got %q", got)
	}
}

func TestRotationsHappenOneAfterTheOther(t *testing.T) {
	v, _, _ := home(t)
	if _, err := v.Set(t.Context(), "home", "n", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := v.Rotate(context.Background(), "home", "n", func(b []byte) ([]byte, error) { return append(slices.Clone(b), 'x'), nil })
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if l, err := vaulttest.Lease(t, v, "home", "n"); err == nil {
				_ = l.Use(func([]byte) error { return nil })
			}
		})
	}
	wg.Wait()
	l, err := vaulttest.Lease(t, v, "home", "n")
	if err != nil {
		t.Fatal(err)
	}
	if got := vaulttest.Value(t, l); len(got) != 21 {
		t.Errorf("%d rotations took effect", len(got)-1)
	}
}
