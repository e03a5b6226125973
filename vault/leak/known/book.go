// Package known recognises secrets that are known, however they are written,
// without keeping them.
//
// A [Book] is taught values and keeps keyed hashes of parts of them. It reads a
// text in several views (as it stands, unescaped, decoded) and looks for those
// parts in each. Every view is folded first: compatibility forms, look-alike
// letters and case are made one, and everything but letters and digits is left
// out, so that spaces, dashes or invisible characters between the letters hide
// nothing.
package known

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Window is how many folded characters in a row are recognised: a shorter value
// is never found.
const Window = 12

const (
	keySize = 32
	// minKinds is how many different characters a window must have, so that
	// rulers and padding within a value do not make ordinary text match.
	minKinds = 5
	// longRun is how many characters must match where all of them could be words:
	// "the password of" may stand in a passphrase as well as in a letter.
	longRun = 20
	// dense is how many windows of a value are all kept; of the rest one in
	// sparse is, as of the forms that a value may be rewritten in.
	dense  = 2048
	sparse = 4

	bitsPerWindow = 32 // of the bitmap; two are set for each
	minBits       = 1 << 15
)

// Span is a part of a text, as offsets in bytes.
type Span struct{ From, To int }

// Book knows values. The zero Book is not usable; make it with New. It may be
// used concurrently.
type Book struct {
	key   [keySize]byte
	base  uint64    // odd; of the rolling hash
	mix   [2]uint64 // odd; spread the hash over the bitmap
	drops [256]uint64

	mu    sync.RWMutex
	bits  []uint64 // nil until something was learnt
	shift uint     // 64 - log2 of the number of bits
	known map[uint64]entry
	exact bool // some values are known as bytes, for folding would leave too little

	lessons map[string][]lesson // by name
	next    atomic.Int64        // when something is to be forgotten, in ns since 1970; 0: nothing is
}

// entry is a window that is known, under its rolling hash.
type entry struct {
	sum  [16]byte // keyed hash of the window, which confirms the match
	weak bool     // could be words: counts only in a run of longRun
	held int      // how often a value that is known has it
}

// New makes a book that knows nothing.
func New() *Book {
	b := &Book{known: map[uint64]entry{}, lessons: map[string][]lesson{}}
	_, _ = rand.Read(b.key[:])
	b.base, b.mix[0], b.mix[1] = odd(), odd(), odd()
	drop := uint64(1)
	for range Window {
		drop *= b.base
	}
	for c := range b.drops {
		b.drops[c] = drop * uint64(c)
	}
	return b
}

func odd() uint64 {
	var x [8]byte
	_, _ = rand.Read(x[:])
	return binary.LittleEndian.Uint64(x[:]) | 1
}

// grow makes the bitmap large enough.
func (b *Book) grow(windows int) {
	want := max(minBits, 1<<bits.Len(uint(windows*bitsPerWindow)))
	if len(b.bits)*64 >= want {
		return
	}
	b.bits = make([]uint64, want/64)
	b.shift = uint(64 - bits.TrailingZeros(uint(want)))
	for h := range b.known {
		b.set(h)
	}
}

func (b *Book) set(hash uint64) {
	for _, m := range b.mix {
		i := hash * m >> b.shift
		b.bits[i/64] |= 1 << (i % 64)
	}
}

// hash is the rolling hash of one window.
func (b *Book) hash(window []byte) uint64 {
	var h uint64
	for _, c := range window {
		h = h*b.base + uint64(c)
	}
	return h
}

// seal is the keyed hash of one window. All windows are of one length, so that
// a key in front is enough.
func (b *Book) seal(window []byte) [16]byte {
	var in [keySize + Window]byte
	copy(in[:], b.key[:])
	copy(in[keySize:], window)
	sum := sha256.Sum256(in[:])
	clear(in[keySize:])
	return [16]byte(sum[:16])
}

// search calls f with each run of known windows in text that counts. The caller
// holds b.mu.
func (b *Book) search(text []byte, f func(Span)) {
	if len(text) < Window {
		return
	}
	bits, shift, base, first, second := b.bits, b.shift, b.base, b.mix[0], b.mix[1]
	h := b.hash(text[:Window-1])
	run, counts := Span{From: -1}, false
	for i := Window - 1; i < len(text); i++ {
		h = h*base + uint64(text[i])
		if i >= Window {
			h -= b.drops[text[i-Window]]
		}
		one := h * first >> shift
		if bits[one/64]&(1<<(one%64)) == 0 {
			continue
		}
		two := h * second >> shift
		if bits[two/64]&(1<<(two%64)) == 0 {
			continue
		}
		window := text[i+1-Window : i+1]
		e, is := b.known[h]
		if !is || e.sum != b.seal(window) {
			continue
		}
		if run.From >= 0 && i+1-Window < run.To {
			run.To, counts = i+1, counts || !e.weak
			continue
		}
		finish(run, counts, f)
		run, counts = Span{From: i + 1 - Window, To: i + 1}, !e.weak
	}
	finish(run, counts, f)
}

func finish(run Span, counts bool, f func(Span)) {
	if run.From >= 0 && (counts || run.To-run.From >= longRun) {
		f(run)
	}
}
