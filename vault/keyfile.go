package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

var _ KeySource = (*KeyFile)(nil)

// keyFormat begins the line that holds the key.
const keyFormat = "gatehouse-key-v1"

// maxKeyFile is more than any key file with its comments takes, in bytes.
const maxKeyFile = 16 << 10

const keyComment = `# This file unlocks the secrets of Gatehouse.
# Keep a copy in a safe place: without it the secrets are lost.
# Keep it apart from the data folder and from its backups: whoever has both
# has the secrets. Beside it lies a file of the same name ending in ".version",
# which belongs to it.
`

// KeyFile is a key in a file that only its owner can read. The file is made at
// the first use of Wrap. The counters lie beside it, in a file of the same name
// ending in ".version". Its methods may be called concurrently; several
// processes must not share the counters.
type KeyFile struct {
	path string
	data string

	mu  sync.Mutex
	key []byte // nil until read
}

// NewKeyFile names the file; it does no I/O. data is the folder that the key
// must not lie in; "" when the data lies elsewhere, as in a database server.
func NewKeyFile(path, data string) *KeyFile { return &KeyFile{path: path, data: data} }

// Path is where the key is or will be.
func (k *KeyFile) Path() string { return k.path }

// KeyID names the key.
func (k *KeyFile) KeyID(context.Context) (string, error) {
	key, err := k.read()
	if err != nil {
		return "", err
	}
	return keyID(key), nil
}

// Wrap encrypts a data key, and makes the file if there is none.
func (k *KeyFile) Wrap(_ context.Context, plain, bound []byte) ([]byte, error) {
	key, err := k.read()
	if errors.Is(err, ErrNoKey) {
		key, err = k.create()
	}
	if err != nil {
		return nil, err
	}
	return wrapWith(key, plain, bound)
}

// Unwrap decrypts a data key.
func (k *KeyFile) Unwrap(_ context.Context, wrapped, bound []byte) ([]byte, error) {
	key, err := k.read()
	if err != nil {
		return nil, err
	}
	return unwrapWith(key, wrapped, bound)
}

// Check says what is wrong with the file or its place, without making it:
// ErrNoKey when it is not there yet.
func (k *KeyFile) Check() error {
	_, err := k.read()
	return err
}

// read returns the key, from memory once it was read.
func (k *KeyFile) read() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != nil {
		return k.key, nil
	}
	if err := k.apart(); err != nil {
		return nil, err
	}
	key, err := readKey(k.path)
	if err != nil {
		return nil, err
	}
	k.key = key
	return key, nil
}

// create makes the file. Another process that makes it at the same moment
// wins, and its key is used.
func (k *KeyFile) create() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.apart(); err != nil {
		return nil, err
	}
	folder := filepath.Dir(k.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the key's folder: %w", err)
	}
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	key := random(keySize)
	if err := createWhole(k.path, formatKey(key)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the key: %w", err)
	}
	key, err := readKey(k.path)
	if err != nil {
		return nil, err
	}
	k.key = key
	return key, nil
}

// apart refuses a key that lies in the data folder, where every backup of the
// data would hold it.
func (k *KeyFile) apart() error {
	if k.data == "" {
		return nil
	}
	key, data := resolved(k.path), resolved(k.data)
	rel, err := filepath.Rel(data, key)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil
	}
	return fmt.Errorf("the key %s lies inside the data folder %s: move it elsewhere and say so with key: in the configuration", k.path, k.data)
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

// readKey opens, checks and parses a key file.
func readKey(path string) ([]byte, error) {
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
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	defer clear(text)
	key, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", path, err)
	}
	return key, nil
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

// ParseKey reads the text of a key file: comments, and one line with the
// format's name, the key's id and the key in unpadded URL-safe base64. Errors
// never quote the text.
func ParseKey(text []byte) ([]byte, error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("is longer than %d bytes: this is no key file", maxKeyFile)
	}
	var found [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("has %d lines that are no comment, and must have one", len(found))
	}
	fields := bytes.Fields(found[0])
	if len(fields) != 3 || string(fields[0]) != keyFormat {
		return nil, fmt.Errorf("is not of the form %q", keyFormat+" <id> <key>")
	}
	return decodeKey(fields[1], fields[2])
}

func decodeKey(id, text []byte) ([]byte, error) {
	key := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
	n, err := base64.RawURLEncoding.Strict().Decode(key, text)
	if err != nil || n != keySize {
		clear(key)
		return nil, fmt.Errorf("does not hold a key of %d bytes", keySize)
	}
	if subtle.ConstantTimeCompare([]byte(keyID(key)), id) != 1 {
		clear(key)
		return nil, errors.New("is damaged: the key does not belong to its id")
	}
	return key, nil
}

// formatKey writes what ParseKey reads.
func formatKey(key []byte) []byte {
	return fmt.Appendf(nil, "%s%s %s %s\n", keyComment, keyFormat, keyID(key), base64.RawURLEncoding.EncodeToString(key))
}

// keyID names a key without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(bind(domainKeyID, string(key)))
	return hex.EncodeToString(sum[:idSize])
}
