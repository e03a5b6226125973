//go:build !nowhatsapp

package keystore

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/store"
)

var _ store.EventBuffer = (*Store)(nil)

// buffered is a message that was decrypted. Decrypting uses a key up, so what
// came out of it stays until the gateway has it; after that only the hash does,
// by which a repeated delivery is known.
type buffered struct {
	Plain  []byte    `json:"plain,omitempty"`
	Kept   time.Time `json:"kept"`
	Server time.Time `json:"server"`
}

// remembered is how long the hash of a message is kept. The server keeps what
// was not acknowledged for 14 days.
const remembered = 15 * 24 * time.Hour

const bufferPrefix = Prefix + "buffer/"

func bufferKey(hash [32]byte) string { return bufferPrefix + hex.EncodeToString(hash[:]) }

// GetBufferedEvent implements store.EventBuffer; nil for a new message.
func (s *Store) GetBufferedEvent(ctx context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	b, ok, err := get[buffered](ctx, s, bufferKey(hash))
	if err != nil || !ok {
		return nil, err
	}
	return &store.BufferedEvent{Plaintext: b.Plain, InsertTime: b.Kept, ServerTime: b.Server}, nil
}

// PutBufferedEvent implements store.EventBuffer.
func (s *Store) PutBufferedEvent(ctx context.Context, hash [32]byte, plain []byte, server time.Time) error {
	return put(ctx, s, bufferKey(hash), buffered{Plain: plain, Kept: time.Now(), Server: server})
}

// DoDecryptionTxn implements store.EventBuffer: the keys that a decryption used
// up and what came out of it become durable in one commit. Nobody else moves a
// session on meanwhile.
func (s *Store) DoDecryptionTxn(ctx context.Context, f func(context.Context) error) error {
	return s.alone(ctx, func() error { return s.together(ctx, f) })
}

// ClearBufferedEventPlaintext implements store.EventBuffer. It is called when
// the gateway has the message.
func (s *Store) ClearBufferedEventPlaintext(ctx context.Context, hash [32]byte) error {
	return put(ctx, s, bufferKey(hash), buffered{Kept: time.Now()})
}

// DeleteOldBufferedHashes implements store.EventBuffer.
func (s *Store) DeleteOldBufferedHashes(ctx context.Context) error {
	return s.together(ctx, func(ctx context.Context) error {
		return s.each(ctx, bufferPrefix, func(key string, _ []byte) error {
			b, ok, err := get[buffered](ctx, s, key)
			if err != nil && errors.Is(err, context.Canceled) {
				return err
			}
			if ok && time.Since(b.Kept) < remembered {
				return nil
			}
			return s.write(ctx, key, nil)
		})
	})
}
