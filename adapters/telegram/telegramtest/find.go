package telegramtest

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The patterns follow those of the platform's clients, on the subset that a bot
// meets: a bare domain counts as a link only under a few well-known endings.
var (
	mentionPattern = regexp.MustCompile(`@[A-Za-z0-9_]{2,32}`)
	commandPattern = regexp.MustCompile(`/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?`)
	hashtagPattern = regexp.MustCompile(`#[\p{L}\p{M}\p{N}_]{1,256}`)
	cashtagPattern = regexp.MustCompile(`\$(?:[A-Z]{1,8}|1INCH)`)
	emailPattern   = regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,8}`)
	urlPattern     = regexp.MustCompile(`(?i)(?:(?:https?|ftp|tonsite)://[^\s<>"«»“”]+|(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|me|ru|de|uk|fr|it|es|ai|app|info|edu|gov)(?::\d+)?(?:/[^\s<>"«»“”]*)?)`)
)

type finder struct {
	kind    string
	pattern *regexp.Regexp
	sign    string // a text without it has no match; "" looks always
	ok      func(text string, start, end int) bool
}

var finders = []finder{
	{"email", emailPattern, "@", boundary},
	{"url", urlPattern, ".", urlBoundary},
	{"mention", mentionPattern, "@", boundary},
	{"bot_command", commandPattern, "/", commandBoundary},
	{"hashtag", hashtagPattern, "#", hashtagBoundary},
	{"cashtag", cashtagPattern, "$", boundary},
}

// findEntities finds what the platform marks in a plain text by itself.
// Earlier finders win where two overlap.
func findEntities(text string) []Entity {
	type span struct {
		kind       string
		start, end int
	}
	var spans []span
	for _, f := range finders {
		if !strings.Contains(text, f.sign) {
			continue
		}
		for _, at := range f.pattern.FindAllStringIndex(text, -1) {
			s := span{f.kind, at[0], at[1]}
			if f.kind == "url" {
				s.end = s.start + len(strings.TrimRight(text[s.start:s.end], ".,:;!?'()[]{}~`"))
			}
			taken := slices.ContainsFunc(spans, func(o span) bool { return s.start < o.end && o.start < s.end })
			if !taken && f.ok(text, s.start, s.end) {
				spans = append(spans, s)
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var out []Entity
	units, last := 0, 0
	for _, s := range spans {
		units += utf16Len(text[last:s.start])
		last = s.start
		out = append(out, Entity{Type: s.kind, Offset: units, Length: utf16Len(text[s.start:s.end])})
	}
	return out
}

func around(text string, start, end int) (before, after rune) {
	if start > 0 {
		before, _ = utf8.DecodeLastRuneInString(text[:start])
	}
	if end < len(text) {
		after, _ = utf8.DecodeRuneInString(text[end:])
	}
	return before, after
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func boundary(text string, start, end int) bool {
	before, after := around(text, start, end)
	return !isWord(before) && !isWord(after)
}

func commandBoundary(text string, start, end int) bool {
	before, after := around(text, start, end)
	bad := func(r rune) bool { return r == '/' || r == '<' || r == '>' }
	return !isWord(before) && !isWord(after) && !bad(before) && !bad(after)
}

func hashtagBoundary(text string, start, end int) bool {
	before, after := around(text, start, end)
	if isWord(before) || after == '#' {
		return false
	}
	return strings.ContainsFunc(text[start+1:end], unicode.IsLetter)
}

func urlBoundary(text string, start, end int) bool {
	before, after := around(text, start, end)
	return !isWord(before) && !isWord(after) && before != '@' && before != '.' && before != '/' && end > start
}
