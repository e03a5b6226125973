package vault_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	st := &vaulttest.State{}
	key := vault.NewKeyFile(filepath.Join(dir, "k", "key"), filepath.Join(dir, "data"))
	v, err := vault.Open(ctx, vault.Options{State: st, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Set(ctx, "home", "bot", []byte("123456:secretvalue"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(got)
	if err := v.Configure("home", vault.Binding{Ref: "secret://bot", Kind: "channel", Name: "support", Hosts: []string{"api.telegram.org"}}); err != nil {
		t.Fatal(err)
	}
	v, err = vault.Open(ctx, vault.Options{State: st, Key: vault.NewKeyFile(key.Path(), "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Configure("home", vault.Binding{Ref: "secret://bot", Kind: "channel", Name: "support", Hosts: []string{"api.telegram.org"}}); err != nil {
		t.Fatal(err)
	}
	l, err := v.LeaseConfigured(ctx, "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "support", Host: "api.telegram.org:443"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Use(func(p []byte) error { t.Log(string(p)); return nil }); err != nil {
		t.Fatal(err)
	}
}
