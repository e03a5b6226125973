package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Payload is what passes between guest and host, both ways. As bytes it is
// the length of the header (32 bits, little-endian), the header, and the body.
// Bodies travel as they are: base64 costs a guest more than all else together.
type Payload struct {
	Header json.RawMessage // nil: none
	Body   []byte
}

// Faults of a payload.
var (
	errFrame  = errors.New("a payload whose header is longer than itself")
	errHeader = errors.New("a header that is not JSON in UTF-8")
)

// Encode frames a payload.
func (p Payload) Encode() []byte {
	b := make([]byte, 4, 4+len(p.Header)+len(p.Body))
	binary.LittleEndian.PutUint32(b, uint32(len(p.Header))) //nolint:gosec // headers are small; a body has no length
	b = append(b, p.Header...)
	return append(b, p.Body...)
}

// DecodePayload reads a framed payload that a guest wrote. The result refers to
// b. No bytes at all are an empty payload.
func DecodePayload(b []byte) (Payload, error) {
	if len(b) == 0 {
		return Payload{}, nil
	}
	if len(b) < 4 {
		return Payload{}, errFrame
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if n > uint64(len(b)-4) { //nolint:gosec // at least 4
		return Payload{}, errFrame
	}
	p := Payload{Header: b[4 : 4+n], Body: b[4+n:]}
	if n == 0 {
		p.Header = nil
	} else if !utf8.Valid(p.Header) || !json.Valid(p.Header) {
		return Payload{}, errHeader
	}
	return p, nil
}
