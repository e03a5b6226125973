package markup

import "strings"

// escapes maps a byte to what is written in its place; "" is the byte itself.
type escapes [256]string

// linkForm is how a dialect writes a link.
type linkForm int

const (
	linkParen   linkForm = iota // text (url)
	linkTag                     // <a href="url">text</a>
	linkAngle                   // <url|text>
	linkBracket                 // [text](url)
)

// mentionForm is how a dialect names an account so that it is notified.
type mentionForm int

const (
	mentionText   mentionForm = iota // only its name is shown
	mentionTag                       // <a href="tg://user?id=1">
	mentionAngle                     // <@1>
	mentionNumber                    // @491701234567
)

// style is what distinguishes the dialects that chat renders.
type style struct {
	strong, emph, strike, code pair
	underline                  pair // of a link's text, with linkParen
	fence                      pair // around a code block
	pre                        pair // around a table in fixed width
	quote                      pair // tags around a quote; nested ones use the prefix
	quotePrefix                string
	bullet, rule               string

	textEscape, codeEscape *escapes
	link                   linkForm
	mention                mentionForm
	tableWidth             int // columns up to which a table is aligned

	hashes      bool // "# " makes a heading
	langClass   bool // a code block's language is a class
	langWord    bool // a code block's language follows the fence
	bareCode    bool // code blocks take no line prefix
	codeAlone   bool // code takes no other style
	perLine     bool // marks do not reach across a line end
	apart       bool // marks count only beside what is no letter
	reapply     bool // closing one mark ends others too
	doubleTicks bool // two backticks quote one
}

// columns is the width of a phone held upright, in a fixed-width font.
const columns = 40

var (
	htmlText   = escapes{'&': "&amp;", '<': "&lt;", '>': "&gt;"}
	slackText  = htmlText
	printable  = controlEscapes()
	backslash  = backslashEscapes("\\*_~`|>[]<#")
	attributes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
	parens     = strings.NewReplacer("(", "%28", ")", "%29")
	angleURL   = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C")
)

var telegramStyle = style{
	strong: pair{"<b>", "</b>"}, emph: pair{"<i>", "</i>"}, strike: pair{"<s>", "</s>"},
	code: pair{"<code>", "</code>"}, fence: pair{"<pre>", "</pre>"}, pre: pair{"<pre>", "</pre>"},
	quote: pair{"<blockquote>", "</blockquote>"}, quotePrefix: "│ ", bullet: "• ", rule: "——————————",
	textEscape: &htmlText, codeEscape: &htmlText, link: linkTag, mention: mentionTag,
	tableWidth: columns, langClass: true, bareCode: true, codeAlone: true,
}

var plainStyle = style{
	quotePrefix: "> ", bullet: "• ", rule: "——————————", tableWidth: columns,
}

var terminalStyle = style{
	strong: pair{"\x1b[1m", "\x1b[22m"}, emph: pair{"\x1b[3m", "\x1b[23m"}, strike: pair{"\x1b[9m", "\x1b[29m"},
	code: pair{"\x1b[2m", "\x1b[22m"}, underline: pair{"\x1b[4m", "\x1b[24m"}, fence: pair{"\x1b[2m", "\x1b[22m"},
	quotePrefix: "│ ", bullet: "• ", rule: "────────────────────", tableWidth: 100,
	textEscape: &printable, codeEscape: &printable, reapply: true,
}

var mrkdwnStyle = style{
	strong: pair{"*", "*"}, emph: pair{"_", "_"}, strike: pair{"~", "~"},
	code: pair{"`", "`"}, fence: pair{"```\n", "\n```"}, pre: pair{"```\n", "\n```"},
	quotePrefix: "> ", bullet: "• ", rule: "——————————", textEscape: &slackText, codeEscape: &slackText,
	link: linkAngle, mention: mentionAngle, tableWidth: 72, perLine: true, apart: true,
}

var discordStyle = style{
	strong: pair{"**", "**"}, emph: pair{"*", "*"}, strike: pair{"~~", "~~"},
	code: pair{"`", "`"}, fence: pair{"```", "\n```"}, pre: pair{"```\n", "\n```"},
	quotePrefix: "> ", bullet: "- ", rule: "——————————", textEscape: &backslash,
	link: linkBracket, mention: mentionAngle, tableWidth: 56, hashes: true, langWord: true, doubleTicks: true,
}

var whatsappStyle = style{
	strong: pair{"*", "*"}, emph: pair{"_", "_"}, strike: pair{"~", "~"},
	code: pair{"`", "`"}, fence: pair{"```\n", "\n```"}, pre: pair{"```\n", "\n```"},
	quotePrefix: "> ", bullet: "- ", rule: "——————————",
	link: linkParen, mention: mentionNumber, tableWidth: 32, perLine: true, apart: true,
}

func styleOf(d Dialect) *style {
	switch d {
	case TelegramHTML:
		return &telegramStyle
	case Terminal:
		return &terminalStyle
	case Mrkdwn:
		return &mrkdwnStyle
	case DiscordMarkdown:
		return &discordStyle
	case WhatsApp:
		return &whatsappStyle
	}
	return &plainStyle
}

// fenceOpen is what a code block in lang begins with.
func (s *style) fenceOpen(lang string) string {
	switch {
	case s.langClass && lang != "":
		return `<pre><code class="language-` + attribute(lang) + `">`
	case s.langWord:
		return s.fence.open + word(lang) + "\n"
	}
	return s.fence.open
}

// fenceClose ends what fenceOpen began.
func (s *style) fenceClose(lang string) string {
	if s.langClass && lang != "" {
		return "</code>" + s.fence.close
	}
	return s.fence.close
}

// fenced keeps the literal from ending its own fence: a zero-width space parts
// the backticks.
func (s *style) fenced(literal string) string {
	if strings.HasPrefix(s.fence.open, "```") {
		return strings.ReplaceAll(literal, "```", "`\u200b`\u200b`")
	}
	return literal
}

// attribute escapes s for a double-quoted attribute.
func attribute(s string) string { return attributes.Replace(s) }

// word keeps what a language's name is made of.
func word(s string) string {
	kept := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; alnum(c) || strings.IndexByte("+-#._", c) >= 0 {
			kept = append(kept, c)
		}
	}
	return string(kept)
}

// controlEscapes shows control characters instead of letting them act on a
// terminal.
func controlEscapes() (e escapes) {
	for c := range e[:' '] {
		e[c] = "\uFFFD"
	}
	e['\t'], e['\n'] = "", ""
	e[0x7f] = "\uFFFD"
	return e
}

func backslashEscapes(chars string) (e escapes) {
	for _, c := range []byte(chars) {
		e[c] = "\\" + string(rune(c))
	}
	return e
}
