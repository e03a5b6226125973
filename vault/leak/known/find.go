package known

import "bytes"

const (
	maxDepth = 4       // of encodings within encodings
	maxText  = 1 << 20 // bytes of what a compressed part unpacks to
	// unpackCost is what an attempt to unpack takes, in bytes read.
	unpackCost = 16 << 10
)

// Holds reports whether a known value, or a part of one, stands in text. It is
// what Find does, without saying where.
func (b *Book) Holds(text []byte) bool {
	b.expire()
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.bits != nil && b.holds(text)
}

// Find returns where known values, or parts of them, stand in text, in order
// and without overlaps. It returns nil where there is nothing, and does not
// change text.
func (b *Book) Find(text []byte) []Span {
	b.expire()
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.bits == nil || !b.holds(text) {
		return nil
	}
	// Places are kept only now: nearly every text holds nothing.
	s := search{book: b, budget: budget(text)}
	s.look(whole(text, true), 0)
	return merge(s.found)
}

func (b *Book) holds(text []byte) bool {
	s := search{book: b, budget: budget(text)}
	s.look(whole(text, false), 0)
	return s.hit
}

// budget bounds how much is read in all views of a text together.
func budget(text []byte) int { return 32*len(text) + 4*maxText }

// search reads one text in all its views.
type search struct {
	book   *Book
	budget int
	hit    bool
	found  []Span // only where the view keeps places
}

// done reports whether nothing more is to be learnt, or no more may be read.
func (s *search) done(v view) bool { return s.budget <= 0 || s.hit && v.place == nil }

// look searches a view and what can be decoded from it.
func (s *search) look(v view, depth int) {
	if s.done(v) || len(v.text) < Window {
		return
	}
	s.budget -= len(v.text)
	s.match(v.folded())
	if s.book.exact {
		s.match(v)
	}
	if depth == maxDepth {
		return
	}
	deeper := func(v view) { s.look(v, depth+1) }
	if plain, changed := v.unescaped(); changed {
		deeper(plain)
	}
	s.unpack(v, depth)
	s.decode64(v, func(d view) { s.decoded(d, depth) })
	s.decode16(v, func(d view) { s.decoded(d, depth) })
	s.decode32(v, func(d view) { s.decoded(d, depth) })
	decodeNumbers(v, deeper)
	s.decodeBits(v, deeper)
}

// decoded looks at bytes that may be text, compressed text, or nothing.
func (s *search) decoded(v view, depth int) {
	if s.done(v) {
		return
	}
	s.unpack(v, depth)
	v.printable(func(p view) { s.look(p, depth+1) })
	if bytes.Count(v.text, nul) >= Window { // UTF-16
		v.without(0).printable(func(p view) { s.look(p, depth+1) })
	}
	if s.book.exact {
		s.match(v)
	}
}

var nul = []byte{0}

// match searches one reading.
func (s *search) match(v view) {
	s.book.search(v.text, func(at Span) {
		s.hit = true
		if v.place != nil {
			s.found = append(s.found, v.origin(at))
		}
	})
}

// unpack looks into compressed parts.
func (s *search) unpack(v view, depth int) {
	for i := compressed(v.text, 0); i >= 0 && !s.done(v); i = compressed(v.text, i+1) {
		plain := inflate(v.text[i:])
		s.budget -= len(plain) + unpackCost
		if len(plain) < Window {
			continue
		}
		out := view{text: plain}
		if v.place != nil {
			out.place = make([]Span, len(plain))
			at := v.origin(Span{i, len(v.text)})
			for k := range out.place {
				out.place[k] = at
			}
		}
		s.look(out, depth+1)
	}
}
