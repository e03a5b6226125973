package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"sync"
)

// Scrubber hides known values in what is written through it, as the last net
// under a log. It keeps no value: of every MinMatch bytes in a row it keeps a
// keyed SHA-256, and a bitmap by which nearly all other text is passed over. So
// a part of a value is found as well, and text around it is left as it is.
//
// It finds values as they are, not encoded or with their case changed. Shorter
// values than MinMatch are never found. It may be used concurrently.
type Scrubber struct {
	key  [keySize]byte
	base uint64 // odd; of the rolling hash
	drop uint64 // base to the power of MinMatch
	mix  uint64 // odd; spreads the hash over the bitmap

	mu    sync.RWMutex
	bits  []uint64 // nil until something was learnt
	known map[shingle]struct{}
}

// shingle is the keyed hash of MinMatch bytes.
type shingle [16]byte

const (
	mapBits = 18 // of the bitmap's size: 32 KiB, 4 in 100 bits set by 250 long values
	// minKinds is how many different bytes a shingle must have, so that rulers
	// and padding within a value do not make ordinary text match.
	minKinds = 5
)

// NewScrubber makes a scrubber that knows nothing.
func NewScrubber() *Scrubber {
	s := &Scrubber{drop: 1, known: map[shingle]struct{}{}}
	copy(s.key[:], random(keySize))
	s.base = binary.LittleEndian.Uint64(random(8)) | 1
	s.mix = binary.LittleEndian.Uint64(random(8)) | 1
	for range MinMatch {
		s.drop *= s.base
	}
	return s
}

// Learn adds a value. A nil scrubber learns nothing. The caller clears plain.
func (s *Scrubber) Learn(plain []byte) {
	if s == nil || len(plain) < MinMatch {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bits == nil {
		s.bits = make([]uint64, 1<<(mapBits-6))
	}
	s.roll(plain, func(end int, hash uint64) {
		part := plain[end-MinMatch : end]
		if kinds(part) < minKinds {
			return
		}
		i := s.slot(hash)
		s.bits[i/64] |= 1 << (i % 64)
		s.known[s.hash(part)] = struct{}{}
	})
}

// Scrub returns text with the known values replaced by "[secret]". It returns
// text itself when there is nothing to hide, and never changes it.
func (s *Scrubber) Scrub(text []byte) []byte {
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.bits == nil {
		return text
	}
	var out []byte
	from, until := 0, 0 // what is copied so far, and the end of what is hidden
	s.roll(text, func(end int, hash uint64) {
		if i := s.slot(hash); s.bits[i/64]&(1<<(i%64)) == 0 {
			return
		}
		start := end - MinMatch
		if _, is := s.known[s.hash(text[start:end])]; !is {
			return
		}
		if until == 0 || start > until {
			out = append(append(out, text[from:start]...), hidden...)
		}
		from, until = end, end
	})
	if until == 0 {
		return text
	}
	return append(out, text[from:]...)
}

// roll calls f with the hash of each MinMatch bytes in a row and where they end.
func (s *Scrubber) roll(text []byte, f func(end int, hash uint64)) {
	var hash uint64
	for i, c := range text {
		hash = hash*s.base + uint64(c)
		if i >= MinMatch {
			hash -= s.drop * uint64(text[i-MinMatch])
		}
		if i >= MinMatch-1 {
			f(i+1, hash)
		}
	}
}

// slot is the bit of the bitmap that belongs to a hash.
func (s *Scrubber) slot(hash uint64) uint64 { return hash * s.mix >> (64 - mapBits) }

// hash is the keyed hash of MinMatch bytes. All inputs are of one length, so
// that a key in front is enough.
func (s *Scrubber) hash(part []byte) shingle {
	var in [keySize + MinMatch]byte
	copy(in[:], s.key[:])
	copy(in[keySize:], part)
	sum := sha256.Sum256(in[:])
	clear(in[keySize:])
	return shingle(sum[:])
}

// kinds counts the different bytes.
func kinds(part []byte) int {
	n := 0
	for i, c := range part {
		if bytes.IndexByte(part[:i], c) < 0 {
			n++
		}
	}
	return n
}

// Writer hides known values in what is written to w. A value that is split over
// two writes is not found: put it under something that writes whole lines at
// once, as the handlers of slog do. A nil scrubber writes everything as it is.
func (s *Scrubber) Writer(w io.Writer) io.Writer { return &scrubbed{s: s, w: w} }

type scrubbed struct {
	s *Scrubber
	w io.Writer
}

// Write implements io.Writer. It counts the bytes it was given, not those that
// were written in their place.
func (x *scrubbed) Write(p []byte) (int, error) {
	if _, err := x.w.Write(x.s.Scrub(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
