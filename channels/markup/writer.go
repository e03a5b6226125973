package markup

import "strings"

// writer takes what a dialect renders. It either builds the text or, when
// counting, only its length, so that Measure and Render cannot disagree.
type writer struct {
	buf      []byte
	counting bool
	marks    bool // markup counts like text
	unit     Unit
	n        int // units so far, when counting
	limit    int // over() once n is beyond it

	prefix []byte // what each line starts with: quote bars and indentation
	bol    bool   // the prefix is still to be written
}

// over reports that counting any further is pointless.
func (w *writer) over() bool { return w.counting && w.n > w.limit }

// mark writes markup.
func (w *writer) mark(s string) {
	if s == "" {
		return
	}
	w.begin()
	if w.counting {
		if w.marks {
			w.n += w.unit.Len(s)
		}
		return
	}
	w.buf = append(w.buf, s...)
}

// markLines writes markup that has line breaks in it.
func (w *writer) markLines(s string) {
	for {
		line, rest, more := strings.Cut(s, "\n")
		w.mark(line)
		if !more {
			return
		}
		w.newline()
		s = rest
	}
}

// text writes visible text that has no line break. The length counted is that
// of s, whatever it is escaped to.
func (w *writer) text(s string) {
	if s == "" {
		return
	}
	w.begin()
	if w.counting {
		w.count(s)
		return
	}
	w.buf = append(w.buf, s...)
}

// count adds the length of visible text, or of enough of it to be over.
func (w *writer) count(s string) {
	if room := w.limit - w.n; room >= 0 && room < len(s)/4 {
		s = s[:4*room+4] // at most four bytes make a unit
	}
	w.n += w.unit.Len(s)
}

// begin writes the prefix of a new line.
func (w *writer) begin() {
	if !w.bol {
		return
	}
	w.bol = false
	if w.counting {
		w.n += w.unit.Len(string(w.prefix))
		return
	}
	w.buf = append(w.buf, w.prefix...)
}

// newline ends the line. An empty line gets the prefix without its trailing
// spaces.
func (w *writer) newline() {
	if w.bol {
		p := strings.TrimRight(string(w.prefix), " ")
		if w.counting {
			w.n += w.unit.Len(p)
		} else {
			w.buf = append(w.buf, p...)
		}
	}
	if w.counting {
		w.n++
	} else {
		w.buf = append(w.buf, '\n')
	}
	w.bol = true
}

// indent adds to the prefix of the lines to come and returns what undent takes.
func (w *writer) indent(s string) int {
	n := len(w.prefix)
	w.prefix = append(w.prefix, s...)
	return n
}

func (w *writer) undent(n int) { w.prefix = w.prefix[:n] }

// spaces is an indentation of n columns.
func spaces(n int) string {
	const blank = "                "
	if n <= len(blank) {
		return blank[:n]
	}
	return strings.Repeat(" ", n)
}
