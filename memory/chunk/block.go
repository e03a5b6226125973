package chunk

import (
	"strings"
	"unicode"
)

// block is a run of lines that belong together. Its bounds hold no white space
// at either end.
type block struct {
	start, end int
	level      int // of a heading, from 1; 0: not a heading
	code       bool
	title      string // of a heading: its words
}

// line is one line of a text, without its end.
type line struct {
	start, end int
}

func (l line) of(text string) string { return text[l.start:l.end] }

// blocks reads the structure of a text: headings, fenced code, and paragraphs,
// which empty lines end. Every rune that is not white space is in exactly one
// block. What a program printed, and has no structure, is one paragraph.
func blocks(text string) []block {
	r := reader{text: text}
	for at := 0; at < len(text); {
		l := line{start: at, end: len(text)}
		if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
			l.end = at + n
		}
		at = l.end + 1
		r.take(l)
	}
	r.flush()
	return r.found
}

// reader collects lines until a block is complete.
type reader struct {
	text  string
	found []block
	open  []line
	fence string // closes the code that is open; "": none is
}

func (r *reader) take(l line) {
	s := strings.TrimSpace(l.of(r.text))
	switch {
	case r.fence != "":
		r.open = append(r.open, l)
		if closes(s, r.fence) {
			r.flush()
		}
	case s == "":
		r.flush()
	case fenceOf(s) != "":
		r.flush()
		r.fence = fenceOf(s)
		r.open = append(r.open, l)
	case hashes(s) > 0:
		r.flush()
		r.heading(l, l, hashes(s))
	case len(r.open) == 1 && underline(s) > 0:
		first := r.open[0]
		r.open = r.open[:0]
		r.heading(first, l, underline(s))
	default:
		r.open = append(r.open, l)
	}
}

// flush ends the block that is open.
func (r *reader) flush() {
	code := r.fence != ""
	r.fence = ""
	if len(r.open) == 0 {
		return
	}
	b := block{start: r.open[0].start, end: r.open[len(r.open)-1].end, code: code}
	r.open = r.open[:0]
	if b.start, b.end = trim(r.text, b.start, b.end); b.start < b.end {
		r.found = append(r.found, b)
	}
}

// heading adds a heading that reaches from the first line to the last.
func (r *reader) heading(first, last line, level int) {
	b := block{level: level}
	b.start, b.end = trim(r.text, first.start, last.end)
	b.title = clip(strings.TrimSpace(strings.Trim(strings.TrimSpace(first.of(r.text)), "#")))
	r.found = append(r.found, b)
}

// longest is how many runes of a heading are repeated with each chunk below it.
const longest = 100

func clip(title string) string {
	n := 0
	for at := range title {
		if n++; n > longest {
			return title[:at]
		}
	}
	return title
}

// hashes is the level of a heading that begins with number signs, or 0.
func hashes(s string) int {
	n := len(s) - len(strings.TrimLeft(s, "#"))
	if n == 0 || n > 6 || n == len(s) || s[n] != ' ' && s[n] != '\t' {
		return 0
	}
	return n
}

// underline is the level that a line gives to the line above it, or 0.
func underline(s string) int {
	switch {
	case len(s) >= 3 && strings.Trim(s, "=") == "":
		return 1
	case len(s) >= 3 && strings.Trim(s, "-") == "":
		return 2
	}
	return 0
}

// fenceOf is what closes the code that a line opens, or "".
func fenceOf(s string) string {
	for _, mark := range []string{"`", "~"} {
		if n := len(s) - len(strings.TrimLeft(s, mark)); n >= 3 && !strings.Contains(s[n:], mark) {
			return strings.Repeat(mark, n)
		}
	}
	return ""
}

// closes reports whether a line ends code that a fence opened.
func closes(s, fence string) bool {
	return len(s) >= len(fence) && strings.Trim(s, fence[:1]) == ""
}

// trim moves bounds inwards over white space.
func trim(text string, start, end int) (int, int) {
	end = start + len(strings.TrimRightFunc(text[start:end], unicode.IsSpace))
	start = end - len(strings.TrimLeftFunc(text[start:end], unicode.IsSpace))
	return start, end
}
