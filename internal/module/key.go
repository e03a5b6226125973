package module

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keyHead begins a publisher's key file, so that nobody takes it for another.
const keyHead = "gatehouse publisher key 1"

// NewKey makes a publisher's key and keeps it in a file that only its owner may
// read. A file that is there is not touched.
func NewKey(path string) (Publisher, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the key's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the author names it
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is there already, and a key that is lost cannot be made again: choose another name", path)
	}
	if err != nil {
		return nil, fmt.Errorf("make the key's file: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s\n%s\n", keyHead, base64.RawURLEncoding.EncodeToString(private.Seed()))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("write the key: %w", err), os.Remove(path))
	}
	return Publisher(public), nil
}

// ReadKey reads what NewKey wrote. A file that others may read is refused: then
// they can sign as its owner.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the publisher's key (gatehouse adapter keygen makes one): %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("the publisher's key %s can be read by others (mode %04o): chmod 600 it", path, mode)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the author names it
	if err != nil {
		return nil, fmt.Errorf("read the publisher's key: %w", err)
	}
	head, rest, _ := bytes.Cut(b, []byte("\n"))
	seed, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(string(rest)))
	if string(head) != keyHead || err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is no publisher's key", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// PublisherOf is who a key signs as.
func PublisherOf(key ed25519.PrivateKey) Publisher {
	public, _ := key.Public().(ed25519.PublicKey)
	return Publisher(public)
}
