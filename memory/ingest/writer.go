package ingest

import (
	"fmt"
	"strings"
)

// writer builds Markdown out of what a reader meets: runs of text, ends of
// blocks, headings, items and rows. White space is collapsed outside of code.
type writer struct {
	b     strings.Builder
	block strings.Builder // the block that is open
	lead  string          // what the block begins with: "## ", "- ", "> "
	space bool            // white space is due before the next text
	code  bool            // the block is code, taken as it is
	items int             // lists that are open
	kind  string          // of the block before: items and rows stand close to their like
}

// text adds a run of text to the block that is open.
func (w *writer) text(s string) error {
	if w.code {
		w.block.WriteString(s)
		return w.room()
	}
	for i, f := range strings.Fields(s) {
		if (i > 0 || w.space || startsBlank(s)) && w.block.Len() > 0 {
			w.block.WriteByte(' ')
		}
		w.space = false
		w.block.WriteString(f)
	}
	w.space = w.space || endsBlank(s)
	return w.room()
}

func startsBlank(s string) bool { return strings.TrimLeft(s, " \t\r\n\u00a0") != s }
func endsBlank(s string) bool   { return strings.TrimRight(s, " \t\r\n\u00a0") != s }

func (w *writer) room() error {
	if w.b.Len()+w.block.Len() > MostText {
		return fmt.Errorf("%w: more than %d MB of text", ErrLimit, MostText>>20)
	}
	return nil
}

// newline ends a line within a block.
func (w *writer) newline() {
	if w.block.Len() > 0 {
		w.block.WriteByte('\n')
	}
	w.space = false
}

// begin ends the block that is open and begins another.
func (w *writer) begin(lead string) {
	w.end()
	w.lead = lead
}

// end ends the block that is open.
func (w *writer) end() {
	s := w.block.String()
	w.block.Reset()
	lead, code := w.lead, w.code
	w.lead, w.code, w.space = "", false, false
	if strings.TrimSpace(s) == "" {
		return
	}
	if code {
		s = fenced("", strings.Trim(s, "\n"))
	} else {
		s = strings.TrimSpace(s)
		if strings.HasPrefix(lead, "#") {
			s = strings.Join(strings.Fields(s), " ")
		}
	}
	kind := strings.TrimSpace(lead)
	if w.b.Len() > 0 {
		w.b.WriteByte('\n')
		if kind != w.kind || kind != "-" && kind != row {
			w.b.WriteByte('\n')
		}
	}
	w.kind = kind
	if lead == row {
		lead = ""
	}
	w.b.WriteString(lead)
	w.b.WriteString(s)
}

// row is the lead of a table's row, which stands close to the next.
const row = "\x00row"

// heading begins a heading of a level.
func (w *writer) heading(level int) { w.begin(strings.Repeat("#", min(max(level, 1), 6)) + " ") }

// item begins an item of a list, as deep as lists are open.
func (w *writer) item() { w.begin(strings.Repeat("  ", min(max(w.items-1, 0), 8)) + "- ") }

func (w *writer) String() string {
	w.end()
	return w.b.String()
}
