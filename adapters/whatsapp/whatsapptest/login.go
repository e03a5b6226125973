//go:build !nowhatsapp

package whatsapptest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/libsignal/ecc"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// register offers a new device the references of its QR codes.
func (s *Server) register(w *wire, data *waWa6.ClientPayload_DevicePairingRegistrationData) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &device{noise: w.noise}
	copy(d.identity[:], data.GetEIdent())
	d.registration = binary.BigEndian.Uint32(append(make([]byte, 4), data.GetERegid()...)[len(data.GetERegid()):])
	w.device = d
	var list []waBinary.Node
	for range 6 {
		ref := fmt.Sprintf("2@ref%d", s.number())
		w.refs = append(w.refs, ref)
		list = append(list, waBinary.Node{Tag: "ref", Content: []byte(ref)})
	}
	w.send(waBinary.Node{
		Tag:     "iq",
		Attrs:   waBinary.Attrs{"from": server(), "type": "set", "id": s.id(), "xmlns": "md"},
		Content: []waBinary.Node{{Tag: "pair-device", Content: list}},
	})
}

// Scan links the device whose QR code has this content, as the owner's phone
// does. It fails when no connection that is open offers the code.
func (s *Server) Scan(code string) error {
	part := strings.Split(code, ",")
	if len(part) != 4 {
		return errors.New("a QR code has four parts")
	}
	identity, err1 := base64.StdEncoding.DecodeString(part[2])
	secret, err2 := base64.StdEncoding.DecodeString(part[3])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.wires {
		for _, ref := range w.refs {
			if ref == part[0] {
				return s.linked(w, identity, secret)
			}
		}
	}
	return errors.New("no device offers this code")
}

// linked signs the device's identity, as the phone does, and tells the device.
func (s *Server) linked(w *wire, identity, secret []byte) error {
	s.last++
	d := w.device
	d.id, d.lid = s.owner.PN, s.owner.LID
	d.id.Device, d.lid.Device = s.last, s.last
	details, err := proto.Marshal(&waAdv.ADVDeviceIdentity{
		RawID: proto.Uint32(1), Timestamp: proto.Uint64(uint64(time.Now().Unix())), KeyIndex: proto.Uint32(uint32(s.last)),
	})
	if err != nil {
		return err
	}
	phone := s.owner.phone.id
	signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*phone.Priv), bytes.Join([][]byte{{6, 0}, details, identity}, nil))
	signed, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentity{Details: details, AccountSignatureKey: phone.Pub[:], AccountSignature: signature[:]})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(signed)
	container, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentityHMAC{Details: signed, HMAC: mac.Sum(nil)})
	if err != nil {
		return err
	}
	w.send(waBinary.Node{
		Tag:   "iq",
		Attrs: waBinary.Attrs{"from": server(), "type": "set", "id": "pair-" + s.id(), "xmlns": "md"},
		Content: []waBinary.Node{{Tag: "pair-success", Content: []waBinary.Node{
			{Tag: "device-identity", Content: container},
			{Tag: "device", Attrs: waBinary.Attrs{"jid": d.id, "lid": d.lid}},
			{Tag: "platform", Attrs: waBinary.Attrs{"name": "android"}},
		}}},
	})
	return nil
}

// confirmed looks at the device's answer to its linking. From then on it is the
// linked one, and has to connect anew.
func (s *Server) confirmed(w *wire, n *waBinary.Node) bool {
	raw, _ := n.GetChildByTag("pair-device-sign", "device-identity").Content.([]byte)
	var id waAdv.ADVSignedDeviceIdentity
	if raw == nil || proto.Unmarshal(raw, &id) != nil || len(id.GetDeviceSignature()) != 64 {
		return false
	}
	said := bytes.Join([][]byte{{6, 1}, id.GetDetails(), w.device.identity[:], s.owner.phone.id.Pub[:]}, nil)
	if !ecc.VerifySignature(ecc.NewDjbECPublicKey(w.device.identity), said, [64]byte(id.GetDeviceSignature())) {
		return false
	}
	if s.device != nil && s.device.wire != nil {
		s.device.wire.cut()
	}
	s.device = w.device
	for _, p := range s.people {
		p.phone.forget()
		p.told = map[string]bool{}
	}
	w.send(waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{"code": "515"}})
	return false
}

// login lets the linked device in, and gives it what it has missed.
func (s *Server) login(w *wire, p *waWa6.ClientPayload) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.device
	if d == nil || fmt.Sprint(p.GetUsername()) != d.id.User || p.GetDevice() != uint32(d.id.Device) || !bytes.Equal(w.noise, d.noise) {
		w.send(waBinary.Node{Tag: "failure", Attrs: waBinary.Attrs{"reason": "401", "location": "cln"}})
		return false
	}
	if d.wire != nil {
		d.wire.send(waBinary.Node{Tag: "stream:error", Content: []waBinary.Node{{Tag: "conflict", Attrs: waBinary.Attrs{"type": "replaced"}}}})
		d.wire.cut()
	}
	d.wire, w.device = w, d
	d.logins++
	w.send(waBinary.Node{Tag: "success", Attrs: waBinary.Attrs{"t": fmt.Sprint(time.Now().Unix()), "lid": d.lid}})
	return true
}

// active is when the device has said that it is ready: it gets what waits.
func (s *Server) active(d *device) {
	var kept []*parcel
	for _, p := range d.queue {
		if !p.done {
			kept = append(kept, p)
		}
	}
	d.queue = kept
	for _, p := range kept {
		d.wire.send(p.node)
	}
	d.wire.send(waBinary.Node{Tag: "ib", Attrs: waBinary.Attrs{"from": server()}, Content: []waBinary.Node{
		{Tag: "offline", Attrs: waBinary.Attrs{"count": fmt.Sprint(len(kept))}},
	}})
}

// Unlink logs the device out, as the owner does in "Linked devices".
func (s *Server) Unlink() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.device == nil {
		return
	}
	if w := s.device.wire; w != nil {
		w.send(waBinary.Node{Tag: "stream:error", Attrs: waBinary.Attrs{"code": "401"}, Content: []waBinary.Node{
			{Tag: "conflict", Attrs: waBinary.Attrs{"type": "device_removed"}},
		}})
		w.removed = true
	}
	s.device = nil
}

// codeLink is a linking by phone code that is under way.
type codeLink struct {
	wire      *wire
	ref       string
	wrapped   []byte // the device's ephemeral key, encrypted with the code
	ephemeral *keys.KeyPair
	shared    []byte
}

// hello begins a linking by code.
func (s *Server) hello(w *wire, n *waBinary.Node) []waBinary.Node {
	reg := n.GetChildByTag("link_code_companion_reg")
	wrapped, _ := reg.GetChildByTag("link_code_pairing_wrapped_companion_ephemeral_pub").Content.([]byte)
	s.linking = &codeLink{wire: w, ref: s.id(), wrapped: wrapped}
	return []waBinary.Node{{Tag: "link_code_companion_reg", Content: []waBinary.Node{
		{Tag: "link_code_pairing_ref", Content: []byte(s.linking.ref)},
	}}}
}

func codeKey(code string, salt []byte) cipher.Block {
	key, err := pbkdf2.Key(sha256.New, code, salt, 2<<16, 32)
	if err != nil {
		panic(err) // the parameters are fixed
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return block
}

// Enter types a code into the owner's phone, under "Link with phone number".
func (s *Server) Enter(code string) error {
	code = strings.ReplaceAll(code, "-", "")
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.linking
	if l == nil || len(l.wrapped) != 80 {
		return errors.New("no device waits for a code")
	}
	theirs := make([]byte, 32)
	cipher.NewCTR(codeKey(code, l.wrapped[:32]), l.wrapped[32:48]).XORKeyStream(theirs, l.wrapped[48:])
	l.ephemeral = keys.NewKeyPair()
	var err error
	if l.shared, err = curve25519.X25519(l.ephemeral.Priv[:], theirs); err != nil {
		return err
	}
	wrapped := make([]byte, 80)
	_, _ = rand.Read(wrapped[:48])
	cipher.NewCTR(codeKey(code, wrapped[:32]), wrapped[32:48]).XORKeyStream(wrapped[48:], l.ephemeral.Pub[:])
	l.wire.send(waBinary.Node{
		Tag:   "notification",
		Attrs: waBinary.Attrs{"from": server(), "type": "link_code_companion_reg", "id": s.id(), "t": fmt.Sprint(time.Now().Unix())},
		Content: []waBinary.Node{{Tag: "link_code_companion_reg", Attrs: waBinary.Attrs{"stage": "primary_hello"}, Content: []waBinary.Node{
			{Tag: "link_code_pairing_wrapped_primary_ephemeral_pub", Content: wrapped},
			{Tag: "primary_identity_pub", Content: s.owner.phone.id.Pub[:]},
			{Tag: "link_code_pairing_ref", Content: []byte(l.ref)},
		}}},
	})
	return nil
}

// finish ends a linking by code: the phone learns the device's identity and the
// secret that both sides make.
func (s *Server) finish(w *wire, n *waBinary.Node) error {
	l := s.linking
	if l == nil || l.shared == nil {
		return errors.New("no code was entered")
	}
	reg := n.GetChildByTag("link_code_companion_reg")
	bundle, _ := reg.GetChildByTag("link_code_pairing_wrapped_key_bundle").Content.([]byte)
	identity, _ := reg.GetChildByTag("companion_identity_public").Content.([]byte)
	if len(bundle) < 44 || len(identity) != 32 {
		return errors.New("a linking that is incomplete")
	}
	key, err := hkdf.Key(sha256.New, l.shared, bundle[:32], "link_code_pairing_key_bundle_encryption_key", 32)
	if err != nil {
		return err
	}
	plain, err := gcm(key).Open(nil, bundle[32:44], bundle[44:], nil)
	if err != nil || len(plain) != 96 {
		return errors.New("the code was wrong")
	}
	both, err := curve25519.X25519(s.owner.phone.id.Priv[:], identity)
	if err != nil {
		return err
	}
	secret, err := hkdf.Key(sha256.New, bytes.Join([][]byte{l.shared, both, plain[64:]}, nil), nil, "adv_secret", 32)
	if err != nil {
		return err
	}
	s.linking = nil
	return s.linked(w, identity, secret)
}

func jid(n *waBinary.Node, name string) types.JID {
	j, _ := n.Attrs[name].(types.JID)
	return j
}
