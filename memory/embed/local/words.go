package local

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// word is a run of letters and digits, in lower case. It is dense where it is
// of a script that is written without spaces.
type word struct {
	text  string
	runes []rune // valid until the next word
	dense bool
}

// each hands the words of a text to f, in order. Forms of width and of
// composition are made one.
func each(text string, f func(word)) {
	var runes []rune
	dense := false
	flush := func() {
		if len(runes) > 0 {
			f(word{text: string(runes), runes: runes, dense: dense})
			runes = runes[:0]
		}
	}
	for _, r := range strings.ToLower(norm.NFKC.String(text)) {
		switch {
		case ideographic(r):
			if !dense {
				flush()
			}
			dense = true
		case unicode.IsLetter(r), unicode.IsDigit(r):
			if dense {
				flush()
			}
			dense = false
		case unicode.IsMark(r) && len(runes) > 0:
		default:
			flush()
			continue
		}
		runes = append(runes, r)
	}
	flush()
}

func ideographic(r rune) bool {
	return r >= 0x1100 && (unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r == 'ー')
}
