package markup

import (
	"strconv"
	"strings"
)

// web renders HTML for a chat page. Tags and attributes are constants of this
// file; everything else is escaped. The result is also well-formed XML.
type web struct {
	w      *writer
	inLink bool
}

// webText escapes text. Quotes need none there.
var webText = htmlText

func (h *web) blocks(nodes []Node) {
	for i := range nodes {
		if h.w.over() {
			return
		}
		h.block(&nodes[i])
	}
}

func (h *web) block(n *Node) {
	switch n.Kind {
	case Paragraph:
		h.element("p", n.Children)
	case Heading:
		h.element("h"+strconv.Itoa(min(max(n.Level, 1), 6)), n.Children)
	case CodeBlock:
		h.w.mark("<pre><code")
		if n.Lang != "" {
			h.w.mark(` class="language-` + attribute(n.Lang) + `"`)
		}
		h.w.mark(">")
		h.text(n.Literal, "\n")
		h.w.mark("</code></pre>")
	case Quote:
		h.element("blockquote", n.Children)
	case List:
		h.list(n)
	case Table:
		h.table(n)
	case Rule:
		h.w.mark("<hr/>")
	case Row:
		h.w.mark("<table>")
		h.row(n, "td")
		h.w.mark("</table>")
	case Document, Item, Cell:
		h.blocks(n.Children)
	default:
		h.inline(n)
	}
}

func (h *web) element(tag string, children []Node) {
	h.w.mark("<" + tag + ">")
	h.blocks(children)
	h.w.mark("</" + tag + ">")
}

func (h *web) list(n *Node) {
	tag := "ul"
	if n.Ordered {
		tag = "ol"
	}
	h.w.mark("<" + tag)
	if n.Ordered && n.Start != 1 {
		h.w.mark(` start="` + strconv.Itoa(n.Start) + `"`)
	}
	h.w.mark(">")
	for i := range n.Children {
		h.item(&n.Children[i], n.Tight)
	}
	h.w.mark("</" + tag + ">")
}

func (h *web) item(n *Node, tight bool) {
	switch {
	case n.Continued:
		h.w.mark(`<li class="continued">`)
	case n.Task:
		h.w.mark(`<li class="task">`)
		h.w.text(taskBox(n.Checked))
	default:
		h.w.mark("<li>")
	}
	for i := range n.Children {
		if ch := &n.Children[i]; tight && ch.Kind == Paragraph {
			h.blocks(ch.Children)
		} else {
			h.block(ch)
		}
	}
	h.w.mark("</li>")
}

func (h *web) table(n *Node) {
	h.w.mark("<table>")
	for i := range n.Children {
		if h.w.over() {
			return
		}
		switch i {
		case 0:
			h.w.mark("<thead>")
			h.row(&n.Children[i], "th")
			h.w.mark("</thead>")
			continue
		case 1:
			h.w.mark("<tbody>")
		}
		h.row(&n.Children[i], "td")
	}
	if len(n.Children) > 1 {
		h.w.mark("</tbody>")
	}
	h.w.mark("</table>")
}

func (h *web) row(n *Node, tag string) {
	h.w.mark("<tr>")
	for i := range n.Children {
		h.w.mark("<" + tag)
		switch a := n.Children[i].Align; a {
		case "left", "center", "right":
			h.w.mark(` class="` + a + `"`)
		}
		h.w.mark(">")
		h.blocks(n.Children[i].Children)
		h.w.mark("</" + tag + ">")
	}
	h.w.mark("</tr>")
}

func (h *web) inline(n *Node) {
	switch n.Kind {
	case Strong:
		h.element("strong", n.Children)
	case Emph:
		h.element("em", n.Children)
	case Strike:
		h.element("del", n.Children)
	case Code:
		h.w.mark("<code>")
		h.text(n.Literal, "\n")
		h.w.mark("</code>")
	case Link, Image:
		h.link(n)
	case Mention:
		h.w.mark(`<span class="mention">`)
		if len(n.Children) == 0 {
			h.text("@"+n.URL, " ")
		}
		h.blocks(n.Children)
		h.w.mark("</span>")
	case Break:
		h.w.mark("<br/>")
	default:
		h.text(n.Literal, "<br/>")
		h.blocks(n.Children)
	}
}

// link writes a link that tells the target nothing about this page. A picture
// is such a link too, because loading it would tell who reads, and when.
func (h *web) link(n *Node) {
	children := linkText(n)
	if h.inLink || !safeURL(n.URL) {
		h.blocks(children)
		return
	}
	h.inLink = true
	h.w.mark(`<a href="` + attribute(n.URL) + `" rel="noopener noreferrer nofollow" target="_blank">`)
	h.blocks(children)
	h.w.mark("</a>")
	h.inLink = false
}

// text writes s escaped, with br for each line end.
func (h *web) text(s, br string) {
	for {
		line, rest, more := strings.Cut(s, "\n")
		h.line(line)
		if !more || h.w.over() {
			return
		}
		h.w.mark(br)
		s = rest
	}
}

func (h *web) line(s string) {
	from := 0
	for i := range len(s) {
		r := webText[s[i]]
		if r == "" && (s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f) {
			r = "\uFFFD" // not allowed in HTML, not even escaped
		}
		if r != "" {
			h.escaped(s[from:i], r)
			from = i + 1
		}
	}
	h.w.text(s[from:])
}

// escaped writes text and then one character in its escaped form.
func (h *web) escaped(s, r string) {
	h.w.text(s)
	if h.w.counting {
		h.w.n++
		return
	}
	h.w.mark(r)
}
