package vault_test

import (
	"errors"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
)

// A channel's own secret is its own: no other channel has it, whatever the ids
// hold, and it goes to its hosts alone.
func TestChannelsOwnSecret(t *testing.T) {
	seen := map[vault.Ref]string{}
	for _, id := range []string{"team", "Team", "te-am", "te.am", "team.x", "te_am", "-74eam"} {
		ref := vault.ChannelRef(id, "t1.token")
		if other, ok := seen[ref]; ok {
			t.Errorf("%q and %q share %s", id, other, ref)
		}
		seen[ref] = id
		if err := vault.CheckName(ref.Name()); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	v, _, _ := home(t)
	own, bare := vault.ChannelRef("team", "t1.token"), vault.ChannelRef("team", "hostless")
	for ref, hosts := range map[vault.Ref][]string{own: {"api.example.com"}, bare: nil} {
		if _, err := v.Set(t.Context(), "home", ref.Name(), []byte(secret), hosts); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		ref  vault.Ref
		p    vault.Purpose
		want error
	}{
		{"its own", own, vault.Purpose{Kind: "channel", Name: "team", Host: "api.example.com:443"}, nil},
		{"another host", own, vault.Purpose{Kind: "channel", Name: "team", Host: "evil.example:443"}, vault.ErrDenied},
		{"another channel", own, vault.Purpose{Kind: "channel", Name: "tea", Host: "api.example.com:443"}, vault.ErrDenied},
		{"no channel", own, vault.Purpose{Kind: "channel", Host: "api.example.com:443"}, vault.ErrDenied},
		{"another kind", own, vault.Purpose{Kind: "provider", Name: "team", Host: "api.example.com:443"}, vault.ErrDenied},
		{"without hosts", bare, vault.Purpose{Kind: "channel", Name: "team", Host: "api.example.com:443"}, vault.ErrDenied},
	} {
		if l, err := v.LeaseConfigured(t.Context(), "home", tt.ref, tt.p); !errors.Is(err, tt.want) || (l == nil) != (tt.want != nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
