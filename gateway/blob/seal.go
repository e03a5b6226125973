package blob

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/vault"
)

// Seals encrypts under a workspace's key; vault.Store implements it.
type Seals interface {
	SealContent(ctx context.Context, dst []byte, workspace string, plain []byte, place ...string) ([]byte, error)
	OpenContent(ctx context.Context, workspace string, sealed []byte, place ...string) ([]byte, error)
}

// Seal says how the files of a [Folder] are encrypted at rest.
type Seal struct {
	Seals Seals
	On    bool // what is put is sealed; else it is only opened
	// Workspace has the key. It is one for all files: the same file is kept once,
	// whoever sent it.
	Workspace string
}

// A sealed file begins with sealMagic and a number of its own, to which each of
// its pieces is tied together with the piece's place; so pieces cannot be
// exchanged, and the last one not be cut off.
const (
	sealMagic  = "\x00\x9c\xe5GHf1\xb7"
	sealSerial = 16
	sealPiece  = 64 << 10 // bytes of the file in a piece
	sealMore   = 53       // bytes that sealing adds to each
)

func sealPlace(serial []byte, n int, last bool) []string {
	return []string{"file", string(serial), strconv.Itoa(n), strconv.FormatBool(last)}
}

// write seals what r gives.
func (s *Seal) write(ctx context.Context, w io.Writer, r io.Reader) error {
	var serial [sealSerial]byte
	_, _ = rand.Read(serial[:]) // never fails; see crypto/rand
	if _, err := w.Write(append([]byte(sealMagic), serial[:]...)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, sealPiece)
	plain, sealed := make([]byte, sealPiece), make([]byte, 0, sealPiece+sealMore)
	for n := 0; ; n++ {
		got, err := io.ReadFull(in, plain)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		last := err != nil
		if !last {
			_, err := in.Peek(1)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			last = err != nil
		}
		sealed, err = s.Seals.SealContent(ctx, sealed[:0], s.Workspace, plain[:got], sealPlace(serial[:], n, last)...)
		if err != nil {
			return err
		}
		if _, err := w.Write(sealed); err != nil || last {
			return err
		}
	}
}

// unsealer reads what write wrote.
type unsealer struct {
	io.Closer
	ctx    context.Context //nolint:containedctx // of the call of Open that it belongs to
	s      *Seal
	in     *bufio.Reader
	serial []byte
	n      int
	last   bool
	piece  []byte
	left   []byte
}

// reader returns what reads a file, whether it is sealed or not.
func (s *Seal) reader(ctx context.Context, f io.ReadCloser) (io.ReadCloser, error) {
	head := make([]byte, len(sealMagic)+sealSerial)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if n < len(head) || string(head[:len(sealMagic)]) != sealMagic {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head[:n]), f), f}, nil
	}
	return &unsealer{
		Closer: f, ctx: ctx, s: s, in: bufio.NewReaderSize(f, sealPiece+sealMore),
		serial: head[len(sealMagic):], piece: make([]byte, sealPiece+sealMore),
	}, nil
}

// Read implements io.Reader.
func (u *unsealer) Read(p []byte) (int, error) {
	for len(u.left) == 0 {
		if u.last {
			return 0, io.EOF
		}
		if err := u.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.left)
	u.left = u.left[n:]
	return n, nil
}

func (u *unsealer) next() error {
	got, err := io.ReadFull(u.in, u.piece)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		u.last = true
	case err != nil:
		return err
	default:
		_, err := u.in.Peek(1)
		u.last = err != nil
	}
	u.left, err = u.s.Seals.OpenContent(u.ctx, u.s.Workspace, u.piece[:got], sealPlace(u.serial, u.n, u.last)...)
	u.n++
	switch {
	case errors.Is(err, vault.ErrNotFound), errors.Is(err, vault.ErrCorrupt):
		return ErrCorrupt
	case err != nil:
		return fmt.Errorf("decrypt a kept file: %w", err)
	}
	return nil
}

// Convert brings the files that are kept into the form that is wanted. A file
// that nobody can read stays as it is. It blocks until it is done, and can be
// begun anew at any time.
func (f *Folder) Convert(ctx context.Context) error {
	if f.seal == nil {
		return nil
	}
	after := ID("")
	for {
		ids, err := f.Old(ctx, after, f.now().AddDate(100, 0, 0), 100) // whatever the clock was
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := f.convert(ctx, id); err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
				return err
			}
			after = id
		}
	}
}

func (f *Folder) convert(ctx context.Context, id ID) error {
	file, err := os.Open(f.path(id))
	if err != nil {
		return absent("convert a kept file", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	r, err := f.seal.reader(ctx, file)
	if err != nil {
		return err
	}
	if _, sealed := r.(*unsealer); sealed == f.seal.On {
		return nil
	}
	tmp, _, err := f.write(ctx, verify(r, id), info.Size())
	if err != nil {
		return err
	}
	defer os.Remove(tmp) //nolint:errcheck // it is gone when it has its name
	return f.replace(tmp, id)
}

// replace exchanges a file for another form of it, which keeps the time, unless
// it was removed meanwhile.
func (f *Folder) replace(tmp string, id ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path(id))
	if err != nil {
		return absent("convert a kept file", err)
	}
	if err := os.Chtimes(tmp, info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	if err := os.Rename(tmp, f.path(id)); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.path(id)))
}
