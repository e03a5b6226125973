// Package blob keeps the contents of files: what people sent and the agent
// looked at, and what is on its way to people. A blob is named by its content,
// so the same file is kept once, and is never changed.
//
// A [Shelf] keeps the bytes: [Folder] in files, for the embedded database;
// [Table] in the durable state, for Postgres, where every replica reaches them
// and a backup of the database has them. Neither ever holds a whole file in
// memory.
//
// A blob lives as long as something refers to it. Whoever keeps a blob's name
// in something durable, a reply of the outbox, an entry of a history, a row of a
// channel's state, writes a reference ([Refer]) no later than the thing itself;
// the [Sweeper] removes what is a day old and has no reference whose holder is
// still there. So a crash at any moment leaves no name without its content, and
// no content for ever.
//
// A name is opaque to everybody else. It is a hash of the content even where the
// content is encrypted ([Seal]): whoever has a file can find out whether it is
// kept here.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// Errors on which a caller branches.
var (
	ErrNotFound = errors.New("the file is no longer kept")
	ErrTooBig   = errors.New("the file is larger than is allowed here")
	ErrCorrupt  = errors.New("the kept file is damaged")
)

// ID names a blob: the SHA-256 of its content in hexadecimal digits.
type ID string

// Valid reports whether id has the form of a name.
func (id ID) Valid() bool {
	if len(id) != hex.EncodedLen(sha256.Size) {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Grace is how old a blob or a reference is at least before the lack of what it
// belongs to counts. Whoever puts a blob has this long to refer to it.
const Grace = 24 * time.Hour

// Shelf keeps blobs. Its methods may be called concurrently.
type Shelf interface {
	// Put keeps what r gives, at most limit bytes ([ErrTooBig]), and returns its
	// name and size once it is durable. What is there already counts as put now.
	Put(ctx context.Context, r io.Reader, limit int64) (ID, int64, error)
	// Open reads a blob from the start; [ErrNotFound] when there is none. A
	// reader that comes to the end and finds that the content is not what was
	// put returns [ErrCorrupt] in the place of io.EOF. The caller closes it.
	Open(ctx context.Context, id ID) (io.ReadCloser, error)
	// Touch counts a blob as put now; [ErrNotFound] when there is none.
	Touch(ctx context.Context, id ID) error
	// Old lists up to limit blobs after the given name that were put before a
	// time, in order of their names.
	Old(ctx context.Context, after ID, before time.Time, limit int) ([]ID, error)
	// Remove removes a blob unless it was put, or touched, at that time or later.
	Remove(ctx context.Context, id ID, before time.Time) (bool, error)
	// Unfinished removes what a Put began before a time and never finished.
	Unfinished(ctx context.Context, before time.Time) error
}

// verified reads a blob and checks at its end that it is what its name says.
type verified struct {
	io.ReadCloser
	id  ID
	sum hash.Hash
}

func verify(r io.ReadCloser, id ID) io.ReadCloser {
	return &verified{ReadCloser: r, id: id, sum: sha256.New()}
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.sum.Write(p[:n]) // a hash takes everything
	if errors.Is(err, io.EOF) && ID(hex.EncodeToString(v.sum.Sum(nil))) != v.id {
		return n, fmt.Errorf("blob %s: %w", v.id, ErrCorrupt)
	}
	return n, err
}

// measured counts and hashes what is put, and ends with the context or when it
// becomes too much.
type measured struct {
	ctx  context.Context //nolint:containedctx // of the one call of Put that it belongs to
	from io.Reader
	left int64
	size int64
	sum  hash.Hash
}

func measure(ctx context.Context, r io.Reader, limit int64) *measured {
	return &measured{ctx: ctx, from: r, left: limit, sum: sha256.New()}
}

// Read implements io.Reader.
func (m *measured) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.from.Read(p)
	if m.left -= int64(n); m.left < 0 {
		return 0, ErrTooBig
	}
	m.size += int64(n)
	m.sum.Write(p[:n]) // a hash takes everything
	return n, err
}

func (m *measured) id() ID { return ID(hex.EncodeToString(m.sum.Sum(nil))) }
