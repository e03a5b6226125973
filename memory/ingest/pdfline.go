package ingest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pdfLines puts what pages show together again: characters to words, words to
// lines, lines to paragraphs, by where they stand.
type pdfLines struct {
	done []pdfLine
	open pdfLine
	buf  strings.Builder
	last struct{ x, y, height float64 } // where the character before ended
	size int                            // bytes of all
}

// pdfLine is one line of a page.
type pdfLine struct {
	text   string
	height float64 // of its first character
	apart  bool    // a paragraph begins with it
	page   int
}

// add takes one character, or more where a code stands for more.
func (l *pdfLines) add(text string, x, y, end, height float64) error {
	if strings.TrimSpace(text) == "" && text != "" {
		text = " "
	}
	if !finite(x, y, end, height) || text == "" {
		return nil
	}
	tall := max(height, l.last.height, 1)
	down := l.last.y - y
	switch {
	case l.buf.Len() == 0:
	case math.Abs(down) < 0.6*tall && x > l.last.x-2*tall:
		if gap := x - l.last.x; gap > 0.18*tall && text != " " && !strings.HasSuffix(l.buf.String(), " ") && !dense(l.buf.String(), text, gap, tall) {
			l.buf.WriteByte(' ')
		}
	default:
		l.newline()
		l.open.apart = down < 0 || down > 1.75*tall || math.Abs(height-l.last.height) > 0.2*tall
	}
	if l.buf.Len() == 0 {
		l.open.height = height
	}
	l.buf.WriteString(text)
	l.last.x, l.last.y, l.last.height = end, y, height
	if l.size += len(text); l.size > MostText {
		return fmt.Errorf("%w: more than %d MB of text", ErrLimit, MostText>>20)
	}
	return nil
}

func finite(all ...float64) bool {
	for _, n := range all {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return false
		}
	}
	return true
}

// dense reports whether a gap is no blank because the script has none.
func dense(before, after string, gap, tall float64) bool {
	r, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	return gap < tall && wide(r) && (wide(next) || hiragana(next)) || gap < tall && hiragana(r)
}

// newline ends the line that is open.
func (l *pdfLines) newline() {
	l.open.text = strings.TrimSpace(l.buf.String())
	l.buf.Reset()
	if l.open.text != "" {
		l.done = append(l.done, l.open)
		l.size += 32
	}
	l.open = pdfLine{page: l.open.page}
}

// page begins a page.
func (l *pdfLines) page(n int) {
	l.newline()
	l.open = pdfLine{page: n, apart: true}
	l.last.x, l.last.y, l.last.height = 0, 0, 0
}

// document writes the lines as Markdown. Lines that are larger than most are
// headings. Where there are more pages than one, each begins with its number.
func (l *pdfLines) document() (title, text string) {
	l.newline()
	usual := l.usual()
	var b []byte
	page, pages := 0, 0
	for _, line := range l.done {
		pages = max(pages, line.page)
	}
	for _, line := range l.done {
		if line.page != page {
			if page = line.page; pages > 1 {
				b = paragraph(b, fmt.Sprintf("[page %d]", page))
			}
			line.apart = true
		}
		lead := ""
		if n := utf8.RuneCountInString(line.text); n < 150 && n > 2 && line.height > 1.2*usual && strings.ContainsFunc(line.text, unicode.IsLetter) {
			lead = "## "
			if line.height > 1.6*usual {
				lead = "# "
			}
			if title == "" {
				title = line.text
			}
		}
		if lead != "" || line.apart || heading(b) {
			b = paragraph(b, lead+line.text)
			continue
		}
		b = join(b, line.text)
	}
	return title, string(b)
}

// heading reports whether the last line of a text is a heading.
func heading(text []byte) bool {
	return bytes.HasPrefix(text[bytes.LastIndexByte(text, '\n')+1:], []byte("#"))
}

func paragraph(b []byte, text string) []byte {
	if len(b) > 0 {
		b = append(b, "\n\n"...)
	}
	return append(b, text...)
}

// join adds a line to a paragraph. A word that was divided is made whole.
func join(b []byte, text string) []byte {
	next, _ := utf8.DecodeRuneInString(text)
	if whole := bytes.TrimSuffix(b, []byte("-")); len(whole) < len(b) && unicode.IsLower(next) {
		if r, _ := utf8.DecodeLastRune(whole); unicode.IsLetter(r) {
			return append(whole, text...)
		}
	}
	if len(b) > 0 {
		b = append(b, '\n')
	}
	return append(b, text...)
}

// usual is the height that most characters have.
func (l *pdfLines) usual() float64 {
	count := map[int]int{}
	for _, line := range l.done {
		count[int(math.Round(2*min(line.height, 1e6)))] += len(line.text)
	}
	heights := make([]int, 0, len(count))
	for h := range count {
		heights = append(heights, h)
	}
	if len(heights) == 0 {
		return 0
	}
	slices.SortFunc(heights, func(a, b int) int { return (count[b]-count[a])*2 + sign(a-b) })
	return float64(heights[0]) / 2
}

func sign(n int) int { return max(-1, min(n, 1)) }
