package markup_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// checkSplit checks what must hold of every split: the limit, except for one
// rune that is longer; the order and the content; the clusters.
func checkSplit(t testing.TB, n markup.Node, d markup.Dialect, limit int) []markup.Node {
	t.Helper()
	pieces := markup.Split(n, d, limit)
	var got strings.Builder
	for _, p := range pieces {
		got.WriteString(squeeze(p))
		if m := d.Measure(p); m > limit && len([]rune(squeeze(p))) > 1 {
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

var _ = uniseg.GraphemeClusterCount
