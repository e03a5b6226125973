// Package codec is what both ways to WhatsApp, the linked device and the Cloud
// API, have in common: how its texts are read. It is pure.
package codec

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// MaxText is how long a text may be to read well, in UTF-16 code units; the
// platform itself takes 65,536.
const MaxText = 4000

// MaxCaption is how long the text beside a file may be, in UTF-16 code units.
const MaxCaption = 1024

// CommonMark turns WhatsApp's marks, *strong*, _emphasised_ and ~struck~, into
// those of CommonMark. Code is left as it is: both write it alike.
func CommonMark(text string) string {
	if !strings.ContainsAny(text, "*~") {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 8)
	for text != "" {
		n := code(text)
		if n == 0 {
			n = plain(text)
		}
		if n > 0 {
			b.WriteString(text[:n])
			text = text[n:]
			continue
		}
		mark := text[0]
		inner := marked(text, b.String())
		if inner < 0 {
			b.WriteByte(mark)
			text = text[1:]
			continue
		}
		twice := strings.Repeat(string(rune(mark)), 2)
		b.WriteString(twice + CommonMark(text[1:1+inner]) + twice)
		text = text[inner+2:]
	}
	return b.String()
}

// code is the length of the code that a text begins with; 0 for none.
func code(text string) int {
	for _, tick := range []string{"```", "`"} {
		if !strings.HasPrefix(text, tick) {
			continue
		}
		if end := strings.Index(text[len(tick):], tick); end > 0 {
			return 2*len(tick) + end
		}
		return len(tick)
	}
	return 0
}

// plain is how much of a text comes before the next mark or code.
func plain(text string) int {
	if i := strings.IndexAny(text, "*~`"); i >= 0 {
		return i
	}
	return len(text)
}

// marked is how long the text within the mark is with which a text begins; -1
// when it is no mark. before is what stands in front of it.
func marked(text, before string) int {
	if last, _ := utf8.DecodeLastRuneInString(before); before != "" && wordy(last) {
		return -1
	}
	mark := text[0]
	line, _, _ := strings.Cut(text[1:], "\n")
	for from := 0; ; {
		i := strings.IndexByte(line[from:], mark)
		if i < 0 {
			return -1
		}
		end := from + i
		after, _ := utf8.DecodeRuneInString(line[end+1:])
		inner := line[:end]
		if inner != "" && inner == strings.TrimSpace(inner) && (end+1 == len(line) || !wordy(after)) && after != rune(mark) {
			return end
		}
		from = end + 1
	}
}

func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '*' || r == '~' }

// Command reads a text that begins with "/".
func Command(id channels.MessageID, text string) (channels.Command, bool) {
	if !strings.HasPrefix(text, "/") {
		return channels.Command{}, false
	}
	word, args := text[1:], ""
	if i := strings.IndexAny(word, " \t\r\n"); i >= 0 {
		word, args = word[:i], strings.TrimSpace(word[i:])
	}
	if !name(word) {
		return channels.Command{}, false
	}
	return channels.Command{ID: id, Name: strings.ToLower(word), Args: args}, true
}

// name reports whether a word can be a command's: a path or "/" alone is none.
func name(word string) bool {
	const longest = 32
	if word == "" || len(word) > longest {
		return false
	}
	for _, r := range word {
		if r != '_' && r != '-' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}
