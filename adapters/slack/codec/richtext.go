package codec

import (
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Bounds on what is taken as formatting: more than a client can send.
const (
	maxElements = 4096
	maxLists    = 8 // depth
)

// richText reads what a person wrote, as the client keeps it. It reports false
// where there is none, or where anything stands beside it that it cannot read:
// then the text says more.
func richText(raw json.RawMessage) (markup.Node, bool) {
	if len(raw) == 0 || raw[0] != '[' {
		return markup.Node{}, false
	}
	var blocks []block
	if json.Unmarshal(raw, &blocks) != nil || len(blocks) == 0 {
		return markup.Node{}, false
	}
	r := &rich{}
	for i := range blocks {
		switch blocks[i].Type {
		case "rich_text":
			var parts []block
			if json.Unmarshal(blocks[i].Elements, &parts) != nil {
				return markup.Node{}, false
			}
			r.parts(parts)
		case "table":
			r.table(&blocks[i])
		default:
			return markup.Node{}, false
		}
	}
	if r.broken {
		return markup.Node{}, false
	}
	return markup.Node{Kind: markup.Document, Children: r.out}, true
}

// rich collects blocks. Lists come as one flat list after the other, each with
// its depth.
type rich struct {
	out    []markup.Node
	count  int
	broken bool
}

func (r *rich) parts(parts []block) {
	for i := range parts {
		if r.count++; r.count > maxElements {
			r.broken = true
			return
		}
		p := &parts[i]
		switch p.Type {
		case "rich_text_section":
			r.out = append(r.out, paragraphs(r.inlines(p.Elements))...)
		case "rich_text_quote":
			r.out = append(r.out, markup.Node{Kind: markup.Quote, Children: paragraphs(r.inlines(p.Elements))})
		case "rich_text_preformatted":
			text := plainText(r.inlines(p.Elements))
			r.out = append(r.out, markup.Node{Kind: markup.CodeBlock, Literal: strings.TrimSuffix(text, "\n")})
		case "rich_text_list":
			r.list(p)
		default:
			r.broken = true
		}
	}
}

// list adds a list, below the last item of the one before it when it is deeper.
func (r *rich) list(p *block) {
	var items []block
	if json.Unmarshal(p.Elements, &items) != nil {
		r.broken = true
		return
	}
	var style string
	_ = json.Unmarshal(p.Style, &style)
	n := markup.Node{Kind: markup.List, Ordered: style == "ordered", Tight: true}
	if n.Ordered {
		n.Start = max(p.Offset, 0) + 1
	}
	for i := range items {
		in := paragraphs(r.inlines(items[i].Elements))
		n.Children = append(n.Children, markup.Node{Kind: markup.Item, Children: in})
	}
	r.out = below(r.out, n, min(max(p.Indent, 0), maxLists))
}

// below puts list into the last item of the list that out ends with, depth
// levels down, or at its end.
func below(out []markup.Node, list markup.Node, depth int) []markup.Node {
	if len(out) > 0 {
		last := &out[len(out)-1]
		switch {
		case last.Kind != markup.List:
		case depth > 0 && len(last.Children) > 0:
			item := &last.Children[len(last.Children)-1]
			item.Children = below(item.Children, list, depth-1)
			return out
		case depth == 0 && last.Ordered == list.Ordered:
			last.Children = append(last.Children, list.Children...)
			return out
		}
	}
	return append(out, list)
}

func (r *rich) table(b *block) {
	t := markup.Node{Kind: markup.Table}
	for i, row := range b.Rows {
		line := markup.Node{Kind: markup.Row}
		for j := range row {
			if r.count++; r.count > maxElements {
				r.broken = true
				return
			}
			line.Children = append(line.Children, r.cell(&row[j]))
		}
		if i > 0 { // every row has as many cells as the head
			head := len(t.Children[0].Children)
			for len(line.Children) < head {
				line.Children = append(line.Children, markup.Node{Kind: markup.Cell})
			}
			line.Children = line.Children[:head]
		}
		t.Children = append(t.Children, line)
	}
	if len(t.Children) > 0 && len(t.Children[0].Children) > 0 {
		r.out = append(r.out, t)
	}
}

func (r *rich) cell(b *block) markup.Node {
	var text string
	if json.Unmarshal(b.Text, &text) == nil && text != "" {
		return markup.Node{Kind: markup.Cell, Children: []markup.Node{{Kind: markup.Text, Literal: cleaned(text)}}}
	}
	var parts []block
	_ = json.Unmarshal(b.Elements, &parts)
	c := markup.Node{Kind: markup.Cell}
	for i := range parts {
		c.Children = append(c.Children, r.inlines(parts[i].Elements)...)
	}
	return c
}

// inlines reads what stands within a line.
func (r *rich) inlines(raw json.RawMessage) []markup.Node {
	var list []block
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	out := make([]markup.Node, 0, len(list))
	for i := range list {
		if r.count++; r.count > maxElements {
			r.broken = true
			return out
		}
		if n, ok := inline(&list[i]); ok {
			out = append(out, styled(n, list[i].Style))
		}
	}
	return out
}

func inline(b *block) (markup.Node, bool) {
	var text string
	_ = json.Unmarshal(b.Text, &text)
	text = cleaned(text)
	switch b.Type {
	case "text":
		return markup.Node{Kind: markup.Text, Literal: text}, text != ""
	case "link":
		return linkTo(cleaned(b.URL), text), b.URL != ""
	case "user":
		return mention(b.UserID), b.UserID != ""
	case "channel":
		return markup.Node{Kind: markup.Text, Literal: "#" + b.Channel}, b.Channel != ""
	case "usergroup":
		return markup.Node{Kind: markup.Text, Literal: "@" + b.Group}, b.Group != ""
	case "broadcast":
		return markup.Node{Kind: markup.Text, Literal: "@" + cleaned(b.Range)}, b.Range != ""
	case "emoji":
		return markup.Node{Kind: markup.Text, Literal: emojiText(b.Name, b.Unicode)}, b.Name != ""
	case "date":
		return markup.Node{Kind: markup.Text, Literal: cleaned(b.Fallback)}, b.Fallback != ""
	case "color":
		return markup.Node{Kind: markup.Text, Literal: cleaned(b.Value)}, b.Value != ""
	}
	return markup.Node{Kind: markup.Text, Literal: text}, text != ""
}

// mention is a person's name in a text. An id that cannot be one is text.
func mention(id string) markup.Node {
	if !wellFormed(id) {
		return markup.Node{Kind: markup.Text, Literal: "@" + cleaned(id)}
	}
	return markup.Node{
		Kind: markup.Mention, URL: id,
		Children: []markup.Node{{Kind: markup.Text, Literal: id}},
	}
}

// linkTo is a link, which shows its address where it has no label.
func linkTo(address, label string) markup.Node {
	if label == "" {
		label = address
	}
	return markup.Node{Kind: markup.Link, URL: address, Children: []markup.Node{{Kind: markup.Text, Literal: label}}}
}

// styled puts a text's styles around it.
func styled(n markup.Node, raw json.RawMessage) markup.Node {
	var s textStyle
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return n
	}
	if s.Code && n.Kind == markup.Text {
		n = markup.Node{Kind: markup.Code, Literal: n.Literal}
	}
	for _, w := range []struct {
		on   bool
		kind markup.Kind
	}{{s.Strike, markup.Strike}, {s.Italic, markup.Emph}, {s.Bold, markup.Strong}} {
		if w.on {
			n = around(w.kind, n)
		}
	}
	return n
}

// around puts a style around a text, and leaves white space at its edges out of
// it, which CommonMark cannot mark.
func around(kind markup.Kind, n markup.Node) markup.Node {
	if n.Kind == markup.Text && strings.TrimSpace(n.Literal) == "" {
		return n
	}
	return markup.Node{Kind: kind, Children: []markup.Node{n}}
}

// paragraphs cuts inlines at empty lines.
func paragraphs(in []markup.Node) []markup.Node {
	var out []markup.Node
	var now []markup.Node
	end := func() {
		if now = trimmed(now); len(now) > 0 {
			out = append(out, markup.Node{Kind: markup.Paragraph, Children: merged(now)})
		}
		now = nil
	}
	for _, n := range in {
		if n.Kind != markup.Text {
			now = append(now, n)
			continue
		}
		for i, piece := range strings.Split(n.Literal, "\n\n") {
			if i > 0 {
				end()
			}
			if piece != "" {
				now = append(now, markup.Node{Kind: markup.Text, Literal: piece})
			}
		}
	}
	end()
	return out
}

// trimmed takes line ends off both sides of inlines.
func trimmed(in []markup.Node) []markup.Node {
	for len(in) > 0 && in[0].Kind == markup.Text {
		in[0].Literal = strings.TrimLeft(in[0].Literal, "\n")
		if in[0].Literal != "" {
			break
		}
		in = in[1:]
	}
	for len(in) > 0 && in[len(in)-1].Kind == markup.Text {
		last := &in[len(in)-1]
		last.Literal = strings.TrimRight(last.Literal, "\n")
		if last.Literal != "" {
			break
		}
		in = in[:len(in)-1]
	}
	return in
}

// merged joins what stands side by side and is of one kind, and moves white
// space at the edges of a style out of it, as the tree's normal form is.
func merged(in []markup.Node) []markup.Node {
	out := make([]markup.Node, 0, len(in))
	for _, n := range in {
		for _, n := range spaced(n) {
			if len(out) > 0 {
				last := &out[len(out)-1]
				if last.Kind == markup.Text && n.Kind == markup.Text {
					last.Literal += n.Literal
					continue
				}
				if style(n.Kind) && last.Kind == n.Kind {
					last.Children = merged(append(append([]markup.Node(nil), last.Children...), n.Children...))
					continue
				}
			}
			out = append(out, n)
		}
	}
	return out
}

func style(k markup.Kind) bool {
	return k == markup.Strong || k == markup.Emph || k == markup.Strike
}

// spaced is a styled text with its outer white space beside it.
func spaced(n markup.Node) []markup.Node {
	if !style(n.Kind) || len(n.Children) != 1 {
		return []markup.Node{n}
	}
	inner := spaced(n.Children[0])
	var before, after []markup.Node
	if len(inner) > 1 && inner[0].Kind == markup.Text {
		before, inner = inner[:1], inner[1:]
	}
	if len(inner) > 1 && inner[len(inner)-1].Kind == markup.Text {
		inner, after = inner[:len(inner)-1], inner[len(inner)-1:]
	}
	if len(inner) == 1 && inner[0].Kind == markup.Text {
		s := inner[0].Literal
		left := s[:len(s)-len(strings.TrimLeft(s, " \n\t"))]
		s = s[len(left):]
		body := strings.TrimRight(s, " \n\t")
		right := s[len(body):]
		if left != "" {
			before = append(before, markup.Node{Kind: markup.Text, Literal: left})
		}
		if right != "" {
			after = append([]markup.Node{{Kind: markup.Text, Literal: right}}, after...)
		}
		inner = []markup.Node{{Kind: markup.Text, Literal: body}}
	}
	out := append([]markup.Node(nil), before...)
	out = append(out, markup.Node{Kind: n.Kind, Children: inner})
	return append(out, after...)
}

// plainText is what inlines show.
func plainText(in []markup.Node) string {
	var b strings.Builder
	for _, n := range in {
		switch {
		case n.Literal != "":
			b.WriteString(n.Literal)
		case len(n.Children) > 0:
			b.WriteString(plainText(n.Children))
		case n.Kind == markup.Link:
			b.WriteString(n.URL)
		case n.Kind == markup.Break:
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// cleaned is text that can be kept: valid UTF-8 without NUL.
func cleaned(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}
