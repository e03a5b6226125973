package known_test

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/leak/known"
)

// TestEscape: one escape at the beginning of a text, whole and cut off.
func TestEscape(t *testing.T) {
	tests := []struct {
		in string
		r  rune
		n  int
	}{
		{"", 0, 0},
		{"%", 0, 0},
		{"a1", 0, 0},
		{"%4", 0, 0},
		{"%41", 'A', 3},
		{"%4g", 0, 0},
		{"%u0041", 'A', 6},
		{"%U0041x", 'A', 6},
		{"%u004", 0, 0},
		{"%u", 0, 0},
		{"=\n", known.Gone, 2},
		{"=\r\n", known.Gone, 2},
		{"=41", 'A', 3},
		{"= 1", 0, 0},
		{"&;", 0, 0},
		{"&a;", 0, 0},
		{"&lt;", '<', 4},
		{"&lt", 0, 0},
		{"&shy;x", known.Gone, 5},
		{"&#;", 0, 0},
		{"&#9;", '\t', 4},
		{"&#65;", 'A', 5},
		{"&#x41;", 'A', 6},
		{"&#X41;", 'A', 6},
		{"&#x;", 0, 0},
		{"&#x110000;", 0, 0},
		{"&#x10ffff;", 0x10ffff, 10},
		{"&#000000065;", 'A', 12},
		{"&#0000000065;", 0, 0},
		{`\`, 0, 0},
		{`\"`, '"', 2},
		{`\x41`, 'A', 4},
		{`\x4`, 0, 0},
		{`\u0041`, 'A', 6},
		{`\u004`, 0, 0},
		{`\u`, 0, 0},
		{`\u{`, 0, 0},
		{`\u{}`, 0, 0},
		{`\u{41}`, 'A', 6},
		{`\u{41`, 0, 0},
		{`\u{0000041}`, 'A', 11},
		{`\u{00000041}`, 'A', 12},
		{`\u{000000041}`, 0, 0},
		{`\U00000041`, 'A', 10},
		{`\U0000004`, 0, 0},
		{`\n`, known.Gone, 2},
		{`\101`, 'A', 4},
		{`\10`, 0, 0},
		{`\371`, 0xf9, 4},
		{`\401`, '4', 2},
	}
	for _, tt := range tests {
		if r, n := known.Escape([]byte(tt.in)); r != tt.r || n != tt.n {
			t.Errorf("%q: %q, %d; want %q, %d", tt.in, r, n, tt.r, tt.n)
		}
	}
}

// TestRewritten: the forms of a value that are known beside it.
func TestRewritten(t *testing.T) {
	const all = "AMNZamnz@[`{09"
	forms := known.Rewritten([]byte(all))
	n := new(big.Int)
	for _, c := range string(forms[2]) {
		n.Add(n.Mul(n, big.NewInt(58)), big.NewInt(int64(strings.IndexRune("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", c))))
	}
	got := []string{string(forms[0]), string(forms[1]), string(n.Bytes()), string(forms[3])}
	want := []string{"90{`[@znmaZNMA", "NZAMnzam@[`{09", all, ascii85ed(all)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if known.Rewritten(make([]byte, 512)) == nil || known.Rewritten(make([]byte, 513)) != nil {
		t.Error("it is not of 512 bytes at most")
	}
}

// TestWordlike: which characters could belong to a word.
func TestWordlike(t *testing.T) {
	tests := []struct {
		in   string
		want string // w: of a word, -: not; "?": it cannot be said
	}{
		{"az", "ww"},
		{"AZ", "ww"},
		{"aB", "w-"},
		{"zB", "w-"},
		{"`B{B", "ww"},
		{"aAzZ", "w-w-"},
		{"0a9", "-w-"},
		{"/:@[`{~", ""},
		{"a\x7fb", "ww"},
		{"a\x80", "?"},
		{"né", "?"},
	}
	for _, tt := range tests {
		words, got := known.Wordlike([]byte(tt.in), 0), ""
		for _, w := range words {
			got += map[bool]string{true: "w", false: "-"}[w]
		}
		if words == nil {
			got = "?"
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

// TestCut: a text of exactly one window has it, one character less has none.
func TestCut(t *testing.T) {
	const text = "abcdefghijklm"
	tests := []struct {
		in   string
		want []string
	}{
		{text[:11], nil},
		{text[:12], []string{"abcdefghijkl"}},
		{text, []string{"abcdefghijkl", "bcdefghijklm"}},
		{strings.Repeat("a", 20), nil}, // it says nothing
		{"abcdabcdabcd", nil},
		{"abcdeabcdabc", []string{"abcdeabcdabc"}},
	}
	for _, tt := range tests {
		got, _ := known.Cut(tt.in, 1, nil)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
	words := slices.Repeat([]bool{true}, len(text))
	words[12] = false
	if _, weak := known.Cut(text, 1, words); !slices.Equal(weak, []bool{true, false}) {
		t.Errorf("weak: %v", weak)
	}
}

// TestCompressed: where something compressed begins.
func TestCompressed(t *testing.T) {
	tests := []struct {
		in   string
		from int
		want int
	}{
		{"\x1f\x8b\x08", 0, 0},
		{"\x1f\x8b\x08", 1, -1},
		{"x\x1f\x8b\x08", 0, 1},
		{"\x1f\x8b", 0, -1},
		{"\x1f\x8b\x07", 0, -1},
		{"\x1f\x8c\x08", 0, -1},
		{"\x1e\x8b\x08", 0, -1},
		{"\x78\x01\x01", 0, 0},
		{"\x78\x5e\x01", 0, 0},
		{"\x78\x9c\x01", 0, 0},
		{"\x78\xda\x01", 0, 0},
		{"\x78\x02\x01", 0, -1},
		{"\x78\x9c\x06", 0, -1},
		{"\x78\x9c\x04", 0, 0},
		{"\x78\x9c", 0, -1},
	}
	for _, tt := range tests {
		if got := known.Compressed([]byte(tt.in), tt.from); got != tt.want {
			t.Errorf("%q from %d: %d, want %d", tt.in, tt.from, got, tt.want)
		}
	}
}

// TestTelling: the parts of a value that are secret.
func TestTelling(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"https://me:pass@host.example/path", []string{"me", "pass", "path"}},
		{"https://host.example/path", []string{"", "", "path"}},
		{"abcdefghijkl://me@host/x", []string{"me", "", "x"}},
		{"abcdefghijklm://me@host/x", []string{"abcdefghijklm://me@host/x"}}, // too long for a scheme
		{"Bearer abc", []string{"", "abc"}},
		{`{"token":"abc","name":"x"}`, []string{"abc"}},
		{`{"name":"x"}`, []string{`{"name":"x"}`}},
	}
	for _, tt := range tests {
		var got []string
		for _, part := range known.Telling([]byte(tt.in)) {
			got = append(got, string(part))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
}
