package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// printable shows a text that somebody else wrote on one line, without the
// characters that could change what the terminal shows: they are written out.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, acts) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if acts(r) {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// joiner makes one picture of several.
const joiner = '\u200d'

// acts reports a character that is not shown, but acts.
func acts(r rune) bool { return !unicode.IsGraphic(r) && r != joiner }

// printJSON writes a value for people and programs. What acts on a terminal is
// escaped; that can only stand within strings.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() {
		switch {
		case r == '\n' || !acts(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, "\\u%04x\\u%04x", high, low)
		default:
			fmt.Fprintf(&out, "\\u%04x", r)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// plainly writes what is meant for a chat without its markup, on one line.
func plainly(markdown string) string {
	return printable(markup.PlainText.Render(markup.Parse(markdown)))
}
