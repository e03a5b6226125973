package session_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

var long = session.Keep{Idle: 365 * day, Replaced: 30 * day}

const day = 24 * time.Hour

// sayAt adds entries that were made at a time.
func (s *shelf) sayAt(id session.ID, turn int64, at time.Time, role agent.Role, texts ...string) {
	s.t.Helper()
	var all []agent.Entry
	for _, text := range texts {
		all = append(all, agent.Entry{At: at, Role: role, Text: text})
	}
	s.write(s.book.Append(id, turn, all))
}

// sweep walks through all sessions once and counts the portions.
func (s *shelf) sweep(keep session.Keep, now time.Time) (portions int) {
	s.t.Helper()
	after := ""
	for {
		old, next, err := s.book.Expired(s.t.Context(), after, keep, now)
		if len(old) > 501 {
			s.t.Errorf("%d writes at once", len(old))
		}
		s.write(old, err)
		if portions++; next == "" {
			return portions
		}
		after = next
	}
}

func (s *shelf) kept() []string {
	s.t.Helper()
	var out []string
	for _, r := range rows(s.t, s.store, "session") {
		var e agent.Entry
		if err := json.Unmarshal(r.Value, &e); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, e.Text)
	}
	return out
}

func TestReplacedHistoryExpires(t *testing.T) {
	now := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	s := newShelf(t)
	reset, summed, plain := session.Of(in("w", room("a"), "m", false)), session.Of(in("w", room("b"), "m", false)), session.Of(in("w", room("c"), "m", false))
	s.sayAt(reset, 1, now.Add(-40*day), agent.User, "before /new")
	s.sayAt(reset, 2, now.Add(-20*day), agent.User, "before /new, lately")
	m, err := s.book.Meta(t.Context(), reset)
	if err != nil {
		t.Fatal(err)
	}
	w, err := session.Reset(reset, m, 2, now.Add(-19*day))
	s.write([]kv.Write{w}, err)
	s.sayAt(reset, 3, now.Add(-18*day), agent.User, "after /new")
	s.sayAt(summed, 1, now.Add(-50*day), agent.User, "summarised")
	s.sayAt(summed, 2, now.Add(-45*day), agent.Summary, "an old summary")
	s.sayAt(summed, 3, now.Add(-44*day), agent.Summary, "the summary")
	s.sayAt(summed, 4, now.Add(-43*day), agent.User, "after it")
	s.sayAt(plain, 1, now.Add(-300*day), agent.User, "old, and it counts")

	before := s.history(summed)
	s.sweep(session.Keep{}, now)
	if n := len(s.kept()); n != 8 {
		t.Errorf("%d of 8 entries are left where all is kept for ever", n)
	}
	s.sweep(long, now)
	want := []string{"before /new, lately", "after /new", "the summary", "after it", "old, and it counts"}
	if d := cmp.Diff(want, s.kept()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before, s.history(summed)); d != "" {
		t.Errorf("what counts has changed:\n%s", d)
	}
}

func TestIdleSessionsExpire(t *testing.T) {
	now := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	s := newShelf(t)
	idle, used := session.Of(in("w", room("a"), "m", false)), session.Of(in("w", room("b"), "m", false))
	for i := range 1200 {
		s.sayAt(idle, int64(i), now.Add(-400*day), agent.User, fmt.Sprint(i))
	}
	s.sayAt(used, 1, now.Add(-400*day), agent.User, "long ago")
	s.sayAt(used, 2, now.Add(-day), agent.User, "yesterday")
	m, err := s.book.Meta(t.Context(), idle)
	if err != nil {
		t.Fatal(err)
	}
	w, err := session.Reset(idle, m, 3, now.Add(-400*day))
	s.write([]kv.Write{w}, err)
	s.history(idle)
	if n := s.sweep(long, now); n < 4 {
		t.Errorf("1200 entries were removed in %d portions", n)
	}
	if d := cmp.Diff([]string{"long ago", "yesterday"}, s.kept()); d != "" {
		t.Error(d)
	}
	if n := len(rows(t, s.store, "session-meta")); n != 0 {
		t.Errorf("%d metas are left", n)
	}
	if got := s.history(idle); len(got) != 0 {
		t.Errorf("the idle session still has %d entries", len(got))
	}
	s.sayAt(idle, 5000, now, agent.User, "again")
	if d := cmp.Diff([]string{"again"}, s.history(idle)); d != "" {
		t.Error(d)
	}
}
