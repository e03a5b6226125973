package vault_test

import (
	"context"
	"testing"

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
