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
