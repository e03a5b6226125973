package markup

// ellipsis stands for what Head leaves out.
const ellipsis = "…"

// Head is the longest beginning of n that measures at most limit in dialect d,
// with "…" for the rest: the form in which a draft is shown while it outgrows
// one message. It cuts between words or clusters, in the middle of a block if
// need be. What fits is returned as it is; a limit of zero or less is none.
func Head(n Node, d Dialect, limit int) Node {
	if limit <= 0 || d.fits(n, limit) {
		return n
	}
	s := newSplitter(n, d, limit)
	if len(s.flat) == 0 {
		return n
	}
	s.tail = ellipsis
	from := s.skip(0)
	for most := s.furthest(from, len(s.flat)); most > from; {
		if p := s.piece(from, s.trim(from, s.wordBefore(from, most))); d.fits(p, limit) {
			return p
		}
		most = s.furthest(from, from+(most-from)/2)
	}
	s.tail = ""
	p, _ := s.bare(from)
	return p
}

// wordBefore is the last cut up to most that is not within a word, unless that
// would give up more than a word's length.
func (s *splitter) wordBefore(from, most int) int {
	const longWord = 32
	if most >= len(s.flat) {
		return most
	}
	leaf := s.leafAt(most)
	low := max(from, leaf.start)
	if low >= most {
		return most
	}
	if leaf.node.Kind != CodeBlock {
		if i := lastWord(s.flat[low:leaf.end], most-low); i > 0 && most-low-i <= longWord {
			return low + i
		}
	}
	if cut := s.clusterBefore(low, most); cut > from {
		return cut
	}
	return most
}

// withTail appends tail to the last text of n, or after it where the last block
// takes no text. Nodes on the way are copied.
func withTail(n Node, tail string) Node {
	switch n.Kind {
	case CodeBlock:
		n.Literal += "\n" + tail
		return n
	case Paragraph, Heading:
		n.Children = append(n.Children[:len(n.Children):len(n.Children)], Node{Kind: Text, Literal: tail})
		return n
	}
	last := len(n.Children) - 1
	if last >= 0 && takesTail(n.Children[last].Kind) {
		n.Children = append([]Node(nil), n.Children...)
		n.Children[last] = withTail(n.Children[last], tail)
		return n
	}
	n.Children = append(n.Children[:len(n.Children):len(n.Children)],
		Node{Kind: Paragraph, Children: []Node{{Kind: Text, Literal: tail}}})
	return n
}

func takesTail(k Kind) bool {
	switch k {
	case Paragraph, Heading, CodeBlock, Quote, List, Item, Document:
		return true
	}
	return false
}
