package markup

import "math"

// Unit is what a platform counts a text's length in.
type Unit int

const (
	Runes Unit = iota // Unicode code points
	UTF16             // UTF-16 code units: a code point beyond the BMP counts as two
	Bytes             // bytes of UTF-8
)

// Len is the length of s in this unit.
func (u Unit) Len(s string) int {
	if u == Bytes {
		return len(s)
	}
	n := 0
	for i := range len(s) {
		c := s[i]
		if c&0xC0 != 0x80 {
			n++
		}
		if u == UTF16 && c >= 0xF0 {
			n++
		}
	}
	return n
}

// Dialect names a form in which a platform takes formatted text. A dialect that
// this package does not know renders like [PlainText].
type Dialect string

const (
	// TelegramHTML is the HTML parse mode of the Telegram Bot API. Measure
	// counts what is left after entity parsing, as Telegram does.
	TelegramHTML Dialect = "telegram-html"
	// WebHTML is safe HTML for a chat page. Its tags, attributes and classes
	// are fixed; nothing in it loads anything by itself.
	WebHTML Dialect = "web-html"
	// CommonMark is the form that Parse reads. Parsing it gives the same tree
	// back if that was in normal form.
	CommonMark Dialect = "commonmark"
	// PlainText reads well without any markup.
	PlainText Dialect = "plain"
	// Terminal is plain text with ANSI styles. Lines are not wrapped.
	Terminal Dialect = "terminal"
	// Mrkdwn is the text markup of Slack.
	Mrkdwn Dialect = "mrkdwn"
	// DiscordMarkdown is the Markdown of Discord.
	DiscordMarkdown Dialect = "discord"
	// WhatsApp is the markup of WhatsApp messages.
	WhatsApp Dialect = "whatsapp"
)

// Unit is what the dialect's platform counts in. For Slack and WhatsApp, which
// only speak of "characters", it is UTF16: never less than the number of runes.
func (d Dialect) Unit() Unit {
	switch d {
	case TelegramHTML, Mrkdwn, WhatsApp:
		return UTF16
	}
	return Runes
}

// countsMarks reports whether the platform's limit includes the markup.
func (d Dialect) countsMarks() bool {
	switch d {
	case TelegramHTML, WebHTML, Terminal:
		return false
	}
	return true
}

// Render writes n in this dialect. It is a pure function of n.
func (d Dialect) Render(n Node) string {
	w := writer{bol: true, buf: make([]byte, 0, sizeHint(n)), unit: d.Unit(), marks: d.countsMarks()}
	d.write(&w, n)
	return string(w.buf)
}

// Measure is the length of n in the dialect's unit, of what its platform
// counts: of the visible text where markup is free, else of the whole.
func (d Dialect) Measure(n Node) int {
	return d.measure(n, math.MaxInt)
}

// fits reports whether n measures at most limit. Its cost is bounded by the
// limit, not by the size of n.
func (d Dialect) fits(n Node, limit int) bool {
	return d.measure(n, limit) <= limit
}

// measure is Measure, except that it stops soon after it has passed limit.
func (d Dialect) measure(n Node, limit int) int {
	w := writer{bol: true, counting: true, limit: limit, unit: d.Unit(), marks: d.countsMarks()}
	d.write(&w, n)
	return w.n
}

func (d Dialect) write(w *writer, n Node) {
	blocks := []Node{n}
	if n.Kind == Document {
		blocks = n.Children
	}
	switch d {
	case WebHTML:
		(&web{w: w}).blocks(blocks)
	case CommonMark:
		(&commonmark{w: w}).blocks(blocks, false)
	default:
		(&chat{w: w, st: styleOf(d)}).blocks(blocks, false)
	}
}

// sizeHint guesses the rendered size, to allocate once.
func sizeHint(n Node) int {
	size := len(n.Literal) + len(n.URL) + 8
	for i := range n.Children {
		size += sizeHint(n.Children[i])
	}
	return size
}

// isInline reports whether k stands within a line of text.
func isInline(k Kind) bool {
	switch k {
	case "", Text, Strong, Emph, Strike, Code, Link, Image, Mention, Break:
		return true
	}
	return false
}

// link is how the dialect writes links.
func (d Dialect) link() linkForm {
	switch d {
	case WebHTML, CommonMark:
		return linkTag
	}
	return styleOf(d).link
}
