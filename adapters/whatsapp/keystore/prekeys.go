//go:build !nowhatsapp

package keystore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
)

var _ store.PreKeyStore = (*Store)(nil)

// Prekeys lie apart until the server has them.
const (
	fresh    = Prefix + "prekey/new/"
	uploaded = Prefix + "prekey/up/"
	numbered = Prefix + "prekey/last"
)

func prekeyName(prefix string, id uint32) string { return fmt.Sprintf("%s%08x", prefix, id) }

// GetOrGenPreKeys implements store.PreKeyStore: keys that were not uploaded yet,
// and new ones for the rest, made durable in one commit.
func (s *Store) GetOrGenPreKeys(ctx context.Context, count uint32) ([]*keys.PreKey, error) {
	s.prekeys.Lock()
	defer s.prekeys.Unlock()
	list := make([]*keys.PreKey, 0, count)
	err := s.together(ctx, func(ctx context.Context) error {
		err := s.each(ctx, fresh, func(key string, sealed []byte) error {
			if len(list) == int(count) {
				return nil
			}
			k, err := s.prekey(key, sealed)
			list = append(list, k)
			return err
		})
		for err == nil && len(list) < int(count) {
			var k *keys.PreKey
			k, err = s.generate(ctx, fresh)
			list = append(list, k)
		}
		return err
	})
	return list, err
}

// GenOnePreKey implements store.PreKeyStore. The key is given away at once.
func (s *Store) GenOnePreKey(ctx context.Context) (k *keys.PreKey, err error) {
	s.prekeys.Lock()
	defer s.prekeys.Unlock()
	err = s.together(ctx, func(ctx context.Context) error {
		k, err = s.generate(ctx, uploaded)
		return err
	})
	return k, err
}

func (s *Store) generate(ctx context.Context, prefix string) (*keys.PreKey, error) {
	last, _, err := get[uint32](ctx, s, numbered)
	if err != nil {
		return nil, err
	}
	const most = 1<<24 - 1 // ids have three bytes on the wire
	k := keys.NewPreKey(last%most + 1)
	if err := s.write(ctx, prekeyName(prefix, k.KeyID), k.Priv[:]); err != nil {
		return nil, err
	}
	return k, put(ctx, s, numbered, k.KeyID)
}

func (s *Store) prekey(key string, sealed []byte) (*keys.PreKey, error) {
	plain, err := s.opened(key, sealed)
	if err != nil || plain == nil {
		return nil, err
	}
	id, err := strconv.ParseUint(key[strings.LastIndexByte(key, '/')+1:], 16, 32)
	if err != nil || len(plain) != 32 {
		return nil, errors.New("whatsapp store: a prekey is damaged")
	}
	return &keys.PreKey{KeyPair: *keys.NewKeyPairFromPrivateKey([32]byte(plain)), KeyID: uint32(id)}, nil
}

// GetPreKey implements store.PreKeyStore; nil when there is none.
func (s *Store) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	for _, prefix := range []string{uploaded, fresh} {
		name := prekeyName(prefix, id)
		plain, err := s.read(ctx, name)
		if err != nil {
			return nil, err
		}
		if len(plain) == 32 {
			return &keys.PreKey{KeyPair: *keys.NewKeyPairFromPrivateKey([32]byte(plain)), KeyID: id}, nil
		}
	}
	return nil, nil //nolint:nilnil // whatsmeow asks for a nil key where there is none
}

// RemovePreKey implements store.PreKeyStore.
func (s *Store) RemovePreKey(ctx context.Context, id uint32) error {
	return s.together(ctx, func(ctx context.Context) error {
		return errors.Join(s.write(ctx, prekeyName(uploaded, id), nil), s.write(ctx, prekeyName(fresh, id), nil))
	})
}

// MarkPreKeysAsUploaded implements store.PreKeyStore.
func (s *Store) MarkPreKeysAsUploaded(ctx context.Context, upToID uint32) error {
	s.prekeys.Lock()
	defer s.prekeys.Unlock()
	last := prekeyName(fresh, upToID)
	return s.together(ctx, func(ctx context.Context) error {
		return s.each(ctx, fresh, func(key string, sealed []byte) error {
			if key > last {
				return nil
			}
			plain, err := s.opened(key, sealed)
			if err != nil {
				return err
			}
			return errors.Join(s.write(ctx, uploaded+strings.TrimPrefix(key, fresh), plain), s.write(ctx, key, nil))
		})
	})
}

// UploadedPreKeyCount implements store.PreKeyStore.
func (s *Store) UploadedPreKeyCount(ctx context.Context) (n int, err error) {
	err = s.each(ctx, uploaded, func(string, []byte) error { n++; return nil })
	return n, err
}
