package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// face is where a chat is shown. On a terminal the last rows are live: what
// grows, and what the person types, is painted again in place. Elsewhere only
// what is final is printed. It is safe for concurrent use.
type face struct {
	out     io.Writer
	dialect markup.Dialect
	rich    bool                       // a terminal that can be painted on
	colour  bool                       // styles may be used
	size    func() (columns, rows int) // of the terminal
	mu      sync.Mutex                 // guards what follows
	growing string                     // what is shown for the moment
	typing  *typing                    // the input; nil: none
	at      spot                       // where the cursor is, from the first live row
	drawn   bool                       // there are live rows on the screen
}

// spot is a place on the screen.
type spot struct{ row, column int }

func newFace(out io.Writer) *face {
	f := &face{out: out, dialect: markup.PlainText, size: func() (int, int) { return 80, 24 }}
	if !isTerminal(out) || os.Getenv("TERM") == "dumb" {
		return f
	}
	fd := int(out.(*os.File).Fd()) //nolint:forcetypeassert // a terminal is a file
	f.rich = true
	f.size = func() (int, int) {
		w, h, err := term.GetSize(fd)
		if err != nil || w < 1 || h < 1 {
			return 80, 24
		}
		return w, h
	}
	if os.Getenv("NO_COLOR") == "" {
		f.colour, f.dialect = true, markup.Terminal
	}
	return f
}

// dim makes a remark look like one.
func (f *face) dim(s string) string {
	if !f.colour || s == "" {
		return s
	}
	return "\x1b[2m" + s + "\x1b[22m"
}

// message is what a message looks like here.
func (f *face) message(m wire.Message) string {
	tree := markup.Parse(m.Text)
	if m.Plain {
		tree = markup.Plain(m.Text)
	}
	text := strings.TrimRight(f.dialect.Render(tree), "\n")
	for i, b := range m.Buttons {
		text += fmt.Sprintf("\n[%d] %s", i+1, printable(b.Label))
		if b.URL != "" {
			text += ": " + printable(b.URL)
		}
	}
	return text
}

// draft is what an answer looks like while it grows.
func (f *face) draft(text string) string {
	return strings.TrimRight(f.dialect.Render(markup.Draft(text)), "\n") + f.dim(" …")
}

// print shows a text for good, above what is live.
func (f *face) print(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.printLocked(text)
}

func (f *face) printLocked(text string) {
	if f.rich {
		f.paint(text + "\n")
		return
	}
	fmt.Fprintln(f.out, text)
}

// growIfNothing is grow, unless something is shown already.
func (f *face) growIfNothing(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.growing == "" {
		f.growing = text
		f.repaint()
	}
}

// grow shows a text for the moment, in place of the one before; "" takes it away.
func (f *face) grow(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.growing == text {
		return
	}
	f.growing = text
	f.repaint()
}

// end takes away what grows.
func (f *face) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.growing = ""
	f.repaint()
}

func (f *face) repaint() { f.repaintWith("") }

// repaintWith sends something to the terminal as well.
func (f *face) repaintWith(sequence string) {
	if f.rich {
		_, _ = io.WriteString(f.out, sequence) // as in paint
		f.paint("")
	}
}

// clear empties the screen, but for what is live.
func (f *face) clear() {
	_, _ = io.WriteString(f.out, "\x1b[H\x1b[2J") // as in paint
	f.drawn = false
}

// paint puts text in the place of the live rows, and these below it.
func (f *face) paint(text string) {
	columns, height := f.size()
	width := max(columns-1, 1) // the last column makes some terminals wrap early
	var b strings.Builder
	b.WriteString("\x1b[?25l")
	if f.drawn {
		up(&b, f.at.row)
		b.WriteString("\r\x1b[J")
	}
	if text != "" {
		b.WriteString(strings.Join(wrap(strings.TrimSuffix(text, "\n"), width), "\r\n") + "\r\n")
	}
	var input []string
	var cursor spot
	if f.typing != nil {
		input, cursor = f.typing.input.rows(width)
		if most := max(height-2, 1); len(input) > most {
			from := min(max(cursor.row-most/2, 0), len(input)-most)
			input, cursor.row = input[from:from+most], cursor.row-from
		}
	}
	rows := f.live(width, height-len(input)-1)
	cursor.row += len(rows)
	rows = append(rows, input...)
	b.WriteString(strings.Join(rows, "\r\n"))
	if f.typing == nil && len(rows) > 0 {
		cursor = spot{row: len(rows) - 1}
	}
	up(&b, len(rows)-1-cursor.row)
	b.WriteString("\r")
	if cursor.column > 0 {
		fmt.Fprintf(&b, "\x1b[%dC", cursor.column)
	}
	b.WriteString("\x1b[?25h")
	f.at, f.drawn = cursor, len(rows) > 0
	_, _ = io.WriteString(f.out, b.String()) // a terminal that is gone has nobody to tell
}

// live is the end of what grows, as far as it fits.
func (f *face) live(width, most int) []string {
	if f.growing == "" || most < 1 {
		return nil
	}
	rows := wrap(f.growing, width)
	if over := len(rows) - most; over > 0 {
		styles := strings.Join(style.FindAllString(strings.Join(rows[:over], ""), -1), "")
		rows = rows[over:]
		rows[0] = styles + rows[0]
	}
	if f.colour {
		rows[len(rows)-1] += "\x1b[0m"
	}
	return rows
}

func up(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "\x1b[%dA", n)
	}
}
