//go:build !nowhatsapp

package whatsapptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/serialize"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/util/optional"
)

type serializers = serialize.Serializer

// companion is how the phones call the linked device in their own stores.
func companion() *protocol.SignalAddress { return protocol.NewSignalAddress("companion", 0) }

func (m *memory) cipher() (*session.Builder, *session.Cipher) {
	b := session.NewBuilderFromSignal(m, companion(), serializer())
	return b, session.NewCipher(b, companion())
}

// encrypt encrypts for the linked device; the first time with one of the
// prekeys that it uploaded.
func (m *memory) encrypt(d *device, plain []byte) (kind string, out []byte, err error) {
	ctx := context.Background()
	b, c := m.cipher()
	if known, _ := m.ContainsSession(ctx, companion()); !known {
		bundle, err := d.bundle()
		if err != nil {
			return "", nil, err
		}
		if err := b.ProcessBundle(ctx, bundle); err != nil {
			return "", nil, fmt.Errorf("session with the device: %w", err)
		}
	}
	msg, err := c.Encrypt(ctx, pad(plain))
	if err != nil {
		return "", nil, err
	}
	if msg.Type() == protocol.PREKEY_TYPE {
		return "pkmsg", msg.Serialize(), nil
	}
	return "msg", msg.Serialize(), nil
}

// decrypt opens what the linked device encrypted for this phone.
func (m *memory) decrypt(kind string, sealed []byte) ([]byte, error) {
	ctx := context.Background()
	_, c := m.cipher()
	var plain []byte
	switch kind {
	case "pkmsg":
		msg, err := protocol.NewPreKeySignalMessageFromBytes(sealed, serializer().PreKeySignalMessage, serializer().SignalMessage)
		if err != nil {
			return nil, err
		}
		if plain, err = c.DecryptMessage(ctx, msg); err != nil {
			return nil, err
		}
	case "msg":
		msg, err := protocol.NewSignalMessageFromBytes(sealed, serializer().SignalMessage)
		if err != nil {
			return nil, err
		}
		if plain, err = c.Decrypt(ctx, msg); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a message of type %q", kind)
	}
	return unpad(plain)
}

// encryptGroup encrypts for a group with this phone's sender key, and returns
// the key's announcement too.
func (m *memory) encryptGroup(room string, plain []byte) (announcement, out []byte, err error) {
	ctx := context.Background()
	b := groups.NewGroupSessionBuilder(m, serializer())
	name := protocol.NewSenderKeyName(room, protocol.NewSignalAddress("me", 0))
	d, err := b.Create(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := groups.NewGroupCipher(b, name, m).Encrypt(ctx, pad(plain))
	if err != nil {
		return nil, nil, err
	}
	return d.Serialize(), sealed.SignedSerialize(), nil
}

// learn takes in the linked device's sender key for a group.
func (m *memory) learn(room string, announcement []byte) error {
	d, err := protocol.NewSenderKeyDistributionMessageFromBytes(announcement, serializer().SenderKeyDistributionMessage)
	if err != nil {
		return err
	}
	return groups.NewGroupSessionBuilder(m, serializer()).Process(context.Background(), protocol.NewSenderKeyName(room, companion()), d)
}

func (m *memory) decryptGroup(room string, sealed []byte) ([]byte, error) {
	msg, err := protocol.NewSenderKeyMessageFromBytes(sealed, serializer().SenderKeyMessage)
	if err != nil {
		return nil, err
	}
	b := groups.NewGroupSessionBuilder(m, serializer())
	plain, err := groups.NewGroupCipher(b, protocol.NewSenderKeyName(room, companion()), m).Decrypt(context.Background(), msg)
	if err != nil {
		return nil, err
	}
	return unpad(plain)
}

// bundle is what a sender needs to begin a session with the linked device.
func (d *device) bundle() (*prekey.Bundle, error) {
	if len(d.prekeys) == 0 {
		return nil, errors.New("the device has uploaded no prekeys, or they are used up")
	}
	k := d.prekeys[0]
	d.prekeys = d.prekeys[1:]
	return prekey.NewBundle(d.registration, 0, optional.NewOptionalUint32(k.KeyID), d.signed.KeyID,
		ecc.NewDjbECPublicKey(*k.Pub), ecc.NewDjbECPublicKey(*d.signed.Pub), *d.signed.Signature,
		identity.NewKey(ecc.NewDjbECPublicKey(d.identity))), nil
}

func pad(b []byte) []byte {
	const n = 7
	return append(bytes.Clone(b), bytes.Repeat([]byte{n}, n)...)
}

func unpad(b []byte) ([]byte, error) {
	if len(b) == 0 || int(b[len(b)-1]) > len(b) {
		return nil, errors.New("a message that is not padded")
	}
	return b[:len(b)-int(b[len(b)-1])], nil
}
