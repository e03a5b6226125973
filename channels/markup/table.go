package markup

import (
	"strings"

	"github.com/rivo/uniseg"
)

// grid is a table as text: the cells and the width of each column.
type grid struct {
	cells  [][]string
	widths []int
	align  []string
}

const (
	columnGap = " | "
	rulerGap  = "-+-"
)

// table writes a table aligned in a fixed-width font where it fits, else as one
// block of "Header: value" lines for each row.
func (c *chat) table(n *Node) {
	g, ok := layout(n, c.st.tableWidth)
	if !ok {
		c.records(n)
		return
	}
	defer c.bare()()
	c.w.markLines(c.st.pre.open)
	for i := range g.cells {
		if c.w.over() {
			return
		}
		if i > 0 {
			c.w.newline()
		}
		c.gridLine(g, i)
		if i == 0 && len(g.cells) > 1 {
			c.w.newline()
			c.ruler(g)
		}
	}
	c.w.markLines(c.st.pre.close)
}

// layout measures a table. It reports false if the table is wider than limit
// columns, or holds links, which a fixed-width block could not carry.
func layout(n *Node, limit int) (*grid, bool) {
	g := &grid{cells: make([][]string, 0, len(n.Children))}
	for i := range n.Children {
		row := n.Children[i].Children
		line := make([]string, len(row))
		for j := range row {
			if hasLink(row[j].Children) {
				return nil, false
			}
			line[j] = oneLine(row[j].Children)
			if j == len(g.widths) {
				g.widths = append(g.widths, 1)
				g.align = append(g.align, row[j].Align)
			}
			g.widths[j] = max(g.widths[j], width(line[j]))
		}
		g.cells = append(g.cells, line)
		if g.total() > limit {
			return nil, false
		}
	}
	return g, true
}

func (g *grid) total() int {
	sum := len(columnGap) * max(len(g.widths)-1, 0)
	for _, w := range g.widths {
		sum += w
	}
	return sum
}

func (c *chat) gridLine(g *grid, row int) {
	line := g.cells[row]
	for len(line) > 1 && line[len(line)-1] == "" {
		line = line[:len(line)-1] // no padding up to nothing
	}
	for j, s := range line {
		if j > 0 {
			c.w.text(columnGap)
		}
		left, right := pad(g.align[j], g.widths[j]-width(s))
		c.w.text(spaces(left))
		c.literal(s, c.st.codeEscape)
		if j < len(line)-1 {
			c.w.text(spaces(right))
		}
	}
}

func (c *chat) ruler(g *grid) {
	for j, w := range g.widths {
		if j > 0 {
			c.w.text(rulerGap)
		}
		c.w.text(strings.Repeat("-", w))
	}
}

// pad shares the free columns of a cell between its sides.
func pad(align string, free int) (left, right int) {
	switch align {
	case "right":
		return free, 0
	case "center":
		return free / 2, free - free/2
	}
	return 0, free
}

// records writes a table as blocks of lines, one block a row.
func (c *chat) records(n *Node) {
	if len(n.Children) == 0 {
		return
	}
	if len(n.Children) == 1 {
		c.row(&n.Children[0])
		return
	}
	head := n.Children[0].Children
	for i := 1; i < len(n.Children) && !c.w.over(); i++ {
		if i > 1 {
			c.newline()
			c.newline()
		}
		c.record(head, n.Children[i].Children)
	}
}

func (c *chat) record(head, cells []Node) {
	first := true
	for j := range cells {
		if len(cells[j].Children) == 0 {
			continue
		}
		if !first {
			c.newline()
		}
		first = false
		if j < len(head) && len(head[j].Children) > 0 {
			c.styled(slotStrong, c.st.strong, head[j].Children)
			c.w.text(": ")
			c.last = 0
		}
		c.inlines(cells[j].Children)
	}
}

// row writes a row that stands alone.
func (c *chat) row(n *Node) {
	for j := range n.Children {
		if j > 0 {
			c.w.text(columnGap)
		}
		c.inlines(n.Children[j].Children)
	}
}

// hasLink reports whether one of the inlines leads to where its text does not say.
func hasLink(nodes []Node) bool {
	for i := range nodes {
		n := &nodes[i]
		if (n.Kind == Link || n.Kind == Image) && safeURL(n.URL) || n.Kind == Mention || hasLink(n.Children) {
			return true
		}
	}
	return false
}

// oneLine is the text of inlines, on one line.
func oneLine(nodes []Node) string {
	if len(nodes) == 1 && len(nodes[0].Children) == 0 && nodes[0].Kind != Image {
		return strings.ReplaceAll(nodes[0].Literal, "\n", " ")
	}
	var b strings.Builder
	writeText(&b, nodes)
	return strings.ReplaceAll(b.String(), "\n", " ")
}

func writeText(b *strings.Builder, nodes []Node) {
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.Kind == Break:
			b.WriteByte('\n')
		case n.Kind == Image && len(n.Children) == 0:
			b.WriteString("image")
		default:
			b.WriteString(n.Literal)
			writeText(b, n.Children)
		}
	}
}

// width is the number of columns of s in a fixed-width font, where East-Asian
// wide characters and emoji take two.
func width(s string) int {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}
