//go:build !nowhatsapp

// Package keystore keeps what a linked WhatsApp device must remember: its own
// keys, the Signal sessions with everybody's devices, and the messages that were
// decrypted and not yet handed on. It is whatsmeow's store, over the durable
// state of a channel.
//
// Nothing of it is readable at rest: every value is sealed with a key that only
// the vault can derive, bound to the name under which it lies, and the names of
// people and groups are hashed with another such key.
package keystore

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Prefix begins every key of the state that belongs to this package.
const Prefix = "device/"

// Purpose is what the host derives the store's key for.
const Purpose = "whatsapp device"

// Store is the memory of one linked device. Its methods may be called
// concurrently; each blocks on the state.
type Store struct {
	state channels.State
	seal  cipher.AEAD
	names []byte // key of the hashes that stand for names

	prekeys  sync.Mutex // held while prekeys are numbered
	sessions sync.Mutex // held while one is read and moved on, and while those of a send are written
	changes  changes    // under sessions

	mu      sync.Mutex
	pending bool            // the device is not confirmed
	moved   map[string]bool // phone numbers whose sessions were moved to their LID
	lost    func(error)     // called when the state fails
}

// New makes a store over a state. The secret is the host's, derived for
// [Purpose]; an empty one is refused, because it would protect nothing.
func New(state channels.State, secret channels.Secret) (*Store, error) {
	if secret.Empty() {
		return nil, errors.New("whatsapp: the vault gives no key for the device's store; is it locked?")
	}
	aead, err := chacha20poly1305.NewX(derive(secret, "values"))
	if err != nil {
		return nil, fmt.Errorf("whatsapp store: %w", err)
	}
	return &Store{
		state: state, seal: aead, names: derive(secret, "names"), moved: map[string]bool{},
		changes: changes{of: map[string]int{}, seen: map[string]int{}},
	}, nil
}

func derive(secret channels.Secret, what string) []byte {
	m := hmac.New(sha256.New, []byte(secret.Reveal()))
	m.Write([]byte(what))
	return m.Sum(nil)
}

// OnFailure sets what is called, with the cause, when the state cannot be read
// or written. whatsmeow would go on with a message that it could not keep; the
// channel has to end the connection, so that the platform brings it again.
func (s *Store) OnFailure(f func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = f
}

func (s *Store) failed(err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	f := s.lost
	s.mu.Unlock()
	if f != nil {
		f(err)
	}
	// whatsmeow asks the sender to send again, and acknowledges, whatever it
	// cannot decrypt, except when it was cancelled. A message that failed
	// because of our disk must come again from the server.
	return fmt.Errorf("whatsapp store: %w (%w)", err, context.Canceled)
}

// hash stands for a name in a key.
func (s *Store) hash(name string) string {
	m := hmac.New(sha256.New, s.names)
	m.Write([]byte(name))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:18])
}

// key puts a key together; the parts are hashed.
func (s *Store) key(kind string, parts ...string) string {
	k := Prefix + kind
	for _, p := range parts {
		k += "/" + s.hash(p)
	}
	return k
}

// address is the key for something about a device of somebody: all devices of
// a person share a prefix, and only their numbers are plain.
func (s *Store) address(kind, address string) string {
	user, device, _ := strings.Cut(address, ":")
	return s.person(kind, user) + device
}

// person is the prefix of the keys of a person's devices.
func (s *Store) person(kind, user string) string { return s.key(kind, user) + "/" }

// batch collects writes, so that they are made in one commit. It is used by one
// goroutine.
type batch struct{ writes map[string][]byte }

type batchKey struct{}

// open returns the batch of a context, if it has one.
func open(ctx context.Context) *batch {
	b, _ := ctx.Value(batchKey{}).(*batch)
	return b
}

// together runs f and makes what it writes durable in one commit, or nothing of
// it when f fails.
func (s *Store) together(ctx context.Context, f func(context.Context) error) error {
	if open(ctx) != nil {
		return f(ctx)
	}
	b := &batch{writes: map[string][]byte{}}
	if err := f(context.WithValue(ctx, batchKey{}, b)); err != nil {
		return err
	}
	if len(b.writes) == 0 {
		return nil
	}
	list := make([]channels.Write, 0, len(b.writes))
	for k, v := range b.writes {
		list = append(list, channels.Write{Key: k, Value: v})
	}
	slices.SortFunc(list, func(x, y channels.Write) int { return strings.Compare(x.Key, y.Key) })
	return s.failed(s.state.Put(ctx, list...))
}

// write stores values, sealed; a nil value removes a key.
func (s *Store) write(ctx context.Context, key string, plain []byte) error {
	var sealed []byte
	if plain != nil {
		nonce := make([]byte, s.seal.NonceSize(), s.seal.NonceSize()+len(plain)+s.seal.Overhead())
		_, _ = rand.Read(nonce)
		sealed = s.seal.Seal(nonce, nonce, plain, []byte(key))
	}
	if b := open(ctx); b != nil {
		b.writes[key] = sealed
		return nil
	}
	return s.failed(s.state.Put(ctx, channels.Write{Key: key, Value: sealed}))
}

// read returns a value, or nil where there is none.
func (s *Store) read(ctx context.Context, key string) ([]byte, error) {
	sealed, pending := []byte(nil), false
	if b := open(ctx); b != nil {
		sealed, pending = b.writes[key]
	}
	if !pending {
		var err error
		if sealed, err = s.state.Get(ctx, key); err != nil {
			return nil, s.failed(err)
		}
	}
	return s.opened(key, sealed)
}

var errSealed = errors.New("a value does not open: the vault's key is another than when the phone was linked; link it again")

func (s *Store) opened(key string, sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	n := s.seal.NonceSize()
	if len(sealed) < n {
		return nil, s.failed(errSealed)
	}
	plain, err := s.seal.Open(nil, sealed[:n], sealed[n:], []byte(key))
	if err != nil {
		return nil, s.failed(errSealed)
	}
	if plain == nil {
		plain = []byte{}
	}
	return plain, nil
}

// each calls f with every key that begins with prefix, in order, and its value
// as it is at rest. What the context's batch has changed is seen.
func (s *Store) each(ctx context.Context, prefix string, f func(key string, sealed []byte) error) error {
	changed := map[string][]byte{}
	if b := open(ctx); b != nil {
		for k, v := range b.writes {
			if strings.HasPrefix(k, prefix) {
				changed[k] = v
			}
		}
	}
	for after := ""; ; {
		page, err := s.state.List(ctx, prefix, after, 0)
		if err != nil {
			return s.failed(err)
		}
		if len(page) == 0 {
			break
		}
		for _, w := range page {
			if _, ok := changed[w.Key]; ok {
				continue
			}
			if err := f(w.Key, w.Value); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Key
	}
	for k, v := range changed {
		if v == nil {
			continue
		}
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

// removeAll deletes every key that begins with prefix.
func (s *Store) removeAll(ctx context.Context, prefix string) error {
	return s.together(ctx, func(ctx context.Context) error {
		return s.each(ctx, prefix, func(key string, _ []byte) error { return s.write(ctx, key, nil) })
	})
}

// put stores a value as JSON.
func put[T any](ctx context.Context, s *Store, key string, v T) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("whatsapp store: %w", err)
	}
	return s.write(ctx, key, b)
}

// get reads what put stored; false when there is nothing.
func get[T any](ctx context.Context, s *Store, key string) (v T, ok bool, err error) {
	b, err := s.read(ctx, key)
	if err != nil || b == nil {
		return v, false, err
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		return v, false, fmt.Errorf("whatsapp store: %w", err)
	}
	return v, true, nil
}
