package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// meteredCache keeps modules that were checked and metered, beside the compiled
// ones and trusted like them: the folder is the process's own. Those that are
// compiled are kept without their code (see hollow.go). A file's name says
// of which module it is, by which limits it was checked, and with which version
// of the checker, so that none is ever found that would be refused today. What
// cannot be read or written is as if it were not there.
type meteredCache struct {
	dir     string // "": nothing is kept
	version [sha256.Size]byte
}

// file is where a module is kept; "" where nothing is.
func (k meteredCache) file(module []byte, lim wasm.Limits, o wasm.Options, cfg Config) string {
	if k.dir == "" {
		return ""
	}
	key := sha256.New()
	_, _ = fmt.Fprintf(key, "%x %x %v %v %d %t", k.version, sha256.Sum256(module), lim, o, cfg.ABI, cfg.Interpreted) // maps are printed in order
	return filepath.Join(k.dir, "metered-"+hex.EncodeToString(key.Sum(nil)))
}

// abandoned is how old something unfinished must be to be nobody's: compiling the
// largest module takes minutes.
const abandoned = 6 * time.Hour

// tidy removes what processes that were killed have left unfinished.
func (k meteredCache) tidy(now time.Time) {
	for _, pattern := range []string{beingCompiled, beingWritten} {
		found, _ := filepath.Glob(filepath.Join(k.dir, pattern)) // the patterns are right
		for _, path := range found {
			if i, err := os.Stat(path); err == nil && now.Sub(i.ModTime()) > abandoned {
				_ = os.RemoveAll(path) // it will be tried again
			}
		}
	}
}

// What is unfinished in the folder.
const (
	beingCompiled = "compile-*"
	beingWritten  = "metered-*.part"
)

const checksum = 4 // bytes, in front of a file

func (k meteredCache) read(file string) (wasm.Rewritten, bool) {
	if file == "" {
		return wasm.Rewritten{}, false
	}
	b, err := os.ReadFile(file) //nolint:gosec // in the cache's folder
	if err != nil || len(b) < checksum || binary.LittleEndian.Uint32(b) != sumOf(b[checksum:]) {
		return wasm.Rewritten{}, false
	}
	var r wasm.Rewritten
	return r, r.UnmarshalBinary(b[checksum:]) == nil
}

// write keeps a module. Whoever reads meanwhile finds all of it or nothing.
func (k meteredCache) write(file string, r wasm.Rewritten) {
	if file == "" {
		return
	}
	content, _ := r.MarshalBinary() // it never fails
	f, err := os.CreateTemp(k.dir, beingWritten)
	if err != nil {
		return
	}
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, sumOf(content)), content...))
	if closed := f.Close(); err != nil || closed != nil || os.Rename(f.Name(), file) != nil {
		_ = os.Remove(f.Name())
	}
}

func sumOf(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
