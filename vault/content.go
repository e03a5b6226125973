package vault

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// What is sealed as content: format, key id, salt, nonce, and the ciphertext.
const (
	contentFormat = 2
	contentSalt   = 16
	contentHead   = 1 + idSize + contentSalt + nonceSize
	// mostUnderOneSalt keeps random nonces under one derived key far from
	// meeting: the usual bound is 2^32.
	mostUnderOneSalt = 1 << 30
	// mostOpeners bounds the derived keys that are kept to open with. Each start
	// of a process adds one.
	mostOpeners = 64
)

// contentKeys are the keys that a data key gives for content. Deriving one for
// each text would cost more than encrypting it: one is used for as long as the
// process runs.
type contentKeys struct {
	seals atomic.Pointer[contentKey]

	mu    sync.Mutex // held for a look at the map, and for a derivation
	opens map[[contentSalt]byte]cipher.AEAD
}

// contentKey seals.
type contentKey struct {
	salt [contentSalt]byte
	aead cipher.AEAD
	used atomic.Int64
}

// sealer is the key that seals now.
func (k *dataKey) sealer() (*contentKey, error) {
	if c := k.content.seals.Load(); c != nil && c.used.Add(1) < mostUnderOneSalt {
		return c, nil
	}
	c := &contentKey{}
	copy(c.salt[:], random(contentSalt))
	var err error
	if c.aead, err = k.opener(c.salt); err != nil {
		return nil, err
	}
	k.content.seals.Store(c) // where two make one, either will do
	return c, nil
}

// opener is the key that belongs to a salt.
func (k *dataKey) opener(salt [contentSalt]byte) (cipher.AEAD, error) {
	k.content.mu.Lock()
	defer k.content.mu.Unlock()
	if a := k.content.opens[salt]; a != nil {
		return a, nil
	}
	a, err := k.cipher(domainContent, salt[:])
	if err != nil {
		return nil, err
	}
	if k.content.opens == nil || len(k.content.opens) >= mostOpeners {
		k.content.opens = map[[contentSalt]byte]cipher.AEAD{}
	}
	k.content.opens[salt] = a
	return a, nil
}

// contentBound appends what content is tied to: each field with its length
// before it.
func contentBound(dst []byte, workspace string, place []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(workspace)))
	dst = append(dst, workspace...)
	for _, p := range place {
		dst = binary.AppendUvarint(dst, uint64(len(p)))
		dst = append(dst, p...)
	}
	return dst
}

// boundSize is room for what most places are made of.
const boundSize = 256

// SealContent encrypts what people and models wrote under the workspace's key,
// and appends the result to dst: 53 bytes more than plain. It is faster than
// [Store.Seal], for much that is short-lived. The result opens for the same
// workspace and place only; an older one of the same place can take its place.
func (s *Store) SealContent(ctx context.Context, dst []byte, workspace string, plain []byte, place ...string) ([]byte, error) {
	sh, err := s.ensure(ctx, workspace)
	if err != nil {
		return nil, err
	}
	k := sh.keys.now
	c, err := k.sealer()
	if err != nil {
		return nil, err
	}
	dst = append(dst, contentFormat)
	dst = append(dst, k.id[:]...)
	dst = append(dst, c.salt[:]...)
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails; see crypto/rand
	dst = append(dst, nonce[:]...)
	var room [boundSize]byte
	return c.aead.Seal(dst, nonce[:], plain, contentBound(room[:0], workspace, place)), nil
}

// OpenContent decrypts what SealContent made. It fails with [ErrNotFound] when
// the workspace or the key is no more, and with [ErrCorrupt] when the content
// was made for another place or was changed. It blocks only where another
// process may have made the key: then it reads the keys anew.
func (s *Store) OpenContent(ctx context.Context, workspace string, sealed []byte, place ...string) ([]byte, error) {
	if len(sealed) < contentHead+tagSize || sealed[0] != contentFormat {
		return nil, ErrCorrupt
	}
	k, err := s.contentKey(ctx, workspace, sealed)
	if err != nil {
		return nil, err
	}
	rest := sealed[1+idSize:]
	aead, err := k.opener([contentSalt]byte(rest))
	if err != nil {
		return nil, err
	}
	var room [boundSize]byte
	rest = rest[contentSalt:]
	plain, err := aead.Open(make([]byte, 0, len(rest)-nonceSize-tagSize), rest[:nonceSize], rest[nonceSize:], contentBound(room[:0], workspace, place))
	if err != nil {
		return nil, ErrCorrupt
	}
	return plain, nil
}

// contentKey finds the data key under which something was sealed.
func (s *Store) contentKey(ctx context.Context, workspace string, sealed []byte) (*dataKey, error) {
	if sh := s.shelf(workspace); sh != nil {
		if k := sh.keys.of(sealed); k != nil {
			return k, nil
		}
	}
	if err := checkWorkspace(workspace); err != nil {
		return nil, ErrCorrupt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.again(ctx, workspace); err != nil {
		return nil, err
	}
	if sh := s.shelf(workspace); sh != nil {
		if k := sh.keys.of(sealed); k != nil {
			return k, nil
		}
	}
	return nil, ErrNotFound
}
