package markup

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// pair is what stands before and after something.
type pair struct{ open, close string }

// chat renders for the dialects that are lines of text with marks in them. How
// they differ is data, in style.
type chat struct {
	w  *writer
	st *style

	on     [4]bool // kinds of style that are open, by slot
	open   []pair  // open marks, outermost first
	shown  int     // how many of them are written
	last   rune    // of the text before, when the style says apart
	inLink bool
	quotes int // open quotes that are marked by tags
}

// blocks writes siblings. Runs of inlines among them are paragraphs.
func (c *chat) blocks(nodes []Node, tight bool) {
	first := true
	for i := 0; i < len(nodes) && !c.w.over(); {
		end := i + 1
		if isInline(nodes[i].Kind) {
			for end < len(nodes) && isInline(nodes[end].Kind) {
				end++
			}
		}
		if !first {
			c.w.newline()
			if !tight {
				c.w.newline()
			}
		}
		first = false
		c.last = 0
		if isInline(nodes[i].Kind) {
			c.inlines(nodes[i:end])
		} else {
			c.block(&nodes[i])
		}
		i = end
	}
}

func (c *chat) block(n *Node) {
	switch n.Kind {
	case Paragraph, Cell:
		c.inlines(n.Children)
	case Heading:
		c.heading(n)
	case CodeBlock:
		c.codeBlock(n)
	case Quote:
		c.quote(n)
	case List:
		c.list(n)
	case Item:
		c.item(n, c.st.bullet, true)
	case Table:
		c.table(n)
	case Row:
		c.row(n)
	case Rule:
		c.w.text(c.st.rule)
	default: // a document within a document
		c.blocks(n.Children, false)
	}
}

func (c *chat) heading(n *Node) {
	if c.st.hashes && n.Level >= 1 && n.Level <= 3 {
		c.w.mark("###"[:n.Level] + " ")
		c.inlines(n.Children)
		return
	}
	c.styled(slotStrong, c.st.strong, n.Children)
}

func (c *chat) quote(n *Node) {
	if c.st.quote.open != "" && c.quotes == 0 {
		c.quotes++
		c.w.mark(c.st.quote.open)
		c.blocks(n.Children, false)
		c.w.mark(c.st.quote.close)
		c.quotes--
		return
	}
	at := c.w.indent(c.st.quotePrefix)
	c.blocks(n.Children, false)
	c.w.undent(at)
}

func (c *chat) list(n *Node) {
	for i := range n.Children {
		if c.w.over() {
			return
		}
		if i > 0 {
			c.w.newline()
			if !n.Tight {
				c.w.newline()
			}
		}
		marker := c.st.bullet
		if n.Ordered {
			marker = strconv.Itoa(n.Start+i) + ". "
		}
		c.item(&n.Children[i], marker, n.Tight)
	}
}

func (c *chat) item(n *Node, marker string, tight bool) {
	width := utf8.RuneCountInString(marker)
	if n.Continued {
		marker = spaces(width)
	} else if n.Task {
		marker += taskBox(n.Checked)
	}
	c.w.text(marker)
	at := c.w.indent(spaces(width))
	if len(n.Children) > 0 {
		switch n.Children[0].Kind {
		case CodeBlock, Quote, Table:
			c.w.newline()
		}
	}
	c.blocks(n.Children, tight)
	c.w.undent(at)
}

func taskBox(checked bool) string {
	if checked {
		return "☑ "
	}
	return "☐ "
}

func (c *chat) codeBlock(n *Node) {
	defer c.bare()()
	c.w.markLines(c.st.fenceOpen(n.Lang))
	c.lines(c.st.fenced(n.Literal), c.st.codeEscape)
	c.w.markLines(c.st.fenceClose(n.Lang))
}

// bare takes off the line prefix where the dialect's code blocks are tags, and
// returns what puts it back.
func (c *chat) bare() func() {
	if !c.st.bareCode {
		return func() {}
	}
	w, prefix := c.w, c.w.prefix
	w.prefix = nil
	return func() { w.prefix = prefix }
}

// lines writes literal text line by line.
func (c *chat) lines(s string, esc *escapes) {
	for {
		line, rest, more := strings.Cut(s, "\n")
		c.literal(line, esc)
		if !more || c.w.over() {
			return
		}
		c.newline()
		s = rest
	}
}

// literal writes text of one line, escaped.
func (c *chat) literal(s string, esc *escapes) {
	if s == "" {
		return
	}
	c.show()
	if c.st.apart {
		c.part(s)
	}
	if esc == nil || c.w.counting && !c.w.marks {
		c.w.text(s)
		return
	}
	from := 0
	for i := range len(s) {
		if r := esc[s[i]]; r != "" {
			c.w.text(s[from:i])
			c.w.mark(r)
			from = i + 1
			if c.w.over() {
				return
			}
		}
	}
	c.w.text(s[from:])
}
