package known

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"unicode/utf8"
)

// sixBits are the values of base64, in both its alphabets, plus one.
var sixBits = table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_", 62)

// fourBits are the values of hexadecimal digits, plus one.
var fourBits = table("0123456789abcdef", "ABCDEF", 10)

// fiveBits are the values of base32, in both cases, plus one.
var fiveBits = table("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "abcdefghijklmnopqrstuvwxyz", 0)

// oneBit are the binary digits, plus one.
var oneBit = table("01", "", 0)

func table(alphabet, also string, alsoFrom byte) *[256]byte {
	var t [256]byte
	for i, c := range []byte(alphabet) {
		t[c] = byte(i) + 1
	}
	for i, c := range []byte(also) {
		t[c] = alsoFrom + byte(i) + 1
	}
	return &t
}

// group decodes groups of digits of a few bits each, beginning with the digit
// skip, if something can come of it. There are more digits than skip.
func (s *search) group(v view, bits, skip int, f func(view)) {
	if !s.promising(v.text[skip:], bits) {
		return
	}
	out := v.empty(len(v.text))
	var held, n int
	from := skip
	for i := skip; i < len(v.text); i++ {
		held, n = held<<bits|int(v.text[i]), n+bits
		if n < 8 {
			continue
		}
		n -= 8
		out.add(byte(held>>n), v, from, i+1) //nolint:gosec // eight bits
		held &= 1<<n - 1
		from = i
		if n == 0 {
			from = i + 1
		}
	}
	f(out)
}

// The kinds of bytes that promising tells apart.
const (
	noText byte = iota
	isText
	isNul
)

var promise = func() (t [256]byte) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = isText
	}
	t[0] = isNul
	return t
}()

// promising reports whether the bytes that digits stand for hold a stretch of
// text, or something compressed. Nearly no text does when it is read as
// something that it is not.
func (s *search) promising(digits []byte, bits int) bool {
	if s.book.exact {
		return true
	}
	var held, n, run, nuls int
	var last byte
	for _, d := range digits {
		held, n = held<<bits|int(d), n+bits
		if n < 8 {
			continue
		}
		n -= 8
		c := byte(held >> n) //nolint:gosec // eight bits
		held &= 1<<n - 1
		switch promise[c] {
		case noText:
			run = 0
		case isNul:
			run = 0
			nuls++
		default:
			run++
		}
		if run >= Window || nuls >= Window {
			return true
		}
		if last == gzipMagic[0] && c == gzipMagic[1] || last == zlibMagic && zlibLevel(c) {
			return true
		}
		last = c
	}
	return false
}

// decode64 reads everything as base64, whatever stands between its digits, from
// each of the places where a group could begin.
func (s *search) decode64(v view, f func(view)) {
	digits := v.keep(sixBits)
	if len(digits.text) < Window*4/3 {
		return
	}
	for skip := range 4 {
		s.group(digits, 6, skip, f)
	}
}

// decode16 reads everything as hexadecimal, whatever stands between its digits.
func (s *search) decode16(v view, f func(view)) {
	digits := v.empty(len(v.text))
	for i := 0; i < len(v.text); i++ {
		c := v.text[i]
		if c == '0' && i+1 < len(v.text) && v.text[i+1]|0x20 == 'x' {
			i++ // 0x41
			continue
		}
		if x := fourBits[c]; x != 0 {
			digits.add(x-1, v, i, i+1)
		}
	}
	if len(digits.text) < Window*2 {
		return
	}
	for skip := range 2 {
		s.group(digits, 4, skip, f)
	}
}

// decode32 reads long words as base32. Reading everything would take the
// letters of the text around for digits.
func (s *search) decode32(v view, f func(view)) {
	const shortest = (Window*8 + 4) / 5
	from := 0
	for i := 0; i <= len(v.text); i++ {
		if i < len(v.text) && fiveBits[v.text[i]] != 0 {
			continue
		}
		if i-from >= shortest {
			digits := v.part(from, i).keep(fiveBits)
			for skip := range 8 {
				s.group(digits, 5, skip, f)
			}
		}
		from = i + 1
	}
}

// decodeBits reads the digits 0 and 1 as bytes.
func (s *search) decodeBits(v view, f func(view)) {
	if bytes.Count(v.text, []byte("0"))+bytes.Count(v.text, []byte("1")) < Window*8 {
		return
	}
	digits := v.keep(oneBit)
	for skip := range 8 {
		s.group(digits, 1, skip, func(v view) { v.printable(f) })
	}
}

// decodeNumbers reads decimal and octal numbers as characters, be they apart or
// three digits each.
func decodeNumbers(v view, f func(view)) {
	decimal, octal, run := v.empty(0), v.empty(0), 0 // few texts are full of numbers
	for i := 0; i <= len(v.text); i++ {
		if i < len(v.text) && v.text[i] >= '0' && v.text[i] <= '9' {
			run++
			continue
		}
		if run > 0 {
			addNumber(&decimal, v, i-run, i, 10)
			addNumber(&octal, v, i-run, i, 8)
		}
		if run >= Window*3 {
			for skip := range 3 {
				fixed(v, i-run+skip, i, f)
			}
		}
		run = 0
	}
	decimal.printable(f)
	octal.printable(f)
}

// addNumber appends the character that a number stands for; 0 when it stands
// for none.
func addNumber(out *view, v view, from, to, base int) {
	n := 0
	for _, c := range v.text[from:to] {
		digit := int(c - '0')
		if digit >= base {
			n = utf8.RuneSelf
		}
		n = min(n*base+digit, utf8.RuneSelf) // which it stays
	}
	out.add(byte(n%utf8.RuneSelf), v, from, to)
}

// fixed reads digits in groups of three.
func fixed(v view, from, to int, f func(view)) {
	decimal, octal := v.empty(0), v.empty(0)
	for i := from; i+3 <= to; i += 3 {
		addNumber(&decimal, v, i, i+3, 10)
		addNumber(&octal, v, i, i+3, 8)
	}
	decimal.printable(f)
	octal.printable(f)
}

var gzipMagic = []byte{0x1f, 0x8b, 8}

const zlibMagic = 0x78

// zlibLevel reports whether c follows zlibMagic in a header.
func zlibLevel(c byte) bool { return c == 0x01 || c == 0x5e || c == 0x9c || c == 0xda }

// compressed returns where something compressed could begin, from an offset on;
// -1 when nothing does.
func compressed(text []byte, from int) int {
	for i := from; i+2 < len(text); i++ {
		switch text[i] {
		case gzipMagic[0]:
			if text[i+1] == gzipMagic[1] && text[i+2] == gzipMagic[2] {
				return i
			}
		case zlibMagic:
			// The block type 3 is reserved.
			if zlibLevel(text[i+1]) && text[i+2]&6 != 6 {
				return i
			}
		}
	}
	return -1
}

// inflate unpacks as much of text as can be unpacked.
func inflate(text []byte) []byte {
	var r io.Reader
	var err error
	if text[0] == gzipMagic[0] {
		r, err = gzip.NewReader(bytes.NewReader(text))
	} else {
		r, err = zlib.NewReader(bytes.NewReader(text))
	}
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(io.LimitReader(r, maxText)) // what came before a fault counts
	return plain
}
