package markup

import (
	"strings"
	"unicode/utf8"
)

// Split cuts n into pieces that each measure at most limit in dialect d, in the
// order of the text. A limit of zero or less is none. There is always at least
// one piece; one that fits is n itself. Pieces share what they can with n and
// must not be written to.
//
// Cuts fall between blocks if they can, else between lines, sentences, words or
// at least grapheme clusters. A code block that is cut keeps its language, a
// list goes on counting, a table repeats its head, and a style or link that is
// cut is there on both sides. White space at a cut is dropped. Only where a
// single cluster is longer than limit is it cut by runes; a rune is never.
//
// The time is proportional to the length of n, times the logarithm of limit.
func Split(n Node, d Dialect, limit int) []Node {
	if limit <= 0 || d.fits(n, limit) {
		return []Node{n}
	}
	s := newSplitter(n, d, limit)
	var out []Node
	for s.at < len(s.flat) {
		if p, ok := s.next(); ok {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return []Node{{Kind: Document}}
	}
	return out
}

// splitter takes one piece after the other off a tree.
type splitter struct {
	*outline
	d     Dialect
	limit int
	at    int    // where the next piece starts
	heads int    // the longest head of a table that is repeated
	tail  string // shown at the end of a piece, when the rest is left out
}

func newSplitter(n Node, d Dialect, limit int) *splitter {
	if n.Kind != Document {
		n = Node{Kind: Document, Children: []Node{n}}
	}
	if d.countsMarks() || d.link() == linkParen {
		n = inlineURLs(n, limit/2)
	}
	return &splitter{outline: newOutline(&n), d: d, limit: limit}
}

// piece is what lies between two cuts.
func (s *splitter) piece(from, to int) Node {
	n := s.root.slice(from, to, s.heads)
	if s.tail != "" {
		n = withTail(n, s.tail)
	}
	return n
}

func (s *splitter) fits(from, to int) bool {
	return s.d.fits(s.piece(from, to), s.limit)
}

// next takes the next piece off. It reports false if nothing is left to show.
func (s *splitter) next() (Node, bool) {
	s.at = s.skip(s.at)
	if s.at >= len(s.flat) {
		return Node{}, false
	}
	from := s.at
	for _, s.heads = range []int{s.limit / 2, 0} {
		for most := s.furthest(from, len(s.flat)); most > from; {
			cut := s.breakBefore(from, most)
			end := s.trim(from, cut)
			if p := s.piece(from, end); s.d.fits(p, s.limit) {
				s.at = cut
				return p, s.d.measure(p, 1) > 0
			}
			// Dropping white space made it longer, which alignment can do.
			most = s.furthest(from, from+(most-from)/2)
		}
	}
	return s.bare(from)
}

// furthest is the last place up to which a piece from from fits, at most max;
// from if there is none. Each try that fits tells about how much more does.
func (s *splitter) furthest(from, maxTo int) int {
	fit, over := from, maxTo+1
	for guess := from + s.limit; over-fit > 1; {
		guess = s.runeStart(min(max(guess, fit+1), over-1), fit)
		if guess <= fit {
			if guess = s.runeEnd(fit + 1); guess >= over {
				break
			}
		}
		n := s.d.measure(s.piece(from, guess), s.limit)
		switch {
		case n > s.limit:
			over = guess
			guess = fit + (over-fit)/2
		case guess >= maxTo:
			return guess
		default:
			fit = guess
			guess += max(1, (fit-from)*(s.limit-n)/max(n, 1))
			if over <= maxTo && guess >= over {
				guess = fit + (over-fit)/2
			}
		}
	}
	return fit
}

// runeStart moves i back to the start of a rune, not before low.
func (s *splitter) runeStart(i, low int) int {
	for i > low && i < len(s.flat) && !utf8.RuneStart(s.flat[i]) {
		i--
	}
	return i
}

// runeEnd moves i on to the start of a rune.
func (s *splitter) runeEnd(i int) int {
	for i < len(s.flat) && !utf8.RuneStart(s.flat[i]) {
		i++
	}
	return i
}

// bare is the piece of last resort: where marks, indentation or a single
// cluster alone exceed the limit, what fits of the next words is a paragraph
// of its own, but at least one rune.
func (s *splitter) bare(from int) (Node, bool) {
	leaf := s.leafAt(from)
	if s.flat[from] == vacant {
		s.at = from + 1
		return Node{}, false
	}
	plain := func(to int) Node {
		return Node{Kind: Document, Children: []Node{{Kind: Paragraph, Children: []Node{
			{Kind: Text, Literal: strings.TrimSpace(string(s.flat[from:to]))},
		}}}}
	}
	fit, over := s.runeEnd(from+1), min(leaf.end, from+4*s.limit)+1
	for over-fit > 1 {
		to := s.runeStart(fit+(over-fit)/2, fit)
		if to == fit {
			to = s.runeEnd(fit + 1)
		}
		if to < over && s.d.fits(plain(to), s.limit) {
			fit = to
		} else {
			over = min(over-1, to)
		}
	}
	if cut := s.clusterBefore(from, fit); cut > from && s.d.fits(plain(cut), s.limit) {
		fit = cut
	}
	s.at = fit
	p := plain(fit)
	return p, s.d.measure(p, 1) > 0
}

// inlineURLs writes the URLs that are longer than limit into the text, where
// they can be cut. Only dialects that show URLs need it.
func inlineURLs(n Node, limit int) Node {
	if !hasLong(&n, limit) {
		return n
	}
	children := make([]Node, 0, len(n.Children)+1)
	for _, ch := range n.Children {
		ch = inlineURLs(ch, limit)
		if (ch.Kind == Link || ch.Kind == Image) && len(ch.URL) > limit {
			children = append(children, ch.Children...)
			if safeURL(ch.URL) && !saysURL(&ch) {
				children = append(children, Node{Kind: Text, Literal: " (" + ch.URL + ")"})
			}
			continue
		}
		children = append(children, ch)
	}
	n.Children = children
	return n
}

func hasLong(n *Node, limit int) bool {
	if len(n.URL) > limit {
		return true
	}
	for i := range n.Children {
		if hasLong(&n.Children[i], limit) {
			return true
		}
	}
	return false
}
