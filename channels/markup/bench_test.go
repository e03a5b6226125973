package markup_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// reply is a usual answer of a model, of about 600 bytes.
const reply = `Sure! Here is **how to do it** in three steps:

1. Install the tool with ` + "`brew install widget`" + `, or take it from [the releases](https://example.org/releases).
2. Write a small file:

` + "```go\npackage main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(\"hello, world\")\n}\n```" + `

3. Run it. You should see *one* line of output.

| Flag | Meaning |
|------|---------|
| -v   | more output |
| -q   | none at all |

> Note that older versions print a warning first, which you can safely ignore.

Tell me if anything does not work, and which version you have.
`

func BenchmarkParseRender(b *testing.B) {
	for _, bench := range []struct{ name, src string }{
		{"plain", strings.Repeat("A few words without markup, as people write them. ", 12)},
		{"reply", reply},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.src)))
			b.ReportAllocs()
			for b.Loop() {
				markup.TelegramHTML.Render(markup.Parse(bench.src))
			}
		})
	}
}

func BenchmarkMeasure(b *testing.B) {
	tree := markup.Parse(reply)
	for b.Loop() {
		markup.TelegramHTML.Measure(tree)
	}
}

func BenchmarkSplit(b *testing.B) {
	for _, bench := range []struct{ name, src string }{
		{"short", reply},
		{"paragraphs", repeat(reply)},
		{"one line", repeat("A few words without any end of a line. ")},
		{"code", "```\n" + repeat("\tfor i := range n { f(i) }\n") + "```"},
		{"table", "| a | b |\n|---|---|\n" + repeat("| some cell | 12 |\n")},
		{"list", repeat("- an item with **bold** text\n")},
		{"chinese", repeat("没有空格的文字，一句话。")},
		{"emoji", repeat("👨‍👩‍👧‍👦🇩🇪")},
		{"one word", repeat("x")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tree := markup.Parse(bench.src)
			b.SetBytes(int64(len(bench.src)))
			for b.Loop() {
				markup.Split(tree, markup.TelegramHTML, 4096)
			}
		})
	}
}

// repeat makes a text of a megabyte.
func repeat(s string) string { return strings.Repeat(s, 1<<20/len(s)) }
