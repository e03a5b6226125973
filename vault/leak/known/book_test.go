package known_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/vault/leak/known"
)

// hidden shows a text with what was found replaced.
func hidden(b *known.Book, text string) string {
	var out strings.Builder
	from := 0
	for _, s := range b.Find([]byte(text)) {
		out.WriteString(text[from:s.From] + "*")
		from = s.To
	}
	return out.String() + text[from:]
}

func taught(values ...string) *known.Book {
	b := known.New()
	for _, v := range values {
		b.Learn("", []byte(v))
	}
	return b
}

func TestFind(t *testing.T) {
	b := taught("123456:AA-the-value-0f-the-s3cret", "another-Value-0f-its-own", "tiny", "----------------", "пароль-который-длинный-1")
	tests := []struct{ in, want string }{
		{"", ""},
		{"nothing to see here, move along", "nothing to see here, move along"},
		{"GET /bot123456:AA-the-value-0f-the-s3cret/getMe", "GET /bot*/getMe"},
		{"123456:AA-the-value-0f-the-s3cret 123456:AA-the-value-0f-the-s3cret", "* *"},
		{"%31%32%33456%3AAA-THE-VALUE-0F-THE-S3CRET", "*"},
		{"123456%3AAA-THE-VALUE-0F-THE-S3CRET", "*"},
		{"a tiny one ----------------", "a tiny one ----------------"},
		{"x 56:AA-the-value y", "x * y"},
		{"x 6:AA-the-value y", "x 6:AA-the-value y"},
		{"мой ПАРОЛЬ который длинный 1!", "мой *!"},
	}
	for _, tt := range tests {
		if got := hidden(b, tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestWhatIsNoSecretInAValue(t *testing.T) {
	tests := []struct{ name, value, text, want string }{
		{"words that stand in a passphrase", "thank you for your letter 77", "Thank you for your help", "Thank you for your help"},
		{"many words of a passphrase", "thank you for your letter 77", "Thank you for your letter", "*"},
		{"nearly as many words of a passphrase", "thank you for your letter 77", "So thank you for your lett", "So thank you for your lett"},
		{"just as many words of a passphrase", "thank you for your letter 77", "So thank you for your lette", "So *"},
		{"words and a figure", "thank you for your letter 77", "So for your letter 7", "So *"},
		{"the shortest passphrase with words", "thank you for your help X", "thank you for your friends", "thank you for your friends"},
		{"a short passphrase", "correct horsey", "a correct horsey", "a *"},
		{
			"the frame of a key", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----",
			"-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----",
		},
		{
			"the key in the frame", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----",
			"it is MIIEvQIBADANBgkqhkiG9w0.", "it is *.",
		},
		{"the beginning of a kind", "sk-ant-api03-Qx7vR2mN9pL4", "they begin with sk-ant-api03-", "they begin with sk-ant-api03-"},
		{"a token's own part", "sk-ant-api03-Qx7vR2mN9pL4", "sk-ant-api03-Qx7vR2mN9pL4", "sk-ant-api03-*"},
		{
			"a token's header", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI5OTgxIn0.q8Xw2mZk4T", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
			"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
		},
		{"where a database is", "postgres://gate:p4ssw0rdQ2xx@database.example.com/gate", "see database.example.com", "see database.example.com"},
		{"a database's password", "postgres://gate:p4ssw0rdQ2xx@database.example.com/gate", "it is p4ssw0rdQ2xx", "it is *"},
		{
			"an account's public part", `{"type":"service_account","auth_uri":"https://accounts.example.com/o1/auth2","private_key":"q8Xw2mZk4Tq8Xw2"}`,
			"https://accounts.example.com/o1/auth2", "https://accounts.example.com/o1/auth2",
		},
		{"an account's key", `{"a":{"private_key":"q8Xw2mZk4Tq8Xw2"}}`, "q8Xw2mZk4Tq8Xw2", "*"},
		{"a document without telling names", `{"a":"q8Xw2mZk4Tq8Xw2"}`, "q8Xw2mZk4Tq8Xw2", "*"},
		{"signs only", "!#%&/()=?*+~-_.:", "it is !#%&/()=?*+~-_.: indeed", "it is * indeed"},
		{"signs in base64", "!#%&/()=?*+~-_.:", b64("x!#%&/()=?*+~-_.:"), "*"},
	}
	for _, tt := range tests {
		got := hidden(taught(tt.value), tt.text)
		if tt.name == "signs in base64" {
			if got == tt.text {
				t.Errorf("%s: missed", tt.name)
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Of a long value, as a key in a file is one, each piece of some length is
// found.
func TestLongValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	value := random(r, 8000)
	b := taught(value)
	for range 100 {
		at := r.IntN(len(value) - 16)
		if got := hidden(b, "<"+value[at:at+16]+">"); !strings.Contains(got, "*") {
			t.Fatalf("the piece at %d is missed", at)
		}
	}
}

func random(r *rand.Rand, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[r.IntN(len(letters))]
	}
	return string(out)
}

func TestFindProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[A-Za-z][0-9][a-z][A-Z][0-9a-zA-Z]{8,60}`).Draw(t, "value")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		text := before + "\n" + value + "\n" + after
		b := known.New()
		if b.Find([]byte(text)) != nil {
			t.Fatal("finds what it does not know")
		}
		b.Learn("", []byte(value))
		last := 0
		for _, s := range b.Find([]byte(text)) {
			if s.From < last || s.To <= s.From || s.To > len(text) {
				t.Fatalf("spans overlap or lie outside: %v", s)
			}
			last = s.To
		}
		if known.Window <= len(value) && kinds(value) >= 8 && strings.Contains(hidden(b, text), value) {
			t.Fatalf("%q is not found", value)
		}
	})
}

func kinds(s string) int {
	all := map[rune]bool{}
	for _, r := range s {
		all[r] = true
	}
	return len(all)
}

// corpus is text of the kind that people and models send: this repository.
func corpus(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	root := os.DirFS("../../..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ext := path.Ext(name); ext != ".go" && ext != ".md" && ext != ".sum" && ext != ".yaml" && ext != ".css" {
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

func TestNoFalseAlarms(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	b := known.New()
	for range 1000 {
		b.Learn("", []byte(random(r, 40)))
	}
	text := corpus(t)
	for range 20_000 {
		text = append(text, random(r, 40)+" "+b64(random(r, 12))+"\n"...)
	}
	for i := 0; i < len(text); i += 4 * 4096 { // a quarter, for the race detector's sake
		part := text[i:min(i+4096, len(text))]
		if found := b.Find(part); found != nil {
			t.Errorf("%q", part[found[0].From:found[0].To])
		}
	}
}

// What unpacks to far more than it is must neither take long nor hide a value.
func TestBombs(t *testing.T) {
	b := taught(secret)
	for _, text := range []string{
		gzipped(strings.Repeat("0", 64<<20)), b64(gzipped(strings.Repeat("a", 16<<20))),
		strings.Repeat("%25", 30_000), strings.Repeat("x\x9cx\x9c", 20_000), strings.Repeat(`\\`, 40_000),
	} {
		if b.Holds([]byte(text)) {
			t.Error("found something")
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	b := known.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { b.Learn("", []byte(fmt.Sprintf("%s-%d", secret, i))) })
		wg.Go(func() { b.Holds([]byte("GET /bot" + secret)) })
	}
	wg.Wait()
	if !b.Holds([]byte(secret)) {
		t.Error("not known")
	}
}

func FuzzFind(f *testing.F) {
	for _, e := range encodings {
		f.Add([]byte(e.encode(secret)))
	}
	b := taught(secret, "!#%&/()=?*+~-_.:")
	f.Fuzz(func(t *testing.T, text []byte) {
		kept := bytes.Clone(text)
		for _, s := range b.Find(text) {
			if s.From < 0 || s.To > len(text) || s.From >= s.To {
				t.Errorf("%v of %d", s, len(text))
			}
		}
		if !bytes.Equal(kept, text) {
			t.Error("the text was changed")
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	text := corpus(b)
	for _, n := range []int{0, 10, 1000} {
		book := known.New()
		for range n {
			book.Learn("", []byte(random(r, 40)))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(4096)
			at := 0
			for b.Loop() {
				if at += 4096; at+4096 > len(text) {
					at = 0
				}
				book.Holds(text[at : at+4096])
			}
		})
	}
}
