package main

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// screen is a terminal that understands what a face writes, and nothing else:
// anything else fails the test. Characters are one column wide.
type screen struct {
	t      failer
	mu     sync.Mutex
	width  int
	lines  []string // everything since the start; nothing scrolls away
	row    int
	column int
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

var sequence = regexp.MustCompile(`^\x1b\[(\??)([0-9;]*)([A-Za-z])`)

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := string(b); text != ""; {
		if m := sequence.FindStringSubmatch(text); m != nil {
			s.obey(m[1]+m[3], m[2])
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		s.put(r)
	}
	return len(b), nil
}

func (s *screen) obey(what, number string) {
	n, _ := strconv.Atoi(number)
	switch what {
	case "A":
		if s.row -= n; s.row < 0 {
			s.t.Fatalf("moved above the start")
		}
	case "C":
		s.column += n
	case "J":
		s.lines = append([]string{}, s.lines[:s.row+1]...)
		s.lines[s.row] = string([]rune(s.lines[s.row])[:s.column])
	case "m", "?l", "?h":
	default:
		s.t.Fatalf("unknown sequence %s%s", number, what)
	}
}

func (s *screen) put(r rune) {
	for s.row >= len(s.lines) {
		s.lines = append(s.lines, "")
	}
	switch r {
	case '\r':
		s.column = 0
	case '\n':
		s.row++
		if s.row >= len(s.lines) {
			s.lines = append(s.lines, "")
		}
	default:
		row := []rune(s.lines[s.row])
		if s.column >= s.width {
			s.t.Fatalf("wrote beyond the edge: %q", s.lines[s.row])
		}
		row = append(row[:min(s.column, len(row))], r)
		s.lines[s.row] = string(row)
		s.column++
	}
}

// text is what is shown, with the cursor as ▮.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := append([]string{}, s.lines...)
	for s.row >= len(lines) {
		lines = append(lines, "")
	}
	row := []rune(lines[s.row])
	at := min(s.column, len(row))
	lines[s.row] = string(row[:at]) + "▮" + string(row[at:])
	return strings.Join(lines, "\n")
}

func newScreen(t failer, width, height int) (*screen, *face) {
	s := &screen{t: t, width: width, lines: []string{""}}
	return s, &face{out: s, rich: true, dialect: markup.PlainText, size: func() (int, int) { return width, height }}
}

func (s *screen) want(t *testing.T, what, text string) {
	t.Helper()
	if diff := cmp.Diff(text, s.text()); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// TestFace: what grows is painted in place, what is final stays, and what the
// person types is not disturbed.
func TestFace(t *testing.T) {
	s, f := newScreen(t, 20, 10)
	var entries []entry
	in := newTyping(f, func(e entry) { entries = append(entries, e) })
	f.open(in)
	s.want(t, "open", "> ▮")
	in.keys.feed([]byte("hi\r"), in.press)
	s.want(t, "entered", "> hi\n> ▮")
	f.grow("one")
	s.want(t, "growing", "> hi\none\n> ▮")
	in.keys.feed([]byte("next"), in.press)
	f.grow("one two three four five six")
	s.want(t, "grown", "> hi\none two three four\nfive six\n> next▮")
	in.keys.feed([]byte("\x1b[D\x1b[D"), in.press)
	s.want(t, "moved", "> hi\none two three four\nfive six\n> ne▮xt")
	f.print("(a remark)")
	s.want(t, "remarked", "> hi\n(a remark)\none two three four\nfive six\n> ne▮xt")
	f.grow("")
	f.print("one two three.")
	s.want(t, "final", "> hi\n(a remark)\none two three.\n> ne▮xt")
	in.keys.feed([]byte("\r"), in.press)
	in.keys.feed([]byte("\x03"), in.press)
	f.close()
	s.want(t, "closed", "> hi\n(a remark)\none two three.\n> next\n▮")
	want := []entry{{text: "hi"}, {text: "next"}, {what: interrupted}}
	if diff := cmp.Diff(want, entries, cmp.AllowUnexported(entry{})); diff != "" {
		t.Error(diff)
	}
}

// TestFaceIsLow: what does not fit is cut at its beginning.
func TestFaceIsLow(t *testing.T) {
	s, f := newScreen(t, 20, 5)
	f.open(newTyping(f, func(entry) {}))
	f.grow("1\n2\n3\n4\n5\n6")
	s.want(t, "the end is shown", "4\n5\n6\n> ▮")
}

func TestComplete(t *testing.T) {
	for in, want := range map[string]string{"/st": "/st", "/sto": "/stop ", "/n": "/new ", "/zzz": "/zzz", "new": "new", "/": "/", "/stop x": "/stop x"} {
		_, f := newScreen(t, 20, 5)
		c := newTyping(f, func(entry) {})
		f.open(c)
		f.suggest([]wire.Command{{Name: "stop"}, {Name: "status"}, {Name: "new"}})
		c.keys.feed([]byte(in+"\t"), c.press)
		if got := c.input.text(); got != want {
			t.Errorf("%q is completed to %q, want %q", in, got, want)
		}
	}
}

// TestFaceKeepsOrder: whatever grows and is typed meanwhile, in the end every
// final text stands there once, in order.
func TestFaceKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, f := newScreen(t, rapid.IntRange(8, 30).Draw(t, "width"), rapid.IntRange(4, 9).Draw(t, "height"))
		in := newTyping(f, func(entry) {})
		f.open(in)
		var want []string
		for i := range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				f.grow(strings.Repeat("x ", rapid.IntRange(0, 40).Draw(t, "length")))
			case 1:
				in.keys.feed([]byte(rapid.SampledFrom([]string{"a", "bcd", "\x1b[D", "\x7f", "\n", "\x1b[A"}).Draw(t, "key")), in.press)
			case 2:
				text := "m" + strconv.Itoa(i)
				f.print(text)
				want = append(want, text)
			case 3:
				in.input.set("")
				text := "q" + strconv.Itoa(i)
				in.keys.feed([]byte(text+"\r"), in.press)
				want = append(want, "> "+text)
			}
		}
		in.input.set("")
		f.close()
		got := strings.Split(strings.TrimSuffix(s.text(), "▮"), "\n")
		if diff := cmp.Diff(append(want, ""), got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestMessage: what the agent or a platform wrote cannot act on the terminal.
func TestMessage(t *testing.T) {
	f := &face{dialect: markup.Terminal}
	for _, m := range []wire.Message{
		{Text: "a \x1b[2J \u009b2J \u202e `\x1b]0;x\a`"},
		{Text: "a \x1b[2J \u009b2J", Plain: true},
		{Buttons: []wire.Button{{Label: "\x1b[2J", URL: "https://x/\x1b[2J"}}},
	} {
		text := style.ReplaceAllString(f.message(m), "")
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
			t.Errorf("%q acts", text[i:])
		}
	}
	got := f.message(wire.Message{Text: "pick", Buttons: []wire.Button{{Label: "one", Data: "1"}, {Label: "two", URL: "https://example.org"}}})
	if want := "pick\n[1] one\n[2] two: https://example.org"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
