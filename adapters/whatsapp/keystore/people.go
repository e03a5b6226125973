//go:build !nowhatsapp

package keystore

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

var (
	_ store.LIDStore          = (*Store)(nil)
	_ store.PrivacyTokenStore = (*Store)(nil)
)

// WhatsApp knows people by their phone number and by an id that hides it, the
// LID. Both lead to each other here.
const (
	byLID = "lid"
	byPN  = "pn"
)

// PutManyLIDMappings implements store.LIDStore, in one commit.
func (s *Store) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	return s.together(ctx, func(ctx context.Context) error {
		for _, m := range mappings {
			if err := s.PutLIDMapping(ctx, m.LID, m.PN); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutLIDMapping implements store.LIDStore. What is known already is not written
// again: every message brings its sender's.
func (s *Store) PutLIDMapping(ctx context.Context, lid, pn types.JID) error {
	if lid.Server != types.HiddenUserServer || pn.Server != types.DefaultUserServer {
		return nil
	}
	if known, err := s.GetPNForLID(ctx, lid); err != nil || known.User == pn.User {
		return err
	}
	return s.together(ctx, func(ctx context.Context) error {
		if err := s.write(ctx, s.key(byLID, lid.User), []byte(pn.User)); err != nil {
			return err
		}
		return s.write(ctx, s.key(byPN, pn.User), []byte(lid.User))
	})
}

// GetPNForLID implements store.LIDStore; the empty JID when it is not known.
func (s *Store) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	if lid.Server != types.HiddenUserServer {
		return types.JID{}, nil
	}
	return s.other(ctx, s.key(byLID, lid.User), types.DefaultUserServer, lid.Device)
}

// GetLIDForPN implements store.LIDStore; the empty JID when it is not known.
func (s *Store) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	if pn.Server != types.DefaultUserServer {
		return types.JID{}, nil
	}
	return s.other(ctx, s.key(byPN, pn.User), types.HiddenUserServer, pn.Device)
}

func (s *Store) other(ctx context.Context, key, server string, device uint16) (types.JID, error) {
	user, err := s.read(ctx, key)
	if err != nil || len(user) == 0 {
		return types.JID{}, err
	}
	return types.JID{User: string(user), Server: server, Device: device}, nil
}

// GetManyLIDsForPNs implements store.LIDStore.
func (s *Store) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	all := make(map[types.JID]types.JID, len(pns))
	for _, pn := range pns {
		lid, err := s.GetLIDForPN(ctx, pn)
		if err != nil {
			return nil, err
		}
		if !lid.IsEmpty() {
			all[pn] = lid
		}
	}
	return all, nil
}

// token lets one write to somebody who has restricted who may.
type token struct {
	Token []byte    `json:"token"`
	At    time.Time `json:"at"`
}

// PutPrivacyTokens implements store.PrivacyTokenStore, in one commit.
func (s *Store) PutPrivacyTokens(ctx context.Context, tokens ...store.PrivacyToken) error {
	return s.together(ctx, func(ctx context.Context) error {
		for _, t := range tokens {
			if err := put(ctx, s, s.key("token", t.User.ToNonAD().String()), token{t.Token, t.Timestamp}); err != nil {
				return err
			}
		}
		return nil
	})
}

// GetPrivacyToken implements store.PrivacyTokenStore; nil when there is none.
func (s *Store) GetPrivacyToken(ctx context.Context, user types.JID) (*store.PrivacyToken, error) {
	t, ok, err := get[token](ctx, s, s.key("token", user.ToNonAD().String()))
	if err != nil || !ok {
		return nil, err
	}
	return &store.PrivacyToken{User: user, Token: t.Token, Timestamp: t.At}, nil
}
