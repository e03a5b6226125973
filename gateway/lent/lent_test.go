package lent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/lent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

var (
	key   = channels.NewSecret("the channel's own")
	began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	loan  = lent.Loan{
		File: channels.File{Kind: channels.Video, Name: "a.mp4", MIME: "video/mp4", Size: 3, Blob: strings.Repeat("ab", 32)},
		To:   channels.Address{Channel: "line", Conversation: "U1"}, Part: "t1/r000#0",
	}
)

// newBook is an empty book whose clock the test moves.
func newBook(t testing.TB) (lent.Book, *time.Time) {
	t.Helper()
	store := inprocess.New(inprocess.Options{})
	t.Cleanup(func() { _ = store.Close() })
	now := began
	return lent.Book{Store: store, Now: func() time.Time { return now }}, &now
}

func lend(t testing.TB, b lent.Book) string {
	t.Helper()
	token, until, err := b.Lend(t.Context(), key, loan, time.Hour)
	if err != nil || !until.Equal(began.Add(time.Hour)) {
		t.Fatal(token, until, err)
	}
	return token
}

func TestLoan(t *testing.T) {
	b, now := newBook(t)
	token := lend(t, b)
	if other := lend(t, b); other == token {
		t.Error("two loans have one token")
	}
	got, err := b.Find(t.Context(), key, "line", token)
	want := loan
	want.Until = began.Add(time.Hour)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	*now = began.Add(time.Hour - time.Nanosecond)
	if _, err := b.Find(t.Context(), key, "line", token); err != nil {
		t.Errorf("in its last moment: %v", err)
	}
	*now = began.Add(time.Hour)
	if _, err := b.Find(t.Context(), key, "line", token); !errors.Is(err, lent.ErrNone) {
		t.Errorf("when its time is over: %v", err)
	}
}

// TestNoLoan: nothing else than the token, with the key and the channel that it
// was made with, finds a loan; and all that is wrong is wrong in the same way.
func TestNoLoan(t *testing.T) {
	b, _ := newBook(t)
	token := lend(t, b)
	none := func(name string, key channels.Secret, id channels.ID, token string) {
		if got, err := b.Find(t.Context(), key, id, token); !errors.Is(err, lent.ErrNone) || got.File.Blob != "" {
			t.Errorf("%s finds %+v, %v", name, got, err)
		}
	}
	none("another channel", key, "other", token)
	none("another key", channels.NewSecret("another"), "line", token)
	none("no key", channels.Secret{}, "line", token)
	none("nothing", key, "line", "")
	none("a longer one", key, "line", token+"A")
	none("a shorter one", key, "line", token[1:])
	none("padding", key, "line", token[:len(token)-1]+"=")
	none("a line's end", key, "line", token[:len(token)-1]+"\n")
	for i := range token {
		for _, c := range "A_-9" {
			if changed := token[:i] + string(c) + token[i+1:]; changed != token {
				none("a changed letter", key, "line", changed)
			}
		}
	}
	rows, err := b.Store.List(t.Context(), lent.Space, "", "", 0)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if strings.Contains(token, rows[0].Key) {
		t.Error("who can read the state can make a link")
	}
	if err := b.Store.Write(t.Context(), kv.Write{Space: lent.Space, Key: rows[0].Key}); err != nil {
		t.Fatal(err)
	}
	none("a loan that was removed", key, "line", token)
}

func TestNothingIsLentForEver(t *testing.T) {
	b, _ := newBook(t)
	for _, keep := range []time.Duration{0, -time.Second, lent.Longest + 1} {
		if token, _, err := b.Lend(t.Context(), key, loan, keep); err == nil || token != "" {
			t.Errorf("for %v: %q", keep, token)
		}
	}
	if token, _, err := b.Lend(t.Context(), channels.Secret{}, loan, time.Hour); err == nil || token != "" {
		t.Errorf("without a key: %q", token)
	}
}

func TestOver(t *testing.T) {
	b, _ := newBook(t)
	lend(t, b)
	rows, err := b.Store.List(t.Context(), lent.Space, "", "", 0)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	for at, want := range map[time.Time]bool{began: false, began.Add(time.Hour - 1): false, began.Add(time.Hour): true} {
		if got := lent.Over(rows[0], at); got != want {
			t.Errorf("at %v: %v", at, got)
		}
	}
}

// FuzzToken: whatever stands in a link's place, only what was made finds a loan.
func FuzzToken(f *testing.F) {
	b, _ := newBook(f)
	token := lend(f, b)
	for _, s := range []string{token, token[:40], token + "=", "", strings.Repeat("A", len(token)), "../../etc/passwd", token + "/..", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := b.Find(t.Context(), key, "line", s)
		if (s == token) != (err == nil) || err != nil && !errors.Is(err, lent.ErrNone) {
			t.Fatalf("%q finds %+v, %v", s, got, err)
		}
	})
}
