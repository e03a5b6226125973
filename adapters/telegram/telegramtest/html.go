package telegramtest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseHTML reads parse_mode HTML. Its errors are the platform's, without the
// leading "can't parse entities: ".
func parseHTML(source string) (formatted, error) {
	p := &htmlParser{source: source}
	for p.at < len(source) {
		if err := p.step(); err != nil {
			return formatted{}, err
		}
	}
	if n := len(p.open); n > 0 {
		return formatted{}, fmt.Errorf("Can't find end tag corresponding to start tag %q", p.open[n-1].name) //nolint:staticcheck // the platform's text
	}
	for i := range p.entities {
		if p.entities[i].Type == "code" {
			p.entities[i].Language = ""
		}
	}
	sortEntities(p.entities)
	return formatted{text: p.out.String(), entities: p.entities}, nil
}

type htmlParser struct {
	source   string
	at       int // next byte of source
	out      strings.Builder
	units    int // UTF-16 length of out
	open     []htmlTag
	entities []Entity
}

type htmlTag struct {
	name     string
	argument string
	units    int // where the entity begins
	bytes    int
}

// look is the byte at i, 0 past the end.
func (p *htmlParser) look(i int) byte {
	if i >= len(p.source) {
		return 0
	}
	return p.source[i]
}

func isHTMLSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == 0
}

func (p *htmlParser) step() error {
	switch p.look(p.at) {
	case '<':
		if p.look(p.at+1) == '/' {
			return p.endTag()
		}
		return p.startTag()
	case '&':
		if r, next := decodeReference(p.source, p.at); r != 0 {
			p.at = next
			p.write(r)
			return nil
		}
	}
	r, size := utf8.DecodeRuneInString(p.source[p.at:])
	p.at += size
	p.write(r)
	return nil
}

func (p *htmlParser) write(r rune) {
	p.out.WriteRune(r)
	p.units++
	if r > 0xffff {
		p.units++
	}
}

// decodeReference reads a character reference at source[at]=='&'. It returns 0
// when there is none that the platform knows; the ampersand then stays.
func decodeReference(source string, at int) (rune, int) {
	rest := source[at+1:]
	if strings.HasPrefix(rest, "#") {
		return decodeNumber(rest[1:], at+2)
	}
	n := 0
	for n < len(rest) && isASCIILetter(rest[n]) {
		n++
	}
	r, ok := map[string]rune{"lt": '<', "gt": '>', "amp": '&', "quot": '"'}[rest[:n]]
	if !ok {
		return 0, at
	}
	return r, skipSemicolon(source, at+1+n)
}

func decodeNumber(rest string, at int) (rune, int) {
	base, digits := 10, "0123456789"
	skip := 0
	if strings.HasPrefix(rest, "x") {
		base, digits, skip = 16, "0123456789abcdefABCDEF", 1
	}
	n := skip
	for n < len(rest) && strings.IndexByte(digits, rest[n]) >= 0 {
		n++
	}
	code, err := strconv.ParseUint(rest[skip:n], base, 32)
	if err != nil || code == 0 || code >= 0x10ffff || n+2 >= 10 || !utf8.ValidRune(rune(code)) {
		return 0, 0
	}
	return rune(code), skipSemicolon(rest, n) + at
}

func skipSemicolon(s string, at int) int {
	if at < len(s) && s[at] == ';' {
		return at + 1
	}
	return at
}

func isASCIILetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func supportedTag(name string) bool {
	switch name {
	case "a", "b", "strong", "i", "em", "s", "strike", "del", "u", "ins", "tg-spoiler", "tg-emoji",
		"tg-time", "span", "pre", "code", "blockquote":
		return true
	}
	return false
}

//nolint:staticcheck // the error texts are the platform's
func (p *htmlParser) startTag() error {
	begin := p.at
	i := begin + 1
	for !isHTMLSpace(p.look(i)) && p.look(i) != '>' {
		i++
	}
	if p.look(i) == 0 {
		return fmt.Errorf("Unclosed start tag at byte offset %d", begin)
	}
	tag := htmlTag{name: strings.ToLower(p.source[begin+1 : i]), units: p.units, bytes: p.out.Len()}
	if !supportedTag(tag.name) {
		return fmt.Errorf("Unsupported start tag \"%s\" at byte offset %d", tag.name, begin)
	}
	for {
		i = p.skipSpace(i)
		if p.look(i) == '>' {
			break
		}
		next, err := p.attribute(&tag, i, begin)
		if err != nil {
			return err
		}
		i = next
	}
	if tag.name == "span" && tag.argument != "spoiler" {
		return fmt.Errorf("Tag \"span\" must have class \"tg-spoiler\" at byte offset %d", begin)
	}
	p.open = append(p.open, tag)
	p.at = i + 1
	return nil
}

func (p *htmlParser) skipSpace(i int) int {
	for p.look(i) != 0 && isHTMLSpace(p.look(i)) {
		i++
	}
	return i
}

// attribute reads one attribute of tag at i and returns where it ends.
//
//nolint:staticcheck // the error texts are the platform's
func (p *htmlParser) attribute(tag *htmlTag, i, begin int) (int, error) {
	from := i
	for !isHTMLSpace(p.look(i)) && strings.IndexByte("=>/\"'", p.look(i)) < 0 {
		i++
	}
	name := p.source[from:i]
	if name == "" {
		return 0, fmt.Errorf("Empty attribute name in the tag \"%s\" at byte offset %d", tag.name, begin)
	}
	i = p.skipSpace(i)
	unclosed := fmt.Errorf("Unclosed start tag \"%s\" at byte offset %d", tag.name, begin)
	if p.look(i) != '=' {
		if p.look(i) == 0 {
			return 0, unclosed
		}
		tag.set(name, "")
		return i, nil
	}
	i = p.skipSpace(i + 1)
	if p.look(i) == 0 {
		return 0, unclosed
	}
	value, i, err := p.attributeValue(i)
	if err != nil {
		return 0, err
	}
	if p.look(i) == 0 {
		return 0, fmt.Errorf("Unclosed start tag at byte offset %d", begin)
	}
	tag.set(name, value)
	return i, nil
}

//nolint:staticcheck // the error text is the platform's
func (p *htmlParser) attributeValue(i int) (string, int, error) {
	quote := p.look(i)
	if quote != '"' && quote != '\'' {
		from := i
		for c := p.look(i); isASCIILetter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; c = p.look(i) {
			i++
		}
		if !isHTMLSpace(p.look(i)) && p.look(i) != '>' {
			return "", 0, fmt.Errorf("Unexpected end of name token at byte offset %d", from)
		}
		return strings.ToLower(p.source[from:i]), i, nil
	}
	var value strings.Builder
	for i++; p.look(i) != quote && p.look(i) != 0; {
		if p.look(i) == '&' {
			if r, next := decodeReference(p.source, i); r != 0 {
				value.WriteRune(r)
				i = next
				continue
			}
		}
		value.WriteByte(p.look(i))
		i++
	}
	if p.look(i) == quote {
		i++
	}
	return value.String(), i, nil
}

// set keeps the attributes that mean something on their tag.
func (t *htmlTag) set(name, value string) {
	class, isClass := strings.CutPrefix(value, map[string]string{"code": "language-", "span": "tg-"}[t.name])
	switch {
	case t.name == "a" && name == "href", t.name == "tg-emoji" && name == "emoji-id":
		t.argument = value
	case (t.name == "code" || t.name == "span") && name == "class" && isClass:
		t.argument = class
	case t.name == "blockquote" && name == "expandable":
		t.argument = "1"
	}
}

//nolint:staticcheck // the error texts are the platform's
func (p *htmlParser) endTag() error {
	begin := p.at
	if len(p.open) == 0 {
		return fmt.Errorf("Unexpected end tag at byte offset %d", begin)
	}
	i := begin + 1
	for !isHTMLSpace(p.look(i)) && p.look(i) != '>' {
		i++
	}
	name := strings.ToLower(p.source[begin+2 : max(i, begin+2)])
	i = p.skipSpace(i)
	if p.look(i) != '>' {
		return fmt.Errorf("Unclosed end tag at byte offset %d", begin)
	}
	tag := p.open[len(p.open)-1]
	if name != "" && name != tag.name {
		return fmt.Errorf("Unmatched end tag at byte offset %d, expected \"</%s>\", found \"</%s>\"", begin, tag.name, name)
	}
	p.open = p.open[:len(p.open)-1]
	p.at = i + 1
	if p.units == tag.units {
		return nil
	}
	return p.close(tag)
}

// close adds the entity of a tag that holds text.
//
//nolint:staticcheck // the error text is the platform's
func (p *htmlParser) close(tag htmlTag) error {
	e := Entity{Offset: tag.units, Length: p.units - tag.units}
	switch tag.name {
	case "a":
		url := tag.argument
		if url == "" {
			url = p.out.String()[tag.bytes:]
		}
		p.entities = appendLink(p.entities, e, url)
		return nil
	case "pre", "code":
		p.closeCode(tag, e)
		return nil
	case "tg-time":
		return nil
	case "tg-emoji":
		if id, err := strconv.ParseInt(tag.argument, 10, 64); err != nil || id == 0 {
			return fmt.Errorf("Invalid custom emoji identifier specified")
		}
		e.Type, e.CustomEmojiID = "custom_emoji", tag.argument
	case "blockquote":
		e.Type = "blockquote"
		if tag.argument != "" {
			e.Type = "expandable_blockquote"
		}
	default:
		e.Type = styleOfTag(tag.name)
	}
	p.entities = append(p.entities, e)
	return nil
}

func styleOfTag(name string) string {
	switch name {
	case "i", "em":
		return "italic"
	case "b", "strong":
		return "bold"
	case "s", "strike", "del":
		return "strikethrough"
	case "u", "ins":
		return "underline"
	}
	return "spoiler"
}

// closeCode joins <pre><code class="language-x"> of the same run into one
// entity with a language; alone, code has none.
func (p *htmlParser) closeCode(tag htmlTag, e Entity) {
	e.Type, e.Language = tag.name, tag.argument
	n := len(p.entities)
	if n > 0 {
		last := &p.entities[n-1]
		if last.Offset == e.Offset && last.Length == e.Length && isPre(last.Type) && last.Type != e.Type {
			if last.Language+e.Language != "" {
				last.Type, last.Language = "pre", last.Language+e.Language
				return
			}
		}
	}
	p.entities = append(p.entities, e)
}
