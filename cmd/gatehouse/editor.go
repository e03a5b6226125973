package main

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// editor is one input of possibly several lines, with the inputs before it.
// The cursor stands between left and right.
type editor struct {
	left, right string
	past        []string
	at          int    // in past; len(past) is the input that is being written
	kept        string // it, while an earlier one is shown
}

// mostPast bounds the inputs that are remembered.
const mostPast = 200

func (e *editor) text() string { return e.left + e.right }

func (e *editor) set(text string) { e.left, e.right = text, "" }

// insert puts text at the cursor, without what could act on a terminal.
func (e *editor) insert(text string) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\t", "    ").Replace(text)
	e.left += strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsGraphic(r) && r != '\u200d' { // emoji are joined by U+200D
			return -1
		}
		return r
	}, text)
}

// take returns the input and begins a new one.
func (e *editor) take() string {
	text := e.text()
	e.set("")
	if strings.TrimSpace(text) != "" && (len(e.past) == 0 || e.past[len(e.past)-1] != text) {
		e.past = append(e.past, text)
		if len(e.past) > mostPast {
			e.past = e.past[1:]
		}
	}
	e.at, e.kept = len(e.past), ""
	return text
}

// recall shows an earlier input, or a later one.
func (e *editor) recall(by int) {
	next := e.at + by
	if next < 0 || next > len(e.past) {
		return
	}
	if e.at == len(e.past) {
		e.kept = e.text()
	}
	if e.at = next; next == len(e.past) {
		e.set(e.kept)
		return
	}
	e.set(e.past[next])
}

func (e *editor) backward() {
	head, last := cutLast(e.left)
	e.left, e.right = head, last+e.right
}

func (e *editor) forward() {
	first, rest, _, _ := uniseg.FirstGraphemeClusterInString(e.right, -1)
	e.left, e.right = e.left+first, rest
}

func (e *editor) erase() { e.left, _ = cutLast(e.left) }

func (e *editor) eraseNext() {
	_, e.right, _, _ = uniseg.FirstGraphemeClusterInString(e.right, -1)
}

func (e *editor) eraseWord() {
	s := strings.TrimRightFunc(e.left, unicode.IsSpace)
	e.left = s[:strings.LastIndexFunc(s, unicode.IsSpace)+1]
}

// lineStart and lineEnd move within the line of the cursor.
func (e *editor) lineStart() {
	i := strings.LastIndexByte(e.left, '\n') + 1
	e.left, e.right = e.left[:i], e.left[i:]+e.right
}

func (e *editor) lineEnd() {
	i := strings.IndexByte(e.right, '\n')
	if i < 0 {
		i = len(e.right)
	}
	e.left, e.right = e.left+e.right[:i], e.right[i:]
}

// cutLast cuts the last character that a person sees off.
func cutLast(s string) (head, last string) {
	rest, state := s, -1
	for rest != "" {
		last, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	return s[:len(s)-len(last)], last
}

// prompt stands before the input.
const prompt = "> "

// rows lays the input out behind the prompt. The rows after the first are
// indented like it.
func (e *editor) rows(width int) (rows []string, cursor spot) {
	indent := columns(prompt)
	room := max(width-indent, 1)
	rows = cells(e.left, room, 0)
	last := rows[len(rows)-1]
	cursor = spot{row: len(rows) - 1, column: indent + columns(last)}
	right := cells(e.right, room, columns(last))
	rows[len(rows)-1] += right[0]
	rows = append(rows, right[1:]...)
	for i := range rows {
		if i == 0 {
			rows[i] = prompt + rows[i]
		} else {
			rows[i] = strings.Repeat(" ", indent) + rows[i]
		}
	}
	return rows, cursor
}

// cells breaks text at line breaks and wherever a row is full, the first of
// which has some columns used already. There is always one row.
func cells(text string, room, used int) []string {
	rows := []string{""}
	state := -1
	for text != "" {
		var c string
		var w int
		c, text, w, state = uniseg.FirstGraphemeClusterInString(text, state)
		if c == "\n" {
			rows, used = append(rows, ""), 0
			continue
		}
		if used+w > room {
			rows, used = append(rows, ""), 0
		}
		rows[len(rows)-1] += c
		used += w
	}
	return rows
}
