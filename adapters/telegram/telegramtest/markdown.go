package telegramtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseMarkdown reads parse_mode MarkdownV2. Its errors are the platform's,
// without the leading "can't parse entities: ".
func parseMarkdown(source string) (formatted, error) {
	p := &markdownParser{source: source, lineStart: true}
	for p.at < len(source) {
		if err := p.step(); err != nil {
			return formatted{}, err
		}
	}
	p.endQuoteAtEnd()
	if n := len(p.open); n > 0 {
		return formatted{}, p.unended(p.open[n-1])
	}
	sortEntities(p.entities)
	return formatted{text: p.out.String(), entities: p.entities}, nil
}

// parseOldMarkdown stands for the legacy parse_mode Markdown.
func parseOldMarkdown(string) (formatted, error) {
	return formatted{}, errors.New("the emulator does not know the legacy Markdown")
}

type markdownParser struct {
	source    string
	at        int
	out       strings.Builder
	units     int
	open      []mark
	entities  []Entity
	quoting   bool
	lineStart bool // a quote may begin here
}

type mark struct {
	kind     string // as in Entity, or "pre_code" for a pre with a language
	argument string
	units    int
	bytes    int // where it begins in the output
	from     int // where it begins in the source
}

func (p *markdownParser) look(i int) byte {
	if i >= len(p.source) {
		return 0
	}
	return p.source[i]
}

func (p *markdownParser) has(s string) bool { return strings.HasPrefix(p.source[p.at:], s) }

func (p *markdownParser) innermost() string {
	if n := len(p.open); n > 0 {
		return p.open[n-1].kind
	}
	return ""
}

func (p *markdownParser) write(r rune) {
	p.out.WriteRune(r)
	p.units++
	if r > 0xffff {
		p.units++
	}
}

func (p *markdownParser) step() error {
	c := p.look(p.at)
	if next := p.look(p.at + 1); c == '\\' && next > 0 && next <= 126 {
		p.write(rune(next))
		p.lineStart = next == '\n' || next == '\r' && p.lineStart
		p.at += 2
		return nil
	}
	reserved := "_*[]()~`>#+-=|{}.!\n"
	switch p.innermost() {
	case "code", "pre", "pre_code":
		reserved = "`"
	}
	if strings.IndexByte(reserved, c) < 0 {
		r, size := utf8.DecodeRuneInString(p.source[p.at:])
		p.write(r)
		p.at += size
		p.lineStart = p.lineStart && r == '\r'
		return nil
	}
	if p.ends(c) {
		return p.close(c)
	}
	return p.begin(c)
}

// ends says whether the reserved character c closes the innermost entity.
func (p *markdownParser) ends(c byte) bool {
	if len(p.open) == 0 {
		return false
	}
	if p.quoting && c == '\n' && p.look(p.at+1) != '>' {
		return true
	}
	switch p.innermost() {
	case "bold":
		return c == '*'
	case "italic":
		return c == '_' && p.look(p.at+1) != '_'
	case "underline":
		return p.has("__")
	case "strikethrough":
		return c == '~'
	case "spoiler":
		return p.has("||")
	case "code":
		return c == '`'
	case "pre", "pre_code":
		return p.has("```")
	case "text_link", "custom_emoji":
		return c == ']'
	}
	return false
}

func (p *markdownParser) begin(c byte) error {
	m := mark{units: p.units, bytes: p.out.Len(), from: p.at}
	switch {
	case p.has("__"):
		m.kind = "underline"
		p.at++
	case c == '_':
		m.kind = "italic"
	case c == '*':
		m.kind = "bold"
	case c == '~':
		m.kind = "strikethrough"
	case p.has("||"):
		m.kind = "spoiler"
		p.at++
	case c == '[':
		m.kind = "text_link"
	case p.has("```"):
		p.beginPre(&m)
	case c == '`':
		m.kind = "code"
	case p.has("!["):
		m.kind = "custom_emoji"
		p.at++
	case c == '\n':
		p.write('\n')
		p.lineStart = true
	case c == '>' && p.lineStart && p.quoting: // the quote goes on
	case c == '>' && p.lineStart:
		m.kind = "blockquote"
		p.quoting = true
	default:
		//nolint:staticcheck // the platform's text
		return fmt.Errorf("Character '%c' is reserved and must be escaped with the preceding '\\'", c)
	}
	p.at++
	if m.kind != "" {
		p.open = append(p.open, m)
	}
	return nil
}

// beginPre reads the three backticks, the language and one line end.
func (p *markdownParser) beginPre(m *mark) {
	m.kind = "pre"
	p.at += 3
	end := p.at
	for !isHTMLSpace(p.look(end)) && p.look(end) != '`' {
		end++
	}
	if end != p.at && end < len(p.source) && p.look(end) != '`' {
		m.kind, m.argument = "pre_code", p.source[p.at:end]
		p.at = end
	}
	if first, second := p.look(p.at), p.look(p.at+1); first == '\n' || first == '\r' {
		p.at++
		if (second == '\n' || second == '\r') && first != second {
			p.at++
		}
	}
	p.at-- // begin adds one
}

func (p *markdownParser) unended(m mark) error {
	names := map[string]string{
		"bold": "Bold", "italic": "Italic", "underline": "Underline", "strikethrough": "Strikethrough",
		"spoiler": "Spoiler", "code": "Code", "pre": "Pre", "pre_code": "PreCode", "text_link": "TextUrl",
		"custom_emoji": "CustomEmoji", "blockquote": "BlockQuote",
	}
	//nolint:staticcheck // the platform's text
	return fmt.Errorf("Can't find end of %s entity at byte offset %d", names[m.kind], m.from)
}

func (p *markdownParser) close(c byte) error {
	m := p.open[len(p.open)-1]
	if c == '\n' && m.kind != "blockquote" {
		return p.closeExpandable(m)
	}
	p.open = p.open[:len(p.open)-1]
	e := Entity{Type: m.kind, Offset: m.units}
	switch m.kind {
	case "underline", "spoiler":
		p.at++
	case "pre", "pre_code":
		p.at += 2
		e.Type, e.Language = "pre", m.argument
	case "text_link":
		return p.closeLink(m, e)
	case "custom_emoji":
		return p.closeEmoji(e)
	case "blockquote":
		p.endQuote()
	}
	p.at++
	p.add(e)
	return nil
}

func (p *markdownParser) add(e Entity) {
	e.Length = p.units - e.Offset
	if e.Length > 0 {
		p.entities = append(p.entities, e)
	}
}

func (p *markdownParser) endQuote() {
	p.write('\n')
	p.quoting, p.lineStart = false, true
}

// closeExpandable ends a quote whose last line ends with ||, which makes it one
// that can be folded.
func (p *markdownParser) closeExpandable(m mark) error {
	n := len(p.open)
	bare := m.kind == "spoiler" && strings.TrimSuffix(p.source[m.from:p.at], "\r") == "||"
	if !bare {
		return p.unended(m)
	}
	if quote := p.open[n-2]; quote.kind != "blockquote" {
		return p.unended(quote)
	}
	e := Entity{Type: "expandable_blockquote", Offset: p.open[n-2].units}
	p.open = p.open[:n-2]
	p.endQuote()
	p.at++
	p.add(e)
	return nil
}

func (p *markdownParser) endQuoteAtEnd() {
	n := len(p.open)
	if !p.quoting || n == 0 {
		return
	}
	kind := "blockquote"
	if n > 1 && p.open[n-1].kind == "spoiler" && p.open[n-1].from == len(p.source)-2 {
		kind = "expandable_blockquote"
		p.open = p.open[:n-1]
		n--
	}
	if p.open[n-1].kind != "blockquote" {
		return
	}
	e := Entity{Type: kind, Offset: p.open[n-1].units}
	p.open = p.open[:n-1]
	p.add(e)
}

// target reads (url) behind the closing bracket at p.at, and moves behind it.
func (p *markdownParser) target() (string, error) {
	p.at += 2
	from := p.at
	var url strings.Builder
	for p.at < len(p.source) && p.look(p.at) != ')' {
		if next := p.look(p.at + 1); p.look(p.at) == '\\' && next > 0 && next <= 126 {
			p.at++
		}
		url.WriteByte(p.look(p.at))
		p.at++
	}
	if p.look(p.at) != ')' {
		return "", fmt.Errorf("Can't find end of a URL at byte offset %d", from) //nolint:staticcheck // the platform's text
	}
	p.at++
	return url.String(), nil
}

func (p *markdownParser) closeLink(m mark, e Entity) error {
	url := p.out.String()[m.bytes:]
	if p.look(p.at+1) == '(' {
		var err error
		if url, err = p.target(); err != nil {
			return err
		}
	} else {
		p.at++
	}
	if e.Length = p.units - e.Offset; e.Length > 0 {
		p.entities = appendLink(p.entities, e, url)
	}
	return nil
}

//nolint:staticcheck // the error texts are the platform's
func (p *markdownParser) closeEmoji(e Entity) error {
	if p.look(p.at+1) != '(' {
		return errors.New("The entity must contain a tg://emoji or tg://time URL")
	}
	url, err := p.target()
	if err != nil {
		return err
	}
	id, ok := strings.CutPrefix(url, "tg://emoji?id=")
	if _, err := strconv.ParseInt(id, 10, 64); !ok || err != nil {
		return errors.New("Invalid tg://emoji or tg://time URL specified")
	}
	e.CustomEmojiID = id
	p.add(e)
	return nil
}
