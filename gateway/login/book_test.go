package login_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
)

func newBook(t *testing.T, c *clock) *login.Book {
	t.Helper()
	store := inprocess.New(inprocess.Options{})
	t.Cleanup(func() { _ = store.Close() })
	return login.NewBook(store, c.Now)
}

func enter(t *testing.T, b *login.Book, member string, from login.Visitor) string {
	t.Helper()
	link, err := b.Invite(t.Context(), member)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Redeem(t.Context(), link, from)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestListAndRevoke(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b := newBook(t, c)
	phone := enter(t, b, "owner", login.Visitor{Browser: "Safari on iPhone", Addr: "192.0.2.1"})
	c.add(2 * time.Hour)
	desk := enter(t, b, "m-ann", login.Visitor{Browser: "Firefox on Linux"})
	got, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := c.now.Add(-2 * time.Hour)
	want := []login.Session{
		{ID: login.ID(desk), Member: "m-ann", Created: c.now, Seen: c.now, Ends: c.now.Add(login.IdleLife), Browser: "Firefox on Linux"},
		{ID: login.ID(phone), Member: "owner", Created: began, Seen: began, Ends: began.Add(login.IdleLife), Browser: "Safari on iPhone", Addr: "192.0.2.1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the list:\n%s", d)
	}
	for _, id := range []string{"", "0", "000000000000", login.ID(phone)[:11]} {
		if err := b.Revoke(t.Context(), id); !errors.Is(err, login.ErrUnknown) {
			t.Errorf("revoke %q: %v", id, err)
		}
	}
	if err := b.Revoke(t.Context(), login.ID(phone)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Member(t.Context(), phone); !errors.Is(err, login.ErrNobody) {
		t.Errorf("the revoked session: %v", err)
	}
	if m, err := b.Member(t.Context(), desk); err != nil || m != "m-ann" {
		t.Errorf("the other session: %q, %v", m, err)
	}
	c.add(login.IdleLife)
	if all, err := b.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("sessions that are over are listed: %v, %v", all, err)
	}
}

func TestWhoLeavesIsLoggedOut(t *testing.T) {
	c := &clock{now: time.Now()}
	for _, whom := range []string{"m-ann", ""} {
		b := newBook(t, c)
		first, second := enter(t, b, "m-ann", login.Visitor{}), enter(t, b, "m-ann", login.Visitor{})
		owner := enter(t, b, "owner", login.Visitor{})
		link, err := b.Invite(t.Context(), "m-ann")
		if err != nil {
			t.Fatal(err)
		}
		n, err := b.RevokeMember(t.Context(), whom)
		if want := map[string]int{"m-ann": 2, "": 3}[whom]; err != nil || n != want {
			t.Errorf("%q: %d browsers were logged out, want %d (%v)", whom, n, want, err)
		}
		for _, s := range []string{first, second} {
			if _, err := b.Member(t.Context(), s); !errors.Is(err, login.ErrNobody) {
				t.Errorf("%q: still logged in: %v", whom, err)
			}
		}
		if _, err := b.Redeem(t.Context(), link, login.Visitor{}); !errors.Is(err, login.ErrUsed) {
			t.Errorf("%q: an old link still works: %v", whom, err)
		}
		if _, err := b.Member(t.Context(), owner); (err == nil) != (whom != "") {
			t.Errorf("%q: the owner: %v", whom, err)
		}
	}
}
