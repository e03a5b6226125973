package wasm

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

var errTruncated = errors.New("the module ends in the middle")

// reader walks over a part of a module. Its first error sticks, after which
// everything reads as zero.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) more() bool { return r.err == nil && r.at < len(r.b) }

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.at >= len(r.b) {
		r.err = errTruncated
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.fail("a number of more than 32 bits")
			return 0
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	return v
}

// signed reads a signed LEB128 of at most the given number of bits. The unused
// bits of the last byte must repeat the sign.
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		if r.err != nil {
			return 0
		}
		v |= int64(c&0x7f) << shift
		if left := bits - shift; left <= 7 {
			sign := int8(c<<1) >> left //nolint:gosec // bits, not a number: the sign bit and what lies above it, as -1 or 0
			if c >= 0x80 || (sign != 0 && sign != -1) {
				r.fail("a number of more than %d bits", bits)
				return 0
			}
		}
		if c < 0x80 {
			if shift+7 < 64 && c&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > size(r.b[r.at:]) {
		r.err = errTruncated
		return nil
	}
	b := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail("a name that is not UTF-8")
		return ""
	}
	return string(b)
}

// count reads the length of a list of which at most limit entries are allowed.
func (r *reader) count(limit uint64, what string) int {
	n := r.u32()
	if uint64(n) > limit {
		r.fail("%s %s, at most %s", thousands(uint64(n)), what, thousands(limit))
		return 0
	}
	return int(n)
}

func size[T any](list []T) uint64 { return uint64(len(list)) }

// thousands writes a number as a person reads it.
func thousands(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
