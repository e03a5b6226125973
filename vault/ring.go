package vault

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
)

var (
	_ Wrapper = (*Ring)(nil)
	_ Renewer = (*Ring)(nil)
)

// KeyText is where the text of a key lies: a file, an entry of the system's
// keyring. A place that only others can write to refuses Create and Replace.
type KeyText interface {
	// Load returns the text, which the caller clears: ErrNoKey when there is
	// none.
	Load(ctx context.Context) ([]byte, error)
	// Create keeps a first text, whole or not at all: fs.ErrExist when there
	// is one.
	Create(ctx context.Context, text []byte) error
	// Replace exchanges the text for another, whole or not at all.
	Replace(ctx context.Context, text []byte) error
	// String says where the text is, for errors.
	String() string
}

// Ring locks data keys with a key that it reads from a text and keeps in
// memory. While a key is being replaced the text holds two: the first locks,
// both unlock. Its methods may be called concurrently.
type Ring struct {
	text KeyText

	mu   sync.Mutex
	keys [][]byte // nil until read; the first is the newest
}

// NewRing reads nothing yet. The first use of Wrap makes a key if there is none.
func NewRing(text KeyText) *Ring { return &Ring{text: text} }

// KeyID names the newest key.
func (r *Ring) KeyID(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.readLocked(ctx); err != nil {
		return "", err
	}
	return keyID(r.keys[0]), nil
}

// Wrap encrypts with the newest key, and makes the first.
func (r *Ring) Wrap(ctx context.Context, plain, bound []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.readLocked(ctx)
	if errors.Is(err, ErrNoKey) {
		err = r.createLocked(ctx)
	}
	if err != nil {
		return nil, err
	}
	return wrapWith(r.keys[0], plain, bound)
}

// Unwrap decrypts with whichever key fits.
func (r *Ring) Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.readLocked(ctx); err != nil {
		return nil, err
	}
	err := ErrWrongKey
	for _, key := range r.keys {
		plain, fault := unwrapWith(key, wrapped, bound)
		if fault == nil {
			return plain, nil
		}
		err = fault
	}
	return nil, err
}

// Renew puts a new key before the ones that are there.
func (r *Ring) Renew(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.readLocked(ctx); err != nil {
		return err
	}
	return r.replaceLocked(ctx, append([][]byte{random(keySize)}, r.keys...))
}

// Retire keeps the newest key alone.
func (r *Ring) Retire(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.readLocked(ctx); err != nil || len(r.keys) == 1 {
		return err
	}
	return r.replaceLocked(ctx, r.keys[:1])
}

// readLocked reads the text once.
func (r *Ring) readLocked(ctx context.Context) error {
	if r.keys != nil {
		return nil
	}
	text, err := r.text.Load(ctx)
	if err != nil {
		return err
	}
	defer clear(text)
	keys, err := ParseKeys(text)
	if err != nil {
		return fmt.Errorf("the key %s: %w", r.text, err)
	}
	r.keys = keys
	return nil
}

// createLocked makes the first key. Another process that makes it at the same
// moment wins, and its key is used.
func (r *Ring) createLocked(ctx context.Context) error {
	text := formatKeys([][]byte{random(keySize)})
	defer clear(text)
	if err := r.text.Create(ctx, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the key: %w", err)
	}
	return r.readLocked(ctx)
}

// replaceLocked keeps other keys.
func (r *Ring) replaceLocked(ctx context.Context, keys [][]byte) error {
	text := formatKeys(keys)
	defer clear(text)
	if err := r.text.Replace(ctx, text); err != nil {
		return fmt.Errorf("replace the key: %w", err)
	}
	r.keys = keys
	return nil
}

// keyFormat begins a line that holds a key.
const keyFormat = "gatehouse-key-v1"

// Bounds of a key's text.
const (
	maxKeyText = 16 << 10 // bytes, with comments
	maxKeys    = 8        // more than interrupted rotations leave behind
)

const keyComment = `# This file unlocks the secrets of Gatehouse.
# Keep a copy in a safe place: without it the secrets are lost.
# Keep it apart from the data folder and from its backups: whoever has both
# has the secrets. Beside it lies a file of the same name ending in ".version",
# which belongs to it.
`

// ParseKeys reads the text of a key: comments, and lines with the format's name,
// a key's id and the key in unpadded URL-safe base64, the newest first. There is
// one line, and two while a key is being replaced. Errors never quote the text.
func ParseKeys(text []byte) ([][]byte, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("is longer than %d bytes: this is no key file", maxKeyText)
	}
	var keys [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := parseLine(line)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			return nil, errors.New("holds a key twice")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("has %d lines that are no comment, and must have one (two while a key is being replaced)", len(keys))
	}
	return keys, nil
}

func parseLine(line []byte) ([]byte, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 || string(fields[0]) != keyFormat {
		return nil, fmt.Errorf("is not of the form %q", keyFormat+" <id> <key>")
	}
	key := make([]byte, base64.RawURLEncoding.DecodedLen(len(fields[2])))
	n, err := base64.RawURLEncoding.Strict().Decode(key, fields[2])
	if err != nil || n != keySize {
		clear(key)
		return nil, fmt.Errorf("does not hold a key of %d bytes", keySize)
	}
	if subtle.ConstantTimeCompare([]byte(keyID(key)), fields[1]) != 1 {
		clear(key)
		return nil, errors.New("is damaged: the key does not belong to its id")
	}
	return key, nil
}

// formatKeys writes what ParseKeys reads.
func formatKeys(keys [][]byte) []byte {
	out := []byte(keyComment)
	for _, key := range keys {
		out = fmt.Appendf(out, "%s %s %s\n", keyFormat, keyID(key), base64.RawURLEncoding.EncodeToString(key))
	}
	return out
}
