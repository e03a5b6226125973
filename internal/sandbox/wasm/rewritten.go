package wasm

import (
	"encoding"
	"encoding/binary"
	"slices"
)

var (
	_ encoding.BinaryMarshaler   = Rewritten{}
	_ encoding.BinaryUnmarshaler = (*Rewritten)(nil)
)

const (
	flagStart = 1 << iota
	flagHollow
)

// MarshalBinary implements encoding.BinaryMarshaler. It never fails.
func (r Rewritten) MarshalBinary() ([]byte, error) {
	n := len(r.Binary) + 64*(len(r.State)+1)
	for _, d := range r.Data {
		n += len(d.Bytes) + 2*binary.MaxVarintLen32
	}
	e := &encoder{out: make([]byte, 0, n)}
	flags := byte(0)
	if r.Start {
		flags |= flagStart
	}
	if r.Hollow {
		flags |= flagHollow
	}
	e.byte(flags)
	e.u32(uint32(len(r.Binary))) //nolint:gosec // bounded by Limits
	e.byte(r.Binary...)
	e.u32(uint32(len(r.State))) //nolint:gosec // bounded by Limits
	for _, s := range r.State {
		e.name(s)
	}
	e.u32(uint32(len(r.Data))) //nolint:gosec // bounded by Limits
	for _, d := range r.Data {
		e.u32(d.Offset)
		e.u32(uint32(len(d.Bytes))) //nolint:gosec // bounded by Limits
		e.byte(d.Bytes...)
	}
	return e.out, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. The result refers to b.
func (r *Rewritten) UnmarshalBinary(b []byte) error {
	in := &reader{b: b}
	flags := in.byte()
	out := Rewritten{Start: flags&flagStart != 0, Hollow: flags&flagHollow != 0}
	out.Binary = in.bytes(in.u32())
	for n := in.count(size(b), "variables"); n > 0 && in.err == nil; n-- {
		out.State = append(out.State, string(in.bytes(in.u32())))
	}
	n := in.count(size(b), "data segments")
	out.Data = slices.Grow(out.Data, min(n, len(b)/2)) // each takes two bytes at least
	for ; n > 0 && in.err == nil; n-- {
		out.Data = append(out.Data, Data{in.u32(), in.bytes(in.u32())})
	}
	if in.err == nil && in.more() {
		in.fail("more than a module")
	}
	if in.err != nil {
		return in.err
	}
	*r = out
	return nil
}
