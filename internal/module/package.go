package module

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Most that a package's files may have, in bytes.
const (
	maxManifest  = 256 << 10
	maxModule    = 8 << 20
	maxSignature = 4 << 10

	// MaxPackage is the most that a package has: its files, uncompressed, and the
	// archive around them.
	MaxPackage = maxManifest + maxModule + maxSignature + 4<<10
)

// The files of a package, in this order. The signature may be missing.
const (
	manifestFile  = "manifest.json"
	moduleFile    = "module.wasm"
	signatureFile = "signature.json"
)

// Package is a guest as it is shipped.
type Package struct {
	Sum       string // SHA-256 of the package, in hexadecimal
	Manifest  *Manifest
	Module    []byte
	Publisher Publisher // nil: unsigned
}

// Publisher is the key that a package was signed with.
type Publisher ed25519.PublicKey

// String is how people and configurations name a publisher.
func (p Publisher) String() string {
	if len(p) == 0 {
		return "nobody"
	}
	return publisherPrefix + base64.RawURLEncoding.EncodeToString(p)
}

// ParsePublisher reads what String writes.
func ParsePublisher(s string) (Publisher, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(s, publisherPrefix))
	if err != nil || !strings.HasPrefix(s, publisherPrefix) || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("a publisher is written as ed25519: and 43 letters, digits, - or _, as `gatehouse adapter keygen` prints it")
	}
	return b, nil
}

const publisherPrefix = "ed25519:"

// Standing is what an operator thinks of a publisher.
type Standing int

// The standings. An unknown publisher is refused.
const (
	Unknown Standing = iota
	Trusted
	Revoked
)

// Trust knows the publishers.
type Trust interface {
	Standing(ctx context.Context, p Publisher) (Standing, error)
}

// Refusals of a package's publisher.
var (
	ErrUnsigned  = errors.New("the package is not signed")
	ErrUntrusted = errors.New("the publisher is not trusted")
	ErrRevoked   = errors.New("the publisher was revoked")
)

// signature is the content of the signature file.
type signature struct {
	Publisher []byte `json:"publisher"`
	Signature []byte `json:"signature"`
}

// signed are the bytes that a signature covers.
func signed(manifest, module []byte) []byte {
	a, b := sha256.Sum256(manifest), sha256.Sum256(module)
	return fmt.Appendf(nil, "gatehouse module 1\n%x\n%x\n", a, b)
}

// Pack writes a package. The same input gives the same bytes. Without a key it
// is unsigned. A manifest with faults, or for another module, is refused.
func Pack(manifest, module []byte, key ed25519.PrivateKey) ([]byte, error) {
	if _, err := check(manifest, module); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	write := func(name string, content []byte) error {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = f.Write(content)
		}
		return err
	}
	err := errors.Join(write(manifestFile, manifest), write(moduleFile, module))
	if err == nil && key != nil {
		public, _ := key.Public().(ed25519.PublicKey)
		var s []byte
		s, err = json.Marshal(signature{public, ed25519.Sign(key, signed(manifest, module))})
		err = errors.Join(err, write(signatureFile, s))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("write the package: %w", err)
	}
	return b.Bytes(), nil
}

// check holds a manifest against its module.
func check(manifest, module []byte) (*Manifest, error) {
	m, err := ParseManifest(manifest)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(module); hex.EncodeToString(sum[:]) != m.SHA256 {
		return nil, fmt.Errorf("sha256: the manifest is for another module; this one's is %x", sum)
	}
	return m, nil
}

// Open reads a package and verifies its signature, if it has one. Whether the
// publisher is trusted is for Check to say.
func Open(b []byte) (*Package, error) {
	contents, err := unpack(b)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	p := &Package{Sum: hex.EncodeToString(sum[:]), Module: contents[1]}
	if p.Manifest, err = check(contents[0], contents[1]); err != nil {
		return nil, err
	}
	if contents[2] != nil {
		p.Publisher, err = verify(contents[2], signed(contents[0], contents[1]))
	}
	return p, err
}

// Sign returns a package with the signature of a key, in place of the one that it
// may have.
func Sign(b []byte, key ed25519.PrivateKey) ([]byte, error) {
	contents, err := unpack(b)
	if err != nil {
		return nil, err
	}
	return Pack(contents[0], contents[1], key)
}

// unpack returns manifest, module and signature; the last is nil where there is none.
func unpack(b []byte) ([3][]byte, error) {
	var contents [3][]byte
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return contents, fmt.Errorf("not a package: %w", err)
	}
	limits := [3]struct {
		name string
		most int64
	}{{manifestFile, maxManifest}, {moduleFile, maxModule}, {signatureFile, maxSignature}}
	if n := len(r.File); n < 2 || n > len(limits) {
		return contents, fmt.Errorf("a package of %d files, want %s, %s and %s", n, manifestFile, moduleFile, signatureFile)
	}
	for i, f := range r.File {
		if f.Name != limits[i].name {
			return contents, fmt.Errorf("file %d of the package is %q, want %s", i+1, f.Name, limits[i].name)
		}
		if contents[i], err = read(f, limits[i].most); err != nil {
			return contents, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return contents, nil
}

func read(f *zip.File, most int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return b, err
}

// verify returns the publisher whose key signed the message.
func verify(file, message []byte) (Publisher, error) {
	var s signature
	if err := json.Unmarshal(file, &s); err != nil || len(s.Publisher) != ed25519.PublicKeySize {
		return nil, errors.New("the signature cannot be read")
	}
	if !ed25519.Verify(s.Publisher, message, s.Signature) {
		return nil, errors.New("the signature is not of this manifest and module")
	}
	return s.Publisher, nil
}

// Check asks whether the package's publisher is trusted.
func (p *Package) Check(ctx context.Context, t Trust) error {
	if p.Publisher == nil {
		return ErrUnsigned
	}
	standing, err := t.Standing(ctx, p.Publisher)
	switch {
	case err != nil:
		return fmt.Errorf("look up the publisher: %w", err)
	case standing == Trusted:
		return nil
	case standing == Revoked:
		return fmt.Errorf("%s: %w", p.Publisher, ErrRevoked)
	default:
		return fmt.Errorf("%s: %w", p.Publisher, ErrUntrusted)
	}
}
