package image

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapped keeps the content in a sealed file without a name.
type mapped struct {
	size, limit int
	content     []byte // the file, to be read

	mu     sync.Mutex
	fd     int
	closed bool
	habits habits
}

func newMapped(content []byte, limit int) (Image, error) {
	fd, err := unix.MemfdCreate("gatehouse-guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return &copied{content, limit}, nil //nolint:nilerr // a kernel or a filter without memfd: copying works, too
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
	return &mapped{size: len(content), limit: limit, content: shown, fd: fd, habits: newHabits(len(content))}, nil
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

// Reset implements Memory. What guests of this image usually write is copied;
// all other pages that this one wrote are dropped, so that the content shows again.
func (m *mapping) Reset() bool {
	if m.committed != m.image.size {
		return false
	}
	b := m.first(m.committed)
	plan := m.image.plan(b)
	for _, r := range plan {
		if r.often {
			copy(b[r.from:r.to], m.image.content[r.from:r.to])
		} else if unix.Madvise(b[r.from:r.to], unix.MADV_DONTNEED) != nil {
			return false
		}
	}
	return plan != nil
}

// plan is how the memory b is put back; nil once the image is closed.
func (i *mapped) plan(b []byte) []stretch {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.habits.look(b, i.content)
	return i.habits.plan
}

// Free implements Memory.
func (m *mapping) Free() {
	_ = unix.MunmapPtr(m.base, uintptr(m.image.limit))
	m.base = nil
}
