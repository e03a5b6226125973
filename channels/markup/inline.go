package markup

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"
)

// styleSet says which styles are on around an inline, so that one within an
// equal one is dropped. A link within a link is dropped too.
type styleSet uint8

const (
	inStrong styleSet = 1 << iota
	inEmph
	inStrike
	inLink
)

// run collects the inlines of one parent in normal form.
type run struct {
	c    *converter
	out  []Node
	text string // pending text, as long as it is one piece
	many bool   // pending text is in c.acc[from:]
	from int
}

func (c *converter) inlines(parent ast.Node, depth int, in styleSet) []Node {
	if parent.FirstChild() == nil {
		return nil
	}
	r := run{c: c, from: len(c.acc)}
	if depth >= maxDepth {
		if n, ok := c.flat(parent); ok {
			return n.Children
		}
		return nil
	}
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		r.add(n, depth, in)
	}
	r.flush()
	return r.out
}

func (r *run) add(n ast.Node, depth int, in styleSet) {
	switch n := n.(type) {
	case *ast.Text:
		r.addText(r.c.textValue(n))
		switch {
		case n.HardLineBreak():
			r.flush()
			r.out = append(r.out, Node{Kind: Break})
		case n.SoftLineBreak():
			r.addText("\n")
		}
		return
	case *ast.String:
		r.addText(string(n.Value))
		return
	case *extast.TaskCheckBox:
		return
	}
	r.flush()
	switch n := n.(type) {
	case *ast.CodeSpan:
		r.out = append(r.out, Node{Kind: Code, Literal: r.c.codeSpan(n)})
	case *ast.Emphasis:
		if n.Level > 1 {
			r.styled(Strong, n, depth, in, inStrong)
		} else {
			r.styled(Emph, n, depth, in, inEmph)
		}
	case *extast.Strikethrough:
		r.styled(Strike, n, depth, in, inStrike)
	case *ast.Link:
		r.link(n, depth, in)
	case *ast.AutoLink:
		label := string(n.Label(r.c.bytes))
		if in&inLink != 0 {
			r.addText(label)
			return
		}
		r.out = append(r.out, Node{
			Kind: Link, URL: autoURL(n, label),
			Children: []Node{{Kind: Text, Literal: label}},
		})
	case *ast.Image:
		img := Node{Kind: Image, URL: r.c.url(n.Destination, n.Reference != nil)}
		if alt, ok := r.c.flat(n); ok {
			img.Children = alt.Children
		}
		r.out = append(r.out, img)
	}
}

func (r *run) link(n *ast.Link, depth int, in styleSet) {
	url := r.c.url(n.Destination, n.Reference != nil)
	children := r.c.inlines(n, depth+1, in|inLink)
	if id, ok := strings.CutPrefix(url, mentionScheme); ok && mentionable(id) {
		r.out = append(r.out, Node{Kind: Mention, URL: id, Children: children})
		return
	}
	r.out = append(r.out, Node{Kind: Link, URL: url, Children: children})
}

// styled adds a style's content: white space at its edges goes outside, and the
// style itself is left out where it is on already.
func (r *run) styled(kind Kind, n ast.Node, depth int, in, bit styleSet) {
	children := r.c.inlines(n, depth+1, in|bit)
	if in&bit != 0 {
		for _, ch := range children {
			r.put(ch)
		}
		return
	}
	head, body, tail := hoist(children)
	for _, ch := range head {
		r.put(ch)
	}
	if len(body) > 0 {
		r.put(Node{Kind: kind, Children: body})
	}
	for _, ch := range tail {
		r.put(ch)
	}
}

// put appends a finished inline, merged with the one before where both are
// texts or the same style.
func (r *run) put(n Node) {
	if n.Kind == Text && n.Literal == "" {
		return
	}
	r.flush()
	if len(r.out) == 0 {
		r.out = append(r.out, n)
		return
	}
	last := &r.out[len(r.out)-1]
	switch {
	case n.Kind == Text && last.Kind == Text:
		last.Literal += n.Literal
	case n.Kind == last.Kind && (n.Kind == Strong || n.Kind == Emph || n.Kind == Strike):
		inner := run{c: r.c, out: last.Children, from: len(r.c.acc)}
		for _, ch := range n.Children {
			inner.put(ch)
		}
		last.Children = inner.out
	default:
		r.out = append(r.out, n)
	}
}

// hoist splits off the white space with which a style's content begins and ends.
func hoist(in []Node) (head, body, tail []Node) {
	body = in
	for len(body) > 0 {
		n := body[0]
		if n.Kind == Break {
			head, body = append(head, n), body[1:]
			continue
		}
		if n.Kind != Text {
			break
		}
		rest := strings.TrimLeftFunc(n.Literal, unicode.IsSpace)
		if cut := len(n.Literal) - len(rest); cut > 0 {
			head = append(head, Node{Kind: Text, Literal: n.Literal[:cut]})
		}
		if rest != "" {
			body[0].Literal = rest
			break
		}
		body = body[1:]
	}
	for len(body) > 0 {
		n := body[len(body)-1]
		if n.Kind == Break {
			tail, body = append([]Node{n}, tail...), body[:len(body)-1]
			continue
		}
		if n.Kind != Text {
			break
		}
		rest := strings.TrimRightFunc(n.Literal, unicode.IsSpace)
		if len(rest) < len(n.Literal) {
			tail = append([]Node{{Kind: Text, Literal: n.Literal[len(rest):]}}, tail...)
		}
		if rest != "" {
			body[len(body)-1].Literal = rest
			break
		}
		body = body[:len(body)-1]
	}
	return head, body, tail
}

func (r *run) addText(s string) {
	switch {
	case s == "":
	case r.many:
		r.c.acc = append(r.c.acc, s...)
	case r.text == "":
		r.text = s
	default:
		r.c.acc = append(append(r.c.acc[:r.from], r.text...), s...)
		r.many = true
	}
}

// flush ends the pending text.
func (r *run) flush() {
	s := r.text
	if r.many {
		s = string(r.c.acc[r.from:])
		r.c.acc = r.c.acc[:r.from]
	}
	r.text, r.many = "", false
	if s == "" {
		return
	}
	if i := len(r.out) - 1; i >= 0 && r.out[i].Kind == Text {
		r.out[i].Literal += s
		return
	}
	r.out = append(r.out, Node{Kind: Text, Literal: s})
}

// textValue is the text that a node stands for, without its line end.
func (c *converter) textValue(n *ast.Text) string {
	s := c.src[n.Segment.Start:n.Segment.Stop]
	if n.Segment.Padding > 0 {
		s = string(n.Segment.Value(c.bytes))
	}
	if n.IsRaw() {
		return s
	}
	return unescape(s)
}

func (c *converter) codeSpan(n *ast.CodeSpan) string {
	var b strings.Builder
	for ch := n.FirstChild(); ch != nil; ch = ch.NextSibling() {
		switch ch := ch.(type) {
		case *ast.Text:
			b.Write(ch.Segment.Value(c.bytes))
		case *ast.String:
			b.Write(ch.Value)
		}
	}
	return strings.ReplaceAll(b.String(), "\n", " ")
}

// url decodes a link's destination. What is repeated by reference is counted,
// so that a short text cannot grow into a huge one.
func (c *converter) url(dest []byte, byReference bool) string {
	if byReference {
		if c.budget < len(dest) {
			return ""
		}
		c.budget -= len(dest)
	}
	return encodeURL(unescape(string(dest)))
}

func autoURL(n *ast.AutoLink, label string) string {
	switch {
	case n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(strings.ToLower(label), "mailto:"):
		return "mailto:" + label
	case len(n.Protocol) > 0:
		return encodeURL(string(n.Protocol) + "://" + label)
	}
	return encodeURL(label)
}

// unescape resolves backslash escapes and character references.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 && strings.IndexByte(s, '&') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\\' && i+1 < len(s) && util.IsPunct(s[i+1]):
			b.WriteByte(s[i+1])
			i += 2
			continue
		case s[i] == '&':
			if chars, n := reference(s[i:]); n > 0 {
				b.WriteString(chars)
				i += n
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// reference decodes the character reference at the start of s and returns its
// length, 0 if there is none.
func reference(s string) (string, int) {
	const longest = 34 // "&CounterClockwiseContourIntegral;" and a bit
	end := strings.IndexByte(s[:min(len(s), longest)], ';')
	if end < 2 {
		return "", 0
	}
	name := s[1:end]
	if name[0] != '#' {
		e, ok := util.LookUpHTML5EntityByName(name)
		if !ok {
			return "", 0
		}
		return string(e.Characters), end + 1
	}
	digits, base, most := name[1:], 10, 7
	if len(digits) > 0 && (digits[0] == 'x' || digits[0] == 'X') {
		digits, base, most = digits[1:], 16, 6
	}
	if len(digits) == 0 || len(digits) > most || digits[0] == '+' || digits[0] == '-' {
		return "", 0
	}
	v, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return "", 0
	}
	r := utf8.RuneError
	if v > 0 && v <= utf8.MaxRune {
		r = rune(v)
	}
	switch {
	case r == '\r':
		r = '\n'
	case unwanted(r):
		r = utf8.RuneError
	}
	return string(r), end + 1
}
