package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEditor(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*editor)
		want string // | is the cursor
	}{
		{"insert in the middle", func(e *editor) { e.insert("ac"); e.backward(); e.insert("b") }, "ab|c"},
		{"erase one picture of several characters", func(e *editor) { e.insert("x👨‍👩‍👧‍👦"); e.erase() }, "x|"},
		{"erase an accent with its letter", func(e *editor) { e.insert("e\u0301"); e.erase() }, "|"},
		{"erase the next", func(e *editor) { e.insert("ab"); e.lineStart(); e.eraseNext() }, "|b"},
		{"erase a word", func(e *editor) { e.insert("one two  "); e.eraseWord() }, "one |"},
		{"erase nothing", func(e *editor) { e.erase(); e.eraseNext(); e.eraseWord(); e.backward(); e.forward() }, "|"},
		{"forward", func(e *editor) { e.insert("日本"); e.lineStart(); e.forward() }, "日|本"},
		{"start and end of a line", func(e *editor) { e.insert("ab\ncd"); e.lineStart(); e.insert("X"); e.lineEnd() }, "ab\nXcd|"},
		{"pasted lines", func(e *editor) { e.insert("a\r\nb\rc") }, "a\nb\nc|"},
		{"what acts is left out", func(e *editor) { e.insert("a\x1b[2J\u202eb") }, "a[2Jb|"},
		{"earlier and back", func(e *editor) {
			e.insert("one")
			e.take()
			e.insert("two")
			e.take()
			e.insert("new")
			e.recall(-1)
			e.recall(-1)
			e.recall(-1)
			e.recall(1)
			e.recall(1)
			e.recall(1)
		}, "new|"},
		{"the earliest", func(e *editor) {
			e.insert("one")
			e.take()
			e.insert("two")
			e.take()
			e.recall(-1)
			e.recall(-1)
		}, "one|"},
		{"the same twice is remembered once", func(e *editor) {
			for range 2 {
				e.insert("one")
				e.take()
			}
			e.recall(-1)
			e.recall(-1)
		}, "one|"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e editor
			c.do(&e)
			if got := e.left + "|" + e.right; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		name, left, right string
		width             int
		want              []string
		cursor            spot
	}{
		{"empty", "", "", 10, []string{"> "}, spot{0, 2}},
		{"one row", "ab", "c", 10, []string{"> abc"}, spot{0, 3 + 1}},
		{"broken", "abcdef", "", 6, []string{"> abcd", "  ef"}, spot{1, 4}},
		{"the cursor in the middle", "ab", "cdef", 6, []string{"> abcd", "  ef"}, spot{0, 4}},
		{"lines", "a\nb", "\nc", 10, []string{"> a", "  b", "  c"}, spot{1, 3}},
		{"wide", "日本", "語", 7, []string{"> 日本", "  語"}, spot{0, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := editor{left: c.left, right: c.right}
			rows, cursor := e.rows(c.width)
			if diff := cmp.Diff(c.want, rows); diff != "" {
				t.Error(diff)
			}
			if cursor != c.cursor {
				t.Errorf("cursor %v, want %v", cursor, c.cursor)
			}
		})
	}
}

// TestRowsFit: the input is shown whole within the width, and the cursor is
// where the next character will appear.
func TestRowsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"a", "bc", " ", "\n", "日", "👨‍👩‍👧‍👦"})
		e := editor{
			left:  strings.Join(rapid.SliceOf(piece).Draw(t, "left"), ""),
			right: strings.Join(rapid.SliceOf(piece).Draw(t, "right"), ""),
		}
		width := rapid.IntRange(5, 20).Draw(t, "width")
		rows, cursor := e.rows(width)
		var all strings.Builder
		for _, r := range rows {
			if columns(r) > width {
				t.Fatalf("%q is wider than %d", r, width)
			}
			all.WriteString(r[2:])
		}
		if got, want := all.String(), strings.ReplaceAll(e.text(), "\n", ""); got != want {
			t.Fatalf("%q is shown as %q", want, got)
		}
		if cursor.row >= len(rows) || cursor.column > width {
			t.Fatalf("the cursor is outside: %v", cursor)
		}
	})
}
