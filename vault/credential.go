package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

var _ KeyText = Credential{}

// Credential is a key that systemd hands to the service, decrypted, in a folder
// that only the service can read. It is never written: its place is the unit's
// LoadCredential= or LoadCredentialEncrypted=.
type Credential struct {
	Folder string // $CREDENTIALS_DIRECTORY; "": the process has none
	Name   string
}

// String says where the key is.
func (c Credential) String() string { return "in the credential " + c.Name }

// Load implements KeyText.
func (c Credential) Load(context.Context) ([]byte, error) {
	if c.Folder == "" {
		return nil, fmt.Errorf("%w: systemd passes no credentials to this process; the unit needs LoadCredentialEncrypted=%s", ErrNoKey, c.Name)
	}
	return readPrivate(filepath.Join(c.Folder, c.Name))
}

var errCredential = errors.New("a credential of systemd cannot be written from here: make a key with gatehouse key make, give it to systemd-creds, and name the former source under key_from")

// Create implements KeyText: it always fails.
func (Credential) Create(context.Context, []byte) error { return errCredential }

// Replace implements KeyText: it always fails.
func (Credential) Replace(context.Context, []byte) error { return errCredential }

// NewKeyText makes the text of a new key, for places that the gateway cannot
// write to.
func NewKeyText() []byte { return formatKeys([][]byte{random(keySize)}) }
