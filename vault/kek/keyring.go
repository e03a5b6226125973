// Package kek holds the places from which the vault's key can come, besides a
// file: the system's keyring, and a server that keeps the key to itself. What
// else can lock data keys, such as a cloud's key management, implements
// vault.Wrapper.
package kek

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/zalando/go-keyring"

	"github.com/gatehouse-chat/gatehouse/vault"
)

var _ vault.KeyText = Keyring{}

// keyringService is under which the keyring lists the key.
const keyringService = "gatehouse"

// Keyring keeps a key in the keyring of the operating system: the Secret Service
// on Linux, the Keychain on macOS, the Credential Manager on Windows. It is open
// only while the person is logged in, so it is for gateways that run in a
// session. Calls block while the system asks that person.
type Keyring struct {
	Name string // tells several gateways of one person apart
}

// String says where the key is.
func (k Keyring) String() string { return "in the keyring, " + keyringService + "/" + k.Name }

// Load implements vault.KeyText.
func (k Keyring) Load(context.Context) ([]byte, error) {
	text, err := keyring.Get(keyringService, k.Name)
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return nil, fmt.Errorf("%w: %s", vault.ErrNoKey, k)
	case err != nil:
		return nil, fmt.Errorf("the keyring (does this session have one?): %w", err)
	}
	return []byte(text), nil
}

// Create implements vault.KeyText. Between looking and writing, another process
// could write as well; the data folder's lock keeps other gateways out.
func (k Keyring) Create(ctx context.Context, text []byte) error {
	_, err := k.Load(ctx)
	switch {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, vault.ErrNoKey):
		return err
	}
	return k.Replace(ctx, text)
}

// Replace implements vault.KeyText.
func (k Keyring) Replace(_ context.Context, text []byte) error {
	if err := keyring.Set(keyringService, k.Name, string(text)); err != nil {
		return fmt.Errorf("the keyring: %w", err)
	}
	return nil
}
