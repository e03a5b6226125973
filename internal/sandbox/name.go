package sandbox

import (
	"slices"
	"strings"
)

// readable is the name of a function as its author wrote it, where Rust's compiler
// wrote more into it, in its older way or the newer one. What cannot be read stays
// as it is, but for its end: the module chooses the name, so that reading it takes a
// bounded time, and gives few bytes.
func readable(name string) string {
	if rest, ok := strings.CutPrefix(name, "_R"); ok {
		const steps = 64
		r := &mangled{all: rest, steps: steps}
		if path := r.path(); !r.broken && path != "" {
			name = path
		}
	} else if rest, ok := strings.CutPrefix(name, "_ZN"); ok {
		name = older(rest, name)
	}
	const most = 120
	return strings.ToValidUTF8(name[:min(most, len(name))], "")
}

// older reads the older way: identifiers with their lengths, of which the last is
// a hash, and "E".
func older(rest, name string) string {
	var parts []string
	r := &mangled{all: rest}
	for !r.broken && r.at < len(rest) && rest[r.at] != 'E' {
		parts = append(parts, r.word())
	}
	const hash = 17 // h, and 16 digits
	last := len(parts) - 1
	if r.broken || last < 1 || len(parts[last]) != hash || parts[last][0] != 'h' {
		return name
	}
	return strings.NewReplacer("..", "::", "$LT$", "<", "$GT$", ">", "$u20$", " ", "$RF$", "&", "$C$", ",",
		"_$u7b$$u7b$", "{", "$u7d$$u7d$", "}", "$u5b$", "[", "$u5d$", "]", "_$LT$", "<").Replace(strings.Join(parts[:last], "::"))
}

// mangled reads the newer way, as far as the paths of functions go: of what they
// are generic over nothing is said.
type mangled struct {
	all    string
	at     int
	steps  int // paths that may still be read: a name can refer to parts of itself
	broken bool
}

// next takes one byte.
func (m *mangled) next() byte {
	if m.at >= len(m.all) {
		m.broken = true
		return 0
	}
	m.at++
	return m.all[m.at-1]
}

// peek reports whether one of these bytes comes next.
func (m *mangled) peek(set string) bool {
	return m.at < len(m.all) && strings.IndexByte(set, m.all[m.at]) >= 0
}

// number takes digits; -1 where there are none.
func (m *mangled) number() int {
	n := -1
	for m.peek("0123456789") {
		n = max(n, 0)*10 + int(m.next()-'0')
		if n > len(m.all) {
			m.broken = true
			return -1
		}
	}
	return n
}

// word takes an identifier: its length, and its bytes.
func (m *mangled) word() string {
	return m.bytes(m.number())
}

// bytes takes n bytes.
func (m *mangled) bytes(n int) string {
	if m.broken || n < 0 || n > len(m.all)-m.at {
		m.broken = true
		return ""
	}
	m.at += n
	return m.all[m.at-n : m.at]
}

// base62 takes a number in the digits of base 62, and the mark that ends it.
func (m *mangled) base62() int {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	n := -1
	for c := m.next(); c != '_' && !m.broken; c = m.next() {
		d := strings.IndexByte(digits, c)
		if m.broken = d < 0; d >= 0 && n < len(m.all) {
			n = max(n, 0)*len(digits) + d
		}
	}
	return n + 1
}

// identifier is word behind what tells identifiers of one name apart.
func (m *mangled) identifier() string {
	m.mark()
	if m.peek("u") {
		m.next()
	}
	n := m.number()
	if m.peek("_") {
		m.next()
	}
	return m.bytes(n)
}

// mark takes the number that tells identifiers of one name apart, if there is one.
func (m *mangled) mark() {
	if m.peek("s") {
		m.next()
		m.base62()
	}
}

// path takes the name of a function, a type or a module.
func (m *mangled) path() string {
	if m.steps--; m.steps < 0 {
		m.broken = true
	}
	if m.broken {
		return ""
	}
	switch m.next() {
	case 'C':
		return m.identifier()
	case 'N':
		kind, outer := m.next(), m.path()
		name := m.identifier()
		if kind == 'C' {
			name = "{closure}"
		}
		return outer + "::" + name
	case 'I':
		name := m.path()
		m.skip()
		return name
	case 'M':
		m.owner()
		return "<" + m.typed() + ">"
	case 'X':
		m.owner()
		return "<" + m.typed() + " as " + m.path() + ">"
	case 'Y':
		return "<" + m.typed() + " as " + m.path() + ">"
	case 'B':
		return m.back()
	}
	m.broken = true
	return ""
}

// back is the path that stood at an earlier place.
func (m *mangled) back() string {
	end := m.at - 1
	to := m.base62()
	if m.broken || to >= end {
		m.broken = true
		return ""
	}
	earlier := &mangled{all: m.all[:end], at: to, steps: m.steps}
	path := earlier.path()
	m.steps, m.broken = earlier.steps, earlier.broken
	return path
}

// owner takes where an implementation stands, which people do not look for.
func (m *mangled) owner() {
	m.mark()
	m.path()
}

// typed takes a type that has a name, or a reference to one.
func (m *mangled) typed() string {
	mark := ""
	for m.peek("RQ") {
		m.next()
		mark = "&"
		if m.peek("L") {
			m.next()
			m.base62()
		}
	}
	if m.peek("CNIMXYB") {
		return mark + m.path()
	}
	m.next()
	return mark + "_" // built in
}

// skip takes what a path is generic over, to its end.
func (m *mangled) skip() {
	for depth := 1; depth > 0 && !m.broken; {
		switch c := m.next(); {
		case c >= '0' && c <= '9':
			m.at--
			m.word()
		case c == 'I' || c == 'T' || c == 'F' || c == 'D':
			depth++
		case c == 'E':
			depth--
		case c == 'B' || c == 'L' || c == 'K' && !m.peek("p") || c == 's' && m.marked():
			m.base62()
		}
	}
}

// marked reports whether what tells identifiers apart comes next, and not a type.
func (m *mangled) marked() bool {
	end := strings.IndexByte(m.all[m.at:], '_')
	return end >= 0 && m.at+end+1 < len(m.all) && strings.IndexByte("0123456789u", m.all[m.at+end+1]) >= 0
}

// machinery are the beginnings of names of what runs between the place of a
// mistake and the end of the guest: the panics of Go and Rust, and what aborts.
var machinery = []string{"runtime.", "std::", "core::", "alloc::", "__rustc::", "__rust", "rust_", "abort", "~lib/"}

// ofAuthor drops the innermost functions that are not the author's, unless there
// are no others.
func ofAuthor(names []string) []string {
	at := slices.IndexFunc(names, func(name string) bool {
		name = strings.TrimLeft(name, "<&")
		if of, trait, ok := strings.Cut(name, " as "); ok && !strings.Contains(of, "::") {
			name = trait // of a type that is the language's own
		}
		return !slices.ContainsFunc(machinery, func(m string) bool { return strings.HasPrefix(name, m) })
	})
	return names[max(at, 0):]
}
