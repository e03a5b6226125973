package codec

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// mrkdwn reads a text in Slack's own markup: what other programs write, and
// what stands beside rich text. A mark counts only where Slack shows it: at the
// edge of a word, closed in its own line.
func mrkdwn(text string) markup.Node {
	text = strings.ReplaceAll(cleaned(text), "\r\n", "\n")
	doc := markup.Node{Kind: markup.Document}
	for text != "" {
		before, code, rest, ok := fence(text)
		doc.Children = append(doc.Children, lines(before)...)
		if !ok {
			break
		}
		doc.Children = append(doc.Children, markup.Node{Kind: markup.CodeBlock, Literal: code})
		text = rest
	}
	return doc
}

// fence finds the first block of code.
func fence(text string) (before, code, rest string, ok bool) {
	const mark = "```"
	start := strings.Index(text, mark)
	if start < 0 {
		return text, "", "", false
	}
	length := strings.Index(text[start+len(mark):], mark)
	if length <= 0 {
		return text, "", "", false
	}
	inner := text[start+len(mark):]
	return text[:start], unescaped(strings.Trim(withoutAngles(inner[:length]), "\n")), inner[length+len(mark):], true
}

// lines reads text without blocks of code: quotes, and paragraphs between empty
// lines.
func lines(text string) []markup.Node {
	var out, now []markup.Node
	var quoted bool
	end := func() {
		ps := paragraphs(now)
		now = nil
		if quoted && len(ps) > 0 {
			ps = []markup.Node{{Kind: markup.Quote, Children: ps}}
		}
		out = append(out, ps...)
	}
	all := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range all {
		rest, isQuote := strings.CutPrefix(line, "&gt;")
		if isQuote != quoted {
			end()
			quoted = isQuote
		}
		if isQuote {
			line = strings.TrimPrefix(rest, " ")
		}
		now = append(now, spans(line)...)
		if i < len(all)-1 {
			now = append(now, markup.Node{Kind: markup.Text, Literal: "\n"})
		}
		now = joined(now)
	}
	end()
	return out
}

// joined merges the last two texts, so that an empty line is seen.
func joined(in []markup.Node) []markup.Node {
	for n := len(in); n > 1 && in[n-1].Kind == markup.Text && in[n-2].Kind == markup.Text; n = len(in) {
		in[n-2].Literal += in[n-1].Literal
		in = in[:n-1]
	}
	return in
}

var marks = map[byte]markup.Kind{'*': markup.Strong, '_': markup.Emph, '~': markup.Strike}

// spans reads one line.
func spans(s string) []markup.Node {
	var out []markup.Node
	text := func(t string) {
		if t != "" {
			out = joined(append(out, markup.Node{Kind: markup.Text, Literal: unescaped(t)}))
		}
	}
	from := 0
	for i := 0; i < len(s); {
		var n markup.Node
		length := 0
		switch c := s[i]; c {
		case '<':
			n, length = angle(s[i:])
		case '`':
			if j := strings.IndexByte(s[i+1:], '`'); j > 0 {
				n, length = markup.Node{Kind: markup.Code, Literal: unescaped(withoutAngles(s[i+1 : i+1+j]))}, j+2
			}
		case '*', '_', '~':
			if j := closing(s, i); j > 0 {
				n, length = markup.Node{Kind: marks[c], Children: spans(s[i+1 : j])}, j+1-i
			}
		}
		if length == 0 {
			i++
			continue
		}
		text(s[from:i])
		out = append(out, n)
		i += length
		from = i
	}
	text(s[from:])
	return out
}

// closing finds the mark that ends what the one at i begins, or 0. What is
// between them is not empty and has no white space at its edges, and outside
// there is no letter.
func closing(s string, i int) int {
	if i > 0 {
		if r, _ := utf8.DecodeLastRuneInString(s[:i]); letter(r) {
			return 0
		}
	}
	if i+1 >= len(s) || s[i+1] == ' ' || s[i+1] == s[i] {
		return 0
	}
	for j := i + 2; j < len(s); j++ {
		switch s[j] {
		case s[i]:
			if s[j-1] == ' ' {
				continue
			}
			if r, n := utf8.DecodeRuneInString(s[j+1:]); n > 0 && letter(r) {
				continue
			}
			return j
		case '`': // a mark in code does not count
			if k := strings.IndexByte(s[j+1:], '`'); k > 0 {
				j += k + 1
			}
		case '<':
			if k := strings.IndexByte(s[j:], '>'); k > 0 {
				j += k
			}
		}
	}
	return 0
}

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// angle reads what stands in angle brackets: a mention or a link.
func angle(s string) (markup.Node, int) {
	end := strings.IndexByte(s, '>')
	if end < 2 {
		return markup.Node{}, 0
	}
	target, label, labelled := strings.Cut(s[1:end], "|")
	target, label = unescaped(target), unescaped(label)
	text := func(t string) (markup.Node, int) {
		if t == "" {
			return markup.Node{}, 0
		}
		return markup.Node{Kind: markup.Text, Literal: t}, end + 1
	}
	switch target[:min(1, len(target))] {
	case "@":
		n := mention(target[1:])
		if n.Kind == markup.Mention && label != "" {
			n.Children[0].Literal = strings.TrimPrefix(label, "@")
		}
		return n, end + 1
	case "#":
		if label != "" {
			return text("#" + label)
		}
		return text(target)
	case "!":
		if labelled {
			return text(label)
		}
		name, _, _ := strings.Cut(target[1:], "^")
		return text("@" + name)
	}
	if !strings.Contains(target, ":") {
		return markup.Node{}, 0
	}
	return linkTo(target, label), end + 1
}

// withoutAngles is code as it was typed: Slack marks addresses even in there.
func withoutAngles(s string) string {
	if !strings.Contains(s, "<") {
		return s
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		end := strings.IndexByte(s[i:], '>')
		if end < 0 {
			break
		}
		b.WriteString(s[:i])
		target, label, ok := strings.Cut(s[i+1:i+end], "|")
		if ok {
			target = label
		}
		b.WriteString(target)
		s = s[i+end+1:]
	}
	b.WriteString(s)
	return b.String()
}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

func unescaped(s string) string {
	if strings.IndexByte(s, '&') < 0 {
		return s
	}
	return entities.Replace(s)
}
