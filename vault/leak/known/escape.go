package known

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

func width(text []byte) int {
	_, n := utf8.DecodeRune(text)
	return n
}

// unescaped is the reading with the escapes of URLs, HTML, JSON and programming
// languages, and of quoted-printable, replaced by what they stand for.
func (v view) unescaped() (out view, changed bool) {
	if !bytes.ContainsAny(v.text, `%&\=`) {
		return v, false
	}
	out = v.empty(len(v.text))
	for i := 0; i < len(v.text); {
		r, n := escape(v.text[i:])
		if n == 0 {
			out.add(v.text[i], v, i, i+1)
			i++
			continue
		}
		changed = true
		var buf [utf8.UTFMax]byte
		for _, c := range buf[:encode(buf[:], r)] {
			out.add(c, v, i, i+n)
		}
		i += n
	}
	return out, changed
}

// gone is what an escape stands for that stands for nothing.
const gone = -1

// encode writes a character as UTF-8. Escapes of single bytes above 0x7f are
// taken for Latin-1, which their folded forms then are as well.
func encode(buf []byte, r rune) int {
	if r == gone {
		return 0
	}
	return utf8.EncodeRune(buf, r)
}

// escape reads one escape at the beginning of text: what it stands for and how
// long it is; 0 when there is none.
func escape(text []byte) (r rune, n int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch text[0] {
	case '%':
		if text[1]|0x20 == 'u' {
			return digits(text, 2, 6, 16)
		}
		return digits(text, 1, 3, 16)
	case '=':
		if text[1] == '\n' || text[1] == '\r' {
			return gone, 2
		}
		return digits(text, 1, 3, 16)
	case '&':
		return entity(text)
	case '\\':
		return backslash(text)
	}
	return 0, 0
}

// digits reads the number between two offsets.
func digits(text []byte, from, to, base int) (rune, int) {
	if len(text) < to {
		return 0, 0
	}
	x, err := strconv.ParseUint(string(text[from:to]), base, 32)
	if err != nil || x > utf8.MaxRune {
		return 0, 0
	}
	return rune(x), to
}

// named are the entities that stand between or for characters of secrets.
var named = map[string]rune{
	"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\'', "nbsp": ' ', "shy": gone, "zwnj": gone, "zwj": gone,
	"plus": '+', "equals": '=', "sol": '/', "colon": ':', "period": '.', "lowbar": '_', "dash": '-', "hyphen": '-',
	"comma": ',', "semi": ';', "num": '#', "percnt": '%', "excl": '!', "quest": '?', "commat": '@', "ast": '*', "Hat": '^',
}

const maxEntity = 12

func entity(text []byte) (rune, int) {
	end := bytes.IndexByte(text[:min(len(text), maxEntity)], ';')
	if end < 2 {
		return 0, 0
	}
	name := string(text[1:end])
	if name[0] != '#' {
		if r, is := named[name]; is {
			return r, end + 1
		}
		return 0, 0
	}
	r, n := digits(text, 2, end, 10)
	if len(name) > 1 && name[1]|0x20 == 'x' {
		r, n = digits(text, 3, end, 16)
	}
	if n == 0 {
		return 0, 0
	}
	return r, end + 1
}

func backslash(text []byte) (rune, int) {
	switch c := text[1]; c {
	case 'x':
		return digits(text, 2, 4, 16)
	case 'u':
		if len(text) > 2 && text[2] == '{' {
			end := bytes.IndexByte(text[:min(len(text), maxEntity)], '}')
			r, n := digits(text, 3, max(end, 3), 16)
			if n == 0 {
				return 0, 0
			}
			return r, end + 1
		}
		return digits(text, 2, 6, 16)
	case 'U':
		return digits(text, 2, 10, 16)
	case 'n', 'r', 't', 'b', 'f', '\n':
		return gone, 2
	case '0', '1', '2', '3':
		return digits(text, 1, 4, 8)
	}
	return rune(text[1]), 2
}
