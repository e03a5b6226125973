package markup

import (
	"strconv"
	"strings"
)

// commonmark renders the form that Parse reads back into the same tree.
type commonmark struct {
	w *writer

	inItem bool // what comes next stands first in an item
	inCell bool
	turn   int // which of the bullets the list around has
	toks   []token
}

// bullets are used in turn where two lists would otherwise run together, or
// where nested ones would look like a rule. Numbers have two forms.
const bullets = "-+*"

func (c *commonmark) blocks(nodes []Node, tight bool) {
	last, turn := Kind(""), 0
	for i := 0; i < len(nodes) && !c.w.over(); {
		end := i + 1
		if isInline(nodes[i].Kind) {
			for end < len(nodes) && isInline(nodes[end].Kind) {
				end++
			}
		}
		if i > 0 {
			c.w.newline()
			if !tight {
				c.w.newline()
			}
		}
		n := &nodes[i]
		if n.Kind == List {
			turn = c.bullet(last == List && nodes[i-1].Ordered == n.Ordered, turn)
			c.list(n, turn)
			c.inItem, last, i = false, List, end
			continue
		}
		if isInline(n.Kind) {
			c.inlines(nodes[i:end], wholeLines)
		} else {
			c.block(n, tight)
		}
		c.inItem = false
		last = n.Kind
		i = end
	}
}

func (c *commonmark) block(n *Node, tight bool) {
	switch n.Kind {
	case Paragraph, Cell:
		c.inlines(n.Children, wholeLines)
	case Heading:
		c.heading(n)
	case CodeBlock:
		c.codeBlock(n)
	case Quote:
		c.w.mark(">")
		at := c.w.indent("> ")
		if len(n.Children) > 0 {
			c.w.mark(" ")
		}
		c.inItem = false
		c.blocks(n.Children, false)
		c.w.undent(at)
	case Item:
		c.item(n, "- ", true)
	case Table:
		c.table(n)
	case Row:
		c.row(n)
	case Rule:
		c.w.mark("___")
	default:
		c.blocks(n.Children, tight)
	}
}

func (c *commonmark) heading(n *Node) {
	level := min(max(n.Level, 1), 6)
	if level <= 2 && hasBreak(n.Children) {
		c.inlines(n.Children, wholeLines)
		c.w.newline()
		c.w.mark([]string{"===", "---"}[level-1])
		return
	}
	c.w.mark("######"[:level])
	if len(n.Children) > 0 {
		c.w.mark(" ")
		c.inlines(n.Children, oneLineOnly)
	}
}

func hasBreak(nodes []Node) bool {
	for i := range nodes {
		if nodes[i].Kind == Break || hasBreak(nodes[i].Children) {
			return true
		}
	}
	return false
}

func (c *commonmark) codeBlock(n *Node) {
	tick := "`"
	if strings.Contains(n.Lang, "`") {
		tick = "~"
	}
	fence := strings.Repeat(tick, max(3, longestRun(n.Literal, tick[0])+1))
	c.w.mark(fence + escapeLang(n.Lang))
	c.w.newline()
	if n.Literal != "" {
		c.raw(n.Literal)
		c.w.newline()
	}
	c.w.mark(fence)
}

// raw writes lines as they are.
func (c *commonmark) raw(s string) {
	for {
		line, rest, more := strings.Cut(s, "\n")
		c.w.text(line)
		if !more || c.w.over() {
			return
		}
		c.w.newline()
		s = rest
	}
}

func escapeLang(lang string) string {
	if strings.ContainsAny(lang, "\\&") {
		lang = strings.NewReplacer(`\`, `\\`, "&", "&amp;").Replace(lang)
	}
	return strings.Join(strings.Fields(lang), "-")
}

// longestRun is the length of the longest run of c in s.
func longestRun(s string, c byte) int {
	best, n := 0, 0
	for i := range len(s) {
		if s[i] != c {
			n = 0
			continue
		}
		n++
		best = max(best, n)
	}
	return best
}

// bullet chooses the turn of a list. It differs from that of a list of the same
// type right before it, with which it would be one, and from that of the item it
// opens, because three equal bullets in a row are a rule.
func (c *commonmark) bullet(adjacent bool, before int) int {
	switch {
	case adjacent:
		return before + 1
	case c.inItem:
		return c.turn + 1
	}
	return 0
}

func (c *commonmark) list(n *Node, turn int) {
	outer := c.turn
	for i := range n.Children {
		if c.w.over() {
			break
		}
		if i > 0 {
			c.w.newline()
			if !n.Tight {
				c.w.newline()
			}
		}
		c.turn = turn
		marker := bullets[turn%3:turn%3+1] + " "
		if n.Ordered {
			marker = strconv.Itoa(n.Start+i) + []string{". ", ") "}[turn%2]
		}
		c.item(&n.Children[i], marker, n.Tight)
	}
	c.turn = outer
}

func (c *commonmark) item(n *Node, marker string, tight bool) {
	lead := marker
	if n.Task && !n.Continued {
		lead += map[bool]string{false: "[ ] ", true: "[x] "}[n.Checked]
	}
	if len(n.Children) == 0 {
		lead = strings.TrimRight(lead, " ")
	}
	c.w.mark(lead)
	at := c.w.indent(spaces(len(marker)))
	c.inItem = true
	c.blocks(n.Children, tight)
	c.inItem = false
	c.w.undent(at)
}

func (c *commonmark) table(n *Node) {
	c.inCell = true
	for i := range n.Children {
		if c.w.over() {
			break
		}
		if i > 0 {
			c.w.newline()
		}
		c.row(&n.Children[i])
		if i == 0 {
			c.w.newline()
			c.delimiters(&n.Children[0])
		}
	}
	c.inCell = false
}

func (c *commonmark) row(n *Node) {
	c.w.mark("|")
	for i := range n.Children {
		c.w.mark(" ")
		c.inlines(n.Children[i].Children, oneLineOnly)
		c.w.mark(" |")
	}
}

func (c *commonmark) delimiters(head *Node) {
	c.w.mark("|")
	for i := range head.Children {
		switch head.Children[i].Align {
		case "left":
			c.w.mark(" :-- |")
		case "right":
			c.w.mark(" --: |")
		case "center":
			c.w.mark(" :-: |")
		default:
			c.w.mark(" --- |")
		}
	}
}
