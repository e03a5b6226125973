package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

var (
	_ KeySource = (*KeyFile)(nil)
	_ Renewer   = (*KeyFile)(nil)
	_ KeyText   = (*File)(nil)
)

// KeyFile is a key in a file that only its owner can read. The file is made at
// the first use of Wrap. The counters lie beside it, in a file of the same name
// ending in ".version". Its methods may be called concurrently; several
// processes must not share the counters.
type KeyFile struct {
	*Ring
	*Marks
	path string
}

// NewKeyFile names the file; it does no I/O. data is the folder that the key
// must not lie in; "" when the data lies elsewhere, as in a database server.
func NewKeyFile(path, data string) *KeyFile {
	return &KeyFile{Ring: NewRing(NewFile(path, data)), Marks: NewMarks(path+".version", data), path: path}
}

// Path is where the key is or will be.
func (k *KeyFile) Path() string { return k.path }

// Check says what is wrong with the file or its place, without making it:
// ErrNoKey when it is not there yet.
func (k *KeyFile) Check() error {
	_, err := k.KeyID(context.Background())
	return err
}

// File is a text in a file that only its owner can read.
type File struct{ path, data string }

// NewFile names the file; it does no I/O. data is the folder that it must not
// lie in, "" for none.
func NewFile(path, data string) *File { return &File{path: path, data: data} }

// Load implements KeyText.
func (f *File) Load(context.Context) ([]byte, error) {
	if err := f.apart(); err != nil {
		return nil, err
	}
	return readPrivate(f.path)
}

// Create implements KeyText, and makes the folder.
func (f *File) Create(_ context.Context, text []byte) error {
	if err := f.apart(); err != nil {
		return err
	}
	folder := filepath.Dir(f.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the key's folder: %w", err)
	}
	if err := checkFolder(folder); err != nil {
		return err
	}
	return createWhole(f.path, text)
}

// Replace implements KeyText.
func (f *File) Replace(_ context.Context, text []byte) error {
	if err := f.apart(); err != nil {
		return err
	}
	return replaceWhole(f.path, text)
}

// String is the file's path.
func (f *File) String() string { return f.path }

// apart refuses a file that lies in the data folder, where every backup of the
// data would hold it.
func (f *File) apart() error {
	if f.data == "" || !inside(f.path, f.data) {
		return nil
	}
	return fmt.Errorf("the key %s lies inside the data folder %s: move it elsewhere and say so with key: in the configuration", f.path, f.data)
}

// inside reports whether path lies in folder, through symbolic links.
func inside(path, folder string) bool {
	rel, err := filepath.Rel(resolved(folder), resolved(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolved is the path without symbolic links, as far as it exists.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for at := abs; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == filepath.Dir(at) {
			return abs
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// readPrivate reads a file that only its owner may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own path
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	if err := checkMode(f); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyText+1))
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	return text, nil
}

// checkMode refuses a file that others can read, on systems that have modes.
func checkMode(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("the key %s is not a regular file", f.Name())
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the key %s can be read or written by others (mode %04o): chmod 600 it", f.Name(), st.Mode().Perm())
	}
	return nil
}

// checkFolder refuses a folder in which others could exchange the key.
func checkFolder(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the key's folder: %w", err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o022 != 0 && st.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("others can write to the key's folder %s (mode %04o): chmod 700 it", path, st.Mode().Perm())
	}
	return nil
}

// keyID names a key without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(bind(domainKeyID, string(key)))
	return hex.EncodeToString(sum[:idSize])
}
