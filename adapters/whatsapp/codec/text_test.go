package codec_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

func TestCommonMark(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                   "plain",
		"*bold*":                  "**bold**",
		"a *b c* d":               "a **b c** d",
		"~gone~ _it_":             "~~gone~~ _it_",
		"*~both~*":                "**~~both~~**",
		"2*3*4":                   "2*3*4",
		"* not a mark*":           "* not a mark*",
		"*open":                   "*open",
		"*two\nlines*":            "*two\nlines*",
		"`*code*` *b*":            "`*code*` **b**",
		"```\n*code*\n``` ~s~":    "```\n*code*\n``` ~~s~~",
		"(*b*), *c*.":             "(**b**), **c**.",
		"**":                      "**",
		"":                        "",
		"*a* *b*":                 "**a** **b**",
		"snake_case and *ü* *漢字*": "snake_case and **ü** **漢字**",
	} {
		if got := codec.CommonMark(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	for in, want := range map[string]channels.Command{
		"/help":             {ID: "1", Name: "help"},
		"/Help me now":      {ID: "1", Name: "help", Args: "me now"},
		"/model\ngpt":       {ID: "1", Name: "model", Args: "gpt"},
		"/":                 {},
		"/usr/bin":          {},
		"no /help":          {},
		"/" + long() + " x": {},
	} {
		got, ok := codec.Command("1", in)
		if d := cmp.Diff(want, got); d != "" || ok != (want.Name != "") {
			t.Errorf("%q, %v:\n%s", in, ok, d)
		}
	}
}

func long() string { return strings.Repeat("x", 33) }

// FuzzCommonMark: marks are doubled, and nothing else is added or lost.
func FuzzCommonMark(f *testing.F) {
	for _, s := range []string{"*a*", "~*x*~ `*`", "***", "a*b*c ```*", "_*~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := codec.CommonMark(in)
		if utf8.ValidString(in) != utf8.ValidString(out) {
			t.Errorf("%q becomes %q", in, out)
		}
		bare := strings.NewReplacer("*", "", "~", "").Replace
		if bare(in) != bare(out) || len(out) > 2*len(in) {
			t.Errorf("%q becomes %q", in, out)
		}
	})
}
