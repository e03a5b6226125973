package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

type pressed struct {
	Key  key
	Text string
}

// typed feeds bytes in pieces of at most n and joins texts that follow each other.
func typed(in []byte, n int) []pressed {
	var r keyReader
	var all []pressed
	for len(in) > 0 {
		piece := in[:min(n, len(in))]
		in = in[len(piece):]
		r.feed(piece, func(k key, text string) {
			if i := len(all) - 1; k == keyText && i >= 0 && all[i].Key == keyText {
				all[i].Text += text
				return
			}
			all = append(all, pressed{k, text})
		})
	}
	return all
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []pressed
	}{
		{"text", "héllo 日本", []pressed{{keyText, "héllo 日本"}}},
		{"enter", "hi\r", []pressed{{keyText, "hi"}, {keyEnter, ""}}},
		{"interrupt and end", "\x03\x04", []pressed{{keyInterrupt, ""}, {keyEnd, ""}}},
		{"arrows of both kinds", "\x1b[A\x1bOB\x1b[C\x1b[D", []pressed{{keyUp, ""}, {keyDown, ""}, {keyRight, ""}, {keyLeft, ""}}},
		{"home, end, delete", "\x1b[H\x1b[4~\x1b[3~", []pressed{{keyLineStart, ""}, {keyLineEnd, ""}, {keyEraseNext, ""}}},
		{"a new line", "a\x1b\rb", []pressed{{keyText, "a"}, {keyNewline, ""}, {keyText, "b"}}},
		{"a sequence nobody knows", "a\x1b[1;5Cb", []pressed{{keyText, "ab"}}},
		{"pasted keys are text", "\x1b[200~a\rb\x03\x1b[A\x1b[201~\r", []pressed{{keyText, "a\rb\x03\x1b[A"}, {keyEnter, ""}}},
		{"no text", "a\xff\xfeb", []pressed{{keyText, "ab"}}},
		{"an endless sequence", "\x1b[111111111111111111111m", []pressed{{keyText, "1111111m"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 1000} {
				if diff := cmp.Diff(c.want, typed([]byte(c.in), n)); diff != "" {
					t.Errorf("in pieces of %d: %s", n, diff)
				}
			}
		})
	}
}

// FuzzKeys: whatever a terminal sends, and however it is cut, means the same.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("hi\r\x1b[A\x1b[200~x\x1b[201~"), 2)
	f.Add([]byte("\x1b\x1b[\xc3"), 1)
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		n = 1 + max(n, -n, 0)%8
		e := editor{}
		for _, p := range typed(in, n) {
			if p.Key == keyText {
				e.insert(p.Text)
			}
		}
		for _, r := range e.text() {
			if r != '\n' && acts(r) {
				t.Errorf("%q got into the input", r)
			}
		}
	})
}
