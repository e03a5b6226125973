package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Domains keep what is encrypted or derived for one use from passing for
// another. They are part of the stored form: never change one.
const (
	domainWrap     = "gatehouse/wrap/v1"
	domainSecret   = "gatehouse/secret/v1"
	domainManifest = "gatehouse/manifest/v1"
	domainSeal     = "gatehouse/seal/v1"
	domainDerive   = "gatehouse/derive/v1"
	domainKeyID    = "gatehouse/key-id/v1"
	domainLocked   = "gatehouse/locked/v1"
	domainToken    = "gatehouse/token/v1"
	domainContent  = "gatehouse/content/v1"
)

const (
	keySize   = 32
	idSize    = 8 // bytes of a key's id
	saltSize  = 32
	nonceSize = 12
	tagSize   = 16
	// blobHead is everything before the ciphertext: format, key id, salt, nonce.
	blobHead   = 1 + idSize + saltSize + nonceSize
	blobFormat = 1
)

// bind joins fields into additional data. Each is prefixed with its length, so
// that no two lists of fields give the same bytes.
func bind(fields ...string) []byte {
	n := 0
	for _, f := range fields {
		n += 8 + len(f)
	}
	out := make([]byte, 0, n)
	for _, f := range fields {
		out = binary.BigEndian.AppendUint64(out, uint64(len(f)))
		out = append(out, f...)
	}
	return out
}

// random returns n bytes of the system's randomness. It cannot fail.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// gcm makes AES-256-GCM from a key of keySize bytes.
func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// dataKey is a workspace's key. Values are never encrypted under it directly,
// but under keys derived from it with a salt of their own.
type dataKey struct {
	id      [idSize]byte
	key     []byte
	content contentKeys
}

// newDataKey makes a random key.
func newDataKey() *dataKey {
	k := &dataKey{key: random(keySize)}
	copy(k.id[:], random(idSize))
	return k
}

// name is the key's id in print.
func (k *dataKey) name() string { return hex.EncodeToString(k.id[:]) }

// cipher derives the key that belongs to a salt.
func (k *dataKey) cipher(domain string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, k.key, salt, domain, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	defer clear(key)
	return gcm(key)
}

// seal encrypts plain and binds it to the fields.
func (k *dataKey) seal(domain string, plain []byte, fields ...string) ([]byte, error) {
	blob := make([]byte, blobHead, blobHead+len(plain)+tagSize)
	blob[0] = blobFormat
	copy(blob[1:], k.id[:])
	fresh := blob[1+idSize:]
	copy(fresh, random(saltSize+nonceSize))
	salt, nonce := fresh[:saltSize], fresh[saltSize:]
	aead, err := k.cipher(domain, salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(blob, nonce, plain, k.bind(domain, fields)), nil
}

// open decrypts what seal made; ErrCorrupt when it was made of anything else.
func (k *dataKey) open(domain string, blob []byte, fields ...string) ([]byte, error) {
	salt, nonce, sealed, err := k.split(blob)
	if err != nil {
		return nil, err
	}
	aead, err := k.cipher(domain, salt)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(make([]byte, 0, len(sealed)), nonce, sealed, k.bind(domain, fields))
	if err != nil {
		return nil, ErrCorrupt
	}
	return plain, nil
}

// split takes a blob apart without copying.
func (k *dataKey) split(blob []byte) (salt, nonce, sealed []byte, err error) {
	if len(blob) < blobHead+tagSize || blob[0] != blobFormat {
		return nil, nil, nil, ErrCorrupt
	}
	if [idSize]byte(blob[1:1+idSize]) != k.id {
		return nil, nil, nil, ErrCorrupt
	}
	rest := blob[1+idSize:]
	return rest[:saltSize], rest[saltSize : saltSize+nonceSize], rest[saltSize+nonceSize:], nil
}

// bind is the additional data of a value under this key.
func (k *dataKey) bind(domain string, fields []string) []byte {
	all := make([]string, 0, 2+len(fields))
	return bind(append(append(all, domain, string(k.id[:])), fields...)...)
}

// derive makes a key that depends on the fields and cannot be turned back.
func (k *dataKey) derive(fields ...string) ([]byte, error) {
	return hkdf.Key(sha256.New, k.key, nil, string(bind(append([]string{domainDerive}, fields...)...)), keySize)
}

// wrapWith encrypts a data key under a key-encrypting key.
func wrapWith(kek, plain, bound []byte) ([]byte, error) {
	aead, err := gcm(kek)
	if err != nil {
		return nil, err
	}
	nonce := random(nonceSize)
	return aead.Seal(nonce, nonce, plain, bound), nil
}

// unwrapWith undoes wrapWith; ErrWrongKey when it cannot.
func unwrapWith(kek, wrapped, bound []byte) ([]byte, error) {
	if len(wrapped) < nonceSize+tagSize {
		return nil, ErrCorrupt
	}
	aead, err := gcm(kek)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], bound)
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}
