package sqlite

import (
	"encoding/binary"
	"errors"
	"sync"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// disk registers our way to the disk with SQLite, once for the process, and
// returns its name. It is SQLite's own (its "VFS") with two changes:
//
//   - A sync is an fdatasync, as SQLite does by itself where its build has found
//     that there is one. The log is written over again and again; its size
//     stands, and its times need not reach the disk with each commit.
//   - The pages that a transaction adds to the log are written together. SQLite
//     writes each in two parts, which makes dozens of system calls a commit.
//
// The tables of functions are C's: addresses in memory that Go does not manage.
var disk = sync.OnceValues(func() (string, error) {
	tls := libc.NewTLS()
	defer tls.Close()
	own := lib.Xsqlite3_vfs_find(tls, 0)
	name, err := libc.CString("gatehouse")
	p := lib.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(lib.Tsqlite3_vfs{})))
	if own == 0 || p == 0 || err != nil {
		return "", errors.Join(errors.New("sqlite: no memory"), err)
	}
	v := at[lib.Tsqlite3_vfs](p)
	*v = *at[lib.Tsqlite3_vfs](own)
	v.FpNext, v.FzName = 0, name
	v.FszOsFile += int32(unsafe.Sizeof(diskFile{}))
	v.FxOpen = pointer(openFile)
	if lib.Xsqlite3_vfs_register(tls, p, 0) != lib.SQLITE_OK {
		return "", errors.New("sqlite: the way to the disk was refused")
	}
	return "gatehouse", nil
})

// diskFile lies behind SQLite's own description of an open file.
type diskFile struct {
	methods lib.Tsqlite3_io_methods // what SQLite calls; it comes first
	own     lib.Tsqlite3_io_methods // what it would call without us

	// Of a log: what is not written yet, frames of the transaction under way.
	// What is committed is never here, so that whoever reads the log through
	// another file finds all that they look for.
	held     uintptr // memory for mostHeld bytes; 0: none yet
	from     int64   // where what is held belongs
	n        int32   // how much that is
	next     int64   // where the log grew to
	commits  bool    // the frame that is being written ends its transaction
	haveHead bool    // its head is held, its page is not
}

// What SQLite calls.
type (
	openCall  = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32
	closeCall = func(tls *libc.TLS, file uintptr) int32
	moveCall  = func(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32
	sizeCall  = func(tls *libc.TLS, file uintptr, size int64) int32
	askCall   = func(tls *libc.TLS, file, out uintptr) int32
	syncCall  = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// at is what lies at an address that C gave.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) } //nolint:gosec // the memory is C's

// pointer is a function as C keeps it; f must be one that is declared, not a
// closure, which nobody would hold.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) } //nolint:gosec // a function is an address

func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) } //nolint:gosec // as above

func bytesAt(p uintptr, n int32) []byte { return unsafe.Slice(at[byte](p), n) } //nolint:gosec // the memory is C's

func diskFileOf(file uintptr) *diskFile { return at[diskFile](at[lib.Tsqlite3_file](file).FpMethods) }

func openFile(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32 {
	own := at[lib.Tsqlite3_vfs](lib.Xsqlite3_vfs_find(tls, 0))
	rc := function[openCall](own.FxOpen)(tls, vfs, path, file, flags, out)
	f := at[lib.Tsqlite3_file](file)
	if rc != lib.SQLITE_OK || f.FpMethods == 0 {
		return rc
	}
	here := file + uintptr(own.FszOsFile) //nolint:gosec // a size
	d := at[diskFile](here)
	*d = diskFile{own: *at[lib.Tsqlite3_io_methods](f.FpMethods), next: -1}
	d.methods = d.own
	d.methods.FxSync = pointer(syncFile)
	if flags&lib.SQLITE_OPEN_WAL != 0 {
		d.methods.FxClose = pointer(closeLog)
		d.methods.FxRead = pointer(readLog)
		d.methods.FxWrite = pointer(writeLog)
		d.methods.FxTruncate = pointer(truncateLog)
		d.methods.FxFileSize = pointer(sizeOfLog)
		d.methods.FxSync = pointer(syncLog)
	}
	f.FpMethods = here
	return rc
}

// syncFile is SQLite's sync, without the file's times.
func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	u := at[lib.TunixFile](file)
	if u.FctrlFlags&lib.UNIXFILE_DIRSYNC != 0 { // a new file, whose name has to be kept as well
		return function[syncCall](diskFileOf(file).own.FxSync)(tls, file, flags)
	}
	for {
		switch err := syscall.Fdatasync(int(u.Fh)); {
		case err == nil:
			return lib.SQLITE_OK
		case !errors.Is(err, syscall.EINTR):
			return lib.SQLITE_IOERR_FSYNC
		}
	}
}

// The parts of a log, as its format has them.
const (
	frameHead = 24        // bytes before each page; the second word is not zero when the transaction ends here
	mostHeld  = 128 << 10 // bytes that are written together
)

// writeLog holds back the frames of a transaction until the one that commits it.
// Everything else (the log's own head, what is written a second time) goes its
// usual way.
func writeLog(tls *libc.TLS, file, buf uintptr, n int32, where int64) int32 {
	d := diskFileOf(file)
	follows := where == d.next && (n == frameHead) != d.haveHead && n <= mostHeld && d.room(tls)
	if !follows || d.n+n > mostHeld {
		if rc := d.flush(tls, file); rc != lib.SQLITE_OK {
			return rc
		}
	}
	if !follows {
		d.next, d.haveHead, d.commits = where+int64(n), false, false
		return function[moveCall](d.own.FxWrite)(tls, file, buf, n, where)
	}
	return d.hold(tls, file, bytesAt(buf, n), where)
}

// room sees to it that there is memory to hold frames in.
func (d *diskFile) room(tls *libc.TLS) bool {
	if d.held == 0 {
		d.held = lib.Xsqlite3_malloc(tls, mostHeld)
	}
	return d.held != 0
}

func (d *diskFile) hold(tls *libc.TLS, file uintptr, part []byte, where int64) int32 {
	if d.n == 0 {
		d.from = where
	}
	d.n += int32(copy(bytesAt(d.held, mostHeld)[d.n:], part)) //nolint:gosec // at most mostHeld
	d.next += int64(len(part))
	if d.haveHead = !d.haveHead; d.haveHead {
		d.commits = binary.BigEndian.Uint32(part[4:]) != 0
		return lib.SQLITE_OK
	}
	if d.commits {
		return d.flush(tls, file)
	}
	return lib.SQLITE_OK
}

// flush writes what is held. What cannot be written is forgotten: SQLite takes
// the transaction back.
func (d *diskFile) flush(tls *libc.TLS, file uintptr) int32 {
	if d.n == 0 {
		return lib.SQLITE_OK
	}
	rc := function[moveCall](d.own.FxWrite)(tls, file, d.held, d.n, d.from)
	d.n = 0
	if rc != lib.SQLITE_OK {
		d.next = -1
	}
	return rc
}

func readLog(tls *libc.TLS, file, buf uintptr, n int32, where int64) int32 {
	d := diskFileOf(file)
	if rc := d.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[moveCall](d.own.FxRead)(tls, file, buf, n, where)
}

func truncateLog(tls *libc.TLS, file uintptr, size int64) int32 {
	d := diskFileOf(file)
	if rc := d.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[sizeCall](d.own.FxTruncate)(tls, file, size)
}

func sizeOfLog(tls *libc.TLS, file, out uintptr) int32 {
	d := diskFileOf(file)
	if rc := d.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[askCall](d.own.FxFileSize)(tls, file, out)
}

func syncLog(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := diskFileOf(file).flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return syncFile(tls, file, flags)
}

// closeLog drops what is held: nobody has committed it.
func closeLog(tls *libc.TLS, file uintptr) int32 {
	d := diskFileOf(file)
	lib.Xsqlite3_free(tls, d.held)
	d.held, d.n = 0, 0
	return function[closeCall](d.own.FxClose)(tls, file)
}
