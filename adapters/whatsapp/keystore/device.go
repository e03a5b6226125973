//go:build !nowhatsapp

package keystore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
)

// device is a linked device as it is kept.
type device struct {
	ID           types.JID `json:"id"`
	LID          types.JID `json:"lid"`
	Noise        []byte    `json:"noise"` // private keys
	Identity     []byte    `json:"identity"`
	Signed       []byte    `json:"signed"`
	SignedID     uint32    `json:"signed_id"`
	Signature    []byte    `json:"signature"`
	Registration uint32    `json:"registration"`
	Adv          []byte    `json:"adv"`
	Account      []byte    `json:"account"`
	Platform     string    `json:"platform,omitempty"`
	Business     string    `json:"business,omitempty"`
	PushName     string    `json:"push_name,omitempty"`
	LIDSince     int64     `json:"lid_since,omitempty"`
	// Pending: the server has not confirmed the linking yet. Whoever connected
	// with the device now would be taken for one that was logged out.
	Pending bool `json:"pending,omitempty"`
}

var _ store.DeviceContainer = (*Store)(nil)

func (s *Store) deviceKey() string { return Prefix + "self" }

// Device returns the device that is linked, or nil when none is.
func (s *Store) Device(ctx context.Context, log waLog.Logger) (*store.Device, error) {
	d, ok, err := get[device](ctx, s, s.deviceKey())
	if err != nil || !ok || d.Pending {
		return nil, err
	}
	if len(d.Noise) != 32 || len(d.Identity) != 32 || len(d.Signed) != 32 || len(d.Signature) != 64 {
		return nil, errors.New("whatsapp store: the device's keys are damaged; link it again")
	}
	var account waAdv.ADVSignedDeviceIdentity
	if err := proto.Unmarshal(d.Account, &account); err != nil {
		return nil, fmt.Errorf("whatsapp store: %w", err)
	}
	id := d.ID
	dev := &store.Device{
		Log: log, ID: &id, LID: d.LID, Account: &account,
		NoiseKey:       keys.NewKeyPairFromPrivateKey([32]byte(d.Noise)),
		IdentityKey:    keys.NewKeyPairFromPrivateKey([32]byte(d.Identity)),
		RegistrationID: d.Registration, AdvSecretKey: d.Adv,
		Platform: d.Platform, BusinessName: d.Business, PushName: d.PushName, LIDMigrationTimestamp: d.LIDSince,
	}
	signature := [64]byte(d.Signature)
	dev.SignedPreKey = &keys.PreKey{KeyPair: *keys.NewKeyPairFromPrivateKey([32]byte(d.Signed)), KeyID: d.SignedID, Signature: &signature}
	s.furnish(dev)
	return dev, nil
}

// NewDevice makes a device that is not linked yet. whatsmeow keeps it when the
// phone consents; it counts from Confirm on.
func (s *Store) NewDevice(log waLog.Logger) *store.Device {
	s.mu.Lock()
	s.pending = true
	s.mu.Unlock()
	dev := &store.Device{Log: log, NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair(), AdvSecretKey: make([]byte, 32)}
	var id [4]byte
	_, _ = rand.Read(id[:])
	_, _ = rand.Read(dev.AdvSecretKey)
	dev.RegistrationID = binary.BigEndian.Uint32(id[:])
	dev.SignedPreKey = dev.IdentityKey.CreateSignedPreKey(1)
	s.furnish(dev)
	return dev
}

// furnish gives a device the stores that it works with.
func (s *Store) furnish(dev *store.Device) {
	dev.Initialized = true
	dev.Identities, dev.Sessions, dev.PreKeys, dev.SenderKeys = s, s, s, s
	dev.AppStateKeys, dev.AppState = s, s
	dev.PrivacyTokens, dev.EventBuffer, dev.LIDs, dev.Container = s, s, s, s
	// What an assistant has no use for is dropped: the person's contacts, the
	// settings of chats, and the secrets of messages, which only polls and events
	// need. What is not kept cannot leak.
	forgetful := new(store.NoopStore)
	dev.Contacts, dev.ChatSettings, dev.MsgSecrets = forgetful, forgetful, forgetful
}

// Confirm is called when the server has the device's signature: from now on it
// is the linked one.
func (s *Store) Confirm(ctx context.Context, dev *store.Device) error {
	s.mu.Lock()
	s.pending = false
	s.mu.Unlock()
	return s.PutDevice(ctx, dev)
}

// PutDevice implements store.DeviceContainer.
func (s *Store) PutDevice(ctx context.Context, dev *store.Device) error {
	if dev.ID == nil {
		return errors.New("whatsapp store: the device is not linked")
	}
	account, err := proto.Marshal(dev.Account)
	if err != nil {
		return fmt.Errorf("whatsapp store: %w", err)
	}
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	return put(ctx, s, s.deviceKey(), device{
		Pending: pending,
		ID:      *dev.ID, LID: dev.LID, Noise: dev.NoiseKey.Priv[:], Identity: dev.IdentityKey.Priv[:],
		Signed: dev.SignedPreKey.Priv[:], SignedID: dev.SignedPreKey.KeyID, Signature: dev.SignedPreKey.Signature[:],
		Registration: dev.RegistrationID, Adv: dev.AdvSecretKey, Account: account,
		Platform: dev.Platform, Business: dev.BusinessName, PushName: dev.PushName, LIDSince: dev.LIDMigrationTimestamp,
	})
}

// DeleteDevice implements store.DeviceContainer: it forgets everything.
func (s *Store) DeleteDevice(ctx context.Context, _ *store.Device) error {
	s.mu.Lock()
	s.moved = map[string]bool{}
	s.mu.Unlock()
	return s.removeAll(ctx, Prefix)
}
