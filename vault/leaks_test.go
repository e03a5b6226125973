package vault_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// The guard knows a value from the moment that it is stored, after a restart,
// and after it was replaced.
func TestInvariant02TheGuardKnowsWhatIsStored(t *testing.T) {
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	open := func() (*vault.Store, *leak.Guard) {
		g, err := leak.New()
		if err != nil {
			t.Fatal(err)
		}
		v, err := vault.Open(context.Background(), vault.Options{State: state, Key: key, Leaks: g})
		if err != nil {
			t.Fatal(err)
		}
		return v, g
	}
	v, g := open()
	if g.Holds([]byte(secret)) {
		t.Error("known before it was stored")
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	if !g.Holds([]byte(secret)) {
		t.Error("not known when it was stored")
	}
	v, g = open()
	if !g.Holds([]byte(secret)) {
		t.Error("not known after a restart")
	}
	const next = "another-value-for-the-b0t"
	_, err := v.Rotate(t.Context(), "home", "bot", func([]byte) ([]byte, error) { return []byte(next), nil })
	if err != nil || !g.Holds([]byte(next)) || !g.Holds([]byte(secret)) {
		t.Errorf("after a rotation: %v, new %t, old %t", err, g.Holds([]byte(next)), g.Holds([]byte(secret)))
	}
}

// What was replaced or deleted stays known for a day, for it may be valid
// elsewhere, and is then forgotten.
func TestTheGuardForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := leak.New()
		if err != nil {
			t.Fatal(err)
		}
		v, err := vault.Open(t.Context(), vault.Options{State: &vaulttest.State{}, Key: vaulttest.NewKey(t), Leaks: g})
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{"old": secret, "new": "another-value-for-the-b0t", "deleted": "kJ93hfQ2lsPq77ybWm01", "kept": "a-third-0ne-that-is-k3pt", "shredded": "of-an0ther-w0rkspace-77"}
		set := func(workspace, name, value string) {
			t.Helper()
			if _, err := v.Set(t.Context(), workspace, name, []byte(values[value]), nil); err != nil {
				t.Fatal(err)
			}
		}
		check := func(when string, want ...string) {
			t.Helper()
			var got []string
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if g.Holds([]byte(values[name])) {
					got = append(got, name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		set("home", "bot", "old")
		set("home", "gone", "deleted")
		set("home", "kept", "kept")
		set("other", "bot", "shredded")
		if err := v.Grant(t.Context(), "home", "kept", vault.Grant{Kind: "tool", Name: "x"}); err != nil { // the value stays
			t.Fatal(err)
		}
		set("home", "bot", "new")
		if err := errors.Join(v.Delete(t.Context(), "home", "gone"), v.Shred(t.Context(), "other")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(leak.Lingers - time.Nanosecond)
		check("for a day", "deleted", "kept", "new", "old", "shredded")
		time.Sleep(time.Nanosecond)
		check("then", "kept", "new")
	})
}
