package known

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ascii folds the ASCII characters: 0 for those that are left out.
var ascii = func() (t [utf8.RuneSelf]byte) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z':
			t[c] = byte(c)
		case c >= 'A' && c <= 'Z':
			t[c] = byte(c) + 'a' - 'A'
		}
	}
	return t
}()

// lookalikes are letters of other scripts that are read as Latin ones.
var lookalikes = func() map[rune]byte {
	m := map[rune]byte{}
	for latin, others := range map[byte]string{
		'a': "аΑαɑᴀ", 'b': "ВΒЬьвʙ", 'c': "сСϲᴄ", 'd': "ԁⅾᴅ", 'e': "еЕΕεєᴇ", 'f': "ϝғꜰ", 'g': "ɡԌɢ", 'h': "һНΗнʜ",
		'i': "іІΙιıӏɪ", 'j': "јЈϳᴊ", 'k': "кКΚκᴋ", 'l': "ⅼӀʟ", 'm': "мМΜᴍ", 'n': "ոΝпɴ", 'o': "оОΟοσօᴏ", 'p': "рРΡρᴘ",
		'q': "ԛգ", 'r': "гᴦʀ", 's': "ѕЅꜱ", 't': "тТΤτᴛ", 'u': "υսᴜ", 'v': "ѵνᴠ", 'w': "ԝшωᴡ", 'x': "хХΧχ", 'y': "уУΥγʏ", 'z': "ΖᴢᏃ",
	} {
		for _, r := range others {
			m[r] = latin
		}
	}
	return m
}()

// foldRune appends what a character that is not ASCII folds to: a look-alike
// letter, the letters and digits it stands for in compatibility form, or
// itself in lower case when it is a letter of another script.
func foldRune(out []byte, r rune) []byte {
	if c, is := lookalikes[r]; is {
		return append(out, c)
	}
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	d := norm.NFKD.Properties(buf[:n]).Decomposition()
	if d == nil {
		return foldPlain(out, r)
	}
	for len(d) > 0 {
		r, n := utf8.DecodeRune(d)
		d = d[n:]
		if c, is := lookalikes[r]; is {
			out = append(out, c)
			continue
		}
		out = foldPlain(out, r)
	}
	return out
}

func foldPlain(out []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		if c := ascii[r]; c != 0 {
			out = append(out, c)
		}
		return out
	}
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return out
	}
	r = unicode.ToLower(r)
	if c, is := lookalikes[r]; is {
		return append(out, c)
	}
	return utf8.AppendRune(out, r)
}

// fold appends the folded form of a text.
func fold(out, text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if f := ascii[c]; f != 0 {
				out = append(out, f)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r != utf8.RuneError {
			out = foldRune(out, r)
		}
		i += n
	}
	return out
}
