// Package vector makes vectors small: a byte for each dimension to compare them
// by, and a bit for each to find out quickly which are worth comparing.
package vector

import (
	"encoding/binary"
	"math"
)

// Code is a vector in bytes: its scale, then one signed byte a dimension. It
// keeps the cosine to about a hundredth.
type Code []byte

const head = 4

// Encode makes the code of a vector. A nil vector has none.
func Encode(v []float32) Code {
	if len(v) == 0 {
		return nil
	}
	most := float32(0)
	for _, x := range v {
		most = max(most, x, -x)
	}
	c := make(Code, head+len(v))
	if most == 0 {
		return c
	}
	scale := most / 127
	binary.LittleEndian.PutUint32(c, math.Float32bits(scale))
	for i, x := range v {
		c[head+i] = byte(int8(math.RoundToEven(float64(x / scale)))) //nolint:gosec // a signed byte, kept as it is
	}
	return c
}

// Length is how many bytes the code of a vector has.
func Length(dimensions int) int { return head + dimensions }

// Dimensions is the length of the vector.
func (c Code) Dimensions() int { return max(0, len(c)-head) }

// Cosine compares a unit vector with a code of the same length.
func (c Code) Cosine(q []float32) float64 {
	if c.Dimensions() != len(q) || len(q) == 0 {
		return 0
	}
	var dot, square float32
	for i, b := range c[head:] {
		x := float32(int8(b)) //nolint:gosec // a signed byte
		dot += x * q[i]
		square += x * x
	}
	if square == 0 {
		return 0
	}
	return float64(dot) / math.Sqrt(float64(square)) // the scale falls out
}

// Signs appends a bit for each dimension, in words of 64.
func (c Code) Signs(dst []uint64) []uint64 {
	var word uint64
	values := c[min(head, len(c)):]
	for i, b := range values {
		if int8(b) > 0 { //nolint:gosec // a signed byte
			word |= 1 << (i % 64)
		}
		if i%64 == 63 || i == len(values)-1 {
			dst = append(dst, word)
			word = 0
		}
	}
	return dst
}
