package words_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/memory/internal/words"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ in, split, query string }{
		{"", "", ""},
		{"Hello, World! Hello", "hello world hello", "hello world"},
		{"Grüße aus Köln, naïve façade", "gruße aus koln naive facade", "gruße aus koln naive facade"},
		{"e-mail: a.b@c.de 3.14", "e mail a b c de 3 14", "e mail a b c de 3 14"},
		{"東京都", "東 京 東京 都 京都", "東京 京都"},
		{"猫", "猫", "猫"},
		{"我的cat叫", "我 的 我的 cat 叫", "我的 cat 叫"},
		{"ラーメン", "ラ ー ラー メ ーメ ン メン", "ラー ーメ メン"},
		{"ｶﾞﾗｽ ＡＢ", "ガ ラ ガラ ス ラス ab", "ガラ ラス ab"},
		{"Ёлка ёж", "елка еж", "елка еж"},
		{"हिन्दी", "हिन्दी", "हिन्दी"},
		{"\xff\xfea", "a", "a"},
	} {
		if d := cmp.Diff(strings.Fields(c.split), words.Split(c.in), cmp.Transformer("empty", func(s []string) string { return strings.Join(s, " ") })); d != "" {
			t.Errorf("split %q (-want +got):\n%s", c.in, d)
		}
		if got := strings.Join(words.Query(c.in), " "); got != c.query {
			t.Errorf("query %q gives %q, want %q", c.in, got, c.query)
		}
	}
}

// FuzzSplit: whatever the text, its words stand for themselves, hold nothing that
// an index reads otherwise, and every word of a query of it is among them.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"a b", "東京都a", "e\u0301", "İ", "\u1100\u1161\u11a8", "ﬃ ½ ㍿", strings.Repeat("é", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		has := map[string]bool{}
		for _, w := range words.Split(text) {
			has[w] = true
			if w == "" || strings.ContainsAny(w, " \t\n'\"\\:()*&|!\x00#") || !utf8.ValidString(w) {
				t.Errorf("%q gives the word %q", text, w)
			}
		}
		for _, w := range words.Query(text) {
			if !has[w] {
				t.Errorf("the query %q has %q, its text has not", text, w)
			}
		}
	})
}
