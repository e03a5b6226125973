package markup

import (
	"strings"
	"unicode/utf8"
)

// What the parser is given is bounded here, because a few of its steps cost
// more than linear time or memory on text that no person or model writes
// in earnest.
const (
	maxDepth      = 40      // levels of nesting, in the source and in the tree
	maxDelimiters = 1500    // characters that open something, in one paragraph
	maxCells      = 200_000 // cells of all tables, missing ones included

	// minReferenceBudget is how many bytes of URLs a short document may repeat
	// by reference; a longer one may repeat as many bytes as it has.
	minReferenceBudget = 100_000
)

// clean makes s valid UTF-8 with "\n" line ends and no control characters.
func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexFunc(s, unwanted) < 0 {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case unwanted(r):
			return -1
		}
		return r
	}, s)
}

// unwanted reports a control character that is no part of a text.
func unwanted(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0
}

// guard bounds what the parser has to do. It returns the source, in which
// container markers beyond maxDepth are escaped, and false if a paragraph or a
// table is out of all proportion.
func guard(src string) (string, bool) {
	var out strings.Builder
	var g guardState
	done := 0
	for pos := 0; pos < len(src); {
		end := len(src)
		if i := strings.IndexByte(src[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		line := src[pos:end]
		if !g.line(line) {
			return src, false
		}
		if at := tooDeep(line); at >= 0 {
			out.WriteString(src[done : pos+at])
			out.WriteByte('\\')
			done = pos + at
		}
		pos = end
	}
	if done == 0 {
		return src, true
	}
	out.WriteString(src[done:])
	return out.String(), true
}

// guardState counts within one run of lines that are not blank.
type guardState struct {
	fence      string // the open fence, if any
	list       bool   // the run began with an item
	delimiters int
	rows, cols int
	cells      int // of the runs before
}

// line takes one line and reports whether the limits are kept.
func (g *guardState) line(line string) bool {
	body := strings.Trim(line, " \t\n")
	if g.fence != "" {
		if strings.HasPrefix(body, g.fence) && strings.Trim(body, g.fence[:1]) == "" {
			g.fence = ""
		}
		return true
	}
	if f := fenceOf(body); f != "" {
		*g = guardState{fence: f, cells: g.cells + g.rows*g.cols}
		return true
	}
	if body == "" {
		*g = guardState{cells: g.cells + g.rows*g.cols}
		return true
	}
	bullet := bulleted(body)
	item := bullet || body[0] != '>' && markerLen(body) > 0
	if g.rows == 0 {
		g.list = item
	}
	if body[0] == '|' || body[0] == '#' || bullet || item && g.list {
		g.delimiters = 0 // an own block, or a cell
	}
	for i := range len(body) {
		switch body[i] {
		case '*', '_', '~', '[', '<', '`':
			g.delimiters++
		}
	}
	g.rows++
	if strings.Trim(body, "|:- \t") == "" {
		g.cols = max(g.cols, strings.Count(body, "|")+1)
	}
	return g.delimiters <= maxDelimiters && g.cells+g.rows*g.cols <= maxCells
}

// fenceOf returns the run of characters that opens a code fence, or "".
func fenceOf(body string) string {
	if len(body) < 3 || body[0] != '`' && body[0] != '~' {
		return ""
	}
	n := len(body) - len(strings.TrimLeft(body, body[:1]))
	if n < 3 || body[0] == '`' && strings.IndexByte(body[n:], '`') >= 0 {
		return ""
	}
	return body[:n]
}

func bulleted(body string) bool {
	return len(body) > 1 && strings.IndexByte("-*+", body[0]) >= 0 && (body[1] == ' ' || body[1] == '\t')
}

// tooDeep returns where the container marker beyond maxDepth starts, or -1.
func tooDeep(line string) int {
	if len(line) <= maxDepth {
		return -1
	}
	depth, i := 0, 0
	for {
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		n := markerLen(line[i:])
		if n == 0 {
			return -1
		}
		if depth++; depth > maxDepth || i > 4*maxDepth+depth {
			return i + n - 1
		}
		i += n
	}
}

// markerLen is the length of the quote, bullet or number that s starts with.
func markerLen(s string) int {
	if s == "" {
		return 0
	}
	if s[0] == '>' {
		return 1
	}
	if bulleted(s) {
		return 1
	}
	d := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if d > 0 && d+1 < len(s) && (s[d] == '.' || s[d] == ')') && (s[d+1] == ' ' || s[d+1] == '\t') {
		return d + 1
	}
	return 0
}
