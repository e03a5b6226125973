package codec

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds on what is taken as formatting: more than a client can send, and few
// enough that a hostile update costs nothing.
const (
	maxEntities = 256
	maxNesting  = 16
)

// index finds places in a text that are counted in UTF-16 code units.
type index struct {
	text  string
	ascii bool
	bytes []int // of each code unit, and of the end; nil for ASCII
}

func newIndex(text string) *index {
	x := &index{text: text, ascii: true}
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			x.ascii = false
			break
		}
	}
	if x.ascii {
		return x
	}
	x.bytes = make([]int, 0, len(text)+1)
	for i, r := range text {
		x.bytes = append(x.bytes, i)
		if r > 0xffff {
			x.bytes = append(x.bytes, i) // the second half of a pair stands where the first does
		}
	}
	x.bytes = append(x.bytes, len(text))
	return x
}

// at is the byte at a code unit; what is out of the text is its nearer end.
func (x *index) at(unit int) int {
	unit = max(unit, 0)
	if x.ascii {
		return min(unit, len(x.text))
	}
	return x.bytes[min(unit, len(x.bytes)-1)]
}

// span is the bytes of an entity; start > end never happens.
func (x *index) span(offset, length int) (start, end int) {
	if length <= 0 || offset < 0 || offset > len(x.text) {
		return 0, 0
	}
	start = x.at(offset)
	return start, max(x.at(offset+min(length, len(x.text))), start)
}

func (x *index) cut(offset, length int) string {
	start, end := x.span(offset, length)
	return x.text[start:end]
}

// style is an entity with its place in bytes and what is inside of it.
type style struct {
	*entity
	start, end int
	inner      []style
}

// commonmark writes a text with Telegram's entities as CommonMark. A text
// without formatting is returned as it is; in one with formatting, characters
// that would be read as markup are escaped. Underline and spoiler have no
// counterpart and leave their text plain; quotes, code and links survive.
func commonmark(text string, entities []entity) string {
	if !slices.ContainsFunc(entities, marks) {
		return text
	}
	w := writer{text: text}
	w.inlines(0, len(text), nest(styles(text, entities)), 0)
	return strings.TrimSpace(w.out.String())
}

// marks reports whether an entity has a form in CommonMark.
func marks(e entity) bool {
	switch e.Type {
	case "bold", "italic", "strikethrough", "code", "pre", "blockquote", "expandable_blockquote":
		return true
	case "text_link":
		return e.URL != ""
	case "text_mention":
		return e.User != nil && e.User.ID != 0
	}
	return false
}

// styles places the entities, outer ones before those they hold. An entity that
// crosses a paragraph's end is cut there, because emphasis in CommonMark cannot
// cross it, and white space at its edges stays outside.
func styles(text string, entities []entity) []style {
	x := newIndex(text)
	var all []style
	for i := range entities[:min(len(entities), maxEntities)] {
		e := &entities[i]
		if !marks(*e) {
			continue
		}
		start, end := x.span(e.Offset, e.Length)
		if e.block() {
			all = appendTrimmed(all, text, e, start, end)
			continue
		}
		for start < end && len(all) < 2*maxEntities {
			stop := end
			if i := strings.Index(text[start:end], "\n\n"); i >= 0 {
				stop = start + i
			}
			all = appendTrimmed(all, text, e, start, stop)
			start = stop + len("\n\n")
		}
	}
	slices.SortStableFunc(all, func(a, b style) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.rank(), b.rank()))
	})
	return all
}

func appendTrimmed(all []style, text string, e *entity, start, end int) []style {
	const space = " \t\r\n"
	if e.Type != "pre" && e.Type != "code" {
		end = start + len(strings.TrimRight(text[start:end], space))
		start = end - len(strings.TrimLeft(text[start:end], space))
	}
	if start >= end {
		return all
	}
	return append(all, style{entity: e, start: start, end: end})
}

func (e *entity) block() bool {
	return e.Type == "pre" || e.Type == "blockquote" || e.Type == "expandable_blockquote"
}

// rank puts what must stand outside first where two entities cover the same
// text: quotes around everything, code inside everything.
func (s style) rank() int {
	switch s.Type {
	case "blockquote", "expandable_blockquote":
		return 0
	case "text_link", "text_mention":
		return 1
	case "code", "pre":
		return 3
	}
	return 2
}

// nest makes a tree of entities sorted by start. One that would reach out of
// the entity it begins in is cut at that one's end.
func nest(all []style) []style {
	var top []style
	for len(all) > 0 {
		s := all[0]
		n := 1
		for n < len(all) && all[n].start < s.end {
			all[n].end = min(all[n].end, s.end)
			n++
		}
		s.inner = nestInner(all[1:n])
		top = append(top, s)
		all = all[n:]
	}
	return top
}

// nestInner is nest for what an entity holds. The ends may have been cut, so
// that the order is made anew.
func nestInner(all []style) []style {
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b style) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	return nest(all)
}

type writer struct {
	text string
	out  strings.Builder
}

// inlines writes text[start:end] with its entities.
func (w *writer) inlines(start, end int, inner []style, depth int) {
	for i := range inner {
		s := &inner[i]
		if s.start >= end {
			break
		}
		w.escape(start, s.start)
		w.style(s, depth+1)
		start = s.end
	}
	w.escape(start, end)
}

func (w *writer) style(s *style, depth int) {
	if depth > maxNesting {
		w.escape(s.start, s.end)
		return
	}
	switch s.Type {
	case "bold":
		w.wrapped("**", "**", s, depth)
	case "italic":
		w.wrapped("*", "*", s, depth)
	case "strikethrough":
		w.wrapped("~~", "~~", s, depth)
	case "text_link":
		w.wrapped("[", "](<"+linkURL(s.URL)+">)", s, depth)
	case "text_mention":
		w.wrapped("[", "](mention:"+id(s.User.ID)+")", s, depth)
	case "code":
		w.code(s)
	case "pre":
		w.fence(s)
	default:
		w.quote(s, depth)
	}
}

func (w *writer) wrapped(open, shut string, s *style, depth int) {
	w.out.WriteString(open)
	w.inlines(s.start, s.end, s.inner, depth)
	w.out.WriteString(shut)
}

func (w *writer) code(s *style) {
	body := w.text[s.start:s.end]
	ticks := strings.Repeat("`", longestRun(body)+1)
	pad := ""
	if len(ticks) > 1 {
		pad = " "
	}
	w.out.WriteString(ticks + pad + body + pad + ticks)
}

func (w *writer) fence(s *style) {
	body := strings.Trim(w.text[s.start:s.end], "\n")
	ticks := strings.Repeat("`", max(longestRun(body)+1, 3))
	w.newline()
	w.out.WriteString(ticks + infoWord(s.Language) + "\n" + body + "\n" + ticks)
	w.blockEnd(s.end)
}

// quote writes its content on its own and then puts "> " before each line.
func (w *writer) quote(s *style, depth int) {
	inner := writer{text: w.text}
	inner.inlines(s.start, s.end, s.inner, depth)
	w.newline()
	w.out.WriteString("> " + strings.ReplaceAll(strings.TrimRight(inner.out.String(), "\n"), "\n", "\n> "))
	if w.blockEnd(s.end) {
		w.out.WriteByte('\n') // or the next line would continue the quote
	}
}

// newline starts a line for a block.
func (w *writer) newline() {
	if s := w.out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		w.out.WriteByte('\n')
	}
}

// blockEnd ends a block's last line, and reports whether text follows.
func (w *writer) blockEnd(end int) bool {
	if end >= len(w.text) {
		return false
	}
	if w.text[end] != '\n' {
		w.out.WriteByte('\n')
	}
	return true
}

// escape writes literal text.
func (w *writer) escape(start, end int) {
	for i := start; i < end; i++ {
		c := w.text[i]
		switch c {
		case '\\', '*', '`', '[', ']', '<':
			w.out.WriteByte('\\')
		case '_', '~':
			// Inside a word they mean nothing: snake_case stays readable.
			if !w.wordy(i-1) || !w.wordy(i+1) {
				w.out.WriteByte('\\')
			}
		}
		w.out.WriteByte(c)
	}
}

func (w *writer) wordy(i int) bool {
	if i < 0 || i >= len(w.text) {
		return false
	}
	c := w.text[i]
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// longestRun is the length of the longest run of backticks.
func longestRun(s string) int {
	best, run := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			run = 0
			continue
		}
		run++
		best = max(best, run)
	}
	return best
}

// infoWord keeps a fence's language to one harmless word.
func infoWord(s string) string {
	if strings.ContainsAny(s, "` \t\r\n") {
		return ""
	}
	return s
}

var urlEscapes = strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "%0A", "\r", "%0D", "\\", "%5C")

// linkURL is a URL that can stand between angle brackets.
func linkURL(s string) string { return urlEscapes.Replace(s) }
