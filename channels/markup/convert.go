package markup

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// converter turns a parsed document into our tree. src and bytes are the same
// text: literals are cut from the string without a copy where possible.
type converter struct {
	src    string
	bytes  []byte
	budget int    // bytes of URLs that may still be repeated by reference
	acc    []byte // reused while a text is put together from pieces
}

// blocks converts the children of a container that is itself at depth-1.
func (c *converter) blocks(parent ast.Node, depth int) []Node {
	out := make([]Node, 0, parent.ChildCount())
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if b, ok := c.block(n, depth); ok {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// block converts one block; false means that it shows nothing.
func (c *converter) block(n ast.Node, depth int) (Node, bool) {
	switch n := n.(type) {
	case *ast.Paragraph, *ast.TextBlock:
		in := c.inlines(n, depth, 0)
		return Node{Kind: Paragraph, Children: in}, len(in) > 0
	case *ast.Heading:
		return Node{Kind: Heading, Level: n.Level, Children: c.inlines(n, depth, 0)}, true
	case *ast.FencedCodeBlock:
		return Node{Kind: CodeBlock, Lang: c.lang(n), Literal: c.lines(n.Lines())}, true
	case *ast.CodeBlock:
		return Node{Kind: CodeBlock, Literal: strings.TrimRight(c.lines(n.Lines()), "\n")}, true
	case *ast.ThematicBreak:
		return Node{Kind: Rule}, true
	case *extast.Table:
		return c.table(n, depth), true
	case *ast.Blockquote:
		if depth >= maxDepth {
			return c.flat(n)
		}
		return Node{Kind: Quote, Children: c.blocks(n, depth+1)}, true
	case *ast.List:
		if depth >= maxDepth-1 {
			return c.flat(n)
		}
		return c.list(n, depth), true
	}
	return Node{}, false
}

func (c *converter) list(n *ast.List, depth int) Node {
	out := Node{Kind: List, Ordered: n.IsOrdered(), Tight: n.IsTight, Children: make([]Node, 0, n.ChildCount())}
	if out.Ordered {
		out.Start = n.Start
	}
	for i := n.FirstChild(); i != nil; i = i.NextSibling() {
		item := Node{Kind: Item, Children: c.blocks(i, depth+2)}
		if box := checkBox(i); box != nil {
			item.Task, item.Checked = true, box.IsChecked
		}
		out.Children = append(out.Children, item)
	}
	if len(out.Children) == 1 && len(out.Children[0].Children) < 2 {
		out.Tight = true // nothing stands apart in it
	}
	return out
}

func checkBox(item ast.Node) *extast.TaskCheckBox {
	if first := item.FirstChild(); first != nil {
		box, _ := first.FirstChild().(*extast.TaskCheckBox)
		return box
	}
	return nil
}

func (c *converter) table(n *extast.Table, depth int) Node {
	out := Node{Kind: Table, Children: make([]Node, 0, n.ChildCount())}
	for r := n.FirstChild(); r != nil; r = r.NextSibling() {
		row := Node{Kind: Row, Children: make([]Node, 0, len(n.Alignments))}
		for cell := r.FirstChild(); cell != nil && len(row.Children) < len(n.Alignments); cell = cell.NextSibling() {
			align := ""
			if a := n.Alignments[len(row.Children)]; a != extast.AlignNone {
				align = a.String()
			}
			row.Children = append(row.Children, Node{Kind: Cell, Align: align, Children: c.inlines(cell, depth, 0)})
		}
		out.Children = append(out.Children, row)
	}
	return out
}

func (c *converter) lang(n *ast.FencedCodeBlock) string {
	info := n.Language(c.bytes)
	if len(info) == 0 {
		return ""
	}
	return unescape(string(info))
}

// lines joins the lines of a code block, without the last line end.
func (c *converter) lines(segs *text.Segments) string {
	if segs.Len() == 0 {
		return ""
	}
	first, last := segs.At(0), segs.At(segs.Len()-1)
	size, whole := 0, true
	for i := range segs.Len() {
		s := segs.At(i)
		size += s.Len()
		whole = whole && s.Padding == 0
	}
	if whole && size == last.Stop-first.Start {
		return strings.TrimSuffix(c.src[first.Start:last.Stop], "\n")
	}
	var b strings.Builder
	b.Grow(size)
	for i := range segs.Len() {
		s := segs.At(i)
		b.Write(s.Value(c.bytes))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// flat is what is left of a block that is nested too deeply: its text. It
// walks by the sibling links, because here recursion has no bound.
func (c *converter) flat(root ast.Node) (Node, bool) {
	var b strings.Builder
	for n := root.FirstChild(); n != nil; {
		if n.Type() == ast.TypeBlock && n.PreviousSibling() != nil && b.Len() > 0 {
			b.WriteByte('\n')
		}
		switch n := n.(type) {
		case *ast.Text:
			b.WriteString(c.textValue(n))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.AutoLink:
			b.Write(n.Label(c.bytes))
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			b.WriteString(c.lines(n.Lines()))
		}
		next := n.FirstChild()
		for next == nil && n != root {
			next = n.NextSibling()
			n = n.Parent()
		}
		if next == nil {
			break
		}
		n = next
	}
	s := strings.TrimSpace(b.String())
	return Node{Kind: Paragraph, Children: []Node{{Kind: Text, Literal: s}}}, s != ""
}
