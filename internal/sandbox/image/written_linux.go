package image

import (
	"encoding/binary"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const page = 4096

// written asks the kernel which pages of a mapping are the process's own. A page
// of a private mapping of a file is that from the first write on, and until it is
// dropped; any other page still is the file's, or not there yet.
type written struct{ pagemap *os.File }

// pagesWritten opens the kernel's table of this process's pages, once. ok is
// false where that is not to be had, or does not say what it should.
var pagesWritten = sync.OnceValues(func() (w written, ok bool) {
	if os.Getpagesize() != page {
		return written{}, false
	}
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return written{}, false
	}
	w = written{f}
	if !w.tellsTheTruth() {
		_ = f.Close()
		return written{}, false
	}
	return w, true
})

// An entry of the table, by the kernel's documentation.
const (
	entry   = 8 // bytes
	present = 1 << 63
	swapped = 1 << 62
	ofFile  = 1 << 61
)

// own tells whether an entry is of a page that was written. What is neither in
// memory nor swapped out was not, and shows the file when it is touched.
func own(e uint64) bool { return e&(present|swapped) != 0 && e&ofFile == 0 }

// each calls do for each stretch of pages that were written, in bytes from base,
// until do returns false. It reports whether the kernel told of all of them and
// do returned true.
func (w written) each(base unsafe.Pointer, size int, do func(from, to int) bool) bool {
	const batch = 512 // entries
	var table [batch * entry]byte
	from := -1
	for at := 0; at < size; at += batch * page {
		n := min(batch, (size-at+page-1)/page)
		off := int64(uintptr(base)+uintptr(at)) / page * entry //nolint:gosec // addresses of user space are positive
		if got, err := unix.Pread(int(w.pagemap.Fd()), table[:n*entry], off); err != nil || got != n*entry {
			return false
		}
		for i := range n {
			is := own(binary.NativeEndian.Uint64(table[i*entry:]))
			switch p := at + i*page; {
			case is && from < 0:
				from = p
			case !is && from >= 0:
				if !do(from, p) {
					return false
				}
				from = -1
			}
		}
	}
	return from < 0 || do(from, size)
}

// tellsTheTruth tries it: kernels in a sandbox have such a table, too, but not
// always with anything in it.
func (w written) tellsTheTruth() bool {
	const pages = 5
	fd, err := unix.MemfdCreate("gatehouse-try", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if unix.Ftruncate(fd, pages*page) != nil {
		return false
	}
	b, err := unix.Mmap(fd, 0, pages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(b) }()
	var found []int
	look := func() bool {
		found = found[:0]
		return w.each(unsafe.Pointer(&b[0]), len(b), func(from, to int) bool { //nolint:gosec // memory of the kernel's
			found = append(found, from, to)
			return true
		})
	}
	nothing := look() && len(found) == 0
	b[1*page]++
	b[2*page+7]++
	b[4*page] = b[3*page] // read, and written with what it held
	twice := look() && len(found) == 4 && found[0] == 1*page && found[1] == 3*page && found[2] == 4*page && found[3] == 5*page
	return nothing && twice && unix.Madvise(b, unix.MADV_DONTNEED) == nil && look() && len(found) == 0
}
