package codec

import (
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// A formatted part goes out as rich text, which says exactly what is bold and
// what is a star. The same text in mrkdwn goes beside it: notifications and
// searches show that.

type blockOut struct {
	Type     string     `json:"type"`
	Text     *textOut   `json:"text,omitempty"`
	Elements []any      `json:"elements,omitempty"`
	Rows     [][]any    `json:"rows,omitempty"`
	Columns  []settings `json:"column_settings,omitempty"`
}

type textOut struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"`
}

type settings struct {
	Align   string `json:"align,omitempty"`
	Wrapped bool   `json:"is_wrapped"`
}

// group is an element of rich text that holds others.
type group struct {
	Type     string `json:"type"`
	Style    string `json:"style,omitempty"` // of a list
	Indent   int    `json:"indent,omitempty"`
	Offset   int    `json:"offset,omitempty"`
	Elements []any  `json:"elements"`
}

// span is what stands within a line.
type span struct {
	Type   string   `json:"type"`
	Text   string   `json:"text,omitempty"`
	URL    string   `json:"url,omitempty"`
	UserID string   `json:"user_id,omitempty"`
	Style  *styling `json:"style,omitempty"`
}

type styling struct {
	Bold   bool `json:"bold,omitempty"`
	Italic bool `json:"italic,omitempty"`
	Strike bool `json:"strike,omitempty"`
	Code   bool `json:"code,omitempty"`
}

// Limits of a table as a block of its own; a message holds one.
const (
	maxRows    = 100
	maxColumns = 20
)

// layout turns a tree into blocks.
type layout struct {
	blocks []blockOut
	rich   []any  // of the rich text that is being written
	line   []span // of its last section, which is still open
	lists  bool   // a list stands before what comes next
	tabled bool   // there is a table already
}

// Blocks renders a document.
func blocksOf(n markup.Node) []blockOut {
	l := &layout{}
	nodes := []markup.Node{n}
	if n.Kind == markup.Document {
		nodes = n.Children
	}
	l.nodes(nodes)
	l.end()
	return l.blocks
}

// section closes the open lines.
func (l *layout) section() {
	if len(l.line) == 0 {
		return
	}
	l.rich = append(l.rich, group{Type: "rich_text_section", Elements: anys(l.line)})
	l.line, l.lists = nil, false
}

// end closes the rich text.
func (l *layout) end() {
	l.section()
	if len(l.rich) > 0 {
		l.blocks = append(l.blocks, blockOut{Type: "rich_text", Elements: l.rich})
	}
	l.rich, l.lists = nil, false
}

func anys(in []span) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}

func (l *layout) nodes(nodes []markup.Node) {
	open := false // a run of inlines without a paragraph around them
	for i := range nodes {
		n := &nodes[i]
		switch n.Kind {
		case markup.Paragraph, markup.Cell, markup.Row:
			l.paragraph(n.Children, styling{})
		case markup.Heading:
			l.paragraph(n.Children, styling{Bold: true})
		case markup.CodeBlock:
			l.add(preformatted(n.Literal))
		case markup.Quote:
			l.add(group{Type: "rich_text_quote", Elements: anys(filled(flat(n.Children)))})
		case markup.List:
			l.section()
			l.list(n, 0)
		case markup.Table:
			l.table(n)
		case markup.Rule:
			l.end()
			l.blocks = append(l.blocks, blockOut{Type: "divider"})
		case markup.Document, markup.Item:
			l.nodes(n.Children)
		default:
			if !open {
				l.gap()
			}
			l.line = inlines(l.line, []markup.Node{*n}, styling{})
			open = true
			continue
		}
		open = false
	}
}

// add writes an element that stands alone.
func (l *layout) add(g group) {
	l.section()
	l.rich, l.lists = append(l.rich, g), false
}

func preformatted(text string) group {
	if text == "" {
		text = " "
	}
	return group{Type: "rich_text_preformatted", Elements: []any{span{Type: "text", Text: text}}}
}

// gap parts what comes from the paragraph or the list before it.
func (l *layout) gap() {
	switch {
	case len(l.line) > 0:
		l.line = text(l.line, "\n\n", styling{})
	case l.lists:
		l.line, l.lists = text(l.line, "\n", styling{}), false
	}
}

func (l *layout) paragraph(in []markup.Node, s styling) {
	if len(in) == 0 {
		return
	}
	l.gap()
	l.line = inlines(l.line, in, s)
}

// list writes a list and, in their places, the lists within it. Slack has one
// flat list after the other, each with its depth.
func (l *layout) list(n *markup.Node, indent int) {
	const deepest = 8
	g := group{Type: "rich_text_list", Style: "bullet", Indent: min(indent, deepest)}
	if n.Ordered {
		g.Style, g.Offset = "ordered", max(n.Start-1, 0)
	}
	flush := func(next int) {
		if len(g.Elements) > 0 {
			l.rich = append(l.rich, g)
		}
		g.Elements = nil
		if n.Ordered {
			g.Offset = max(n.Start-1, 0) + next
		}
	}
	for i := range n.Children {
		item := &n.Children[i]
		var line []span
		put := func() {
			switch {
			case len(line) == 0:
			case item.Continued:
				flush(i + 1)
				l.rich = append(l.rich, group{Type: "rich_text_section", Elements: anys(line)})
			default:
				g.Elements = append(g.Elements, group{Type: "rich_text_section", Elements: anys(line)})
			}
			line = nil
		}
		if item.Task && !item.Continued {
			line = text(line, box(item.Checked), styling{})
		}
		marked := false
		for j := range item.Children {
			c := &item.Children[j]
			if c.Kind != markup.List && c.Kind != markup.CodeBlock {
				if len(line) > 0 && j > 0 {
					line = text(line, "\n", styling{})
				}
				line = append(line, flat([]markup.Node{*c})...)
				continue
			}
			if !marked {
				line, marked = filled(line), true
			}
			put()
			flush(i + 1)
			if c.Kind == markup.List {
				l.list(c, indent+1)
			} else {
				l.rich = append(l.rich, preformatted(c.Literal))
			}
		}
		if !marked {
			line = filled(line)
		}
		put()
	}
	flush(len(n.Children))
	l.lists = true
}

func box(checked bool) string {
	if checked {
		return "☑ "
	}
	return "☐ "
}

// filled is a line that holds something.
func filled(in []span) []span {
	if len(in) == 0 {
		return []span{{Type: "text", Text: " "}}
	}
	return in
}

// flat writes blocks as lines, where Slack takes no blocks.
func flat(nodes []markup.Node) []span {
	var out []span
	for i := range nodes {
		n := &nodes[i]
		in := n.Children
		s := styling{}
		switch n.Kind {
		case markup.Paragraph, markup.Cell, markup.Row, markup.Document, markup.Quote, markup.Item, markup.List:
		case markup.Heading:
			s.Bold = true
		case markup.CodeBlock:
			in = []markup.Node{{Kind: markup.Code, Literal: n.Literal}}
		case markup.Table, markup.Rule:
			in = []markup.Node{{Kind: markup.Text, Literal: markup.PlainText.Render(*n)}}
		default:
			out = inlines(out, []markup.Node{*n}, s)
			continue
		}
		if len(out) > 0 {
			out = text(out, "\n", styling{})
		}
		switch n.Kind {
		case markup.Document, markup.Quote, markup.List:
			out = append(out, flat(n.Children)...)
		case markup.Item:
			out = append(text(out, "• ", styling{}), flat(n.Children)...)
		default:
			out = inlines(out, in, s)
		}
	}
	return out
}

// inlines appends what stands within a line.
func inlines(out []span, nodes []markup.Node, s styling) []span {
	for i := range nodes {
		n := &nodes[i]
		in := s
		switch n.Kind {
		case markup.Text, "":
			out = text(out, n.Literal, s)
		case markup.Strong:
			in.Bold = true
			out = inlines(out, n.Children, in)
		case markup.Emph:
			in.Italic = true
			out = inlines(out, n.Children, in)
		case markup.Strike:
			in.Strike = true
			out = inlines(out, n.Children, in)
		case markup.Code:
			in.Code = true
			out = text(out, n.Literal, in)
		case markup.Link, markup.Image:
			out = link(out, n, s)
		case markup.Mention:
			if person(n.URL) {
				out = append(out, span{Type: "user", UserID: n.URL, Style: s.orNil()})
			} else {
				out = inlines(out, n.Children, s)
			}
		case markup.Break:
			out = text(out, "\n", s)
		default:
			out = inlines(text(out, n.Literal, s), n.Children, s)
		}
	}
	return out
}

// text appends a text, to the one before where that has the same style.
func text(out []span, t string, s styling) []span {
	if t == "" {
		return out
	}
	if n := len(out); n > 0 && out[n-1].Type == "text" && out[n-1].style() == s {
		last := out[n-1]
		last.Text += t
		return append(out[:n-1:n-1], last)
	}
	return append(out, span{Type: "text", Text: t, Style: s.orNil()})
}

func (p span) style() styling {
	if p.Style == nil {
		return styling{}
	}
	return *p.Style
}

func (s styling) orNil() *styling {
	if s == (styling{}) {
		return nil
	}
	return &s
}

// link appends a link, or its text alone where Slack takes no such address.
func link(out []span, n *markup.Node, s styling) []span {
	label := plainText(n.Children)
	if !linkable(n.URL) {
		if label == "" {
			label = n.URL
		}
		return text(out, label, s)
	}
	if label == n.URL || label == strings.TrimPrefix(n.URL, "mailto:") {
		label = strings.TrimPrefix(n.URL, "mailto:")
	}
	if label == "" {
		label = n.URL
	}
	return append(out, span{Type: "link", URL: n.URL, Text: label, Style: s.orNil()})
}

func linkable(address string) bool {
	const longest = 3000
	if len(address) > longest {
		return false
	}
	for _, scheme := range []string{"https://", "http://", "mailto:", "tel:"} {
		if len(address) > len(scheme) && strings.EqualFold(address[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// person reports whether an id can be that of somebody at Slack.
func person(id string) bool {
	return wellFormed(id) && (id[0] == 'U' || id[0] == 'W') && len(id) > 1 && id == strings.ToUpper(id)
}

// table writes the first table as a block of its own and every other one, or
// one that is too large, in a fixed-width font.
func (l *layout) table(n *markup.Node) {
	if len(n.Children) == 0 {
		return
	}
	columns := len(n.Children[0].Children)
	if l.tabled || len(n.Children) > maxRows || columns == 0 || columns > maxColumns {
		l.add(preformatted(markup.PlainText.Render(*n)))
		return
	}
	l.end()
	l.tabled = true
	b := blockOut{Type: "table"}
	for j := range columns {
		b.Columns = append(b.Columns, settings{Align: n.Children[0].Children[j].Align, Wrapped: true})
	}
	for i := range n.Children {
		row := make([]any, columns)
		for j := range row {
			var in []markup.Node
			if cells := n.Children[i].Children; j < len(cells) {
				in = cells[j].Children
			}
			row[j] = cell(in, i == 0)
		}
		b.Rows = append(b.Rows, row)
	}
	l.blocks = append(l.blocks, b)
}

// cell writes a cell: as text where it is nothing else. An empty one is refused.
func cell(in []markup.Node, head bool) any {
	s := styling{Bold: head}
	line := inlines(nil, in, s)
	switch {
	case len(line) == 0:
		return rawCell{Type: "raw_text", Text: "\u00a0"}
	case len(line) == 1 && line[0].Type == "text" && line[0].Style == nil:
		return rawCell{Type: "raw_text", Text: line[0].Text}
	}
	return group{Type: "rich_text", Elements: []any{group{Type: "rich_text_section", Elements: anys(line)}}}
}

type rawCell struct {
	Type string `json:"type"`
	Text string `json:"text"`
}
