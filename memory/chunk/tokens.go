package chunk

import "unicode"

// twelfths is what one token is counted as: the weights of runes are parts of
// a token, and stay whole numbers.
const twelfths = 12

// Tokens estimates how many tokens a model sees in s. It is a budget and not a
// tokenizer: within a third of what common models count for prose in
// alphabets, syllabaries and Han characters, and for code.
func Tokens(s string) int {
	n := 0
	for _, r := range s {
		n += weight(r)
	}
	return (n + twelfths - 1) / twelfths
}

// weight is the part of a token that a rune is, in twelfths. It is never 0, so
// that a chunk's size in bytes is bounded, too.
func weight(r rune) int {
	switch {
	case r == ' ', '\t' <= r && r <= '\r':
		return 1
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return 3
	case '0' <= r && r <= '9':
		return 4
	case r < 0x80:
		return 8
	case unicode.IsSpace(r):
		return 1
	case ideographic(r):
		return 10
	case unicode.IsLetter(r):
		return 5
	case unicode.IsMark(r):
		return 3
	}
	return twelfths
}

// ideographic reports whether a rune is of a script that is written without
// spaces and says about a syllable or a word with each rune.
func ideographic(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo, unicode.Yi)
}
