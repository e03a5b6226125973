package markup

import (
	"strings"
	"unicode/utf8"
)

// text writes a text so that none of its characters means anything. bol says
// that it stands at the start of a line, last that nothing follows it on its
// line, next is the byte that does.
func (c *commonmark) text(t *token, bol, last bool, next byte, sh shape) {
	s := t.s
	if t.encodeFirst {
		r, n := utf8.DecodeRuneInString(s)
		c.w.mark(charRef(r))
		s, bol = s[n:], false
	}
	tail := ""
	if t.encodeLast && s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		s, tail, last, next = s[:len(s)-n], charRef(r), false, '&'
	}
	for s != "" && !c.w.over() {
		line, rest, more := strings.Cut(s, "\n")
		if bol {
			line = c.lineStart(line, sh)
		}
		trailing := ""
		if more && sh == wholeLines || !more && last {
			body := strings.TrimRight(line, " \t")
			line, trailing = body, line[len(body):]
		}
		after := next
		if more {
			after = '\n'
		}
		c.escaped(line, after)
		for i := range len(trailing) {
			c.w.mark(charRef(rune(trailing[i])))
		}
		if !more {
			break
		}
		empty := bol && line == "" && trailing == "" || rest == "" && last || strings.HasPrefix(rest, "\n")
		if bol = !empty && sh == wholeLines; bol {
			c.w.newline()
		} else {
			c.w.mark("&#10;") // an empty line would end the block
		}
		s = rest
	}
	c.w.mark(tail)
}

// lineStart writes what would start a block, escaped, and returns the rest.
func (c *commonmark) lineStart(line string, sh shape) string {
	for line != "" && (line[0] == ' ' || line[0] == '\t') {
		c.w.mark(charRef(rune(line[0])))
		line = line[1:]
	}
	if line == "" || sh == oneLineOnly {
		return line
	}
	switch line[0] {
	case '-', '+', '#', '>', '=', ':', '|':
		c.w.mark(`\` + line[:1])
		return line[1:]
	}
	d := len(line) - len(strings.TrimLeft(line, "0123456789"))
	if d > 0 && d < len(line) && (line[d] == '.' || line[d] == ')') {
		c.w.text(line[:d])
		c.w.mark(`\` + line[d:d+1])
		return line[d+1:]
	}
	return line
}

// escaped writes one line, of which nothing may mean anything. next is the byte
// that follows it.
func (c *commonmark) escaped(s string, next byte) {
	from := 0
	for i := range len(s) {
		esc := c.special(s, i, next)
		if esc == "" {
			continue
		}
		c.w.text(s[from:i])
		c.w.mark(esc)
		from = i + 1
	}
	c.w.text(s[from:])
}

// special is what the byte at i has to be written as, "" if as itself.
func (c *commonmark) special(s string, i int, next byte) string {
	b := s[i]
	prev, after := byte(' '), next
	if i > 0 {
		prev = s[i-1]
	}
	if i+1 < len(s) {
		after = s[i+1]
	}
	switch b {
	case '\\', '*', '`', '[', ']', '<', '~':
		return `\` + s[i:i+1]
	case '_':
		if alnum(prev) && alnum(after) && i > 0 && i+1 < len(s) {
			return ""
		}
		return `\_`
	case '|':
		if c.inCell {
			return "&#124;"
		}
		return `\|`
	case '&':
		if alnum(after) || after == '#' {
			return `\&`
		}
	case '!':
		if i+1 == len(s) || after == '[' {
			return `\!`
		}
	case '#':
		if i+1 == len(s) {
			return `\#`
		}
	case '@':
		return `\@`
	case ':':
		if after == '/' {
			return `\:`
		}
	case '.':
		if strings.HasSuffix(s[:i], "www") {
			return `\.`
		}
	}
	return ""
}
