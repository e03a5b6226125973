package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut returns where a stretch of text that is too long for one chunk is best
// ended: at the end of a line of code or of a sentence, else between two words,
// else between two runes. The result lies behind start, and what is before it
// is worth the budget at most, unless one rune alone is worth more.
func cut(text string, start, end, budget int, code bool) int {
	limit, half := reach(text, start, end, budget)
	if limit >= end {
		return end
	}
	var sentence, word int
	for at := start; at < limit; {
		r, size := utf8.DecodeRuneInString(text[at:])
		at += size
		next, _ := utf8.DecodeRuneInString(text[at:])
		switch {
		case code && r == '\n', !code && ends(r, next):
			sentence = at
		case unicode.IsSpace(r), clause(r):
			word = at
		}
	}
	switch {
	case sentence > half:
		return sentence
	case word > half:
		return word
	case sentence > start:
		return sentence
	case word > start:
		return word
	}
	return whole(text, start, limit)
}

// reach returns how far the budget carries from start, and half of that.
func reach(text string, start, end, budget int) (limit, half int) {
	spent := 0
	for at := start; at < end; {
		r, size := utf8.DecodeRuneInString(text[at:])
		spent += weight(r)
		if spent > budget*twelfths && at > start {
			return at, half
		}
		at += size
		if spent <= budget*twelfths/2 {
			half = at
		}
	}
	return end, half
}

// whole moves a cut back so that marks stay with the rune that they modify.
func whole(text string, start, at int) int {
	for back := at; back > start; {
		if r, _ := utf8.DecodeRuneInString(text[back:]); !unicode.IsMark(r) && r != '\u200d' {
			return back
		}
		_, size := utf8.DecodeLastRuneInString(text[:back])
		back -= size
	}
	return at
}

// ends reports whether a sentence ends between two runes.
func ends(r, next rune) bool {
	switch {
	case strings.ContainsRune("。．！？｡…।؟", r):
		return !strings.ContainsRune("」』）】”’。！？", next)
	case strings.ContainsRune("」』", r):
		return false
	case strings.ContainsRune(".!?:;", r):
		return unicode.IsSpace(next)
	}
	return r == '\n' && next == '\n'
}

// clause reports whether a sentence may be cut behind a rune, in scripts that
// have no spaces.
func clause(r rune) bool { return strings.ContainsRune("、，；：,」』）", r) }

// overlap returns where a chunk that begins at start begins when it repeats the
// end of what is before it: not before floor, at the beginning of a sentence or
// of a word, and with the budget at most. In a script without spaces any rune
// begins a word.
func overlap(text string, floor, start, budget int) int {
	best, spent := start, 0
	for at := start; at > floor; {
		r, size := utf8.DecodeLastRuneInString(text[:at])
		if spent += weight(r); spent > budget*twelfths {
			break
		}
		at -= size
		before, _ := utf8.DecodeLastRuneInString(text[floor:at])
		if at == floor || unicode.IsSpace(before) || clause(before) || ends(before, r) || ideographic(r) {
			best = at
		}
	}
	return best
}

// runeAt moves an offset forward to where a rune begins.
func runeAt(text string, at int) int {
	for at < len(text) && !utf8.RuneStart(text[at]) {
		at++
	}
	return at
}
