package ingest

import (
	"strings"
	"unicode"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/transform"
)

// guess chooses the encoding in which a text reads best, for texts that are not
// UTF-8 and say nothing of themselves.
func guess(text []byte) encoding.Encoding {
	sample := text[:min(len(text), 4096)]
	var best encoding.Encoding = charmap.Windows1252
	most := 0.0
	for _, e := range []encoding.Encoding{
		japanese.ShiftJIS, japanese.EUCJP, simplifiedchinese.GB18030, traditionalchinese.Big5, korean.EUCKR, charmap.Windows1251,
		charmap.Windows1252,
	} {
		out, _, _ := transform.Bytes(e.NewDecoder(), sample)
		score := plausible([]rune(string(out)))
		if (e == japanese.ShiftJIS || e == japanese.EUCJP) && !strings.ContainsFunc(string(out), hiragana) {
			score /= 2 // no sentence in Japanese is without it
		}
		if score > most {
			best, most = e, score
		}
	}
	return best
}

// plausible is how much of a text outside of ASCII looks as texts do: kana
// surely, common Han characters and Hangul next to each other, letters of one
// script within a word.
func plausible(text []rune) float64 {
	score, n := 0.0, 0.0
	for i, r := range text {
		if r < 0x80 {
			continue
		}
		n++
		var before rune
		if i > 0 {
			before = text[i-1]
		}
		switch {
		case r == unicode.ReplacementChar, unicode.IsControl(r), r >= 0xff61 && r <= 0xff9f: // half-width kana: a wrong guess mostly
			score -= 3
		case unicode.In(r, unicode.Hiragana, unicode.Katakana) && r < 0xff00, r >= 0x3000 && r < 0x3010:
			score += 1.2
		case wide(r) && before < 0x80 && unicode.IsLetter(before):
			score -= 0.5 // in the middle of a word of other letters
		case unicode.Is(unicode.Hangul, r):
			score += 0.9
		case unicode.Is(unicode.Han, r):
			score += 0.7
		case unicode.Is(unicode.Cyrillic, r):
			score += cyrillic(r, before)
		case unicode.Is(unicode.Latin, r):
			score += latin(before)
		default:
			score -= 0.5
		}
	}
	if n == 0 {
		return 0
	}
	return score / n
}

func hiragana(r rune) bool { return unicode.Is(unicode.Hiragana, r) }

func wide(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hangul) }

// cyrillic: small letters follow letters, capitals begin words.
func cyrillic(r, before rune) float64 {
	if unicode.IsUpper(r) && unicode.IsLetter(before) && !unicode.IsUpper(before) {
		return -1
	}
	return 0.6
}

// latin: letters with marks stand among others without.
func latin(before rune) float64 {
	if before >= 0x80 {
		return -0.5
	}
	return 0.65
}
