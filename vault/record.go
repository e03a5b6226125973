package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// The parts of a workspace that a secret can belong to. They are part of the
// stored form.
const (
	levelWorkspace = "workspace"
	levelMember    = "member"
)

// level is the part that a full name speaks of.
func level(full string) string {
	if strings.Contains(full, "@") {
		return levelMember
	}
	return levelWorkspace
}

// record is a stored secret. Its metadata is readable in the database and
// bound to the ciphertext, so that no host or grant can be added there.
type record struct {
	meta   Meta
	serial int64  // the workspace's counter when it was written; never used twice
	head   string // meta and serial as stored: bound to the ciphertext
	blob   []byte
	row    int64 // version of the row in the database

	// aead is the value's own key, derived at the first use: that takes longer
	// than all else.
	aead atomic.Pointer[cipher.AEAD]
}

// head is the readable part of a stored secret.
type head struct {
	Meta
	Serial int64 `json:"serial"`
}

// row is a secret as it is stored.
type row struct {
	Format int             `json:"v"`
	Head   json.RawMessage `json:"head"`
	Sealed []byte          `json:"sealed"`
}

const rowFormat = 1

// sealRecord encrypts a value together with its metadata.
func sealRecord(k *dataKey, workspace string, meta Meta, serial int64, plain []byte) (*record, error) {
	text, err := json.Marshal(head{Meta: meta, Serial: serial})
	if err != nil {
		return nil, err
	}
	r := &record{meta: meta, serial: serial, head: string(text)}
	r.blob, err = k.seal(domainSecret, plain, r.bound(workspace)...)
	return r, err
}

// open decrypts the value; the caller clears it.
func (r *record) open(keys keychain, workspace string) ([]byte, error) {
	k := keys.of(r.blob)
	if k == nil {
		return nil, ErrCorrupt
	}
	salt, nonce, sealed, err := k.split(r.blob)
	if err != nil {
		return nil, err
	}
	aead := r.aead.Load()
	if aead == nil {
		fresh, err := k.cipher(domainSecret, salt)
		if err != nil {
			return nil, err
		}
		aead = &fresh
		r.aead.Store(aead)
	}
	plain, err := (*aead).Open(make([]byte, 0, len(sealed)), nonce, sealed, k.bind(domainSecret, r.bound(workspace)))
	if err != nil {
		return nil, ErrCorrupt
	}
	return plain, nil
}

// bound lists what the ciphertext is tied to, beside its domain and key.
func (r *record) bound(workspace string) []string {
	return []string{
		workspace, level(r.meta.Name), r.meta.Name,
		strconv.Itoa(r.meta.Version), strconv.FormatInt(r.serial, 10), r.head,
	}
}

func (r *record) encode() ([]byte, error) {
	return json.Marshal(row{Format: rowFormat, Head: json.RawMessage(r.head), Sealed: r.blob})
}

// decodeRecord reads a stored secret. It does not decrypt: what it returns is
// to be believed only once open succeeded.
func decodeRecord(text []byte) (*record, error) {
	var w row
	if err := strict(text, &w); err != nil || w.Format != rowFormat {
		return nil, ErrCorrupt
	}
	var h head
	if err := strict(w.Head, &h); err != nil {
		return nil, ErrCorrupt
	}
	if CheckSecret(h.Name) != nil || h.Format.Check() != nil || h.Version < 1 || h.Serial < 1 {
		return nil, ErrCorrupt
	}
	return &record{meta: h.Meta, serial: h.Serial, head: string(w.Head), blob: w.Sealed}, nil
}

// strict decodes JSON that this package wrote.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// manifest is what a workspace's secrets are, as of one number of its counter:
// it is sealed, and its counter is compared with the one kept with the key.
type manifest struct {
	Serial int64  `json:"serial"`
	Digest string `json:"digest"` // over the names and serials of all secrets
}

// digest sums up which secrets there are, and as of when.
func digest(records map[string]*record) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(records)) {
		text := binary.BigEndian.AppendUint64(nil, uint64(len(name)))
		text = append(text, name...)
		text = binary.BigEndian.AppendUint64(text, uint64(records[name].serial)) //nolint:gosec // never negative
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func sealManifest(k *dataKey, workspace string, m manifest) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return k.seal(domainManifest, text, workspace)
}

func openManifest(k *dataKey, workspace string, blob []byte) (manifest, error) {
	var m manifest
	text, err := k.open(domainManifest, blob, workspace)
	if err != nil {
		return m, fmt.Errorf("the list of secrets: %w", err)
	}
	if err := strict(text, &m); err != nil || m.Serial < 0 {
		return m, fmt.Errorf("the list of secrets: %w", ErrCorrupt)
	}
	return m, nil
}
