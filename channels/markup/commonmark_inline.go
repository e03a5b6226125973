package markup

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/util"
)

// shape says whether inlines may run over several lines.
type shape int

const (
	wholeLines  shape = iota
	oneLineOnly       // a heading or a cell: line ends are written as references
)

// token is a piece of inline markup. Delimiters of emphasis are kept apart,
// because whether they count depends on the characters at both sides.
type token struct {
	kind tokenKind
	s    string
	// The first or last character of a text is written as a reference, which
	// makes punctuation of it, so that a delimiter beside it counts.
	encodeFirst, encodeLast bool
}

type tokenKind uint8

const (
	tokText tokenKind = iota
	tokOpen
	tokClose
	tokRaw
	tokBreak
)

// inlines writes the content of a leaf block.
func (c *commonmark) inlines(nodes []Node, sh shape) {
	from := len(c.toks)
	c.tokens(nodes, sh)
	toks := c.toks[from:]
	if c.inItem {
		c.inItem = false
		hideCheckBox(toks)
	}
	flank(toks)
	bol := true
	for i := range toks {
		if c.w.over() {
			break
		}
		t := &toks[i]
		switch t.kind {
		case tokText:
			last := i == len(toks)-1 || toks[i+1].kind == tokBreak
			c.text(t, bol, last, nextByte(toks, i), sh)
			bol = strings.HasSuffix(t.s, "\n") && sh == wholeLines
		case tokBreak:
			c.hardBreak(bol, sh)
			bol = true
		default:
			c.w.mark(t.s)
			bol = false
		}
	}
	c.toks = c.toks[:from]
}

// hardBreak writes a hard line break: as two spaces, because a backslash after
// an escaped one is misread; where these would make an empty line, as backslash.
func (c *commonmark) hardBreak(bol bool, sh shape) {
	switch {
	case sh == oneLineOnly:
		c.w.mark(" ")
		return
	case bol:
		c.w.mark(`\`)
	default:
		c.w.mark("  ")
	}
	c.w.newline()
}

// hideCheckBox keeps a link that would read as a check box from being one.
func hideCheckBox(toks []token) {
	if len(toks) < 2 || toks[0].s != "[" || toks[1].kind != tokText {
		return
	}
	switch s := toks[1].s; s {
	case "x", "X", " ", "\n", "\t":
		toks[1] = token{kind: tokRaw, s: charRef(rune(s[0]))}
	}
}

func nextByte(toks []token, i int) byte {
	if i+1 < len(toks) && toks[i+1].s != "" {
		return toks[i+1].s[0]
	}
	return 0
}

// tokens appends the tokens of inlines.
func (c *commonmark) tokens(nodes []Node, sh shape) {
	for i := range nodes {
		n := &nodes[i]
		switch n.Kind {
		case Strong:
			c.delimited("**", n.Children, sh)
		case Emph:
			c.delimited(c.emphMark(nodes, i), n.Children, sh)
		case Strike:
			c.delimited("~~", n.Children, sh)
		case Code:
			if n.Literal != "" {
				c.tok(tokRaw, c.codeSpan(n.Literal))
			}
		case Break:
			c.tok(tokBreak, "")
		case Link:
			c.link(n, sh)
		case Image:
			c.bracketed("![", n.Children, n.URL, sh)
		case Mention:
			c.bracketed("[", n.Children, mentionScheme+n.URL, sh)
		default:
			if n.Literal != "" {
				c.tok(tokText, n.Literal)
			}
			c.tokens(n.Children, sh)
		}
	}
}

func (c *commonmark) tok(k tokenKind, s string) {
	c.toks = append(c.toks, token{kind: k, s: s})
}

func (c *commonmark) delimited(mark string, children []Node, sh shape) {
	if len(children) == 0 {
		return
	}
	c.tok(tokOpen, mark)
	c.tokens(children, sh)
	c.tok(tokClose, mark)
}

// emphMark chooses the delimiter of an emphasis: an underscore where an
// asterisk would run together with one beside it.
func (c *commonmark) emphMark(nodes []Node, i int) string {
	n := &nodes[i]
	beside := len(c.toks) > 0 && strings.HasSuffix(c.toks[len(c.toks)-1].s, "*") && c.toks[len(c.toks)-1].kind != tokText
	first, last := n.Children, n.Children
	if len(first) > 0 {
		beside = beside || styledKind(first[0].Kind) || styledKind(last[len(last)-1].Kind)
	}
	if i+1 < len(nodes) {
		beside = beside || styledKind(nodes[i+1].Kind)
	} else {
		beside = beside || c.within(tokOpen)
	}
	if beside {
		return "_"
	}
	return "*"
}

// within reports whether a delimiter is open that would close right after.
func (c *commonmark) within(k tokenKind) bool {
	open := 0
	for i := len(c.toks) - 1; i >= 0; i-- {
		switch c.toks[i].kind {
		case tokClose:
			open--
		case k:
			if open++; open > 0 {
				return true
			}
		}
	}
	return false
}

func styledKind(k Kind) bool { return k == Strong || k == Emph || k == Strike }

func (c *commonmark) link(n *Node, sh shape) {
	if len(n.Children) == 1 && n.Children[0].Kind == Text {
		if t := n.Children[0].Literal; t == shownURL(n.URL) && autolinkable(n.URL, t) {
			c.tok(tokRaw, "<"+t+">")
			return
		}
	}
	c.bracketed("[", n.Children, n.URL, sh)
}

// autolinkable reports whether "<text>" is read as a link to url.
func autolinkable(url, text string) bool {
	if text != url { // an address
		at := strings.IndexByte(text, '@')
		return at > 0 && util.FindEmailIndex([]byte(text)) == len(text) && strings.Contains(text[at:], ".")
	}
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok || scheme != "http" && scheme != "https" || strings.ContainsAny(rest, "<>\\& |") {
		return false
	}
	return util.FindURLIndex([]byte(url)) == len(url)
}

func (c *commonmark) bracketed(open string, children []Node, url string, sh shape) {
	c.tok(tokRaw, open)
	c.tokens(children, sh)
	c.tok(tokRaw, "]("+destination(url)+")")
}

func destination(url string) string {
	if url == "" {
		return ""
	}
	if !strings.ContainsAny(url, "()<>\\& |*_~`\n[]") {
		return url
	}
	url = strings.NewReplacer("\n", "%0A", "<", "%3C", ">", "%3E", `\`, "%5C", "&", "&amp;", "|", "&#124;").Replace(url)
	return "<" + url + ">"
}

// codeSpan quotes a literal with more backticks than it holds.
func (c *commonmark) codeSpan(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	if c.inCell {
		s = strings.ReplaceAll(s, "|", `\|`)
	}
	fence := strings.Repeat("`", freeRun(s))
	blank := strings.Trim(s, " ") == ""
	edge := s[0] == '`' || s[len(s)-1] == '`' || s[0] == ' ' && s[len(s)-1] == ' '
	if edge && !blank {
		s = " " + s + " "
	}
	return fence + s + fence
}

// freeRun is the smallest number of backticks that s holds no run of.
func freeRun(s string) int {
	used := map[int]bool{}
	n := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] == '`' {
			n++
			continue
		}
		used[n] = true
		n = 0
	}
	for n = 1; used[n]; n++ {
	}
	return n
}

// class is what a delimiter sees of a character beside it.
type class uint8

const (
	space class = iota // also the edge of the block
	punct
	other
)

func classOf(r rune) class {
	switch {
	case unicode.IsSpace(r):
		return space
	case util.IsPunctRune(r):
		return punct
	}
	return other
}

// flank marks the characters that have to become punctuation for the
// delimiters beside them to count. A text of one character has a delimiter at
// both sides, so that marking it for one can take away from the other: it goes
// on until nothing changes.
func flank(toks []token) {
	for changed := true; changed; {
		changed = false
		for i := range toks {
			switch toks[i].kind {
			case tokOpen:
				changed = flankOpen(toks, i) || changed
			case tokClose:
				changed = flankClose(toks, i) || changed
			}
		}
	}
}

// flankOpen sees to it that the delimiter at i opens.
func flankOpen(toks []token, i int) (changed bool) {
	before, after := sides(toks, i)
	if after == space && i+1 < len(toks) {
		changed = set(&toks[i+1].encodeFirst)
		after = punct
	}
	s := toks[i].s
	tilde := s == "~~" && i > 0 && strings.HasSuffix(toks[i-1].s, "~") // hides what follows, even escaped
	if tilde || before == other && (after == punct || s == "_") {
		changed = set(&toks[i-1].encodeLast) || changed
	}
	return changed
}

// flankClose sees to it that the delimiter at i closes.
func flankClose(toks []token, i int) (changed bool) {
	before, after := sides(toks, i)
	if before == space && i > 0 {
		changed = set(&toks[i-1].encodeLast)
		before = punct
	}
	if after == other && (before == punct || toks[i].s == "_") {
		changed = set(&toks[i+1].encodeFirst) || changed
	}
	return changed
}

// sides is what the delimiter at i sees to its left and right.
func sides(toks []token, i int) (before, after class) {
	if i > 0 {
		before = edge(&toks[i-1], true)
	}
	if i+1 < len(toks) {
		after = edge(&toks[i+1], false)
	}
	return before, after
}

func set(b *bool) bool {
	was := *b
	*b = true
	return !was
}

// edge is the class of a token's last or first character, as written.
func edge(t *token, last bool) class {
	switch {
	case t.kind == tokBreak && last:
		return space
	case t.kind != tokText:
		return punct
	case last:
		r, n := utf8.DecodeLastRuneInString(t.s)
		if t.encodeLast || t.encodeFirst && n == len(t.s) {
			return punct
		}
		return classOf(r)
	}
	r, n := utf8.DecodeRuneInString(t.s)
	if t.encodeFirst || t.encodeLast && n == len(t.s) {
		return punct
	}
	return classOf(r)
}

func charRef(r rune) string { return "&#" + strconv.Itoa(int(r)) + ";" }
