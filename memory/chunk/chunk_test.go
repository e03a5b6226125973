package chunk_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/chunk"
)

// cut shows chunks as "heading | text".
func cut(size chunk.Size, text string) []string {
	var got []string
	for _, c := range chunk.Cutter(size)(memory.Document, text) {
		got = append(got, c.Heading+" | "+c.Text)
	}
	return got
}

func TestStructure(t *testing.T) {
	words := func(n int) string { return strings.TrimSpace(strings.Repeat("word ", n)) }
	for _, c := range []struct {
		name string
		size chunk.Size
		text string
		want []string
	}{
		{"nothing", chunk.Size{}, " \n\n\t", nil},
		{"no word", chunk.Size{}, "--- ...\n\n!!!", nil},
		{"one line", chunk.Size{}, "The key is under the mat.", []string{" | The key is under the mat."}},
		{
			"paragraphs that fit stay together",
			chunk.Size{},
			"One.\n\nTwo.\n\n\nThree.\n",
			[]string{" | One.\n\nTwo.\n\n\nThree."},
		},
		{
			"a section is a chunk",
			chunk.Size{Tokens: 40},
			"# House\n\n" + words(10) + "\n\n## Garden ##\n\n" + words(10) + "\n\n# Car\n" + words(10),
			[]string{
				"House | # House\n\n" + words(10),
				"House > Garden | ## Garden ##\n\n" + words(10),
				"Car | # Car\n" + words(10),
			},
		},
		{
			"headings without a text go with what is below",
			chunk.Size{Tokens: 40},
			"# A\n\n## B\n\nText.",
			[]string{"A | # A\n\n## B\n\nText."},
		},
		{
			"underlined headings",
			chunk.Size{Tokens: 40},
			"House\n=====\n\n" + words(10) + "\n\nGarden\n------\n" + words(10),
			[]string{"House | House\n=====\n\n" + words(10), "House > Garden | Garden\n------\n" + words(10)},
		},
		{
			"code is not read as structure",
			chunk.Size{Tokens: 60},
			"# Run\n\n```sh\n# a comment\n\nmake run\n```\n\nDone.",
			[]string{"Run | # Run\n\n```sh\n# a comment\n\nmake run\n```\n\nDone."},
		},
		{
			"a number sign is not always a heading",
			chunk.Size{},
			"#1 is open\n####### seven",
			[]string{" | #1 is open\n####### seven"},
		},
		{
			"a long paragraph ends at sentences, and repeats the last",
			chunk.Size{Tokens: 16, Overlap: 5},
			"The garden is green. The house is white. The door is brown. The key is lost.",
			[]string{
				" | The garden is green. The house is white. The door is brown.",
				" | The door is brown. The key is lost.",
			},
		},
		{
			"long code ends at lines",
			chunk.Size{Tokens: 14},
			"```\nalpha := one()\nbravo := two()\ncharlie := three()\n```",
			[]string{" | ```\nalpha := one()\nbravo := two()", " | charlie := three()\n```"},
		},
		{
			"Japanese ends at sentences",
			chunk.Size{Tokens: 14},
			"庭は緑です。家は白いです。戸は茶色です。鍵はありません。",
			[]string{" | 庭は緑です。家は白いです。", " | 戸は茶色です。鍵はありません。"},
		},
		{
			"a quotation keeps its end",
			chunk.Size{Tokens: 12},
			"「庭は緑です。」家は白いです。",
			[]string{" | 「庭は緑です。」", " | 家は白いです。"},
		},
		{
			"Chinese without a full stop is cut anywhere",
			chunk.Size{Tokens: 4},
			"花园是绿色的房子",
			[]string{" | 花园是绿", " | 色的房子"},
		},
		{
			"a mark stays with its letter",
			chunk.Size{Tokens: 1},
			"ae\u0301ae\u0301ae\u0301",
			[]string{" | ae\u0301a", " | e\u0301a", " | e\u0301"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cut(c.size, c.text)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestAHeadingIsNotRepeatedInFull(t *testing.T) {
	text := "# " + strings.Repeat("ß", 5000) + "\n\n" + strings.Repeat("word ", 500)
	for _, c := range chunk.Cutter(chunk.Size{Tokens: 50})(memory.Document, text) {
		if n := utf8.RuneCountInString(c.Heading); n > 100 {
			t.Fatalf("the heading of chunk %d has %d runes", c.Index, n)
		}
	}
}

func TestTokens(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "a": 1, "The garden is green.": 5, "庭は緑です。": 6, "2026-11-21": 4, "Привет, мир": 5, "\xff\xff": 2,
	} {
		if got := chunk.Tokens(text); got != want {
			t.Errorf("Tokens(%q) = %d, want %d", text, got, want)
		}
	}
}

// check fails unless chunks are what the contract promises of them.
func check(text string, size chunk.Size) error {
	chunks := chunk.Cutter(size)(memory.Note, text)
	words := strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	if !words {
		if len(chunks) > 0 {
			return fmt.Errorf("%d chunks of a text without a word", len(chunks))
		}
		return nil
	}
	covered, begin := 0, -1
	for i, c := range chunks {
		switch {
		case c.Index != i:
			return fmt.Errorf("chunk %d has index %d", i, c.Index)
		case c.Start <= begin || c.End <= covered || c.End > len(text) || c.Start >= c.End:
			return fmt.Errorf("chunk %d is [%d, %d) after [%d, %d) of %d", i, c.Start, c.End, begin, covered, len(text))
		case c.Text != text[c.Start:c.End]:
			return fmt.Errorf("chunk %d is not what its offsets say", i)
		case c.Start > covered && strings.TrimSpace(text[covered:c.Start]) != "":
			return fmt.Errorf("%q is lost before chunk %d", text[covered:c.Start], i)
		case strings.TrimSpace(c.Text) != c.Text:
			return fmt.Errorf("chunk %d has white space at an end", i)
		case utf8.ValidString(text) && !utf8.ValidString(c.Text):
			return fmt.Errorf("chunk %d cuts a rune", i)
		case chunk.Tokens(c.Text) > size.Tokens+2:
			return fmt.Errorf("chunk %d has %d tokens of %d: %q", i, chunk.Tokens(c.Text), size.Tokens, c.Text)
		}
		covered, begin = c.End, c.Start
	}
	if rest := strings.TrimSpace(text[covered:]); rest != "" {
		return fmt.Errorf("%q is lost at the end", rest)
	}
	return nil
}

func TestNothingIsLost(t *testing.T) {
	part := rapid.OneOf(
		rapid.StringMatching(`[a-z ]{0,40}[.!?]? ?`),
		rapid.StringMatching(`#{1,7} [a-z]{0,10}\n`),
		rapid.SampledFrom([]string{
			"\n", "\n\n", "```\n", "~~~go\n", "===\n", "---\n", "庭は緑です。", "「はい。」", "花园是绿色的",
			"e\u0301", "👩‍👩‍👧", "\xff", "\u00a0", "\t", "    code()\n", "- item\n", "สวนเป็นสีเขียว",
		}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 60).Draw(t, "parts"), "")
		size := chunk.Size{Tokens: rapid.IntRange(3, 80).Draw(t, "tokens"), Overlap: rapid.IntRange(0, 50).Draw(t, "overlap")}
		if err := check(text, size); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCutter(f *testing.F) {
	f.Add("# A\n\ntext\n\n```\ncode\n```\n", 10, 3)
	f.Add("庭は緑です。\n===\n", 5, 9)
	f.Add("\xff\n~~~\n", 3, 0)
	f.Fuzz(func(t *testing.T, text string, tokens, overlap int) {
		if err := check(text, chunk.Size{Tokens: 3 + abs(tokens)%200, Overlap: overlap}); err != nil {
			t.Fatal(err)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

func BenchmarkCutter(b *testing.B) {
	text := strings.Repeat("## Section\n\n"+strings.Repeat("The garden is green and the house is white. ", 40)+"\n\n", 200)
	cutter := chunk.Cutter(chunk.Size{})
	b.SetBytes(int64(len(text)))
	n := 0
	for b.Loop() {
		n += len(cutter(memory.Document, text))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "chunks/s")
}
