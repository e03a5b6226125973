// Package image gives each instance of a guest a linear memory that begins as
// the same snapshot.
//
// A small snapshot is copied whole. A larger one is mapped copy-on-write where
// the system can do that (Linux), so that an instance pays for the pages it
// writes; it is copied elsewhere.
package image

import "bytes"

// Image is a frozen memory. Its methods may be called concurrently.
type Image interface {
	// Memory returns a memory with the image's content.
	Memory() (Memory, error)
	// Close gives back what the image holds. Memories of it stay valid, but
	// cannot be reset any more: no Reset may run meanwhile.
	Close()
}

// Memory is the memory of one instance.
type Memory interface {
	// Reallocate returns the first size bytes; what lies beyond the image
	// is zero. It returns nil where the memory cannot grow that far.
	Reallocate(size uint64) []byte
	// Size is the number of bytes that the instance holds.
	Size() int
	// Reset puts the image's content back. It returns false, and leaves the
	// memory to be freed, where that cannot be done: once it has grown, the
	// runtime cannot make it smaller.
	Reset() bool
	// Free takes the memory back. It is called once, and nothing may use the
	// memory afterwards.
	Free()
}

// New freezes content, of which it makes a copy. A memory of it can grow to
// limit bytes.
func New(content []byte, limit int) (Image, error) {
	if len(content) >= mapFrom() {
		return newMapped(content, limit)
	}
	return &copied{bytes.Clone(content), limit}, nil
}

type copied struct {
	content []byte
	limit   int
}

// Memory implements Image.
func (c *copied) Memory() (Memory, error) {
	return &duplicate{image: c, b: bytes.Clone(c.content)}, nil
}

// Close implements Image.
func (*copied) Close() {}

type duplicate struct {
	image *copied
	b     []byte
}

var _ Memory = (*duplicate)(nil)

// Reallocate implements Memory.
func (m *duplicate) Reallocate(size uint64) []byte {
	if size > uint64(m.image.limit) { //nolint:gosec // a limit is not negative
		return nil
	}
	n := int(size) //nolint:gosec // at most the limit
	if n > len(m.b) {
		grown := make([]byte, min(max(n, 2*len(m.b)), m.image.limit))
		copy(grown, m.b)
		m.b = grown
	}
	return m.b[:n:n]
}

// Size implements Memory.
func (m *duplicate) Size() int { return len(m.b) }

// Reset implements Memory.
func (m *duplicate) Reset() bool {
	if len(m.b) != len(m.image.content) {
		return false
	}
	copy(m.b, m.image.content)
	return true
}

// Free implements Memory.
func (m *duplicate) Free() { m.b = nil }
