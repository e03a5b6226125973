package ingest

import (
	"bytes"
	"strconv"
)

// What an object of a PDF can be; nil and bool are themselves, and numbers are
// float64.
type (
	pdfName string
	pdfText string
	pdfList []any
	pdfDict map[string]any
	pdfRef  int
	pdfWord string // an operator or a keyword
	// pdfStream is a dictionary and where its bytes begin.
	pdfStream struct {
		dict pdfDict
		raw  []byte
	}
)

// mostItems is how many values a list or dictionary may have. What is longer is
// cut: nothing that matters to text is.
const mostItems = 1 << 17

// lexer reads objects out of bytes. It never fails: what makes no sense is
// passed over, and at the end it returns io.EOF in the shape of done.
type lexer struct {
	b    []byte
	at   int
	deep int
}

func (l *lexer) done() bool { return l.at >= len(l.b) }

func space(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func delimiter(c byte) bool { return bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0 }

func (l *lexer) skip() {
	for l.at < len(l.b) {
		switch c := l.b[l.at]; {
		case space(c):
			l.at++
		case c == '%':
			for l.at < len(l.b) && l.b[l.at] != '\n' && l.b[l.at] != '\r' {
				l.at++
			}
		default:
			return
		}
	}
}

// word takes the bytes up to white space or a delimiter.
func (l *lexer) word() []byte {
	begin := l.at
	for l.at < len(l.b) && !space(l.b[l.at]) && !delimiter(l.b[l.at]) {
		l.at++
	}
	return l.b[begin:l.at]
}

// value reads one object. Closing marks come as words.
func (l *lexer) value() any {
	l.skip()
	if l.done() {
		return nil
	}
	switch c := l.b[l.at]; c {
	case '/':
		l.at++
		return pdfName(unhash(l.word()))
	case '(':
		return l.literal()
	case '[':
		l.at++
		return l.list()
	case '<':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '<' {
			l.at += 2
			return l.dict()
		}
		return l.hex()
	case ']', '{', '}', ')':
		l.at++
		return pdfWord(c)
	case '>':
		l.at++
		if !l.done() && l.b[l.at] == '>' {
			l.at++
			return pdfWord(">>")
		}
		return pdfWord(">")
	}
	return l.plain()
}

// plain reads a number, a reference, a keyword or an operator.
func (l *lexer) plain() any {
	w := string(l.word())
	if c := w[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		switch w {
		case "true":
			return true
		case "false":
			return false
		case "null":
			return nil
		}
		return pdfWord(w)
	}
	n, err := strconv.ParseFloat(w, 64)
	if err != nil || len(w) > 40 {
		return 0.0
	}
	if c := w[0]; c < '0' || c > '9' || n != float64(int32(n)) {
		return n
	}
	// "12 0 R" is a reference.
	back := l.at
	l.skip()
	if g := l.word(); len(g) > 0 && len(g) < 6 && digits(g) {
		l.skip()
		if string(l.word()) == "R" {
			return pdfRef(n)
		}
	}
	l.at = back
	return n
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (l *lexer) list() pdfList {
	var out pdfList
	if l.deep++; l.deep > mostDepth {
		l.at = len(l.b)
	}
	defer func() { l.deep-- }()
	for l.skip(); !l.done(); l.skip() {
		if l.b[l.at] == ']' {
			l.at++
			break
		}
		if v := l.value(); len(out) < mostItems {
			out = append(out, v)
		}
	}
	return out
}

func (l *lexer) dict() pdfDict {
	out := pdfDict{}
	if l.deep++; l.deep > mostDepth {
		l.at = len(l.b)
	}
	defer func() { l.deep-- }()
	for l.skip(); !l.done(); l.skip() {
		k := l.value()
		if k == pdfWord(">>") {
			break
		}
		name, ok := k.(pdfName)
		if !ok {
			continue
		}
		v := l.value()
		if v == pdfWord(">>") {
			break
		}
		if len(out) < mostItems {
			out[string(name)] = v
		}
	}
	return out
}

// literal reads a text in parentheses.
func (l *lexer) literal() pdfText {
	var out []byte
	open := 0
	for ; l.at < len(l.b); l.at++ {
		c := l.b[l.at]
		switch c {
		case '(':
			if open++; open == 1 {
				continue
			}
		case ')':
			if open--; open == 0 {
				l.at++
				return pdfText(out)
			}
		case '\\':
			out = l.escape(out)
			continue
		}
		out = append(out, c)
	}
	return pdfText(out)
}

// escape reads what follows a backslash.
func (l *lexer) escape(out []byte) []byte {
	if l.at++; l.done() {
		return out
	}
	switch c := l.b[l.at]; c {
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'b', 'f':
		return append(out, ' ')
	case '\n':
		return out
	case '\r':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '\n' {
			l.at++
		}
		return out
	case '0', '1', '2', '3', '4', '5', '6', '7':
		n := 0
		for i := 0; i < 3 && l.at < len(l.b) && l.b[l.at] >= '0' && l.b[l.at] <= '7'; i++ {
			n = n*8 + int(l.b[l.at]-'0')
			l.at++
		}
		l.at--
		return append(out, byte(n))
	default:
		return append(out, c)
	}
}

// hex reads a text in angle brackets.
func (l *lexer) hex() pdfText {
	l.at++
	var out []byte
	half, odd := byte(0), false
	for ; l.at < len(l.b); l.at++ {
		c := l.b[l.at]
		if c == '>' {
			l.at++
			break
		}
		n, ok := nibble(c)
		switch {
		case !ok:
		case odd:
			out, odd = append(out, half<<4|n), false
		default:
			half, odd = n, true
		}
	}
	if odd {
		out = append(out, half<<4)
	}
	return pdfText(out)
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// unhash resolves #41 in a name.
func unhash(b []byte) []byte {
	if bytes.IndexByte(b, '#') < 0 {
		return b
	}
	var out []byte
	for i := 0; i < len(b); i++ {
		if b[i] == '#' && i+2 < len(b) {
			if hi, ok := nibble(b[i+1]); ok {
				if lo, ok := nibble(b[i+2]); ok {
					out = append(out, hi<<4|lo)
					i += 2
					continue
				}
			}
		}
		out = append(out, b[i])
	}
	return out
}
