package vault_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// TestNamesAtTheirBounds: the first and the last character of each class, and
// their neighbours.
func TestNamesAtTheirBounds(t *testing.T) {
	for name, want := range map[string]bool{
		"az09": true, "a._-": true, strings.Repeat("a", vault.MaxName): true,
		"": false, strings.Repeat("a", vault.MaxName+1): false,
		"a`": false, "a{": false, "a/": false, "a:": false, "A": false, ".a": false, "-a": false, "_a": false,
	} {
		if err := vault.CheckName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for full, want := range map[string]bool{
		"bot": true, "bot@azAZ09._-": true, "bot@" + strings.Repeat("m", vault.MaxName): true,
		"bot@": false, "bot@" + strings.Repeat("m", vault.MaxName+1): false, "@ann": false, "Bot@ann": false,
		"bot@`": false, "bot@{": false, "bot@@": false, "bot@[": false, "bot@/": false, "bot@:": false, "bot@ü": false,
	} {
		if err := vault.CheckSecret(full); (err == nil) != want {
			t.Errorf("%q: %v", full, err)
		}
	}
	v := vaulttest.Open(t, &vaulttest.State{}, vaulttest.NewKey(t))
	for id, want := range map[string]bool{
		"!~": true, strings.Repeat("w", 128): true,
		"": false, strings.Repeat("w", 129): false, "a b": false, "a/b": false, "a\x7f": false, "ü": false,
	} {
		if _, err := v.Set(t.Context(), id, "bot", []byte("the value of the secret"), nil); (err == nil) != want {
			t.Errorf("workspace %q: %v", id, err)
		}
	}
}

// TestChannelsShareNoName: whatever a channel's id is made of, its own secrets
// have names that are valid, and another's never.
func TestChannelsShareNoName(t *testing.T) {
	seen := map[vault.Ref]string{}
	for id, want := range map[string]string{
		"az09_": "channel.az09_.key", "A": "channel.-41.key", "-41": "channel.-2d41.key", "a.b": "channel.a-2eb.key",
		"`": "channel.-60.key", "{": "channel.-7b.key", "/": "channel.-2f.key", ":": "channel.-3a.key", "ü": "channel.-c3-bc.key",
	} {
		r := vault.ChannelRef(id, "key")
		if r.Name() != want {
			t.Errorf("%q: %s, want %s", id, r.Name(), want)
		}
		if _, ok := vault.ParseRef(string(r)); !ok {
			t.Errorf("%q: %s is no name", id, r)
		}
		if other, is := seen[r]; is {
			t.Errorf("%q and %q are both %s", id, other, r)
		}
		seen[r] = id
	}
}

// TestFormatsAtTheirBounds: a header's name has no control character and nothing
// that separates, and a credential goes to an address that is encrypted or on
// this machine.
func TestFormatsAtTheirBounds(t *testing.T) {
	for name, want := range map[string]bool{"X-Key": true, "!~": true, "X Key": false, "X\x7f": false, "X:": false, "": false, "Host": false} {
		if err := (vault.Format{Kind: vault.Header, Name: name}).Check(); (err == nil) != want {
			t.Errorf("header %q: %v", name, err)
		}
	}
	for to, want := range map[string]bool{
		"https://login.example/token": true, "http://127.0.0.1:8080/token": true, "http://[::1]/token": true,
		"http://login.example/token": false, "http://10.0.0.1/token": false, "ftp://127.0.0.1/token": false,
		"https:///token": false, "https://u@login.example/": false, "https://login.example/#x": false, "https://a%5bb/": false, "://": false, "": false,
	} {
		f := vault.Format{Kind: vault.OAuth2Client, TokenURL: to, ClientID: "id"}
		if err := f.Check(); (err == nil) != want {
			t.Errorf("token URL %q: %v", to, err)
		}
	}
}
