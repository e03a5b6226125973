package markup_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func doc(blocks ...markup.Node) markup.Node {
	return markup.Node{Kind: markup.Document, Children: blocks}
}

func para(inlines ...markup.Node) markup.Node {
	return markup.Node{Kind: markup.Paragraph, Children: inlines}
}

func text(s string) markup.Node { return markup.Node{Kind: markup.Text, Literal: s} }

func of(k markup.Kind, children ...markup.Node) markup.Node {
	return markup.Node{Kind: k, Children: children}
}

func link(url string, children ...markup.Node) markup.Node {
	return markup.Node{Kind: markup.Link, URL: url, Children: children}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     markup.Node
	}{
		{"nothing", " \n\n", doc()},
		{"line end is kept", "one\ntwo", doc(para(text("one\ntwo")))},
		{"hard break", "one  \ntwo", doc(para(text("one"), markup.Node{Kind: markup.Break}, text("two")))},
		{"HTML is text", "<b>x</b> <!-- y -->", doc(para(text("<b>x</b> <!-- y -->")))},
		{"HTML block is text", "<div>\n*x*\n</div>", doc(para(text("<div>\n"), of(markup.Emph, text("x")), text("\n</div>")))},
		{"references", "&amp;&lt;&#65;&#x42;&nope; \\*", doc(para(text("&<AB&nope; *")))},
		{"no control characters", "a\x1b[1mb&#27;\x00", doc(para(text("a[1mb\uFFFD")))},
		{"invalid UTF-8", "a\xffb", doc(para(text("a\uFFFDb")))},
		{"carriage returns", "a\r\nb\rc", doc(para(text("a\nb\nc")))},
		{"style in itself", "**a __b__ c**", doc(para(of(markup.Strong, text("a b c"))))},
		{"equal neighbours", "**a**__b__", doc(para(of(markup.Strong, text("ab"))))},
		{"space at an edge", "**a&#32;**b", doc(para(text("**a **b")))},
		{"strike", "~~a~~ ~b~", doc(para(of(markup.Strike, text("a")), text(" "), of(markup.Strike, text("b"))))},
		{"code", "`` a`b ``", doc(para(markup.Node{Kind: markup.Code, Literal: "a`b"}))},
		{"bare links", "see https://e.org/a, www.e.org and m@e.org", doc(para(
			text("see "), link("https://e.org/a", text("https://e.org/a")), text(", "),
			link("http://www.e.org", text("www.e.org")), text(" and "),
			link("mailto:m@e.org", text("m@e.org")),
		))},
		{"link by reference", "[x][1]\n\n[1]: https://e.org", doc(para(link("https://e.org", text("x"))))},
		{"image", "![a *b*](https://e.org/p.png)", doc(para(markup.Node{
			Kind: markup.Image, URL: "https://e.org/p.png", Children: []markup.Node{text("a b")},
		}))},
		{"mention", "[Ann](mention:U12)", doc(para(markup.Node{
			Kind: markup.Mention, URL: "U12", Children: []markup.Node{text("Ann")},
		}))},
		{"no mention of everyone", "[Ann](mention:a>b)", doc(para(link("mention:a%3Eb", text("Ann"))))},
		{"open fence", "```go\nx", doc(markup.Node{Kind: markup.CodeBlock, Lang: "go", Literal: "x"})},
		{"indented code", "    a\n      b\n", doc(markup.Node{Kind: markup.CodeBlock, Literal: "a\n  b"})},
		{"tasks", "- [x] a\n- [ ] b", doc(markup.Node{Kind: markup.List, Tight: true, Children: []markup.Node{
			{Kind: markup.Item, Task: true, Checked: true, Children: []markup.Node{para(text("a"))}},
			{Kind: markup.Item, Task: true, Children: []markup.Node{para(text("b"))}},
		}})},
		{"numbers", "7) a\n\n8) b", doc(markup.Node{Kind: markup.List, Ordered: true, Start: 7, Children: []markup.Node{
			of(markup.Item, para(text("a"))), of(markup.Item, para(text("b"))),
		}})},
		{"table", "| a | b |\n|:--|--:|\n| `x\\|y` |", doc(of(
			markup.Table,
			of(
				markup.Row,
				markup.Node{Kind: markup.Cell, Align: "left", Children: []markup.Node{text("a")}},
				markup.Node{Kind: markup.Cell, Align: "right", Children: []markup.Node{text("b")}},
			),
			of(
				markup.Row,
				markup.Node{Kind: markup.Cell, Align: "left", Children: []markup.Node{{Kind: markup.Code, Literal: "x|y"}}},
				markup.Node{Kind: markup.Cell, Align: "right"},
			),
		))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, markup.Parse(tt.in)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestParseBounds feeds what would cost the parser more than its length allows.
func TestParseBounds(t *testing.T) {
	tests := []struct{ name, in string }{
		{"quotes", strings.Repeat(">", 100_000) + "deep"},
		{"items", strings.Repeat("- ", 50_000) + "deep"},
		{"indented items", indented(600)},
		{"brackets", strings.Repeat("[a](", 50_000) + "deep"},
		{"delimiters", strings.Repeat("*a_ ", 50_000) + "deep"},
		{"cells", "|" + strings.Repeat("a|", 500) + "\n|" + strings.Repeat("-|", 500) + "\n" + strings.Repeat("c\n", 50_000) + "deep"},
		{"references", "[a]: http://" + strings.Repeat("x", 100_000) + "\n\n" + strings.Repeat("[a] ", 1000) + "deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := markup.Parse(tt.in)
			checkNormal(t, tree, 0)
			out := markup.PlainText.Render(tree)
			if !strings.Contains(out, "deep") {
				t.Error("the text is lost")
			}
			if len(out) > 20*len(tt.in) {
				t.Errorf("%d bytes became %d", len(tt.in), len(out))
			}
		})
	}
}

func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("  ", i) + "- a\n")
	}
	return b.String() + strings.Repeat("  ", n) + "- deep"
}

// TestParseFast checks that the short cut for plain text gives what the parser
// gives.
func TestParseFast(t *testing.T) {
	words := rapid.SampledFrom([]string{
		"a", "b.", " ", "  ", "\n", "\n\n", "\n\n\n", "1", "1.", "2)", "-", "+", "=", "===", "#", ">", ":", "!",
		"(", ")", "{", "'", "\"", "é", "語", "www", "http", "/", "//", ",", ";", "%", "^", "$", "\u00a0", "\u2028",
	})
	rapid.Check(t, func(t *rapid.T) {
		src := strings.Join(rapid.SliceOfN(words, 0, 12).Draw(t, "words"), "")
		if d := cmp.Diff(markup.ParseFull(src), markup.Parse(src)); d != "" {
			t.Fatalf("%q (-parser +short cut):\n%s", src, d)
		}
	})
}

// TestParseConcurrently is for the race detector: all calls share one parser.
func TestParseConcurrently(t *testing.T) {
	want := markup.Parse(reply)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if d := cmp.Diff(want, markup.Parse(reply)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	wg.Wait()
}

func TestPlain(t *testing.T) {
	const in = "**not bold**\n\n- <b>no</b> list &amp; \\x [a](b) `c` https://e.org @x\n 1. y  \n# z"
	tree := markup.Plain(in)
	if got := markup.PlainText.Render(tree); got != in {
		t.Errorf("plain: got %q", got)
	}
	if d := cmp.Diff(tree, markup.Parse(markup.CommonMark.Render(tree))); d != "" {
		t.Errorf("through CommonMark (-want +got):\n%s", d)
	}
}

func TestDraft(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"done **now**", "done <b>now</b>"},
		{"say **bold wor", "say <b>bold wor</b>"},
		{"say **bold ", "say <b>bold</b>"},
		{"say **", "say"},
		{"say **bold*", "say <b>bold</b>"},
		{"**a *b", "<b>a <i>b</i></b>"},
		{"2 * 3 is", "2 * 3 is"},
		{"~~go", "<s>go</s>"},
		{"run `go te", "run <code>go te</code>"},
		{"run `", "run"},
		{"see [the do", "see the do"},
		{"see [the docs]", "see the docs"},
		{"see [the docs](https://e.o", "see the docs"},
		{"see [the docs](https://e.org)", `see <a href="https://e.org">the docs</a>`},
		{"see ![pic", "see pic"},
		{"a\n-", "a"},
		{"a\n\n##", "a"},
		{"a\n\n1.", "a"},
		{"- a\n- **b", "• a\n• <b>b</b>"},
		{"x\n\n| a | b", "x"},
		{"x\n\n| a | b |\n|--", "x"},
		{"| a | b |\n|---|---|\n| 1", "<pre>a | b\n--+--\n1</pre>"},
		{"```go\nx := `", "<pre><code class=\"language-go\">x := `</code></pre>"},
		{"```go\nx\n``", "<pre><code class=\"language-go\">x</code></pre>"},
		{"```go\n**x", "<pre><code class=\"language-go\">**x</code></pre>"},
		{"a \\", "a"},
		{"**a**\n\n*b", "<b>a</b>\n\n<i>b</i>"},
	}
	for _, tt := range tests {
		if got := markup.TelegramHTML.Render(markup.Draft(tt.in)); got != tt.want {
			t.Errorf("%q:\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

func TestTelegramNesting(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"code takes no style", "**a `b` c**", "<b>a </b><code>b</code><b> c</b>"},
		{"code alone in a style", "**`b`**", "<code>b</code>"},
		{"code in a link", "[`b`](https://e.org)", `<a href="https://e.org">b</a>`},
		{"style in itself", "# a **b**", "<b>a b</b>"},
		{"link in a style", "*[b](https://e.org)*", `<i><a href="https://e.org">b</a></i>`},
		{"quote in a quote", "> a\n> > b", "<blockquote>a\n\n│ b</blockquote>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, markup.TelegramHTML.Render(markup.Parse(tt.in))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestDraftGrows checks that a draft never shows markup of an answer that has
// none left when it is complete.
func TestDraftGrows(t *testing.T) {
	const answer = "Use **bold words** and `code` or [a link](https://e.org).\n\n- *one*\n- ~~two~~\n\n```go\nf()\n```\n"
	for i := range answer {
		out := markup.PlainText.Render(markup.Draft(answer[:i]))
		if strings.ContainsAny(out, "*`[~") {
			t.Errorf("%q shows %q", answer[:i], out)
		}
	}
}
