package vault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestShredding(t *testing.T) {
	v, state, key := town(t, 3)
	if err := v.RotateData(t.Context(), "home"); err != nil { // an older key is shredded, too
		t.Fatal(err)
	}
	sealed, err := v.Seal(t.Context(), "home", "via", []byte("a token"))
	if err != nil {
		t.Fatal(err)
	}
	lease, err := vaulttest.Lease(t, v, "home", "s1")
	if err != nil {
		t.Fatal(err)
	}
	yesterday := state.Restart()
	if err := v.Shred(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if err := lease.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("a lease from before: %v", err)
	}
	for name := range rows(state) {
		if strings.Contains(name, "home") {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := v.Open(t.Context(), "home", "via", sealed); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("what was sealed: %v", err)
	}
	if err := v.Shred(t.Context(), "home"); err != nil {
		t.Errorf("once more: %v", err)
	}
	if got := read(t, v, "work", "s1"); got != string(townValue("work", 1)) {
		t.Errorf("another workspace has %q", got)
	}

	// Yesterday's database is not taken for the newest, and not for this one.
	if _, err := vault.Open(t.Context(), vault.Options{State: yesterday.Restart(), Key: key}); !errors.Is(err, vault.ErrRolledBack) {
		t.Errorf("yesterday's database: %v", err)
	}
	older, err := vault.Open(t.Context(), vault.Options{State: yesterday, Key: key, AcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, older, "home", "s1"); got != "" {
		t.Errorf("the workspace is back, with %q", got)
	}
	if got := read(t, older, "work", "s1"); got != string(townValue("work", 1)) {
		t.Errorf("another workspace of the older database has %q", got)
	}

	// A new workspace of this name begins with nothing.
	if _, err := v.Set(t.Context(), "home", "s2", []byte("of the new workspace"), nil); err != nil {
		t.Fatal(err)
	}
	x := vaulttest.Open(t, state, key)
	if got := read(t, x, "home", "s2"); got != "of the new workspace" || read(t, x, "home", "s1") != "" {
		t.Errorf("got %q", got)
	}
}

func TestDeathInShredding(t *testing.T) {
	for _, committed := range []bool{false, true} {
		for n := 1; ; n++ {
			v, state, key := town(t, 2)
			state.CrashAt(n, committed)
			err := v.Shred(t.Context(), "home")
			if !state.Crashed() {
				if err != nil || n != 4 {
					t.Errorf("%d writes, %v", n-1, err)
				}
				break
			}
			if err == nil {
				t.Error("no error although the process died")
			}
			next := state.Restart()
			x := vaulttest.Open(t, next, vault.NewKeyFile(key.Path(), ""))
			want := 0
			if n == 1 && !committed {
				want = 4
			}
			left := 0
			for name := range rows(next) {
				if strings.Contains(name, "home") {
					left++
				}
			}
			if left != want {
				t.Errorf("write %d, committed %v: %d rows are left", n, committed, left)
			}
			if got := read(t, x, "work", "s1"); got != string(townValue("work", 1)) {
				t.Errorf("another workspace has %q", got)
			}
		}
	}
}

func TestOffboarding(t *testing.T) {
	v, state, key := home(t)
	for _, name := range []string{"shared", "github@anna", "github@ben", "other@anna"} {
		if _, err := v.Set(t.Context(), "home", name, []byte("the value of "+name), nil); err != nil {
			t.Fatal(err)
		}
	}
	both := vault.Grant{Kind: "tool", Name: "x"}
	for _, g := range []vault.Grant{{Kind: "tool", Name: "x", Member: "anna"}, {Kind: "tool", Name: "x", Member: "ben"}, both} {
		if err := v.Grant(t.Context(), "home", "shared", g); err != nil {
			t.Fatal(err)
		}
	}
	n, err := v.Offboard(t.Context(), "home", "anna")
	if err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	for _, x := range []*vault.Store{v, vaulttest.Open(t, state, key)} {
		all, err := x.List(t.Context(), "home")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, m := range all {
			got[m.Name] = ""
			for _, g := range m.Grants {
				got[m.Name] += fmt.Sprintf("%s/%s ", g.Name, g.Member)
			}
		}
		want := map[string]string{"bot": "", "shared": "x/ben x/ ", "github@ben": ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got := read(t, x, "home", "shared"); got != "the value of shared" {
			t.Errorf("got %q", got)
		}
	}
	for _, m := range []string{"anna", "nobody"} {
		if n, err := v.Offboard(t.Context(), "home", m); n != 0 || err != nil {
			t.Errorf("%s: %d, %v", m, n, err)
		}
	}
	if n, err := v.Offboard(t.Context(), "none", "ben"); n != 0 || err != nil {
		t.Errorf("an unknown workspace: %d, %v", n, err)
	}
	if _, err := v.Offboard(t.Context(), "home", ""); err == nil {
		t.Error("nobody leaves, and nothing is said")
	}
}

// A process that does not know of the other's change offboards all the same.
func TestOffboardingBesideAChange(t *testing.T) {
	v, state, key := home(t)
	other := vaulttest.Open(t, state, key)
	if _, err := other.Set(t.Context(), "home", "github@anna", []byte("set by the other"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "gitlab@anna", []byte("set by this one"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Offboard(t.Context(), "home", "anna"); err != nil {
		t.Fatal(err)
	}
	if err := v.Shred(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Set(t.Context(), "home", "bot", []byte("in a new workspace"), nil); err != nil {
		t.Error(err)
	}
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Shred(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Offboard(t.Context(), "home", "anna"); err != nil {
		t.Error(err)
	}
	if all, _ := state.List(t.Context(), "vault", "", "", 0); len(all) != 0 {
		t.Errorf("%d rows are left", len(all))
	}
}
