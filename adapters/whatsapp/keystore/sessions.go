//go:build !nowhatsapp

package keystore

import (
	"context"
	"errors"
	"strings"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

var (
	_ store.IdentityStore  = (*Store)(nil)
	_ store.SessionStore   = (*Store)(nil)
	_ store.SenderKeyStore = (*Store)(nil)
)

// What is kept about a device of somebody.
const (
	identity = "identity"
	session  = "session"
	sender   = "sender"
)

// PutIdentity implements store.IdentityStore.
func (s *Store) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	return s.write(ctx, s.address(identity, address), key[:])
}

// DeleteAllIdentities implements store.IdentityStore.
func (s *Store) DeleteAllIdentities(ctx context.Context, phone string) error {
	return s.removeAll(ctx, s.person(identity, phone))
}

// DeleteIdentity implements store.IdentityStore.
func (s *Store) DeleteIdentity(ctx context.Context, address string) error {
	return s.write(ctx, s.address(identity, address), nil)
}

// IsTrustedIdentity implements store.IdentityStore: an unknown key is trusted at
// first sight.
func (s *Store) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (bool, error) {
	known, err := s.read(ctx, s.address(identity, address))
	return err == nil && (known == nil || string(known) == string(key[:])), err
}

// GetSession implements store.SessionStore.
func (s *Store) GetSession(ctx context.Context, address string) ([]byte, error) {
	return s.read(ctx, s.address(session, address))
}

// HasSession implements store.SessionStore.
func (s *Store) HasSession(ctx context.Context, address string) (bool, error) {
	b, err := s.GetSession(ctx, address)
	return b != nil, err
}

// changes tells whether a session was moved on since a send read it. What a
// message is encrypted with follows from the one before in either direction.
// whatsmeow reads the sessions of a send, may ask the server for keys, and writes
// them back; one message that came in between would be undone, and nobody could
// read what follows.
type changes struct {
	of   map[string]int // how often each session has changed
	seen map[string]int // when a send read it: whatsmeow makes one send at a time
	many bool           // since then, sessions were moved or removed that nobody named
}

// ErrMoved is the error of a send whose sessions were moved on while it was made.
// Nothing of it has left: make it again.
var ErrMoved = errors.New("a message came in between")

// alone runs f while no session changes by anybody else.
func (s *Store) alone(ctx context.Context, f func() error) error {
	if open(ctx) != nil { // whoever began the batch is alone
		return f()
	}
	s.sessions.Lock()
	defer s.sessions.Unlock()
	return f()
}

// GetManySessions implements store.SessionStore; without a session, a value is
// nil. They are those of a send, which [Store.PutManySessions] ends.
func (s *Store) GetManySessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	s.sessions.Lock()
	clear(s.changes.seen)
	s.changes.many = false
	for _, a := range addresses {
		s.changes.seen[a] = s.changes.of[a]
	}
	s.sessions.Unlock()
	all := make(map[string][]byte, len(addresses))
	for _, a := range addresses {
		b, err := s.GetSession(ctx, a)
		if err != nil {
			return nil, err
		}
		all[a] = b
	}
	return all, nil
}

// PutSession implements store.SessionStore.
func (s *Store) PutSession(ctx context.Context, address string, value []byte) error {
	return s.alone(ctx, func() error {
		s.changes.of[address]++
		return s.write(ctx, s.address(session, address), value)
	})
}

// PutManySessions implements store.SessionStore, in one commit. It fails with
// [ErrMoved] when one of them has changed since it was read.
func (s *Store) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	return s.alone(ctx, func() error {
		for a := range sessions {
			if s.changes.many || s.changes.of[a] != s.changes.seen[a] {
				return ErrMoved
			}
		}
		return s.together(ctx, func(ctx context.Context) error {
			for a, b := range sessions {
				if err := s.write(ctx, s.address(session, a), b); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// DeleteAllSessions implements store.SessionStore.
func (s *Store) DeleteAllSessions(ctx context.Context, phone string) error {
	return s.alone(ctx, func() error {
		s.changes.many = true
		return s.removeAll(ctx, s.person(session, phone))
	})
}

// DeleteSession implements store.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, address string) error {
	return s.PutSession(ctx, address, nil)
}

// MigratePNToLID implements store.SessionStore: what is kept under a phone
// number moves to the LID of the same person, unless there is something already.
func (s *Store) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	from, to := pn.SignalAddressUser(), lid.SignalAddressUser()
	s.mu.Lock()
	done := s.moved[from]
	s.mu.Unlock()
	if done {
		return nil
	}
	err := s.alone(ctx, func() error {
		s.changes.many = true
		return s.together(ctx, func(ctx context.Context) error {
			for _, kind := range []string{identity, session, sender} {
				if err := s.move(ctx, s.person(kind, from), s.person(kind, to)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil && open(ctx) == nil { // within a batch it may yet come to nothing
		s.mu.Lock()
		s.moved[from] = true
		s.mu.Unlock()
	}
	return err
}

func (s *Store) move(ctx context.Context, from, to string) error {
	return s.each(ctx, from, func(key string, sealed []byte) error {
		plain, err := s.opened(key, sealed)
		if err != nil {
			return err
		}
		next := to + strings.TrimPrefix(key, from)
		there, err := s.read(ctx, next)
		if err != nil {
			return err
		}
		if there == nil {
			if err := s.write(ctx, next, plain); err != nil {
				return err
			}
		}
		return s.write(ctx, key, nil)
	})
}

// senderKey is kept under the person, so that it moves with them.
func (s *Store) senderKey(group, user string) string {
	return s.address(sender, user) + "/" + s.hash(group)
}

// PutSenderKey implements store.SenderKeyStore.
func (s *Store) PutSenderKey(ctx context.Context, group, user string, value []byte) error {
	return s.write(ctx, s.senderKey(group, user), value)
}

// GetSenderKey implements store.SenderKeyStore.
func (s *Store) GetSenderKey(ctx context.Context, group, user string) ([]byte, error) {
	return s.read(ctx, s.senderKey(group, user))
}
