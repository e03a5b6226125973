package markup

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Draft is Parse for a text that is still being written. What is open at its
// end is closed, and what cannot be told yet is held back: half a link, a lone
// list marker, a table without its second line. So a draft does not show markup
// that the next words turn into formatting.
func Draft(markdown string) Node {
	return Parse(complete(clean(markdown)))
}

// complete ends the last block of s as its author probably will.
func complete(s string) string {
	start, fence := lastBlock(s)
	if fence != "" {
		return dropPartialFence(s, start, fence)
	}
	head, block := s[:start], s[start:]
	if strings.HasPrefix(strings.TrimLeft(block, " "), "|") && strings.Count(block, "\n") < 2 {
		return head
	}
	line := strings.LastIndexByte(block, '\n') + 1
	if onlyMarker(block[line:]) {
		block = strings.TrimRight(block[:line], "\n")
	}
	return head + closeInlines(block)
}

// lastBlock finds where the inlines at the end of s can have begun. Within an
// open code fence that is its last line, and the fence is returned too.
func lastBlock(s string) (start int, fence string) {
	var g guardState
	for pos := 0; pos < len(s); {
		end := len(s)
		if i := strings.IndexByte(s[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		line := s[pos:end]
		body := strings.Trim(line, " \t\n")
		was := g.fence
		g.line(line)
		switch {
		case g.fence != "":
			start = pos
		case was != "" || body == "":
			start = end
		case body[0] == '#' || bulleted(body) || body[0] == '|' && !strings.HasPrefix(strings.TrimLeft(s[start:pos], " "), "|"):
			start = pos
		}
		pos = end
	}
	return start, g.fence
}

// dropPartialFence drops backticks at the end that will probably become the
// closing fence.
func dropPartialFence(s string, start int, fence string) string {
	last := strings.TrimSpace(s[start:])
	if last != "" && len(last) < len(fence) && strings.HasPrefix(fence, last) {
		return s[:start]
	}
	return s
}

// onlyMarker reports a line that so far could become anything.
func onlyMarker(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" {
		return false
	}
	rest := strings.TrimLeft(line, "0123456789")
	if len(rest) < len(line) {
		return rest == "." || rest == ")"
	}
	return strings.Trim(rest, "#-*+=_>|:`~ ") == ""
}

// opener is markup that waits for its end.
type opener struct {
	at   int // where it starts in the output
	mark string
}

// closeInlines closes what is open at the end of a block's text.
func closeInlines(s string) string {
	var out []byte
	var open []opener
	for i := 0; i < len(s); {
		n := 1
		switch c := s[i]; c {
		case '\\':
			if i+1 == len(s) {
				n = 0
				i++
			} else {
				_, size := utf8.DecodeRuneInString(s[i+1:])
				n += size
			}
		case '`':
			n = runLen(s[i:])
			end := closingTicks(s[i+n:], n)
			if end < 0 {
				return finish(append(out, s[i:]...), append(open, opener{len(out), s[i : i+n]}))
			}
			n += end
		case '*', '_', '~':
			n = runLen(s[i:])
			var keep bool
			if open, keep = toggle(open, s, i, n, len(out)); !keep {
				i += n
				n = 0
			}
		case '[':
			if len(open) < maxDepth {
				open = append(open, opener{len(out), "["})
			}
		case ']':
			var end int
			open, out, end = closeLink(open, out, s, i)
			i, n = end, 0
		}
		out = append(out, s[i:i+n]...)
		i += n
	}
	return finish(out, open)
}

// toggle takes a run of delimiters: it opens, closes, or is mere text. It
// reports false for a run at the very end that cannot be told yet.
func toggle(open []opener, s string, i, n, at int) ([]opener, bool) {
	run := s[i : i+n]
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	after, _ := utf8.DecodeRuneInString(s[i+n:])
	spaceBefore := i == 0 || unicode.IsSpace(before)
	spaceAfter := i+n == len(s) || unicode.IsSpace(after)
	if !spaceBefore {
		for j := len(open) - 1; j >= 0; j-- {
			if open[j].mark == run {
				return open[:j], true
			}
		}
	}
	if i+n == len(s) {
		return open, false
	}
	word := !spaceBefore && !unicode.IsPunct(before)
	if len(open) < maxDepth && !spaceAfter && n <= 3 && !(run[0] == '_' && word) && (run[0] != '~' || n <= 2) {
		open = append(open, opener{at, run})
	}
	return open, true
}

// closeLink handles the bracket at i. A link whose address is not complete is
// reduced to its text; the place to go on from is returned.
func closeLink(open []opener, out []byte, s string, i int) ([]opener, []byte, int) {
	j := len(open) - 1
	for j >= 0 && open[j].mark != "[" {
		j--
	}
	if j < 0 {
		return open, append(out, ']'), i + 1
	}
	at := open[j].at
	rest := s[i+1:]
	if strings.HasPrefix(rest, "(") {
		end := strings.IndexAny(rest, ")\n")
		if end >= 0 && rest[end] == ')' {
			return open[:j], append(append(out, ']'), rest[:end+1]...), i + 1 + end + 1
		}
		if end < 0 {
			return open[:j], unbracket(out, at), len(s)
		}
	}
	if rest == "" {
		return open[:j], unbracket(out, at), len(s)
	}
	return open[:j], append(out, ']'), i + 1
}

// unbracket takes away the bracket at i, and the mark of an image before it.
func unbracket(out []byte, i int) []byte {
	from := i
	if from > 0 && out[from-1] == '!' {
		from--
	}
	return append(out[:from], out[i+1:]...)
}

// finish closes what is open, from the inside out. What has no content yet is
// taken away.
func finish(out []byte, open []opener) string {
	for i := len(open) - 1; i >= 0; i-- {
		o := open[i]
		if o.mark == "[" {
			out = unbracket(out, o.at)
			continue
		}
		if len(bytes.TrimSpace(out[o.at+len(o.mark):])) == 0 {
			out = out[:o.at]
			continue
		}
		out = append(bytes.TrimRight(out, " \n"), o.mark...)
	}
	return string(out)
}

// runLen is how often s repeats its first byte.
func runLen(s string) int {
	n := 1
	for n < len(s) && s[n] == s[0] {
		n++
	}
	return n
}

// closingTicks is the end of the run of n backticks in s, -1 if there is none.
func closingTicks(s string, n int) int {
	for i := 0; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		k := runLen(s[i:])
		i += k
		if k == n {
			return i
		}
	}
	return -1
}
