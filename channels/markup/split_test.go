package markup_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// reporter is what testing and rapid have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkSplit checks what must hold of every split: the limit, except for one
// rune that is longer; the order and the content; the clusters.
func checkSplit(t reporter, n markup.Node, d markup.Dialect, limit int) []markup.Node {
	t.Helper()
	pieces := markup.Split(n, d, limit)
	var got strings.Builder
	for _, p := range pieces {
		got.WriteString(squeeze(p))
		if m := d.Measure(p); limit > 0 && m > limit && len([]rune(squeeze(p))) > 1 {
			t.Errorf("%s: piece measures %d of %d: %q", d, m, limit, d.Render(p))
		}
	}
	want, ok := squeeze(n), false
	if repeats(n) {
		ok = subsequence(want, got.String())
	} else {
		ok = got.String() == want
	}
	if !ok {
		t.Errorf("%s at %d: content changed\n got %q\nwant %q", d, limit, got.String(), want)
	}
	return pieces
}

// squeeze is the text of a tree without white space.
func squeeze(n markup.Node) string {
	var b strings.Builder
	var walk func(markup.Node)
	walk = func(n markup.Node) {
		b.WriteString(n.Literal)
		for _, ch := range n.Children {
			walk(ch)
		}
	}
	walk(n)
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, b.String())
}

// repeats reports whether pieces may show more than the whole: the heads of
// tables again, and URLs that are too long as text.
func repeats(n markup.Node) bool {
	if n.Kind == markup.Table || n.URL != "" {
		return true
	}
	return slices.ContainsFunc(n.Children, repeats)
}

func subsequence(want, of string) bool {
	for _, r := range want {
		i := strings.IndexRune(of, r)
		if i < 0 {
			return false
		}
		of = of[i+utf8.RuneLen(r):]
	}
	return true
}

func TestSplit(t *testing.T) {
	tests := []struct {
		name  string
		in    string
		d     markup.Dialect
		limit int
		want  []string
	}{
		{"what fits is one", "a\n\nb", markup.PlainText, 4, []string{"a\n\nb"}},
		{"no limit", "a\n\nb", markup.PlainText, 0, []string{"a\n\nb"}},
		{"nothing", "", markup.PlainText, 1, []string{""}},
		{"between paragraphs", "aaaa\n\nbbb bbb", markup.PlainText, 10, []string{"aaaa", "bbb bbb"}},
		{"a whole paragraph later rather than half of it now", "a\n\nbbb bbb bbb", markup.PlainText, 12, []string{"a", "bbb bbb bbb"}},
		{"a heading stays with its text", "aaa\n\n# H\n\nbbbbb bbb", markup.PlainText, 12, []string{"aaa", "H\n\nbbbbb bbb"}},
		{"lines", "aaa a\nbbb b\nccc c", markup.PlainText, 13, []string{"aaa a\nbbb b", "ccc c"}},
		{"hard breaks", "aaa a\\\nbbb b\\\nccc c", markup.PlainText, 13, []string{"aaa a\nbbb b", "ccc c"}},
		{"sentences", "One two. Three four. Five six.", markup.PlainText, 24, []string{"One two. Three four.", "Five six."}},
		{"no sentence in e.g. this", "one e.g. two three four", markup.PlainText, 15, []string{"one e.g. two", "three four"}},
		{"words", "one two three four", markup.PlainText, 8, []string{"one two", "three", "four"}},
		{"a long word whole", "to abcdefghij", markup.PlainText, 10, []string{"to", "abcdefghij"}},
		{"a word that is too long", "abcdefghij", markup.PlainText, 4, []string{"abcd", "efgh", "ij"}},
		{"no spaces in Chinese", "没有空格的文字，一句话。再一句。", markup.PlainText, 8, []string{"没有空格的文字，", "一句话。再一句。"}},
		{"units of UTF-16", "😀😀😀", markup.TelegramHTML, 5, []string{"😀😀", "😀"}},
		{"runes", "😀😀😀", markup.PlainText, 2, []string{"😀😀", "😀"}},
		{"clusters", "👨‍👩‍👧👨‍👩‍👧", markup.TelegramHTML, 15, []string{"👨‍👩‍👧", "👨‍👩‍👧"}},
		{"flags", "🇩🇪🇫🇷🇮🇹", markup.PlainText, 5, []string{"🇩🇪🇫🇷", "🇮🇹"}},
		{"a cluster that is too long", "e\u0301\u0302\u0303", markup.PlainText, 3, []string{"e\u0301\u0302", "\u0303"}},
		{"a rune that is too long", "😀😀", markup.TelegramHTML, 1, []string{"😀", "😀"}},
		{
			"style on both sides", "**one *two three* four**", markup.TelegramHTML, 8,
			[]string{"<b>one <i>two</i></b>", "<b><i>three</i></b>", "<b>four</b>"},
		},
		{
			"link on both sides", "[one two](https://e.org)", markup.TelegramHTML, 4,
			[]string{`<a href="https://e.org">one</a>`, `<a href="https://e.org">two</a>`},
		},
		{
			"a URL that is too long", "[x](https://example.org/abc)", markup.PlainText, 16,
			[]string{"x (https://examp", "le.org/abc)"},
		},
		{"code between lines", "```go\na()\nb()\n\nc()\n```", markup.CommonMark, 18, []string{"```go\na()\nb()\n```", "```go\n\nc()\n```"}},
		{"indentation of code", "```\nif x {\n\ty()\n}\n```", markup.PlainText, 8, []string{"if x {", "\ty()\n}"}},
		{
			"numbers go on", "5. aaa\n6. bbb\n7. ccc", markup.TelegramHTML, 13,
			[]string{"5. aaa\n6. bbb", "7. ccc"},
		},
		{
			"a number is not repeated", "1. aaa bbb ccc ddd\n2. e", markup.PlainText, 15,
			[]string{"1. aaa bbb ccc", "   ddd\n2. e"},
		},
		{
			"nested items", "- a\n  - bbbb\n  - cccc\n- d", markup.PlainText, 14,
			[]string{"• a\n  • bbbb", "  • cccc\n• d"},
		},
		{"quotes", "> aaaa\n>\n> bbbb", markup.PlainText, 8, []string{"> aaaa", "> bbbb"}},
		{
			"tables repeat their heads", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |", markup.PlainText, 23,
			[]string{"a | b\n--+--\n1 | 2\n3 | 4", "a | b\n--+--\n5 | 6"},
		},
		{
			"a table's head stays with a row", "xxxx\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |", markup.PlainText, 18,
			[]string{"xxxx", "a | b\n--+--\n1 | 2", "a | b\n--+--\n3 | 4"},
		},
		{"white space at a cut", "**aaaa** *bbbb*", markup.TelegramHTML, 5, []string{"<b>aaaa</b>", "<i>bbbb</i>"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range checkSplit(t, markup.Parse(tt.in), tt.d, tt.limit) {
				got = append(got, tt.d.Render(p))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestSplitProperties splits generated documents.
func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := markup.Parse(document.Draw(t, "document"))
		d := rapid.SampledFrom(dialects).Draw(t, "dialect")
		limit := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(40, 400)).Draw(t, "limit")
		for _, p := range checkSplit(t, tree, d, limit) {
			if again := markup.Split(p, d, limit); len(again) != 1 && len([]rune(squeeze(p))) > 1 {
				t.Errorf("a piece splits again: %q", d.Render(p))
			}
		}
		if h := markup.Head(tree, d, limit); d.Measure(h) > limit && len([]rune(squeeze(h))) > 1 {
			t.Errorf("head measures %d of %d", d.Measure(h), limit)
		}
	})
}

var document = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(block, 1, 8).Draw(t, "blocks"), "\n\n")
})

var block = rapid.Custom(func(t *rapid.T) string {
	lines := rapid.SliceOfN(inline, 1, 5).Draw(t, "lines")
	prefix := rapid.SampledFrom([]string{
		"", "", "# ", "> ", "> > ", "- ", "  - ", "1. ", "- [x] ", "    ", "- > 1. ",
	}).Draw(t, "prefix")
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return "```go\n" + strings.Join(lines, "\n") + "\n```"
	case 1:
		return "| a | bb |\n|---|:--:|\n| " + strings.Join(lines, " | x |\n| ") + " | y |"
	}
	return prefix + strings.Join(lines, "\n"+prefix)
})

var inline = rapid.Custom(func(t *rapid.T) string {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{
		"word", "Sentence.", "a", "**bold text**", "*emph*", "`code span`", "~~gone~~", "[link text](https://e.org/x)",
		"没有空格的文字。", "日本語テキスト", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "e\u0301", "averylongwordwithoutanyend", "<b>", "&amp;",
	}), 1, 12).Draw(t, "words")
	return strings.Join(words, rapid.SampledFrom([]string{" ", " ", ""}).Draw(t, "between"))
})

// TestSplitClusters checks that a cut never falls into a grapheme cluster.
func TestSplitClusters(t *testing.T) {
	cluster := rapid.SampledFrom([]string{
		"a", "b", " ", ". ", "\n", "é", "e\u0301", "語", "文", "。", "か\u3099", "ｶﾞ", "한", "각", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "ไ", "ที่", "नि", "क्षि", "❤️", "1️⃣",
	})
	rapid.Check(t, func(t *rapid.T) {
		clusters := rapid.SliceOfN(cluster, 1, 60).Draw(t, "clusters")
		limit := rapid.IntRange(12, 40).Draw(t, "limit")
		whole := strings.Join(clusters, "")
		ends := boundaries(whole)
		at := 0
		for _, p := range markup.Split(markup.Plain(whole), markup.TelegramHTML, limit) {
			for _, r := range squeeze(p) {
				for !strings.HasPrefix(whole[at:], string(r)) {
					at++ // white space that was dropped
				}
				at += utf8.RuneLen(r)
			}
			if !ends[at] {
				t.Errorf("cut within a cluster: %q | %q", whole[:at], whole[at:])
			}
		}
	})
}

// boundaries holds the ends of the clusters of s.
func boundaries(s string) map[int]bool {
	ends := map[int]bool{0: true}
	for g := uniseg.NewGraphemes(s); g.Next(); {
		_, to := g.Positions()
		ends[to] = true
	}
	return ends
}

func TestHead(t *testing.T) {
	tests := []struct {
		name  string
		in    string
		limit int
		want  string
	}{
		{"what fits", "one two", 7, "one two"},
		{"words", "one two three", 10, "one two…"},
		{"no room for a word", "abcdefghij", 5, "abcd…"},
		{"clusters", "👍🏽👍🏽👍🏽", 10, "👍🏽👍🏽…"},
		{"style", "**one two three**", 10, "<b>one two</b>…"},
		{"code", "```go\nabc\ndef\n```", 6, "<pre><code class=\"language-go\">abc\n…</code></pre>"},
		{"paragraphs", "aaa\n\nbbb ccc", 10, "aaa\n\nbbb…"},
		{"items", "- aa\n- bb\n- cc", 10, "• aa\n• bb…"},
		{"rule", "a\n\n---\n\nbcd", 17, "a\n\n——————————\n\nb…"},
		{"no room at all", "abc", 1, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := markup.Head(markup.Parse(tt.in), markup.TelegramHTML, tt.limit)
			if d := cmp.Diff(tt.want, markup.TelegramHTML.Render(got)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
