package markup_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

var seeds = []string{
	"",
	"plain text\nof two lines\n\nand more",
	"# Title\n\n**bold *both* bold** ~~gone~~ `code`",
	"- a\n  - b\n\n  c\n- [ ] d\n- [x] e\n\n3. x\n4. y",
	"> quote\n> > deeper\n\n```go\nfunc main() {}\n```\n\n    indented",
	"| a | b |\n|:--|--:|\n| 1 | [x](https://e.org) |\n| `p\\|q` |",
	"[a](https://e.org/(x)) ![p](http://e.org/p.png) <https://e.org> www.e.org m@e.org [m](mention:12)",
	"[j](javascript:alert(1)) [d](data:text/html,x) <script>alert(1)</script> \"&amp;&#27;&lt;",
	"***x** y* a*b*c __d__ ___e___ **a***b* 2*3*4 snake_case_word",
	"日本語の文。次の文！中文，没有空格。👨‍👩‍👧‍👦🇩🇪é",
	"```\nnot closed", "**not closed", "[half](http://e", "| a | b |\n|--",
	"a  \nb\\\nc", "-\n\n- - -\n* * *\n+ 1. x", "a\n---\nb\n===",
	"\x00\x1b[31m\r\n\xff", "[r]: /u\n\n[r] [r][] [z][r]", "1986\\. x\n\n\\# y \\* z",
}

func addSeeds(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
}

var dialects = []markup.Dialect{
	markup.TelegramHTML, markup.WebHTML, markup.CommonMark, markup.PlainText, markup.Terminal,
	markup.Mrkdwn, markup.DiscordMarkdown, markup.WhatsApp,
}

// FuzzParse checks that the tree is in normal form, and that CommonMark brings
// it through unchanged.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		src = src[:min(len(src), 2000)] // comparing large trees takes long
		tree := markup.Parse(src)
		checkNormal(t, tree, 0)
		text := markup.CommonMark.Render(tree)
		if d := cmp.Diff(tree, markup.Parse(text)); d != "" {
			t.Errorf("%q\nrendered as %q\ncomes back changed (-before +after):\n%s", src, text, d)
		}
		markup.Draft(src)
	})
}

func checkNormal(t *testing.T, n markup.Node, depth int) {
	t.Helper()
	if depth > 210 {
		t.Fatal("nested too deeply")
	}
	if !utf8.ValidString(n.Literal) {
		t.Errorf("invalid text %q", n.Literal)
	}
	prev := markup.Kind("-")
	for _, ch := range n.Children {
		switch ch.Kind {
		case markup.Text:
			if ch.Literal == "" || prev == markup.Text {
				t.Errorf("text %q empty or next to a text", ch.Literal)
			}
		case markup.Strong, markup.Emph, markup.Strike:
			if len(ch.Children) == 0 || prev == ch.Kind {
				t.Errorf("%s empty or next to another", ch.Kind)
			}
		}
		prev = ch.Kind
		checkNormal(t, ch, depth+1)
	}
}

var telegramTag = regexp.MustCompile(
	`^<(/?)(b|i|s|u|code|pre|blockquote|a)( href="(https?|mailto|tg):[^"<>]*"| class="language-[^"<>]*")?>`)

func FuzzTelegramHTML(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		out := markup.TelegramHTML.Render(markup.Parse(src))
		if visible := checkTelegram(t, out); markup.UTF16.Len(visible) != markup.TelegramHTML.Measure(markup.Parse(src)) {
			t.Errorf("%q measures %d, shows %d", out, markup.TelegramHTML.Measure(markup.Parse(src)), markup.UTF16.Len(visible))
		}
	})
}

// checkTelegram parses the HTML as strictly as the Bot API and returns what is
// visible of it.
func checkTelegram(t *testing.T, out string) string {
	t.Helper()
	var open []string
	var visible strings.Builder
	for rest := out; rest != ""; {
		switch rest[0] {
		case '<':
			m := telegramTag.FindStringSubmatch(rest)
			if m == nil {
				t.Fatalf("not a tag: %.40q in %q", rest, out)
			}
			rest = rest[len(m[0]):]
			if m[1] == "" {
				if n := len(open); n > 0 && (open[n-1] == "code" || open[n-1] == "pre" && m[2] != "code") ||
					m[2] == "code" && n > 0 && open[n-1] != "pre" && open[n-1] != "blockquote" ||
					slices.Contains(open, m[2]) {
					t.Fatalf("<%s> in %v in %q", m[2], open, out)
				}
				open = append(open, m[2])
				continue
			}
			if len(open) == 0 || open[len(open)-1] != m[2] {
				t.Fatalf("</%s> closes %v in %q", m[2], open, out)
			}
			open = open[:len(open)-1]
		case '&':
			i := strings.IndexByte(rest, ';')
			r := map[string]string{"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": `"`}[rest[:i+1]]
			if r == "" {
				t.Fatalf("unknown reference in %q", out)
			}
			visible.WriteString(r)
			rest = rest[i+1:]
		case '>':
			t.Fatalf("bare > in %q", out)
		default:
			i := strings.IndexAny(rest, "<&>")
			if i < 0 {
				i = len(rest)
			}
			visible.WriteString(rest[:i])
			rest = rest[i:]
		}
	}
	if len(open) > 0 {
		t.Fatalf("%v left open in %q", open, out)
	}
	return visible.String()
}

func FuzzWebHTML(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		checkWeb(t, markup.WebHTML.Render(markup.Parse(src)))
	})
}

// checkWeb reads the HTML as XML, which allows no slip, and checks each element
// and attribute.
func checkWeb(t *testing.T, out string) {
	t.Helper()
	allowed := map[string]bool{}
	for _, e := range strings.Fields("x p h1 h2 h3 h4 h5 h6 pre code blockquote ul ol li table thead tbody tr th td hr br strong em del a span") {
		allowed[e] = true
	}
	dec := xml.NewDecoder(strings.NewReader("<x>" + out + "</x>"))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if !allowed[el.Name.Local] {
			t.Errorf("element %s in %q", el.Name.Local, out)
		}
		for _, a := range el.Attr {
			switch a.Name.Local {
			case "class", "start", "rel", "target":
			case "href":
				if !webScheme.MatchString(a.Value) {
					t.Errorf("link to %q", a.Value)
				}
			default:
				t.Errorf("attribute %s in %q", a.Name.Local, out)
			}
		}
	}
}

var webScheme = regexp.MustCompile(`(?i)^(https?|mailto|tg):`)

// FuzzDialects checks of every dialect that measuring and rendering agree and
// that no control character comes through.
func FuzzDialects(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		tree := markup.Parse(src)
		for _, d := range dialects {
			out := d.Render(tree)
			n := d.Unit().Len(out)
			if m := d.Measure(tree); m > n || m < 0 {
				t.Errorf("%s: %q measures %d", d, out, m)
			} else if d != markup.TelegramHTML && d != markup.WebHTML && d != markup.Terminal && m != n {
				t.Errorf("%s: %q measures %d, is %d", d, out, m, n)
			}
			if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }); i >= 0 && d != markup.Terminal {
				t.Errorf("%s: control character in %q", d, out)
			}
			if !utf8.ValidString(out) {
				t.Errorf("%s: invalid UTF-8 %q", d, out)
			}
		}
		if out := sgr.ReplaceAllString(markup.Terminal.Render(tree), ""); strings.Contains(out, "\x1b") {
			t.Errorf("foreign escape sequence in %q", out)
		}
	})
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]+m")

func FuzzSplit(f *testing.F) {
	for i, s := range seeds {
		f.Add(s, i*3, i)
	}
	f.Fuzz(func(t *testing.T, src string, limit, dialect int) {
		limit = 1 + (limit&0x7fffffff)%200
		checkSplit(t, markup.Parse(src), dialects[(dialect&0xff)%len(dialects)], limit)
	})
}
