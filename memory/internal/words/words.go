// Package words cuts text into the words that full text is found by: folded to
// lower case without accents, and for scripts that do not put spaces between
// words, into pairs of characters.
package words

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// longest bounds a word, in bytes. What is longer is cut: nobody searches for it.
const longest = 48

// Split returns the words of a text in their order, for an index. A run of
// characters of a script without spaces gives each of them, and each pair. What
// it gives for a text must not change without a migration that makes the indexes
// anew: words are taken out of them by the text.
func Split(text string) []string {
	var s splitter
	s.out = make([]string, 0, len(text)/6+1)
	s.singles = true
	s.run(text)
	return s.out
}

// Query returns the different words to search for, in their order. Of a run
// without spaces these are the pairs; a lone character stands for itself.
func Query(text string) []string {
	var s splitter
	s.run(text)
	seen := make(map[string]bool, len(s.out))
	out := s.out[:0]
	for _, w := range s.out {
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

type splitter struct {
	out     []string
	singles bool // characters of runs as well as their pairs
}

// run walks over a text: ASCII as it is, everything else in its folded form.
func (s *splitter) run(text string) {
	if !isASCII(text) {
		text = fold(text)
	}
	start := -1
	for i := 0; i < len(text); {
		c, size := rune(text[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(text[i:])
		}
		switch {
		case c >= utf8.RuneSelf && unspaced(c):
			s.word(text, start, i)
			start = -1
			i = s.pairs(text, i)
			continue
		case isWord(c):
			if start < 0 {
				start = i
			}
		default:
			s.word(text, start, i)
			start = -1
		}
		i += size
	}
	s.word(text, start, len(text))
}

func (s *splitter) word(text string, start, end int) {
	if start < 0 {
		return
	}
	w := text[start:end]
	if len(w) > longest {
		n := longest
		for !utf8.RuneStart(w[n]) {
			n--
		}
		w = w[:n]
	}
	s.out = append(s.out, strings.ToLower(w))
}

// pairs takes the run of unspaced characters that begins at i, and returns where
// it ends.
func (s *splitter) pairs(text string, i int) int {
	before, first := -1, i
	for i < len(text) {
		c, size := utf8.DecodeRuneInString(text[i:])
		if !unspaced(c) {
			break
		}
		if s.singles {
			s.out = append(s.out, text[i:i+size])
		}
		if before >= 0 {
			s.out = append(s.out, text[before:i+size])
		}
		before = i
		i += size
	}
	if before == first && !s.singles {
		s.out = append(s.out, text[first:i])
	}
	return i
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold takes compatibility forms apart (full width, ligatures) and leaves out
// the accents of scripts in which people often do.
func fold(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, c := range norm.NFKC.String(strings.ToLower(text)) {
		if c < utf8.RuneSelf || unspaced(c) {
			b.WriteRune(c)
			continue
		}
		for _, d := range norm.NFD.String(string(c)) {
			if !unicode.Is(unicode.Mn, d) || !accent(d) {
				b.WriteRune(d)
			}
		}
	}
	return b.String()
}

// accent reports a combining mark that may be left out: those of Latin, Greek
// and Cyrillic, and the points of Hebrew and Arabic.
func accent(c rune) bool {
	return c >= 0x0300 && c <= 0x036F || c >= 0x0591 && c <= 0x05C7 || c >= 0x064B && c <= 0x065F
}

// unspaced reports a character of a script that does not put spaces between
// words, or whose words change at their ends so much that pairs find more.
func unspaced(c rune) bool {
	return unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || c == 'ー'
}

func isWord(c rune) bool {
	if c < utf8.RuneSelf {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	return unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c)
}
