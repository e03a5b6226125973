package vaulttest

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// NewKey is a key in a temporary folder. It is made at the first use.
func NewKey(t testing.TB) *vault.KeyFile {
	t.Helper()
	return vault.NewKeyFile(filepath.Join(t.TempDir(), "keys", "key"), "")
}

// Open opens a vault over state and ends the test when that fails.
func Open(t testing.TB, state kv.Store, key vault.KeySource) *vault.Store {
	t.Helper()
	v, err := vault.Open(context.Background(), vault.Options{State: state, Key: key})
	if err != nil {
		t.Fatalf("open the vault: %v", err)
	}
	return v
}

// Value returns the value that a lease lends.
func Value(t testing.TB, l *vault.Lease) string {
	t.Helper()
	var out string
	if err := l.Use(func(plain []byte) error { out = string(plain); return nil }); err != nil {
		t.Fatalf("use the lease: %v", err)
	}
	return out
}

// Bot is how the suite's channel uses a secret.
var Bot = vault.Purpose{Kind: vault.ForChannel, Name: "support", Host: "api.example.com:443"}

// Lease grants a secret to [Bot] by the configuration and leases it.
func Lease(t testing.TB, v *vault.Store, workspace, name string) (*vault.Lease, error) {
	t.Helper()
	ref := vault.Ref("secret://" + name)
	err := v.Configure(workspace, vault.Binding{Ref: ref, Kind: Bot.Kind, Name: Bot.Name, Hosts: []string{Bot.Host}})
	if err != nil {
		t.Fatalf("configure: %v", err)
	}
	return v.LeaseConfigured(context.Background(), workspace, ref, Bot)
}

// Test checks that a vault works over a durable state. open is called once for
// each check and returns an empty state.
func Test(t *testing.T, open func(t *testing.T) kv.Store) {
	for name, check := range map[string]func(t *testing.T, state kv.Store){
		"a value survives a restart":        survives,
		"a new value replaces the old":      replaces,
		"a deleted secret is gone":          deletes,
		"workspaces are apart":              apart,
		"scopes that are not granted":       grants,
		"sealing and deriving":              seals,
		"many secrets are listed by name":   lists,
		"changes by two vaults at one time": shares,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

func set(t testing.TB, v *vault.Store, workspace, name, value string) vault.Stored {
	t.Helper()
	got, err := v.Set(context.Background(), workspace, name, []byte(value), nil)
	if err != nil {
		t.Fatalf("set %s: %v", name, err)
	}
	return got
}

func expect(t testing.TB, v *vault.Store, workspace, name, want string) {
	t.Helper()
	l, err := Lease(t, v, workspace, name)
	if err != nil {
		t.Fatalf("lease %s: %v", name, err)
	}
	if got := Value(t, l); got != want {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

func survives(t *testing.T, state kv.Store) {
	key := NewKey(t)
	set(t, Open(t, state, key), "home", "bot", "the first value")
	expect(t, Open(t, state, vault.NewKeyFile(key.Path(), "")), "home", "bot", "the first value")
}

func replaces(t *testing.T, state kv.Store) {
	key := NewKey(t)
	v := Open(t, state, key)
	set(t, v, "home", "bot", "the first value")
	old, err := Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	if got := set(t, v, "home", "bot", "the second value"); got.Version != 2 {
		t.Errorf("version %d", got.Version)
	}
	if err := old.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("the old lease: %v", err)
	}
	expect(t, v, "home", "bot", "the second value")
	expect(t, Open(t, state, key), "home", "bot", "the second value")
}

func deletes(t *testing.T, state kv.Store) {
	key := NewKey(t)
	v := Open(t, state, key)
	set(t, v, "home", "bot", "the first value")
	old, err := Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), "home", "bot"); err != nil {
		t.Fatal(err)
	}
	if err := old.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("the old lease: %v", err)
	}
	for _, x := range []*vault.Store{v, Open(t, state, key)} {
		if _, err := Lease(t, x, "home", "bot"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("lease: %v", err)
		}
		if err := x.Delete(t.Context(), "home", "bot"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("delete: %v", err)
		}
	}
}

func apart(t *testing.T, state kv.Store) {
	v := Open(t, state, NewKey(t))
	set(t, v, "a", "bot", "the value of a")
	set(t, v, "b", "bot", "the value of b")
	set(t, v, "a", "only", "only a has this")
	expect(t, v, "a", "bot", "the value of a")
	expect(t, v, "b", "bot", "the value of b")
	if _, err := Lease(t, v, "b", "only"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("b leases what a has: %v", err)
	}
}

func grants(t *testing.T, state kv.Store) {
	key := NewKey(t)
	v := Open(t, state, key)
	if _, err := v.Set(t.Context(), "home", "github", []byte("a token of hers"), []string{"api.github.com"}); err != nil {
		t.Fatal(err)
	}
	tool := vault.Purpose{Kind: "tool", Name: "http_request", Host: "api.github.com:443"}
	if err := v.Grant(t.Context(), "home", "github", vault.Grant{Kind: tool.Kind, Name: tool.Name, Member: "anna"}); err != nil {
		t.Fatal(err)
	}
	anna := scope.New(scope.Principal{Workspace: "home", Member: "anna", Role: scope.Ordinary})
	ben := scope.New(scope.Principal{Workspace: "home", Member: "ben", Role: scope.Owner})
	for _, x := range []*vault.Store{v, Open(t, state, key)} {
		l, err := x.Lease(t.Context(), anna, "secret://github", tool)
		if err != nil {
			t.Fatal(err)
		}
		if got := Value(t, l); got != "a token of hers" {
			t.Errorf("got %q", got)
		}
		if _, err := x.Lease(t.Context(), ben, "secret://github", tool); !errors.Is(err, vault.ErrDenied) {
			t.Errorf("another member: %v", err)
		}
	}
}

func seals(t *testing.T, state kv.Store) {
	key := NewKey(t)
	v := Open(t, state, key)
	sealed, err := v.Seal(t.Context(), "home", "via", []byte("a token"))
	if err != nil {
		t.Fatal(err)
	}
	derived, err := v.Derive(t.Context(), "home", "webhook", "support")
	if err != nil {
		t.Fatal(err)
	}
	v = Open(t, state, key)
	plain, err := v.Open(t.Context(), "home", "via", sealed)
	if err != nil || string(plain) != "a token" {
		t.Errorf("opened %q, %v", plain, err)
	}
	again, err := v.Derive(t.Context(), "home", "webhook", "support")
	if err != nil || !slices.Equal(derived, again) {
		t.Errorf("derived anew: %v", err)
	}
}

func lists(t *testing.T, state kv.Store) {
	key := NewKey(t)
	v := Open(t, state, key)
	want := []string{"a", "a.b", "a_b", "b"}
	for _, name := range []string{"b", "a.b", "a", "a_b"} {
		set(t, v, "home", name, "the value of "+name)
	}
	for _, x := range []*vault.Store{v, Open(t, state, key)} {
		all, err := x.List(t.Context(), "home")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all {
			got = append(got, m.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// shares lets two vaults, as of two processes, change one workspace in turns
// without telling each other.
func shares(t *testing.T, state kv.Store) {
	key := NewKey(t)
	one, two := Open(t, state, key), Open(t, state, key)
	set(t, one, "home", "a", "from the first")
	set(t, two, "home", "b", "from the second")
	set(t, one, "home", "b", "from the first again")
	if err := two.Delete(t.Context(), "home", "a"); err != nil {
		t.Fatal(err)
	}
	if err := one.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*vault.Store{one, Open(t, state, key)} {
		expect(t, x, "home", "b", "from the first again")
		if _, err := Lease(t, x, "home", "a"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("a: %v", err)
		}
	}
}
