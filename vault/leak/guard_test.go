package leak_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

const secret = "Zx81-qP4vT7mK2w.B9rL0yNc3GhJ6dSf"

func guard(t testing.TB, values ...string) *leak.Guard {
	t.Helper()
	g, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		g.Learn([]byte(v))
	}
	return g
}

func key() string { return "gh" + "p_q8Xw2mZk4T9bVn3Rj7Lc5Hd1Fs6Gy0Pa2KeM" }

func TestRedact(t *testing.T) {
	g := guard(t, secret, "tiny")
	tests := []struct{ in, want string }{
		{"", ""},
		{"Hello, how are you?", "Hello, how are you?"},
		{"it is " + secret + "!", "it is [secret]!"},
		{"it is " + key() + " or " + secret + ".", "it is [secret] or [secret]."},
		{"token=" + key() + secret, "token=[secret]"},
		{"base64: " + base64.StdEncoding.EncodeToString([]byte(secret)), "base64: [secret]="},
		{"a tiny [secret]", "a tiny [secret]"},
	}
	for _, tt := range tests {
		if got := g.Redact("", tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
		if g.Holds([]byte(tt.in)) != (tt.in != tt.want) {
			t.Errorf("%q: Holds disagrees", tt.in)
		}
	}
	if got := g.RedactKnown("it is " + key() + " or " + secret + "."); got != "it is "+key()+" or [secret]." {
		t.Errorf("of a person's words: %q", got)
	}
	var none *leak.Guard
	if none.RedactKnown(secret) != secret || g.RedactKnown("hello") != "hello" {
		t.Error("RedactKnown hides too much")
	}
	none.Learn([]byte(secret))
	if none.Redact("a", secret) != secret || none.RedactDraft("a", secret) != secret || none.Holds([]byte(secret)) {
		t.Error("a nil guard finds something")
	}
}

// A value of 20 characters, so that neither half is enough by itself.
const short = "q8Xw2mZk4T9bVn3Rj7Lc"

func TestInvariant02AValueInTwoPieces(t *testing.T) {
	g := guard(t, short)
	if got := g.Redact("room", "the first half is "+short[:10]); !strings.HasSuffix(got, short[:10]) {
		t.Errorf("half a value is hidden: %q", got)
	}
	if got := g.Redact("elsewhere", short[10:]); got != short[10:] {
		t.Errorf("another sink's past counts: %q", got)
	}
	if got := g.Redact("room", short[10:]+" was the rest"); got != "[secret] was the rest" {
		t.Errorf("the second half: %q", got)
	}
	if got := g.Redact("", short[:10]) + g.Redact("", short[10:]); got != short {
		t.Errorf("no sink has a past: %q", got)
	}
	for i := 0; i < len(short); i += 5 { // four pieces
		got := g.Redact("pieces", short[i:i+5])
		if i >= 10 && got != "[secret]" {
			t.Errorf("piece at %d: %q", i, got)
		}
	}
}

func TestTailsOfManySinks(t *testing.T) {
	g := guard(t, short)
	g.Redact("first", short[:10])
	for i := range 1100 {
		g.Redact(fmt.Sprint(i), "x")
	}
	if got := g.Redact("first", short[10:]); got != short[10:] {
		t.Errorf("the oldest tail is still there: %q", got)
	}
	g.Redact("kept", short[:10])
	g.Redact("kept", strings.Repeat(" ", 300))
	if got := g.Redact("kept", short[10:]); got != "[secret]" {
		t.Errorf("a gap of blanks: %q", got)
	}
	for _, gap := range [][]int{{600}, {512}, {511}, {300, 300}, {1, 511}} {
		g.Redact("kept", short[:10])
		for _, n := range gap {
			g.Redact("kept", strings.Repeat(" ", n))
		}
		if got := g.Redact("kept", short[10:]); got != short[10:] {
			t.Errorf("the tail is longer than it should be: %v, %q", gap, got)
		}
	}
}

// What was hidden in one piece is not said again with the next.
func TestAHiddenValueIsPast(t *testing.T) {
	g := guard(t, secret)
	for _, text := range []string{secret, "it was " + secret} {
		if got := g.Redact("room", text); !strings.HasSuffix(got, "[secret]") {
			t.Errorf("got %q", got)
		}
		if got := g.Redact("room", " and no more"); got != " and no more" {
			t.Errorf("the next piece: %q", got)
		}
	}
}

func TestCrosses(t *testing.T) {
	g := guard(t, short)
	if g.Crosses("room", "hello "+short[:10]) {
		t.Error("half a value crosses")
	}
	if g.Crosses("elsewhere", short[10:]) || !g.Crosses("room", short[10:]) {
		t.Error("the other half belongs to its room")
	}
	if !g.Crosses("", short) || (*leak.Guard)(nil).Crosses("room", short) {
		t.Error("a whole value crosses, and nothing for a nil guard")
	}
}

// A value that was replaced is known for a day more.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard(t)
		g.LearnAs("bot", []byte(secret))
		g.LearnAs("other", []byte(short))
		g.Forget("bot")
		time.Sleep(leak.Lingers - time.Minute)
		if !g.Holds([]byte(secret)) {
			t.Error("forgotten too early")
		}
		time.Sleep(2 * time.Minute)
		if g.Holds([]byte(secret)) || !g.Holds([]byte(short)) {
			t.Error("it is not forgotten, or another is")
		}
		(*leak.Guard)(nil).Forget("bot")
	})
}

func TestDrafts(t *testing.T) {
	g := guard(t, secret)
	tests := []struct{ in, want string }{
		{"The key is Zx81-qP4", "The key is "},
		{"The key is " + secret, "The key is "},
		{"The key is " + secret + " I think", "The key is [secret] I "},
		{"Schöne Grüße! ", "Schöne Grüße! "},
		{"こんにちは世界", "こんにちは世界"},
		{"it begins with azAZ09", "it begins with "},
		{"it begins with +/_-.:=~%\\&#;", "it begins with "},
		{"whole@", "whole@"},
		{"whole[", "whole["},
		{"whole`", "whole`"},
		{"whole{", "whole{"},
		{"whole!", "whole!"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := g.RedactDraft("", tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
	shown := ""
	for i := range len(secret) {
		shown += g.RedactDraft("edits", "Look: "+secret[:i]) + "\n"
	}
	if strings.Contains(shown, secret[:4]) {
		t.Errorf("drafts show parts: %q", shown)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestInvariant02Logs(t *testing.T) {
	g := guard(t, secret, short)
	var out bytes.Buffer
	w := g.Writer(&out)
	log := slog.New(slog.NewJSONHandler(w, nil))
	log.Info("failed", "err", errors.New("GET /bot"+secret))
	if strings.Contains(out.String(), secret) || !strings.Contains(out.String(), "GET /bot[secret]") {
		t.Errorf("got %s", &out)
	}
	out.Reset()
	_, _ = io.WriteString(w, short[:10]+"\n")
	_, _ = io.WriteString(w, short[10:]+"\n")
	if strings.Contains(out.String(), short[10:]) {
		t.Errorf("two lines: %s", &out)
	}
	if n, err := w.Write([]byte(secret)); n != len(secret) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, err := g.Writer(broken{}).Write([]byte(secret)); n != 0 || err == nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	out.Reset()
	var none *leak.Guard
	_, _ = none.Writer(&out).Write([]byte(secret))
	if out.String() != secret {
		t.Errorf("a nil guard: %s", &out)
	}
}

// pieces is a body of which a read yields one piece. It bears no reads that lead
// nowhere: with no room, or behind its end.
type pieces struct {
	left  []string
	ended bool
}

func body(all ...string) io.ReadCloser { return &pieces{left: slices.Clone(all)} }

func (b *pieces) Close() error { return nil }

func (b *pieces) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		panic("read with no room")
	case b.ended:
		panic("read behind its end")
	case len(b.left) == 0:
		b.ended = true
		return 0, io.EOF
	}
	n := copy(p, b.left[0])
	if b.left[0] = b.left[0][n:]; b.left[0] == "" {
		b.left = b.left[1:]
	}
	return n, nil
}

// readAll is io.ReadAll for a reader that may not yield nothing without end.
func readAll(r io.Reader) ([]byte, error) {
	var all []byte
	buf := make([]byte, 8<<10)
	for empty := 0; empty < 100; empty++ {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		case n > 0:
			empty = 0
		}
	}
	return all, io.ErrNoProgress
}

func TestReader(t *testing.T) {
	g := guard(t, secret)
	b64 := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	tests := []struct {
		name   string
		pieces []string
		want   string
	}{
		{"nothing", nil, ""},
		{"plain", []string{"hello ", "world"}, "hello world"},
		{"whole", []string{"a " + secret + " b"}, "a [secret] b"},
		{"two pieces", []string{"a " + secret[:9], secret[9:] + " b"}, "a [secret] b"},
		{"single bytes", strings.Split("a "+secret+" b", ""), "a [secret] b"},
		{"base64 in pieces", slices.Collect(chunks(`{"a":"`+b64+`"}`, 7)), `{"a":"` + "dXNlc" + `[secret]"}`},
		{
			"long words",
			[]string{strings.Repeat("x", 20_000), secret, strings.Repeat("y", 20_000)},
			strings.Repeat("x", 20_000) + "[secret]" + strings.Repeat("y", 20_000),
		},
	}
	for _, tt := range tests {
		got, err := readAll(g.Reader(body(tt.pieces...)))
		if err != nil || string(got) != tt.want && tt.name != "base64 in pieces" {
			t.Errorf("%s: got %.200q, %v", tt.name, got, err)
		}
		if bytes.Contains(got, []byte(secret)) || bytes.Contains(got, []byte(b64[10:40])) {
			t.Errorf("%s: shows the value: %q", tt.name, got)
		}
		_, err = readAll(g.Barrier(body(tt.pieces...)))
		leaks := strings.Contains(tt.want, "[secret]")
		if errors.Is(err, leak.ErrLeak) != leaks || !leaks && err != nil {
			t.Errorf("%s: the barrier says %v", tt.name, err)
		}
	}
	if got, err := readAll(g.Reader(io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)))); len(got) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", got, err)
	}
	var none *leak.Guard
	for _, r := range []io.Reader{none.Reader(body(secret)), none.Barrier(body(secret))} {
		if got, _ := readAll(r); string(got) != secret {
			t.Errorf("a nil guard: %q", got)
		}
	}
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for c := range slices.Chunk([]byte(s), n) {
			if !yield(string(c)) {
				return
			}
		}
	}
}

// A stream of lines comes through as it comes in, also behind a secret.
func TestReaderDoesNotDelayLines(t *testing.T) {
	g := guard(t, secret)
	for in, want := range map[string]string{
		"data: {\"text\":\"hello\"}\n\n":                "data: {\"text\":\"hello\"}\n\n",
		"data: {\"text\":\"" + secret + " there\"}\n\n": "data: {\"text\":\"[secret] there\"}\n\n",
	} {
		synctest.Test(t, func(t *testing.T) { // in which a read that waits for more is a deadlock
			read, write := io.Pipe()
			r := g.Reader(read)
			go func() { _, _ = io.WriteString(write, in) }()
			buf := make([]byte, 100)
			n, err := r.Read(buf)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("got %q, %v", buf[:n], err)
			}
			_ = write.Close()
			if n, err := r.Read(nil); n != 0 || err != nil {
				t.Errorf("an empty read: %d, %v", n, err)
			}
			if n, err := r.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("the end: %d, %v", n, err)
			}
		})
	}
}

func TestStreamsProperty(t *testing.T) {
	g := guard(t, secret)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z \n"]{0,60}`).Draw(t, "before") + secret + rapid.StringMatching(`[ \n"][a-z ]{0,60}`).Draw(t, "after")
		pieces := slices.Collect(chunks(text, rapid.IntRange(1, len(text)).Draw(t, "size")))
		got, err := readAll(g.Reader(body(pieces...)))
		if err != nil || string(got) != strings.Replace(text, secret, leak.Hidden, 1) {
			t.Fatalf("got %q, %v of %q", got, err, text)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	g := guard(t)
	var wg sync.WaitGroup
	w := g.Writer(io.Discard)
	for i := range 8 {
		wg.Go(func() { g.Learn([]byte(secret)) })
		wg.Go(func() { g.Redact(fmt.Sprint(i%2), "x "+secret) })
		wg.Go(func() { _, _ = w.Write([]byte(secret)) })
	}
	wg.Wait()
}

// BenchmarkRedact states the slowest of a hundred calls beside the mean.
func BenchmarkRedact(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) string {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		out := make([]byte, n)
		for i := range out {
			out[i] = letters[r.IntN(len(letters))]
		}
		return string(out)
	}
	text := strings.Repeat("Here is what I have found: the train leaves at 9:41 from platform 7, and `kubectl get pods` lists them.\n", 40)
	for _, n := range []int{0, 1000} {
		g := guard(b)
		for range n {
			g.Learn([]byte(random(40)))
		}
		for _, size := range []int{200, 4096} {
			b.Run(fmt.Sprintf("secrets=%d/bytes=%d", n, size), func(b *testing.B) {
				cputest.Tail(b, func() { g.Redact("room", text[:size]) })
			})
		}
	}
}
