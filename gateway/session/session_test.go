package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// shelf is a store and a book that reads it.
type shelf struct {
	t     *testing.T
	store bus.Engine
	book  *session.Book
}

func newShelf(t *testing.T) *shelf {
	s := inprocess.New(inprocess.Options{})
	return &shelf{t: t, store: s, book: session.NewBook(s)}
}

func (s *shelf) write(w []kv.Write, err error) {
	s.t.Helper()
	if err == nil {
		err = s.store.Write(s.t.Context(), w...)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) say(id session.ID, turn int64, role agent.Role, texts ...string) {
	s.t.Helper()
	var all []agent.Entry
	for _, text := range texts {
		all = append(all, agent.Entry{Role: role, Text: text})
	}
	s.write(s.book.Append(id, turn, all))
}

func (s *shelf) history(id session.ID) []string {
	s.t.Helper()
	m, err := s.book.Meta(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := s.book.History(s.t.Context(), id, m)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		out = append(out, e.Text)
	}
	return out
}

func room(name string) channels.Address {
	return channels.Address{Channel: "c", Account: "a", Conversation: channels.ConversationID(name)}
}

func in(workspace string, at channels.Address, member string, direct bool) scope.Scope {
	return scope.New(scope.Principal{
		Workspace: workspace, Channel: string(at.Channel), Account: string(at.Account), Conversation: at.Order(),
		Member: member, Role: scope.Guest, Direct: direct,
	})
}

// TestSessionsAreApart: two scopes share a session only if they speak in the
// same room, or are the same person in the same direct chat; and no session's
// keys are found under another's.
func TestSessionsAreApart(t *testing.T) {
	name := rapid.StringOf(rapid.SampledFrom([]rune("ab|/!%21 .")))
	some := rapid.Custom(func(t *rapid.T) scope.Principal {
		at := channels.Address{
			Channel: channels.ID(name.Draw(t, "channel")), Conversation: channels.ConversationID(name.Draw(t, "conversation")),
			Thread: channels.ThreadID(name.Draw(t, "thread")),
		}
		return in("w"+name.Draw(t, "workspace"), at, "m"+name.Draw(t, "member"), rapid.Bool().Draw(t, "direct")).Principal()
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := some.Draw(t, "a"), some.Draw(t, "b")
		same := a.Workspace == b.Workspace && a.Conversation == b.Conversation && a.Direct == b.Direct && (!a.Direct || a.Member == b.Member)
		x, y := session.Of(scope.New(a)), session.Of(scope.New(b))
		if same != (x == y) {
			t.Fatalf("%+v has %q, %+v has %q", a, x, b, y)
		}
		if x != y && strings.HasPrefix(string(y)+"!", string(x)+"!") {
			t.Fatalf("the keys of %q are found under %q", y, x)
		}
	})
	if id := session.Of(scope.Scope{}); id != "" {
		t.Errorf("a scope that denies has the session %q", id)
	}
}

func TestHistory(t *testing.T) {
	s := newShelf(t)
	id := session.Of(in("w", room("r"), "m", false))
	other := session.Of(in("w", room("r2"), "m", false))
	s.say(id, 9, agent.User, "1", "2")
	s.say(id, 0x10, agent.User, "3")
	s.say(other, 0x11, agent.User, "elsewhere")
	if d := cmp.Diff([]string{"1", "2", "3"}, s.history(id)); d != "" {
		t.Error(d)
	}
	s.say(id, 0x100, agent.Summary, "so far")
	s.say(id, 0x101, agent.User, "4")
	if d := cmp.Diff([]string{"so far", "4"}, s.history(id)); d != "" {
		t.Error(d)
	}
}

// unwatched is a store that does not tell of changes.
type unwatched struct{ kv.Reader }

// TestCacheKeepsUp: a book that has read a session before shows what one shows
// that has not, whether the store tells it of changes or not; and where it does,
// nothing is read again.
func TestCacheKeepsUp(t *testing.T) {
	id := session.Of(in("w", room("r"), "m", true))
	rapid.Check(t, func(rt *rapid.T) {
		store := inprocess.New(inprocess.Options{})
		watched := &reads{Reader: store, Watcher: store}
		books := map[string]*session.Book{"watched": session.NewBook(watched), "unwatched": session.NewBook(unwatched{store})}
		turn := int64(100)
		look := func(rt *rapid.T) {
			want, err := session.NewBook(unwatched{store}).History(rt.Context(), id, session.Meta{})
			if err != nil {
				rt.Fatal(err)
			}
			for name, b := range books {
				got, err := b.History(rt.Context(), id, session.Meta{})
				if d := cmp.Diff(append([]agent.Entry{}, want...), append([]agent.Entry{}, got...)); d != "" || err != nil {
					rt.Fatalf("%s: %v\n%s", name, err, d)
				}
			}
		}
		add := func(rt *rapid.T, at int64) {
			role := rapid.SampledFrom([]agent.Role{agent.User, agent.Assistant, agent.Summary}).Draw(rt, "role")
			all := []agent.Entry{{Role: role, Text: fmt.Sprint(at)}, {Role: agent.Assistant, Text: "answer"}}
			for _, b := range books { // each is told, as in a process of its own
				w, err := b.Append(id, at, all)
				if err == nil {
					err = store.Write(rt.Context(), w...)
				}
				if err != nil {
					rt.Fatal(err)
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"turn": func(rt *rapid.T) {
				turn++
				add(rt, turn)
				before := watched.n
				look(rt)
				look(rt)
				if watched.n > before+2 { // the two that a session takes which was not read yet
					rt.Fatalf("%d reads", watched.n-before)
				}
			},
			"replayed": func(rt *rapid.T) {
				add(rt, rapid.Int64Range(1, turn).Draw(rt, "at"))
				look(rt)
			},
		})
	})
}

// reads counts what is read.
type reads struct {
	kv.Reader
	kv.Watcher
	n int
}

func (r *reads) List(ctx context.Context, space, prefix, after string, limit int) ([]kv.Entry, error) {
	r.n++
	return r.Reader.List(ctx, space, prefix, after, limit)
}

func (r *reads) Latest(ctx context.Context, space, prefix string, n int) ([]kv.Entry, error) {
	r.n++
	return r.Reader.Latest(ctx, space, prefix, n)
}

// TestCacheForgets: entries that are removed are no longer shown.
func TestCacheForgets(t *testing.T) {
	s := newShelf(t)
	id := session.Of(in("w", room("r"), "m", true))
	for i := range 4 {
		s.say(id, int64(i), agent.User, fmt.Sprint(i))
	}
	s.history(id)
	for _, r := range rows(t, s.store, "session")[2:] {
		s.write([]kv.Write{{Space: "session", Key: r.Key}}, nil)
	}
	if d := cmp.Diff([]string{"0", "1"}, s.history(id)); d != "" {
		t.Error(d)
	}
	s.write([]kv.Write{{Space: "session", Key: rows(t, s.store, "session")[0].Key}}, nil)
	if d := cmp.Diff([]string{"1"}, s.history(id)); d != "" {
		t.Error(d)
	}
}

// TestNothingIsForgottenBeforeTheSummary: however many short messages follow
// it, the summary is still there.
func TestNothingIsForgottenBeforeTheSummary(t *testing.T) {
	for _, cached := range []bool{false, true} {
		s := newShelf(t)
		id := session.Of(in("w", room("r"), "m", false))
		s.say(id, 1, agent.Summary, "so far")
		for i := range 900 {
			s.say(id, int64(i+2), agent.User, fmt.Sprint(i))
			if cached {
				s.history(id)
			}
		}
		if got := s.history(id); len(got) != 901 || got[0] != "so far" {
			t.Errorf("cached %v: %d entries that begin with %q", cached, len(got), got[0])
		}
	}
}

func TestReset(t *testing.T) {
	s := newShelf(t)
	id := session.Of(in("w", room("r"), "m", true))
	s.say(id, 1, agent.User, "1")
	m, err := s.book.Meta(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	m.Model = "other"
	one := func(w kv.Write, err error) { t.Helper(); s.write([]kv.Write{w}, err) }
	one(session.Save(id, m))
	if m, err = s.book.Meta(t.Context(), id); err != nil || m.Model != "other" {
		t.Fatal(m, err)
	}
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	one(session.Reset(id, m, 1, at))
	if got := s.history(id); got != nil {
		t.Errorf("after /new: %q", got)
	}
	s.say(id, 2, agent.User, "2")
	if d := cmp.Diff([]string{"2"}, s.history(id)); d != "" {
		t.Error(d)
	}
	now, err := s.book.Meta(t.Context(), id)
	if err != nil || now.Model != "other" || !now.Since.Equal(at) {
		t.Errorf("%+v, %v", now, err)
	}
	// What was decided on an old reading does not undo the reset.
	w, err := session.Save(id, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Write(t.Context(), w); err == nil {
		t.Error("a stale choice undid /new")
	}
}

func heard(from, n int) []session.Heard {
	var all []session.Heard
	for i := from; i < from+n; i++ {
		e := channels.Event{
			Key: fmt.Sprint(i), Where: room("r"), Content: channels.Message{Text: fmt.Sprint(i)},
			Raw: []byte(`{"secret":"raw"}`), Via: &channels.Via{Token: channels.NewSecret("token")},
		}
		all = append(all, session.Heard{Seq: int64(i), Event: e})
	}
	return all
}

func (s *shelf) background(fresh []session.Heard) []string {
	s.t.Helper()
	all, forget, err := s.book.Background(s.t.Context(), room("r"), fresh)
	s.write(forget, err)
	var out []string
	for _, e := range all {
		out = append(out, e.Content.(channels.Message).Text)
	}
	return out
}

func rows(t *testing.T, s kv.Reader, space string) []kv.Entry {
	t.Helper()
	all, err := s.List(t.Context(), space, "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestOverheardIsBounded: of what was not meant for the bot the last 50
// messages are kept, in whatever portions they come, and all of it is forgotten
// once a turn has taken it up.
func TestOverheardIsBounded(t *testing.T) {
	for _, portion := range []int{1, 7, 50, 120} {
		s := newShelf(t)
		for i := 0; i < 240; i += portion {
			s.write(s.book.Overheard(t.Context(), room("r"), heard(i, min(portion, 240-i))))
			if n := len(rows(t, s.store, "room")); n > session.MaxBackground {
				t.Fatalf("%d are kept", n)
			}
		}
		for _, r := range rows(t, s.store, "room") {
			if strings.Contains(string(r.Value), "token") || strings.Contains(string(r.Value), "raw") {
				t.Fatalf("kept with its reply path or its original: %s", r.Value)
			}
		}
		got := s.background(heard(240, 10))
		if len(got) != session.MaxBackground || got[0] != "200" || got[49] != "249" {
			t.Errorf("in portions of %d: %q", portion, got)
		}
		if left := s.background(nil); len(left) != 0 {
			t.Errorf("in portions of %d %d are left", portion, len(left))
		}
	}
}

func TestMove(t *testing.T) {
	s := newShelf(t)
	from, to := session.Of(in("w", room("r"), "m", false)), session.Of(in("w", room("new"), "m", false))
	s.say(from, 1, agent.User, "0")
	m, err := s.book.Meta(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	w, err := session.Reset(from, m, 1, time.Time{})
	s.write([]kv.Write{w}, err)
	s.say(from, 2, agent.User, "1", "2")
	s.write(s.book.Overheard(t.Context(), room("r"), heard(3, 2)))
	s.history(to) // it is known to be empty
	s.write(s.book.Move(t.Context(), "w", room("r"), room("new")))
	s.say(to, 5, agent.User, "3")
	if d := cmp.Diff([]string{"1", "2", "3"}, s.history(to)); d != "" {
		t.Error(d)
	}
	if got := s.history(from); len(got) != 0 {
		t.Errorf("the old room still has %q", got)
	}
	all, _, err := s.book.Background(t.Context(), room("new"), nil)
	if err != nil || len(all) != 2 {
		t.Errorf("%d overheard messages moved along, %v", len(all), err)
	}
}
