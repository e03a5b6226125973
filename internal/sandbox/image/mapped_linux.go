package image

import (
	"bytes"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFrom is the size from which mapping costs less than copying, in bytes: all
// of it is copied after each call, while a mapping only gets those pages back that
// were written, unless nobody tells which they are.
func mapFrom() int {
	if _, ok := pagesWritten(); ok {
		return 96 << 10
	}
	return 512 << 10
}

// mapped keeps the content in a sealed file without a name.
type mapped struct {
	size, limit int
	content     []byte // the file, to be read

	mu     sync.RWMutex // closing waits for those that read content
	fd     int
	closed bool
}

func newMapped(content []byte, limit int) (Image, error) {
	fd, err := unix.MemfdCreate("gatehouse-guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return &copied{bytes.Clone(content), limit}, nil //nolint:nilerr // a kernel or a filter without memfd: copying works, too
	}
	if err := fill(fd, content); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("keep a guest's memory: %w", err)
	}
	shown, err := unix.Mmap(fd, 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("keep a guest's memory: %w", err)
	}
	return &mapped{size: len(content), limit: limit, content: shown, fd: fd}, nil
}

// fill writes what is not zero, so that the rest takes no room, and seals.
func fill(fd int, content []byte) error {
	if err := unix.Ftruncate(fd, int64(len(content))); err != nil {
		return err
	}
	for off := 0; off < len(content); off += page {
		part := content[off:min(off+page, len(content))]
		if isZero(part) {
			continue
		}
		if _, err := unix.Pwrite(fd, part, int64(off)); err != nil {
			return err
		}
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return err
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Memory implements Image.
func (i *mapped) Memory() (Memory, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil, fmt.Errorf("map a guest's memory: %w", unix.EBADF)
	}
	m, err := i.mapIt()
	if err != nil {
		return nil, fmt.Errorf("map a guest's memory: %w", err)
	}
	return m, nil
}

// mapIt reserves addresses up to the limit and maps the content at their start.
func (i *mapped) mapIt() (*mapping, error) {
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(i.limit), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	m := &mapping{image: i, base: base, committed: i.size}
	if _, err := unix.MmapPtr(i.fd, 0, base, uintptr(i.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE); err != nil {
		m.Free()
		return nil, err
	}
	return m, nil
}

// Close implements Image.
func (i *mapped) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return
	}
	i.closed = true
	_ = unix.Munmap(i.content)
	_ = unix.Close(i.fd) // mappings outlive the descriptor
}

type mapping struct {
	image     *mapped
	base      unsafe.Pointer
	committed int
	resets    int
}

var _ Memory = (*mapping)(nil)

// first is the beginning of the mapping, which is at least n bytes long.
func (m *mapping) first(n int) []byte { return unsafe.Slice((*byte)(m.base), n) } //nolint:gosec // memory of the kernel's, not Go's

// Reallocate implements Memory.
func (m *mapping) Reallocate(size uint64) []byte {
	if size > uint64(m.image.limit) { //nolint:gosec // a limit is not negative
		return nil
	}
	n := int(size) //nolint:gosec // at most the limit
	if n > m.committed {
		if err := unix.Mprotect(m.first(n)[m.committed:], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil
		}
		m.committed = n
	}
	return m.first(n)[:n:n]
}

// Size implements Memory.
func (m *mapping) Size() int { return m.committed }

// What an instance keeps for itself between calls.
const (
	mostKept = 256 * page // bytes
	forget   = 256        // calls, after which it drops all pages: of those, too, that were written once
)

// Reset implements Memory. The pages that were written since they were last
// dropped are copied, which costs a fraction of dropping them and of taking the
// faults at the next write; the others still are the image's. All are dropped
// now and then, where they have become many, and where nobody tells which they are.
func (m *mapping) Reset() bool {
	if m.committed != m.image.size {
		return false
	}
	m.image.mu.RLock()
	defer m.image.mu.RUnlock()
	if m.image.closed {
		return false
	}
	m.resets++
	if w, ok := pagesWritten(); ok && m.resets%forget != 0 && m.putBack(w) {
		return true
	}
	return unix.Madvise(m.first(m.committed), unix.MADV_DONTNEED) == nil
}

// putBack copies the pages that were written; false where not all of them were.
func (m *mapping) putBack(w written) bool {
	b, kept := m.first(m.committed), 0
	return w.each(m.base, m.committed, func(from, to int) bool {
		kept += to - from
		copy(b[from:to], m.image.content[from:to])
		return kept <= mostKept
	})
}

// Free implements Memory.
func (m *mapping) Free() {
	_ = unix.MunmapPtr(m.base, uintptr(m.image.limit))
	m.base = nil
}
