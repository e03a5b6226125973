//go:build !nowhatsapp

package whatsapptest

import (
	"context"
	"errors"
	"sync"

	"go.mau.fi/libsignal/ecc"
	group "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/libsignal/state/store"
	whatsmeow "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
)

// memory is the Signal store of an emulated phone.
type memory struct {
	id           *keys.KeyPair
	signed       *keys.PreKey
	registration uint32

	mu       sync.Mutex
	next     uint32
	prekeys  map[uint32]*keys.PreKey
	sessions map[string][]byte
	senders  map[string][]byte
}

var _ store.SignalProtocol = (*memory)(nil)

func newMemory(registration uint32) *memory {
	m := &memory{
		id: keys.NewKeyPair(), registration: registration,
		prekeys: map[uint32]*keys.PreKey{}, sessions: map[string][]byte{}, senders: map[string][]byte{},
	}
	m.signed = m.id.CreateSignedPreKey(1)
	return m
}

// prekey makes a one-time key to give away.
func (m *memory) prekey() *keys.PreKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	k := keys.NewPreKey(m.next)
	m.prekeys[k.KeyID] = k
	return k
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions, m.senders = map[string][]byte{}, map[string][]byte{}
}

func serializer() *serializers { return whatsmeow.SignalProtobufSerializer }

func (m *memory) GetIdentityKeyPair() *identity.KeyPair {
	return identity.NewKeyPair(identity.NewKey(ecc.NewDjbECPublicKey(*m.id.Pub)), ecc.NewDjbECPrivateKey(*m.id.Priv))
}

func (m *memory) GetLocalRegistrationID() uint32 { return m.registration }

func (m *memory) SaveIdentity(context.Context, *protocol.SignalAddress, *identity.Key) error {
	return nil
}

func (m *memory) IsTrustedIdentity(context.Context, *protocol.SignalAddress, *identity.Key) (bool, error) {
	return true, nil
}

func pair(k *keys.KeyPair) *ecc.ECKeyPair {
	return ecc.NewECKeyPair(ecc.NewDjbECPublicKey(*k.Pub), ecc.NewDjbECPrivateKey(*k.Priv))
}

func (m *memory) LoadPreKey(_ context.Context, id uint32) (*record.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.prekeys[id]
	if !ok {
		return nil, nil //nolint:nilnil // libsignal asks for it
	}
	return record.NewPreKey(id, pair(&k.KeyPair), nil), nil
}

func (m *memory) RemovePreKey(_ context.Context, id uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.prekeys, id)
	return nil
}

func (m *memory) LoadSignedPreKey(context.Context, uint32) (*record.SignedPreKey, error) {
	return record.NewSignedPreKey(m.signed.KeyID, 0, pair(&m.signed.KeyPair), *m.signed.Signature, nil), nil
}

func (m *memory) LoadSession(_ context.Context, a *protocol.SignalAddress) (*record.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.sessions[a.String()]; ok {
		return record.NewSessionFromBytes(b, serializer().Session, serializer().State)
	}
	return record.NewSession(serializer().Session, serializer().State), nil
}

func (m *memory) StoreSession(_ context.Context, a *protocol.SignalAddress, s *record.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[a.String()] = s.Serialize()
	return nil
}

func (m *memory) ContainsSession(_ context.Context, a *protocol.SignalAddress) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.sessions[a.String()]
	return ok, nil
}

func (m *memory) StoreSenderKey(_ context.Context, n *protocol.SenderKeyName, r *group.SenderKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.senders[n.GroupID()+"/"+n.Sender().String()] = r.Serialize()
	return nil
}

func (m *memory) LoadSenderKey(_ context.Context, n *protocol.SenderKeyName) (*group.SenderKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.senders[n.GroupID()+"/"+n.Sender().String()]; ok {
		return group.NewSenderKeyFromBytes(b, serializer().SenderKeyRecord, serializer().SenderKeyState)
	}
	return group.NewSenderKey(serializer().SenderKeyRecord, serializer().SenderKeyState), nil
}

// What libsignal declares and never calls here.

var errUnused = errors.New("whatsapptest: not needed")

func (m *memory) StorePreKey(context.Context, uint32, *record.PreKey) error { return errUnused }

func (m *memory) ContainsPreKey(context.Context, uint32) (bool, error) { return false, errUnused }

func (m *memory) GetSubDeviceSessions(context.Context, string) ([]uint32, error) {
	return nil, errUnused
}

func (m *memory) DeleteSession(context.Context, *protocol.SignalAddress) error { return errUnused }

func (m *memory) DeleteAllSessions(context.Context) error { return errUnused }

func (m *memory) LoadSignedPreKeys(context.Context) ([]*record.SignedPreKey, error) {
	return nil, errUnused
}

func (m *memory) StoreSignedPreKey(context.Context, uint32, *record.SignedPreKey) error {
	return errUnused
}

func (m *memory) ContainsSignedPreKey(context.Context, uint32) (bool, error) { return false, errUnused }

func (m *memory) RemoveSignedPreKey(context.Context, uint32) error { return errUnused }
