package pattern_test

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/vault/leak/pattern"
)

func load(t testing.TB) *pattern.Set {
	t.Helper()
	s, err := pattern.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hidden(s *pattern.Set, text string) string {
	var out strings.Builder
	from := 0
	for _, at := range s.Find([]byte(text)) {
		out.WriteString(text[from:at.From] + "*")
		from = at.To
	}
	return out.String() + text[from:]
}

// The tokens of this table are made up, and put together so that no scanner of
// sources takes this file for a leak.
func TestFind(t *testing.T) {
	s := load(t)
	tests := []struct{ name, in, want string }{
		{"nothing", "The key to good soup is patience, and a secret is stock.", ""},
		{"empty", "", ""},
		{"GitHub", "use gh" + "p_q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa2KeM please", "use * please"},
		{"GitHub in JSON", `{"t":"gh` + `p_q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa2KeM"}`, `{"t":"*"}`},
		{"GitHub, but dull", "gh" + "p_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""},
		{"AWS", "AKI" + "AQ5X7BM2KZ4RWN3TJ", "*"},
		{"AWS's own example", "AKI" + "AIOSFODNN7EXAMPLE", ""},
		{"Slack", "xox" + "b-2145678901-2145678902345-q8Xw2mZk4T9bVn3Rj7Lc5Hd1", "*"},
		{"Telegram", "the bot 7123456789:A" + "AEq8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa.", "the bot *."},
		{"Telegram in a URL", "/bot7123456789:A" + "AEq8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa/getMe", "/bot*/getMe"},
		{"Discord", "MTE2NzI4MzQ5NTAxMjM0NTY3" + ".GxY9zQ.q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa2KeMq", "*"},
		{"a version is no Discord token", "see 1.2345678.9 and a.b.c.d.e.f.g.h", ""},
		{"WhatsApp", "EA" + "AG" + strings.Repeat("q8Xw2mZk4T9bVn3R", 6), "*"},
		{"a database", "postgres://gate:q8Xw2mZk@db.example.com/gate", "postgres://gate:*@db.example.com/gate"},
		{"a database without a password", "postgres://gate@db.example.com/gate", ""},
		{"a database with an example", "postgres://user:password@localhost/x", ""},
		{"a database with a variable", "mysql://root:${PASSWORD}@localhost/x", ""},
		{"a private key", "-----BEGIN PRIVATE" + " KEY-----\n" + strings.Repeat("q8Xw2mZk4T9bVn3R\n", 60) + "-----END PRIVATE KEY-----", "*"},
		{"a web token", "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0", "*"},
		{"only the secret of an assignment", "dropbox_key = \"q8xw2mzk4t9bvn3\"\n", "dropbox_key = \"*\"\n"},
		{"two of them", "AKI" + "AQ5X7BM2KZ4RWN3TJ AKI" + "AQ5X7BM2KZ4RWN3TK", "* *"},
	}
	for _, tt := range tests {
		if tt.want == "" {
			tt.want = tt.in
		}
		if got := hidden(s, tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Each rule finds, in its window, whatever its own expression finds in the whole
// text.
func TestEveryRuleFindsItsKind(t *testing.T) {
	rules := load(t).Rules()
	if len(rules) < 200 {
		t.Fatalf("%d rules", len(rules))
	}
	anchors := regexp.MustCompile(`\\b|\\z|\$\)`)
	for _, r := range rules {
		if len(r.Keywords) == 0 {
			t.Errorf("%s has no keyword", r.ID)
		}
		one := r
		one.Allow, one.Entropy = nil, 0
		set, whole := pattern.NewSet(one), regexp.MustCompile(r.Regexp)
		// What a generator of texts cannot express is looked around the match.
		text := rapid.StringMatching(anchors.ReplaceAllStringFunc(r.Regexp, func(a string) string {
			if a == "$)" {
				return ")"
			}
			return ""
		}))
		found := 0
		for seed := range 8 {
			in := strings.Repeat("Words. ", 100) + text.Example(seed) + "\n" + strings.Repeat(" words", 100)
			if !whole.MatchString(in) || strings.ContainsFunc(in, func(c rune) bool { return c >= 0x80 }) {
				continue // the long s and the Kelvin sign, which are s and k to an expression
			}
			if !slices.ContainsFunc(r.Keywords, func(k string) bool { return strings.Contains(strings.ToLower(in), k) }) {
				continue // a few rules ask for the service's name nearby
			}
			if found++; set.Find([]byte(in)) == nil {
				t.Errorf("%s %q: missed in %q", r.ID, r.Keywords, in[700:len(in)-600])
				break
			}
		}
		if found == 0 && len(r.Regexp) < 400 {
			t.Logf("%s: no example", r.ID)
		}
	}
}

// TestRules: each thing that a rule can say, at its bounds.
func TestRules(t *testing.T) {
	words := func(r pattern.Rule, all ...string) pattern.Rule {
		r.ID, r.Keywords = "test", all
		return r
	}
	tests := []struct {
		name     string
		rule     pattern.Rule
		in, want string
	}{
		{"the second of two groups took part", words(pattern.Rule{Regexp: `(?:a(x)|b(y))key`}, "key"), "-bykey-", "-b*key-"},
		{"a group at the text's first byte", words(pattern.Rule{Regexp: `(abc)key`}, "key"), "abckey", "*key"},
		{"the group that the rule names", words(pattern.Rule{Regexp: `(x)(y)key`, Group: 2}, "key"), "xykey", "x*key"},
		{"no group", words(pattern.Rule{Regexp: `xkey`}, "key"), "-xkey-", "-*-"},
		{"one letter again and again", words(pattern.Rule{Regexp: `(a+)key`}, "key"), "aaaakey", "*key"},
		{"as much entropy as is wanted at least is not more", words(pattern.Rule{Regexp: `([a-d]+)key`, Entropy: 2}, "key"), "abcdabcdkey", "abcdabcdkey"},
		{"a little less is wanted", words(pattern.Rule{Regexp: `([a-d]+)key`, Entropy: 1.9}, "key"), "abcdabcdkey", "*key"},
		{"an example", words(pattern.Rule{Regexp: `(a+)key`, Allow: []string{"^aaaa$"}}, "key"), "aaaakey aaakey", "aaaakey *key"},
		{"two that meet", words(pattern.Rule{Regexp: `key[a-z]`}, "key"), "-keyakeyb-", "-*-"},
		{"two that nearly meet", words(pattern.Rule{Regexp: `key[a-z]`}, "key"), "-keya keyb-", "-* *-"},
		{"all of it before the keyword", words(pattern.Rule{Regexp: `x{30}longkeyword`}, "longkeyword"), strings.Repeat("y", 99) + strings.Repeat("x", 30) + "longkeyword", strings.Repeat("y", 99) + "*"},
		{"all of it behind the keyword", words(pattern.Rule{Regexp: `longkeywordx{30}`}, "longkeyword"), "longkeyword" + strings.Repeat("x", 30) + "y", "*y"},
		{"a keyword in capitals", words(pattern.Rule{Regexp: `(?i)key[a-z]`}, "key"), "-KEYA-", "-*-"},
		{"what only lies where a capital of a hyphen would", words(pattern.Rule{Regexp: `(?s)a.b`}, "a-b"), "a\rb", "a\rb"},
		{"what only lies behind the letters", words(pattern.Rule{Regexp: `(?s)a.b`}, "a{b"), "a[b", "a[b"},
		{"a keyword that begins within another", words(pattern.Rule{Regexp: `bcx`}, "abcd", "bcx"), "-abcx-", "-a*-"},
		{"one that ends another", words(pattern.Rule{Regexp: `bc`}, "abcd", "bc"), "-abc-", "-a*-"},
		{"one far within another", words(pattern.Rule{Regexp: `cdez`}, "abcdef", "bcdey", "cdez"), "-abcdez-", "-ab*-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hidden(pattern.NewSet(tt.rule), tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestManyRulesAtOnce: what is found is in the order of the text, not of the rules.
func TestManyRulesAtOnce(t *testing.T) {
	var rules []pattern.Rule
	var in, want strings.Builder
	for i := range 20 {
		word := strings.Repeat("k", 3) + string(rune('a'+i))
		rules = append(rules, pattern.Rule{ID: word, Regexp: word + "[0-9]", Keywords: []string{word}})
		in.WriteString(word + "7 ")
		want.WriteString("* ")
	}
	slices.Reverse(rules)
	if got := hidden(pattern.NewSet(rules...), in.String()); got != want.String() {
		t.Errorf("got %q", got)
	}
}

func TestAgain(t *testing.T) {
	tests := []struct {
		text         string
		at, distance int
		want         bool
	}{
		{"a.bcdefg.", 1, 7, true},
		{"a.bcdefgh", 1, 7, false},
		{"a.bcdefg", 1, 7, false},
		{"a.b.", 3, 0, true},
		{".b.", 2, 2, false},
	}
	for _, tt := range tests {
		if got := pattern.Again([]byte(tt.text), tt.at, tt.distance); got != tt.want {
			t.Errorf("%q, %d, %d: %v", tt.text, tt.at, tt.distance, got)
		}
	}
}

func TestReach(t *testing.T) {
	tests := []struct {
		expression    string
		before, after int
	}{
		{"abc", 7, 7},
		{"ab{3}c|é", 9, 9},
		{"[a-z]{2,40}(x)?", 45, 45},
		{"a+", 256, 4096},
		{"a{300}", 256, 304},
		{"(", 256, 4096},
	}
	for _, tt := range tests {
		if before, after := pattern.Reach(tt.expression); before != tt.before || after != tt.after {
			t.Errorf("%s: %d, %d", tt.expression, before, after)
		}
	}
}

func corpus(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	root := os.DirFS("../../..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && strings.HasSuffix(name, "test") {
				return fs.SkipDir // emulators, which have tokens
			}
			return err
		}
		if ext := path.Ext(name); ext != ".go" && ext != ".md" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		out.Write(text)
		return err
	})
	if err != nil || out.Len() < 1<<20 {
		t.Fatalf("%d bytes, %v", out.Len(), err)
	}
	return out.Bytes()
}

// Sources and documents are the text in which most looks like a key. Fewer than
// one message of a thousand may be blocked without a reason.
func TestFalseBlocks(t *testing.T) {
	s, text := load(t), corpus(t)
	blocked, all := 0, 0
	for at := 0; at < len(text); at += 2048 {
		part := text[at:min(at+2048, len(text))]
		all++
		for _, f := range s.Find(part) {
			blocked++
			t.Logf("%q", part[f.From:f.To])
		}
	}
	if share := float64(blocked) / float64(all); share >= 0.001 || math.IsNaN(share) {
		t.Errorf("%d of %d blocks", blocked, all)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("gh" + "p_q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa2KeM")
	f.Add("curl -u a:b x\ncurl --user 'a:b' ")
	s := load(f)
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, at := range s.Find([]byte(text)) {
			if at.From < last || at.To <= at.From || at.To > len(text) {
				t.Errorf("%v of %d", at, len(text))
			}
			last = at.To
		}
	})
}

func BenchmarkFind(b *testing.B) {
	s, text := load(b), corpus(b)
	s.Find(text)
	cputest.Rate(b, len(text), func() { s.Find(text) })
}
