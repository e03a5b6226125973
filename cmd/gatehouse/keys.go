package main

import (
	"bytes"
	"unicode/utf8"
)

// key is something that was pressed on a terminal in raw mode.
type key int

const (
	keyNone key = iota
	keyText     // characters, as they are
	keyEnter
	keyNewline // a line break within the input
	keyTab
	keyInterrupt
	keyEnd // of the input
	keyErase
	keyEraseNext
	keyEraseWord
	keyEraseLeft
	keyEraseRight
	keyLeft
	keyRight
	keyUp
	keyDown
	keyLineStart
	keyLineEnd
	keyClear
)

// controls are the keys that one byte stands for.
var controls = map[byte]key{
	1: keyLineStart, 2: keyLeft, 3: keyInterrupt, 4: keyEnd, 5: keyLineEnd, 6: keyRight, 8: keyErase, 9: keyTab,
	'\n': keyNewline, 11: keyEraseRight, 12: keyClear, '\r': keyEnter, 14: keyDown, 16: keyUp, 21: keyEraseLeft,
	23: keyEraseWord, 127: keyErase,
}

// sequences are the keys that begin with an escape.
var sequences = map[string]key{
	"\x1b[A": keyUp, "\x1b[B": keyDown, "\x1b[C": keyRight, "\x1b[D": keyLeft,
	"\x1bOA": keyUp, "\x1bOB": keyDown, "\x1bOC": keyRight, "\x1bOD": keyLeft,
	"\x1b[H": keyLineStart, "\x1b[F": keyLineEnd, "\x1bOH": keyLineStart, "\x1bOF": keyLineEnd,
	"\x1b[1~": keyLineStart, "\x1b[4~": keyLineEnd, "\x1b[7~": keyLineStart, "\x1b[8~": keyLineEnd,
	"\x1b[3~": keyEraseNext, "\x1b\r": keyNewline, "\x1b\n": keyNewline, "\x1b\x7f": keyEraseWord,
}

var (
	pasteBegins = []byte("\x1b[200~")
	pasteEnds   = []byte("\x1b[201~")
)

// mostSequence bounds what may follow an escape before it is given up.
const mostSequence = 16

// keyReader takes a terminal's bytes apart, however they are cut.
type keyReader struct {
	rest    []byte
	pasting bool
}

// feed takes bytes in and calls press for each key that they complete.
func (r *keyReader) feed(b []byte, press func(k key, text string)) {
	r.rest = append(r.rest, b...)
	for len(r.rest) > 0 {
		k, text, n := r.next()
		if n == 0 {
			return // the rest of it is on its way
		}
		r.rest = r.rest[n:]
		if k != keyNone {
			press(k, text)
		}
	}
}

// next reads one key from the start of rest: its length is 0 when it is not
// all there.
func (r *keyReader) next() (k key, text string, n int) {
	b := r.rest
	switch {
	case r.pasting:
		return r.pasted()
	case bytes.HasPrefix(b, pasteBegins):
		r.pasting = true
		return keyNone, "", len(pasteBegins)
	case b[0] == 0x1b:
		return escape(b)
	case b[0] < ' ' || b[0] == 0x7f:
		return controls[b[0]], "", 1
	}
	i := 0
	for i < len(b) && b[i] >= ' ' && b[i] != 0x7f && utf8.FullRune(b[i:]) {
		_, size := utf8.DecodeRune(b[i:])
		i += size
	}
	if i == 0 {
		return keyNone, "", 0
	}
	return keyText, string(bytes.ToValidUTF8(b[:i], nil)), i
}

// pasted is a text between the marks of a paste: whatever stands there is text.
func (r *keyReader) pasted() (key, string, int) {
	i := bytes.Index(r.rest, pasteEnds)
	if i < 0 {
		return keyNone, "", 0
	}
	r.pasting = false
	return keyText, string(bytes.ToValidUTF8(r.rest[:i], nil)), i + len(pasteEnds)
}

func escape(b []byte) (key, string, int) {
	if len(b) == 1 {
		return keyNone, "", 0
	}
	n := 2
	if b[1] == '[' || b[1] == 'O' {
		for n < len(b) && n < mostSequence && (b[n] < '@' || b[n] > '~') {
			n++
		}
		switch {
		case n == mostSequence:
			return keyNone, "", n
		case n == len(b):
			return keyNone, "", 0
		}
		n++
	}
	return sequences[string(b[:n])], "", n
}
