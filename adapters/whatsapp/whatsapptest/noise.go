//go:build !nowhatsapp

package whatsapptest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow/proto/waCert"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// noise is the responder's side of Noise_XX_25519_AESGCM_SHA256.
type noise struct {
	hash, salt []byte
	key        cipher.AEAD
	n          uint64
}

const pattern = "Noise_XX_25519_AESGCM_SHA256\x00\x00\x00\x00"

func newNoise(header []byte) *noise {
	x := &noise{hash: []byte(pattern), salt: []byte(pattern), key: gcm([]byte(pattern))}
	x.mixHash(header)
	return x
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func nonce(n uint64) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

func (x *noise) mixHash(data []byte) {
	sum := sha256.Sum256(append(append([]byte{}, x.hash...), data...))
	x.hash = sum[:]
}

func (x *noise) mixKey(private, public []byte) error {
	secret, err := curve25519.X25519(private, public)
	if err != nil {
		return err
	}
	var key []byte
	x.salt, key = expand(x.salt, secret)
	x.key, x.n = gcm(key), 0
	return nil
}

func expand(salt, secret []byte) (first, second []byte) {
	b, err := hkdf.Key(sha256.New, secret, salt, "", 64)
	if err != nil {
		panic(err) // 64 bytes are not too many
	}
	return b[:32], b[32:]
}

func (x *noise) seal(plain []byte) []byte {
	out := x.key.Seal(nil, nonce(x.n), plain, x.hash)
	x.n++
	x.mixHash(out)
	return out
}

func (x *noise) open(sealed []byte) ([]byte, error) {
	out, err := x.key.Open(nil, nonce(x.n), sealed, x.hash)
	x.n++
	if err == nil {
		x.mixHash(sealed)
	}
	return out, err
}

// root signs the certificates of every emulator, so that many of them can run
// in one process: whatsmeow has one place for the key.
func root() *keys.KeyPair {
	seed := sha256.Sum256([]byte("whatsapptest"))
	seed[0] &= 248
	seed[31] = seed[31]&127 | 64
	return keys.NewKeyPairFromPrivateKey(seed)
}

// Key is the public key that a client has to trust, in hexadecimal.
func Key() string { return hex.EncodeToString(root().Pub[:]) }

// certificate says that a key is the server's.
func certificate(static *keys.KeyPair) ([]byte, error) {
	middle := keys.NewKeyPair()
	intermediate, err := details(1, 0, middle.Pub[:])
	if err != nil {
		return nil, err
	}
	leaf, err := details(2, 1, static.Pub[:])
	if err != nil {
		return nil, err
	}
	sign := func(by *keys.KeyPair, b []byte) []byte {
		s := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*by.Priv), b)
		return s[:]
	}
	return proto.Marshal(&waCert.CertChain{
		Intermediate: &waCert.CertChain_NoiseCertificate{Details: intermediate, Signature: sign(root(), intermediate)},
		Leaf:         &waCert.CertChain_NoiseCertificate{Details: leaf, Signature: sign(middle, leaf)},
	})
}

func details(serial, issuer uint32, key []byte) ([]byte, error) {
	return proto.Marshal(&waCert.CertChain_NoiseCertificate_Details{Serial: &serial, IssuerSerial: &issuer, Key: key})
}

// shake does the handshake on a wire and returns what the client says of itself.
func (w *wire) shake(header []byte) (*waWa6.ClientPayload, error) {
	x := newNoise(header)
	var hello waWa6.HandshakeMessage
	if err := w.readProto(&hello); err != nil {
		return nil, err
	}
	theirs := hello.GetClientHello().GetEphemeral()
	if len(theirs) != 32 {
		return nil, errors.New("the client hello has no key")
	}
	x.mixHash(theirs)
	ours, static := keys.NewKeyPair(), keys.NewKeyPair()
	x.mixHash(ours.Pub[:])
	if err := x.mixKey(ours.Priv[:], theirs); err != nil {
		return nil, err
	}
	sealedStatic := x.seal(static.Pub[:])
	if err := x.mixKey(static.Priv[:], theirs); err != nil {
		return nil, err
	}
	cert, err := certificate(static)
	if err != nil {
		return nil, err
	}
	err = w.writeProto(&waWa6.HandshakeMessage{ServerHello: &waWa6.HandshakeMessage_ServerHello{
		Ephemeral: ours.Pub[:], Static: sealedStatic, Payload: x.seal(cert),
	}})
	if err != nil {
		return nil, err
	}
	var finish waWa6.HandshakeMessage
	if err := w.readProto(&finish); err != nil {
		return nil, err
	}
	client, err := x.open(finish.GetClientFinish().GetStatic())
	if err != nil {
		return nil, err
	}
	if err := x.mixKey(ours.Priv[:], client); err != nil {
		return nil, err
	}
	plain, err := x.open(finish.GetClientFinish().GetPayload())
	if err != nil {
		return nil, err
	}
	read, write := expand(x.salt, nil)
	w.in, w.out, w.noise = gcm(read), gcm(write), client
	var payload waWa6.ClientPayload
	return &payload, proto.Unmarshal(plain, &payload)
}
