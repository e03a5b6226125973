package main

import (
	"context"
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/vault"
)

var _ channels.Keyring = (*outside)(nil)

// KeepSecret implements channels.Keyring.
func (o *outside) KeepSecret(ctx context.Context, name string, value []byte) (string, error) {
	ref := vault.ChannelRef(string(o.id), name)
	_, err := o.b.vault.Set(ctx, o.home, ref.Name(), value, o.hosts)
	return string(ref), err
}

// DropSecret implements channels.Keyring.
func (o *outside) DropSecret(ctx context.Context, name string) error {
	err := o.b.vault.Delete(ctx, o.home, vault.ChannelRef(string(o.id), name).Name())
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	return err
}
