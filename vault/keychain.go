package vault

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// keychain is a workspace's data keys. The newest one encrypts. Older ones stay
// to open what other packages sealed under them, and the oldest to derive, so
// that what a platform was told once goes on to be true. A secret is under an
// older one only while a rotation is under way.
type keychain struct {
	now   *dataKey
	older []*dataKey // the newest first
}

// of finds the key that a blob was made with, nil for none.
func (c keychain) of(blob []byte) *dataKey {
	if len(blob) < 1+idSize {
		return nil
	}
	id := [idSize]byte(blob[1 : 1+idSize])
	if c.now.id == id {
		return c.now
	}
	for _, k := range c.older {
		if k.id == id {
			return k
		}
	}
	return nil
}

// all lists the keys, the newest first.
func (c keychain) all() []*dataKey { return append([]*dataKey{c.now}, c.older...) }

// open decrypts with whichever key made the blob; ErrCorrupt when none did.
func (c keychain) open(domain string, blob []byte, fields ...string) ([]byte, error) {
	k := c.of(blob)
	if k == nil {
		return nil, ErrCorrupt
	}
	return k.open(domain, blob, fields...)
}

// derive makes a key that outlives rotations.
func (c keychain) derive(fields ...string) ([]byte, error) {
	all := c.all()
	return all[len(all)-1].derive(fields...)
}

// renewed is the chain with a new key before the others.
func (c keychain) renewed() keychain { return keychain{now: newDataKey(), older: c.all()} }

// keyRow is a workspace's data keys as they are stored.
type keyRow struct {
	Format  int      `json:"v"`
	Source  string   `json:"source"` // id of the key that locks them
	ID      string   `json:"id"`
	Older   []string `json:"older,omitempty"` // ids
	Wrapped []byte   `json:"wrapped"`         // all of them, in this order
	Gone    bool     `json:"gone,omitempty"`  // the workspace is being removed; nothing else is set
}

// bound is what the wrapped keys are tied to.
func (w keyRow) bound(workspace string) []byte {
	return bind(append([]string{domainWrap, workspace, w.ID}, w.Older...)...)
}

// decodeKeyRow reads stored data keys, still wrapped.
func decodeKeyRow(text []byte) (keyRow, error) {
	var w keyRow
	if err := strict(text, &w); err != nil || w.Format != rowFormat {
		return w, ErrCorrupt
	}
	if w.Gone {
		return w, nil
	}
	for _, id := range append([]string{w.ID}, w.Older...) {
		if b, err := hex.DecodeString(id); err != nil || len(b) != idSize {
			return w, ErrCorrupt
		}
	}
	return w, nil
}

// chain takes the unwrapped bytes apart, and clears them.
func (w keyRow) chain(plain []byte) (keychain, error) {
	defer clear(plain)
	ids := append([]string{w.ID}, w.Older...)
	if len(plain) != keySize*len(ids) {
		return keychain{}, ErrCorrupt
	}
	var all []*dataKey
	for i, id := range ids {
		k := &dataKey{key: slices.Clone(plain[i*keySize : (i+1)*keySize])}
		if _, err := hex.Decode(k.id[:], []byte(id)); err != nil {
			return keychain{}, ErrCorrupt
		}
		all = append(all, k)
	}
	return keychain{now: all[0], older: all[1:]}, nil
}

// wrap locks a workspace's keys with the newest key of the source.
func (s *Store) wrap(ctx context.Context, workspace string, c keychain) (keyRow, error) {
	w := keyRow{Format: rowFormat, ID: c.now.name()}
	var plain []byte
	for i, k := range c.all() {
		plain = append(plain, k.key...)
		if i > 0 {
			w.Older = append(w.Older, k.name())
		}
	}
	defer clear(plain)
	var err error
	if w.Wrapped, err = s.o.Key.Wrap(ctx, plain, w.bound(workspace)); err != nil {
		return w, err
	}
	w.Source, err = s.o.Key.KeyID(ctx)
	return w, err
}

// keyWrite stores a key row over the one of that version, 0 for none.
func keyWrite(workspace string, w keyRow, over int64) (kv.Write, error) {
	if over == 0 {
		over = kv.Absent
	}
	text, err := json.Marshal(w)
	return kv.Write{Space: space, Key: keyPrefix + workspace, If: over, Value: text}, err
}
