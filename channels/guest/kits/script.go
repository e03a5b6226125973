package kits

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// slotBytes and slotMark are the engine's own (js/engine/engine.c): a place of
// this size that begins with this text, and is zero otherwise.
const (
	slotBytes = 512 << 10
	slotMark  = "gw1 script slot:"
)

// Errors of Script.
var (
	errEngine = errors.New("the engine has no place for a script, or one already")
	errScript = errors.New("the script is not text in UTF-8, or has zero bytes")
)

// Script returns the engine for JavaScript with a script in it: a module that is
// ready to be packed.
func Script(engine, script []byte) ([]byte, error) {
	at := bytes.Index(engine, append([]byte(slotMark), make([]byte, slotBytes-len(slotMark))...))
	switch {
	case at < 0:
		return nil, errEngine
	case len(script) >= slotBytes:
		return nil, fmt.Errorf("the script has %d bytes, at most %d", len(script), slotBytes-1) //nolint:err113 // for people
	case !utf8.Valid(script) || bytes.IndexByte(script, 0) >= 0:
		return nil, errScript
	}
	out := bytes.Clone(engine)
	copy(out[at:], make([]byte, len(slotMark)))
	copy(out[at:], script)
	return out, nil
}
