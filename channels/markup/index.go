package markup

import "sort"

// outline gives every place in a tree one number, so that a cut is an integer.
//
// flat holds all literals one after the other, each byte at the number of its
// place; what has no literal (a rule, an empty cell) takes up one byte. A cut
// at i lies before flat[i].
type outline struct {
	flat []byte
	root span
}

// span is the part of flat that a node covers.
type span struct {
	node       *Node
	start, end int
	kids       []span
}

// vacant stands in flat for what has no text. It is no white space, so that
// nothing is trimmed away with a node in it.
const vacant = 0x01

func newOutline(n *Node) *outline {
	o := &outline{}
	o.flat = make([]byte, 0, sizeHint(*n))
	o.root = o.span(n)
	return o
}

func (o *outline) span(n *Node) span {
	s := span{node: n, start: len(o.flat)}
	switch {
	case n.Kind == Break:
		o.flat = append(o.flat, '\n')
	case n.Literal != "":
		o.flat = append(o.flat, n.Literal...)
	case len(n.Children) == 0:
		o.flat = append(o.flat, vacant)
	default:
		s.kids = make([]span, len(n.Children))
		for i := range n.Children {
			s.kids[i] = o.span(&n.Children[i])
		}
	}
	s.end = len(o.flat)
	return s
}

// slice is the tree of what lies in [from, to). Whole nodes are shared with the
// original; nodes that are cut are copied. A list goes on counting, an item
// whose beginning is elsewhere is Continued, a row keeps its columns, and a
// table repeats its head if that has at most maxHead bytes.
func (s *span) slice(from, to, maxHead int) Node {
	if from <= s.start && s.end <= to {
		return *s.node
	}
	n := *s.node
	if len(s.kids) == 0 {
		n.Literal = cutLiteral(n.Literal, from-s.start, to-s.start)
		return n
	}
	first := sort.Search(len(s.kids), func(i int) bool { return s.kids[i].end > from })
	last := first + sort.Search(len(s.kids)-first, func(i int) bool { return s.kids[first+i].start >= to })
	n.Children = make([]Node, 0, last-first+1)
	switch {
	case n.Kind == List:
		n.Start += first * ordinal(n.Ordered)
	case n.Kind == Item && from > s.start:
		n.Continued = true
	case n.Kind == Table && first > 0 && s.kids[0].size() <= maxHead:
		n.Children = append(n.Children, *s.kids[0].node)
	case n.Kind == Table && first > 0:
		n.Kind = Document // rows by themselves: the first must not become a head
	case n.Kind == Row:
		return s.sliceRow(n, from, to)
	}
	for i := first; i < last; i++ {
		n.Children = append(n.Children, s.kids[i].slice(from, to, maxHead))
	}
	return n
}

// sliceRow leaves the cells empty that lie outside.
func (s *span) sliceRow(n Node, from, to int) Node {
	n.Children = make([]Node, len(s.kids))
	for i := range s.kids {
		k := &s.kids[i]
		if k.end <= from || k.start >= to {
			n.Children[i] = Node{Kind: k.node.Kind, Align: k.node.Align}
			continue
		}
		n.Children[i] = k.slice(from, to, 0)
	}
	return n
}

func cutLiteral(s string, from, to int) string {
	return s[min(max(from, 0), len(s)):min(max(to, 0), len(s))]
}

func ordinal(ordered bool) int {
	if ordered {
		return 1
	}
	return 0
}

func (s *span) size() int { return s.end - s.start }

// isLeafBlock reports whether the node holds inlines or is a literal block.
func (s *span) isLeafBlock() bool {
	switch s.node.Kind {
	case Paragraph, Heading, CodeBlock, Cell, Rule:
		return true
	}
	return len(s.kids) == 0 || isInline(s.node.Kind)
}

// leafAt is the leaf block that holds the byte at i.
func (o *outline) leafAt(i int) *span {
	s := &o.root
	for !s.isLeafBlock() {
		s = &s.kids[s.kidAt(i)]
	}
	return s
}

// kidAt is the index of the child that holds the byte at i.
func (s *span) kidAt(i int) int {
	k := sort.Search(len(s.kids), func(k int) bool { return s.kids[k].end > i })
	return min(k, len(s.kids)-1)
}
