package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"rsc.io/qr"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Ada Lovelace", "Ada Lovelace"},
		{"quotes and backslashes stay", `C:\x "y"`, `C:\x "y"`},
		{"other scripts", "Åsa 小明 عمر", "Åsa 小明 عمر"},
		{"a family of four", "👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"},
		{"escape", "\x1b[2J", `\x1b[2J`},
		{"the one-character escape of some terminals", "\u009b2J", `\u009b2J`},
		{"a title that is set", "\x1b]0;root\a", `\x1b]0;root\a`},
		{"line breaks", "a\nb\rc", `a\nb\rc`},
		{"text turned around", "gpj.\u202exe", `gpj.\u202exe`},
		{"no text", "\xff\xfe", "\ufffd\ufffd"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := printable(c.in); got != c.want {
				t.Errorf("printable(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

// TestPrintJSON: nothing in it acts on a terminal, and programs read back what
// was written.
func TestPrintJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := map[string]string{"a": rapid.String().Draw(t, "text"), "b": "\x1b[2J \u009b \u202e \U000e0001 <&>"}
		var out bytes.Buffer
		if err := printJSON(&out, in); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && acts(r) }); i >= 0 {
			t.Fatalf("%q acts", out.String()[i:])
		}
		var back map[string]string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestFailure(t *testing.T) {
	err := errors.Join(operator.ErrInvalid)
	for _, c := range []struct {
		name string
		in   error
		want string
	}{
		{"for programs", &wrapped{operator.ErrInvalid, "the key is bad"}, "the key is bad"},
		{"alone", err, "invalid"},
		{"a platform that attacks", errors.New("it said \x1b[2J"), `it said \x1b[2J`},
		{"several lines", errors.New("a\nb"), "a\nb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := failure(c.in); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

type wrapped struct {
	error
	text string
}

func (w *wrapped) Error() string { return w.error.Error() + ": " + w.text }

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    string
		width int
		want  []string
	}{
		{"fits", "one two", 7, []string{"one two"}},
		{"between words", "one two three", 8, []string{"one two", "three"}},
		{"a space where the row ends", "four four", 4, []string{"four", "four"}},
		{"a word that is too long", "abcdefgh", 3, []string{"abc", "def", "gh"}},
		{"wide characters", "日本語", 4, []string{"日本", "語"}},
		{"line breaks", "a\n\nb", 5, []string{"a", "", "b"}},
		{"styles take no room", "\x1b[1mone\x1b[22m two", 7, []string{"\x1b[1mone\x1b[22m two"}},
		{"a style across rows", "\x1b[1mone two\x1b[22m", 4, []string{"\x1b[1mone", "two\x1b[22m"}},
		{"tabs", "\ta", 10, []string{"    a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, wrap(c.in, c.width)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWrapKeeps: no row is too wide, and only white space is lost.
func TestWrapKeeps(t *testing.T) {
	squeeze := strings.NewReplacer(" ", "", "\n", "")
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{
			"a", "word", " ", "  ", "\n", "日本", "👨‍👩‍👧‍👦", "e\u0301", "\x1b[1m", "\x1b[22m", "averylongwordindeed",
		})).Draw(t, "text"), "")
		width := rapid.IntRange(2, 12).Draw(t, "width")
		rows := wrap(text, width)
		for _, r := range rows {
			if columns(r) > width {
				t.Fatalf("%q is wider than %d", r, width)
			}
		}
		if got, want := squeeze.Replace(strings.Join(rows, "")), squeeze.Replace(text); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

// TestPrintQR reads the printed code back, module by module.
func TestPrintQR(t *testing.T) {
	code, err := qr.Encode("https://t.me/some_bot?start=ABCDEFGH", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	printQR(&out, code)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if got, want := len(lines), (code.Size+2*quiet+1)/2; got != want {
		t.Fatalf("%d lines, want %d", got, want)
	}
	for i, l := range lines {
		row := []rune(strings.TrimPrefix(l, "  "))
		if len(row) != code.Size+2*quiet {
			t.Fatalf("line %d has %d columns", i, len(row))
		}
		for j, c := range row {
			x, y := j-quiet, 2*i-quiet
			upper, lower := c == ' ' || c == '▄', c == ' ' || c == '▀'
			if upper != code.Black(x, y) || lower != code.Black(x, y+1) {
				t.Fatalf("%q at column %d, row %d", c, x, y)
			}
		}
	}
}
