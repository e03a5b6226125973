package vault_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestScrub(t *testing.T) {
	s := vault.NewScrubber()
	s.Learn([]byte(secret))
	s.Learn([]byte("another-value-entirely"))
	s.Learn([]byte("short"))
	s.Learn([]byte("----------------"))
	tests := []struct{ in, want string }{
		{"", ""},
		{"nothing to see here, move along", "nothing to see here, move along"},
		{secret, "[secret]"},
		{"GET /bot" + secret + "/getMe", "GET /bot[secret]/getMe"},
		{secret + secret, "[secret]"},
		{secret + " " + secret, "[secret] [secret]"},
		{secret + "another-value-entirely", "[secret]"},
		{"x" + secret[:12] + "y", "x[secret]y"},
		{"x" + secret[:11] + "y", "x" + secret[:11] + "y"},
		{"x" + secret[5:25] + "y", "x[secret]y"},
		{strings.Replace(secret, ":", "%3A", 1), "123456%3A[secret]"},
		{"a short one", "a short one"},
		{"--------------------------------", "--------------------------------"},
		{"AA-the-value-0f-the-s3cret", "[secret]0f-the-s3cret"},
		{"AA-the-va1ue-0f-the-s3cret", "AA-the-va1ue-0f-the-s3cret"},
	}
	for _, tt := range tests {
		in := []byte(tt.in)
		if got := string(s.Scrub(in)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
		if string(in) != tt.in {
			t.Errorf("%q was changed", tt.in)
		}
	}
}

func TestScrubProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.ByteMin(128), 12, 60).Draw(t, "value")
		around := rapid.SliceOf(rapid.ByteMax(127))
		before, after := around.Draw(t, "before"), around.Draw(t, "after")
		s := vault.NewScrubber()
		text := bytes.Join([][]byte{before, value, after}, nil)
		if got := s.Scrub(text); !bytes.Equal(got, text) {
			t.Fatalf("hides what it does not know: %q", got)
		}
		s.Learn(value)
		got := s.Scrub(text)
		for i := range len(value) - 11 {
			if part := value[i : i+12]; different(part) >= 5 && bytes.Contains(got, part) {
				t.Fatalf("%q shows %q", got, part)
			}
		}
		if !bytes.HasPrefix(got, before) || !bytes.HasSuffix(got, after) {
			t.Fatalf("%q has lost what stands around", got)
		}
	})
}

// With many values learnt, some of a long text falls on the bitmap by chance.
func TestScrubLeavesOtherTextAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.UintN(256))
		}
		return b
	}
	s := vault.NewScrubber()
	for range 500 {
		s.Learn(text(50))
	}
	if long := text(1 << 20); !bytes.Equal(s.Scrub(long), long) {
		t.Error("something was hidden")
	}
}

func different(part []byte) int {
	known := map[byte]bool{}
	for _, c := range part {
		known[c] = true
	}
	return len(known)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestScrubbedLog(t *testing.T) {
	var out bytes.Buffer
	s := vault.NewScrubber()
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	open := func(s *vault.Scrubber) *vault.Store {
		v, err := vault.Open(t.Context(), vault.Options{State: state, Key: key, Scrub: s})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := open(s)
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	log := func(s *vault.Scrubber) string {
		out.Reset()
		slog.New(slog.NewJSONHandler(s.Writer(&out), nil)).Info("failed", "err", errors.New("GET /bot"+secret))
		return out.String()
	}
	if got := log(s); strings.Contains(got, secret) || !strings.Contains(got, "GET /bot[secret]") {
		t.Errorf("after Set: %s", got)
	}
	s = vault.NewScrubber()
	open(s)
	if got := log(s); strings.Contains(got, secret) {
		t.Errorf("after a restart: %s", got)
	}
	var none *vault.Scrubber
	none.Learn([]byte(secret))
	if got := log(none); !strings.Contains(got, secret) {
		t.Errorf("without a scrubber: %s", got)
	}
	if n, err := s.Writer(&out).Write([]byte(secret)); n != len(secret) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, err := s.Writer(broken{}).Write([]byte(secret)); n != 0 || err == nil {
		t.Errorf("wrote %d, %v", n, err)
	}
}

func TestScrubberIsSafeForConcurrentUse(t *testing.T) {
	s := vault.NewScrubber()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { s.Learn([]byte(secret)) })
		wg.Go(func() { s.Scrub([]byte("GET /bot" + secret)) })
	}
	wg.Wait()
	if got := string(s.Scrub([]byte(secret))); got != "[secret]" {
		t.Errorf("got %q", got)
	}
}

// BenchmarkScrub reads a log line of 300 bytes that holds nothing to hide.
func BenchmarkScrub(b *testing.B) {
	s := vault.NewScrubber()
	for i := range 100 {
		s.Learn([]byte(strings.Repeat(string(rune('a'+i%26)), i%7) + secret + strings.Repeat("x", i)))
	}
	line := bytes.Repeat([]byte("time=2030-01-02T03:04:05Z level=INFO msg=sent "), 7)[:300]
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		s.Scrub(line)
	}
}
