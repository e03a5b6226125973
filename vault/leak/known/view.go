package known

import "slices"

// view is one reading of a text. Where places are kept, each byte knows which
// part of the original it comes from.
type view struct {
	text  []byte
	place []Span // nil: not kept
}

// whole is the text itself as a view.
func whole(text []byte, places bool) view {
	v := view{text: text}
	if places {
		v.place = make([]Span, len(text))
		for i := range v.place {
			v.place[i] = Span{i, i + 1}
		}
	}
	return v
}

// part is a stretch of a view.
func (v view) part(from, to int) view {
	p := view{text: v.text[from:to]}
	if v.place != nil {
		p.place = v.place[from:to]
	}
	return p
}

// origin is where a stretch of a view comes from.
func (v view) origin(s Span) Span {
	out := v.place[s.From]
	for _, p := range v.place[s.From:s.To] {
		out.From, out.To = min(out.From, p.From), max(out.To, p.To)
	}
	return out
}

// empty is a view to be filled, with places if v has them.
func (v view) empty(size int) view {
	out := view{text: make([]byte, 0, size)}
	if v.place != nil {
		out.place = make([]Span, 0, size)
	}
	return out
}

// add appends a byte that stands for from..to of src.
func (v *view) add(c byte, src view, from, to int) {
	v.text = append(v.text, c)
	if src.place != nil {
		v.place = append(v.place, src.origin(Span{from, to}))
	}
}

// folded is the folded reading of a view.
func (v view) folded() view {
	if v.place == nil {
		return view{text: fold(make([]byte, 0, len(v.text)), v.text)}
	}
	out := v.empty(len(v.text))
	for i := 0; i < len(v.text); {
		n := width(v.text[i:])
		for _, c := range fold(nil, v.text[i:i+n]) {
			out.add(c, v, i, i+n)
		}
		i += n
	}
	return out
}

// keep is the reading of only those bytes that table gives a value to, less
// one.
func (v view) keep(table *[256]byte) view {
	out := v.empty(len(v.text))
	if v.place == nil {
		for _, c := range v.text {
			if x := table[c]; x != 0 {
				out.text = append(out.text, x-1)
			}
		}
		return out
	}
	for i, c := range v.text {
		if x := table[c]; x != 0 {
			out.add(x-1, v, i, i+1)
		}
	}
	return out
}

// without is the reading that leaves out a byte.
func (v view) without(gone byte) view {
	out := v.empty(len(v.text))
	for i, c := range v.text {
		if c != gone {
			out.add(c, v, i, i+1)
		}
	}
	return out
}

// printable calls f with each stretch that is long enough to hold a window and
// could be text. What was decoded from something that was no code has none.
func (v view) printable(f func(view)) {
	from := 0
	for i := 0; i <= len(v.text); i++ {
		if i < len(v.text) && promise[v.text[i]] == isText {
			continue
		}
		if i-from >= Window {
			f(v.part(from, i))
		}
		from = i + 1
	}
}

// merge sorts spans and joins those that touch.
func merge(all []Span) []Span {
	slices.SortFunc(all, func(a, b Span) int { return a.From - b.From })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}
