package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// A secret is stored, bound by the configuration to a channel and its host, and
// lent for one purpose. The value is there only while Use runs.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	v, err := vault.Open(ctx, vault.Options{
		State: inprocess.New(inprocess.Options{}), Key: vault.NewKeyFile(filepath.Join(dir, "key"), ""),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := v.Set(ctx, "home", "bot", []byte("123456:the-bots-own-token"), nil); err != nil {
		fmt.Println(err)
		return
	}
	err = v.Configure("home", vault.Binding{Ref: "secret://bot", Kind: vault.ForChannel, Name: "support", Hosts: []string{"api.telegram.org"}})
	if err != nil {
		fmt.Println(err)
		return
	}

	lease, err := v.LeaseConfigured(ctx, "home", "secret://bot", vault.Purpose{Kind: vault.ForChannel, Name: "support", Host: "api.telegram.org:443"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease)
	err = lease.Use(func(plain []byte) error {
		fmt.Println(len(plain), "bytes")
		return nil
	})
	fmt.Println(err)

	_, err = v.LeaseConfigured(ctx, "home", "secret://bot", vault.Purpose{Kind: vault.ForChannel, Name: "support", Host: "evil.example:443"})
	fmt.Println(errors.Is(err, vault.ErrDenied))
	// Output:
	// [secret]
	// 25 bytes
	// <nil>
	// true
}
