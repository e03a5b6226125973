package ingest

import (
	"strconv"
	"strings"
)

// body reads the paragraphs and tables of a Word document.
type body struct {
	styles map[string]int
	w      writer
	title  string // the first paragraph that is styled as one

	text    int  // w:t elements that are open: what is in them is shown
	skip    int  // elements that are open whose text is not shown
	cells   int  // of the row that is open
	rows    int  // rows that are open: paragraphs in them are cells' lines
	isTitle bool // the paragraph that is open
}

// hidden are elements whose text readers do not see, or see a second time.
func hidden(name string) bool {
	switch name {
	case "del", "moveFrom", "Fallback", "instrText", "delText":
		return true
	}
	return false
}

func (b *body) take(e element) error {
	if hidden(e.name) {
		if e.ends {
			b.skip = max(0, b.skip-1)
		} else {
			b.skip++
		}
		return nil
	}
	switch {
	case b.skip > 0:
		return nil
	case e.name == "":
		if b.text > 0 {
			return b.run(e.text)
		}
		return nil
	case e.ends:
		b.end(e.name)
		return nil
	}
	return b.begin(e)
}

// run adds text. Word keeps its own white space.
func (b *body) run(s string) error {
	if b.isTitle && len(b.title) < 4096 {
		b.title += s
	}
	return b.w.text(s)
}

func (b *body) begin(e element) error {
	switch e.name {
	case "t":
		b.text++
	case "p":
		b.isTitle = false
		if b.rows == 0 {
			b.w.begin("")
		} else if b.cells > 0 {
			return b.w.text(" ")
		}
	case "pStyle":
		b.style(e.attr("val"))
	case "outlineLvl":
		if n, err := strconv.Atoi(e.attr("val")); err == nil && n >= 0 && n < 6 && b.rows == 0 {
			b.w.lead = strings.Repeat("#", n+1) + " "
		}
	case "ilvl":
		if n, err := strconv.Atoi(e.attr("val")); err == nil {
			b.w.items = min(max(n, 0), 8) + 1
		}
	case "numPr":
		if b.rows == 0 && b.w.lead == "" {
			b.w.lead, b.w.items = "- ", 1
		}
	case "tab":
		return b.w.text(" ")
	case "br", "cr":
		if b.rows == 0 {
			b.w.newline()
		} else {
			return b.w.text(" ")
		}
	case "tr":
		if b.rows++; b.rows == 1 {
			b.w.begin(row)
			b.cells = 0
		}
	case "tc":
		if b.cells++; b.cells > 1 {
			return b.w.text(" | ")
		}
	}
	return nil
}

// style makes the paragraph that is open a heading where its style is one.
func (b *body) style(id string) {
	level, ok := b.styles[id]
	if !ok || b.rows > 0 {
		return
	}
	b.isTitle = level == 0 && b.title == ""
	b.w.lead = strings.Repeat("#", min(max(level, 1), 6)) + " "
}

func (b *body) end(name string) {
	switch name {
	case "t":
		b.text = max(0, b.text-1)
	case "p":
		b.isTitle = false
		if b.rows == 0 {
			if strings.HasPrefix(b.w.lead, "- ") {
				b.w.lead = strings.Repeat("  ", max(b.w.items-1, 0)) + b.w.lead
			}
			b.w.end()
		}
	case "tr":
		if b.rows = max(0, b.rows-1); b.rows == 0 {
			b.w.end()
		}
	case "tbl":
		b.w.end()
	}
}
