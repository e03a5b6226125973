// Package image gives each instance of a guest a linear memory that begins as
// the same snapshot.
//
// A small snapshot is copied into a recycled buffer, which costs less than the
// page faults of a mapping. A large one is mapped copy-on-write where the system
// can do that (Linux), so that an instance pays for the pages it writes; it is
// copied elsewhere.
package image

import "sync"

// mapFrom is the size from which mapping costs less than copying, in bytes.
const mapFrom = 512 << 10

// kept is how many unused memories an image keeps for the next instances.
const kept = 16

// Image is a frozen memory. Its methods may be called concurrently.
type Image interface {
	// Memory returns a memory with the image's content.
	Memory() (Memory, error)
	// Close gives back what unused memories and the image hold. Memories that
	// are in use stay valid.
	Close()
}

// Memory is the memory of one instance.
type Memory interface {
	// Reallocate returns the first size bytes; what lies beyond the image
	// is zero. It returns nil where the memory cannot grow that far.
	Reallocate(size uint64) []byte
	// Size is the number of bytes that the instance holds.
	Size() int
	// Free takes the memory back. It is called once, and nothing may use the
	// memory afterwards.
	Free()
}

// New freezes content, which the image then owns. A memory of it can grow to
// limit bytes.
func New(content []byte, limit int) (Image, error) {
	if len(content) >= mapFrom {
		return newMapped(content, limit)
	}
	return newCopied(content, limit), nil
}

type copied struct {
	content []byte
	limit   int

	mu   sync.Mutex
	free [][]byte // nil once closed
}

func newCopied(content []byte, limit int) *copied {
	return &copied{content: content, limit: limit, free: [][]byte{}}
}

func (c *copied) Memory() (Memory, error) {
	c.mu.Lock()
	var b []byte
	if n := len(c.free); n > 0 {
		b, c.free = c.free[n-1], c.free[:n-1]
	}
	c.mu.Unlock()
	if b == nil {
		b = make([]byte, len(c.content))
	}
	copy(b, c.content)
	return &duplicate{image: c, b: b}, nil
}

func (c *copied) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = nil
}

func (c *copied) recycle(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free != nil && len(c.free) < kept && len(b) == len(c.content) {
		c.free = append(c.free, b)
	}
}

type duplicate struct {
	image *copied
	b     []byte
}

var _ Memory = (*duplicate)(nil)

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

func (m *duplicate) Size() int { return len(m.b) }

func (m *duplicate) Free() {
	m.image.recycle(m.b)
	m.b = nil
}
