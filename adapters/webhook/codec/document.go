package codec

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Document is one JSON value as it came in, without space between its parts. It is
// read in place: the values of a body of a megabyte would take thirty, which is
// all that a guest has.
type Document []byte

// newDocument reads exactly one value; false: it is none.
func newDocument(b []byte) (Document, bool) {
	var out bytes.Buffer
	out.Grow(len(b))
	if json.Compact(&out, b) != nil {
		return nil, false
	}
	return out.Bytes(), true
}

// at follows a path; nil when it leads nowhere.
func (d Document) at(path []step) Document {
	for _, s := range path {
		if d = d.inner(s); d == nil {
			return nil
		}
	}
	return d
}

// inner is an element of a list, or what stands in a mapping under a key: of
// several the last one, as for most programs that read JSON. nil: there is none.
func (d Document) inner(s step) (found Document) {
	open := byte('{')
	if s.list {
		open = '['
	}
	if d[0] != open || len(d) == len("{}") {
		return nil
	}
	for i, rest := 0, d[1:]; ; i++ {
		matches := i == s.index
		if !s.list {
			n := rest.first()
			matches, rest = rest[:n].unquoted() == s.key, rest[n+len(":"):]
		}
		n := rest.first()
		if matches {
			found = rest[:n]
		}
		if rest[n] != ',' || s.list && matches {
			return found
		}
		rest = rest[n+len(","):]
	}
}

// first is the length of the value that a text begins with.
func (d Document) first() int {
	depth := 0
	for i := 0; i < len(d); i++ {
		switch d[i] {
		case '"':
			i += d[i:].quoted() - 1
		case '{', '[':
			depth++
		case ',', ':':
			if depth == 0 {
				return i // of a number, or of true, false or null
			}
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		}
		if depth == 0 && (d[i] == '"' || d[i] == '}' || d[i] == ']') {
			return i + 1
		}
	}
	return len(d)
}

// quoted is the length of the quoted text that d begins with.
func (d Document) quoted() int {
	for i := 1; ; i++ {
		switch d[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquoted is what a quoted text says.
func (d Document) unquoted() string {
	if plain := d[1 : len(d)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain)
	}
	var s string
	_ = json.Unmarshal(d, &s) // newDocument has looked at it
	return s
}

// text is a value as people read it: what is neither a list nor a mapping as it
// is, and nothing for null.
func (d Document) text() string {
	switch d[0] {
	case '"':
		return d.unquoted()
	case '{', '[':
		return d.readable()
	case 'n':
		return ""
	}
	return string(d)
}

// readable is a list or a mapping as JSON in which only that is escaped which
// has to be.
func (d Document) readable() string {
	var out strings.Builder
	out.Grow(len(d))
	var one bytes.Buffer
	e := json.NewEncoder(&one)
	e.SetEscapeHTML(false)
	for rest := d; len(rest) > 0; {
		n := bytes.IndexByte(rest, '"')
		if n < 0 {
			n = len(rest)
		}
		out.Write(rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		n = rest.quoted()
		if quoted := rest[:n]; bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
			out.Write(quoted)
		} else {
			one.Reset()
			_ = e.Encode(quoted.unquoted()) // a text can be written
			out.Write(bytes.TrimSuffix(one.Bytes(), []byte("\n")))
		}
		rest = rest[n:]
	}
	return out.String()
}
