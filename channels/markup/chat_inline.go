package markup

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// slot numbers the styles that must not be opened twice.
type slot int

const (
	slotStrong slot = iota
	slotEmph
	slotStrike
	slotCode
)

func (c *chat) inlines(nodes []Node) {
	for i := range nodes {
		if c.w.over() {
			return
		}
		c.inline(&nodes[i])
	}
}

func (c *chat) inline(n *Node) {
	switch n.Kind {
	case Text, "":
		c.lines(n.Literal, c.st.textEscape)
	case Strong:
		c.styled(slotStrong, c.st.strong, n.Children)
	case Emph:
		c.styled(slotEmph, c.st.emph, n.Children)
	case Strike:
		c.styled(slotStrike, c.st.strike, n.Children)
	case Code:
		c.code(n.Literal)
	case Link, Image:
		c.link(n)
	case Mention:
		c.mention(n)
	case Break:
		c.newline()
	default: // a block where inlines are expected
		c.inlines(n.Children)
		c.lines(n.Literal, c.st.textEscape)
	}
}

func (c *chat) styled(s slot, marks pair, children []Node) {
	if len(children) == 0 {
		return
	}
	if c.on[s] || marks == (pair{}) {
		c.inlines(children)
		return
	}
	c.begin(s, marks)
	c.inlines(children)
	c.end(s, marks)
}

// begin opens a style. Its mark is not written before there is text in it.
func (c *chat) begin(s slot, marks pair) {
	c.on[s] = true
	c.open = append(c.open, marks)
}

func (c *chat) end(s slot, marks pair) {
	c.on[s] = false
	c.open = c.open[:len(c.open)-1]
	if c.shown <= len(c.open) {
		return
	}
	c.shown = len(c.open)
	c.w.mark(marks.close)
	c.last = closed
	if c.st.reapply {
		for _, p := range c.open {
			c.w.mark(p.open)
		}
	}
}

// show writes the marks that are open but not yet written.
func (c *chat) show() {
	if c.shown == len(c.open) {
		return
	}
	if c.st.apart && wordRune(c.last) {
		c.w.mark(zeroWidth)
	}
	for ; c.shown < len(c.open); c.shown++ {
		c.w.mark(c.open[c.shown].open)
	}
	c.last = 0
}

// zeroWidth is a space without width, for marks within a word.
const zeroWidth = "\u200b"

// part keeps s apart from a mark just before it, and notes what it ends in.
func (c *chat) part(s string) {
	if c.last == closed {
		if r, _ := utf8.DecodeRuneInString(s); wordRune(r) {
			c.w.mark(zeroWidth)
		}
	}
	c.last, _ = utf8.DecodeLastRuneInString(s)
}

// closed stands for a closing mark in last.
const closed = -1

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// suspend closes the marks that are open; show opens them again.
func (c *chat) suspend() {
	for ; c.shown > 0; c.shown-- {
		c.w.mark(c.open[c.shown-1].close)
	}
}

// newline ends a line within inlines.
func (c *chat) newline() {
	if c.st.perLine {
		c.suspend()
	}
	c.w.newline()
	c.last = 0
}

func (c *chat) code(s string) {
	marks := c.st.code
	switch {
	case s == "":
		return
	case marks == (pair{}) || c.st.codeAlone && c.inLink:
		c.lines(s, c.st.codeEscape)
		return
	case c.st.codeAlone:
		c.suspend()
		c.w.mark(marks.open)
		c.bareLines(s)
		c.w.mark(marks.close)
		return
	}
	if strings.Contains(s, "`") && marks.open == "`" {
		if c.st.doubleTicks && !strings.Contains(s, "``") {
			marks = pair{"`` ", " ``"}
		} else {
			s = strings.ReplaceAll(s, "`", "ˋ") // there is no way to quote it
		}
	}
	c.begin(slotCode, marks)
	c.lines(s, c.st.codeEscape)
	c.end(slotCode, marks)
}

// bareLines writes code without the styles that are open around it.
func (c *chat) bareLines(s string) {
	open := c.open
	c.open = nil
	c.lines(s, c.st.codeEscape)
	c.open = open
}

// link writes a link or an image, which is a link to the picture.
func (c *chat) link(n *Node) {
	children := linkText(n)
	if c.inLink || !safeURL(n.URL) {
		c.inlines(children)
		return
	}
	c.inLink = true
	defer func() { c.inLink = false }()
	bare := len(n.Children) == 0 || saysURL(n)
	c.show()
	switch c.st.link {
	case linkTag:
		c.w.mark(`<a href="` + attribute(n.URL) + `">`)
		c.inlines(children)
		c.w.mark("</a>")
	case linkAngle:
		c.angleLink(n.URL, children, bare)
	case linkBracket:
		if bare {
			c.w.mark(shownURL(n.URL))
			return
		}
		c.w.mark("[")
		c.inlines(children)
		c.w.mark("](" + parens.Replace(n.URL) + ")")
	default:
		c.begin(slotCode, c.st.underline)
		c.inlines(children)
		c.end(slotCode, c.st.underline)
		if !bare {
			c.w.text(" (" + n.URL + ")")
		}
	}
}

// linkText is what a link or image shows: its address where it has no text.
func linkText(n *Node) []Node {
	switch {
	case len(n.Children) > 0:
		return n.Children
	case n.Kind == Image && !safeURL(n.URL):
		return []Node{{Kind: Text, Literal: "image"}}
	}
	return []Node{{Kind: Text, Literal: shownURL(n.URL)}}
}

// angleLink writes a link as Slack takes it, where the text stands within the
// same brackets as the URL.
func (c *chat) angleLink(url string, children []Node, bare bool) {
	url = angleURL.Replace(url)
	if bare {
		c.w.mark("<" + url + ">")
		return
	}
	c.w.mark("<" + url + "|")
	c.inlines(children)
	c.w.mark(">")
}

func (c *chat) mention(n *Node) {
	if mentionable(n.URL) && !c.inLink {
		c.show()
		switch {
		case c.st.mention == mentionAngle:
			c.w.mark("<@" + n.URL + ">")
			return
		case c.st.mention == mentionNumber:
			number, _, _ := strings.Cut(n.URL, "@")
			c.w.mark("@" + number)
			return
		case c.st.mention == mentionTag && allDigits(n.URL):
			c.w.mark(`<a href="tg://user?id=` + n.URL + `">`)
			c.inLink = true
			defer func() { c.inLink = false; c.w.mark("</a>") }()
		}
	}
	if len(n.Children) == 0 {
		c.lines("@"+n.URL, c.st.textEscape)
		return
	}
	c.inlines(n.Children)
}
