package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// acting notes as whom turns run, and answers with what was asked.
type acting struct {
	mu  sync.Mutex
	all []string
}

func (a *acting) Run(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
	a.mu.Lock()
	s := t.Scope
	m, _ := t.Events[0].Content.(channels.Message)
	_, what, _ := strings.Cut(m.Text, "\n\n")
	a.all = append(a.all, fmt.Sprintf("%s as %s, %s", what, s.Member(), s.Role()))
	a.mu.Unlock()
	return echo(ctx, t, p)
}

func (a *acting) runs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.all...)
}

func errandsLeft(t *testing.T, r *rig) int {
	t.Helper()
	rows, err := r.bus.List(t.Context(), "errand", "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

// idIn finds an errand's id in what was said.
func idIn(text string) string {
	_, rest, _ := strings.Cut(text, "/later cancel ")
	id, _, _ := strings.Cut(rest, " ")
	return id
}

// TestInvariant01ErrandsActAsTheirMaker: what runs in the background runs in the
// scope of the member who asked for it, as the gate mints it when it is due: once,
// also across restarts, and with the role that they have then.
func TestInvariant01ErrandsActAsTheirMaker(t *testing.T) {
	a, log := &acting{}, &recorded{}
	engine := inprocess.New(inprocess.Options{})
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner, p.engine, p.audit = a, engine, log
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o())
		id := r.join("anna", scope.Ordinary)
		r.join("bob", scope.Ordinary)
		r.accept(ordered("anna", "1", "later", "2h check the boiler"))
		if said := r.wait(3)[2]; !strings.Contains(said.Text, "I will take this up on") || said.To != "dm-anna" {
			t.Fatalf("said %+v", said)
		}
		r.after(time.Hour)
		if _, err := r.dir.SetRole(t.Context(), r.owner(), id, scope.Approver); err != nil {
			t.Fatal(err)
		}
		r.stop() // nothing runs when it is due
		<-time.After(90 * time.Minute)
		if got := a.runs(); len(got) != 0 {
			t.Fatalf("too early: %v", got)
		}
		r = newRig(t, o())
		said := r.wait(1)
		if said[0].To != "dm-anna" || !strings.Contains(said[0].Text, "asked you to take this up now") || !strings.Contains(said[0].Text, "check the boiler") {
			t.Errorf("said %+v", said)
		}
		r.after(24 * time.Hour)
		r.stop()
		r = newRig(t, o())
		r.after(time.Hour)
		r.stop()
		if d := cmp.Diff([]string{"check the boiler as " + id + ", approver"}, a.runs()); d != "" {
			t.Error(d)
		}
		var did []string
		for _, e := range log.all {
			if e.Kind == audit.Errand {
				did = append(did, e.Do+" "+e.For)
			}
		}
		if d := cmp.Diff([]string{"asked " + id, "begun " + id}, did); d != "" {
			t.Error(d)
		}
		_ = engine.Close()
	})
}

// TestInvariant01ErrandsEndWithTheirMaker: once somebody has left, or the account
// belongs to nobody or to somebody else, what they asked for comes to nothing, and
// nobody is answered, not even with a pairing code.
func TestInvariant01ErrandsEndWithTheirMaker(t *testing.T) {
	for name, leave := range map[string]func(r *rig, id string) error{
		"removed": func(r *rig, id string) error {
			_, err := r.gw.RemoveMember(r.t.Context(), r.owner(), id)
			if n := errandsLeft(r.t, r); n != 0 {
				r.t.Errorf("%d errands are left", n)
			}
			return err
		},
		"erased": func(r *rig, id string) error {
			_, err := r.gw.EraseMember(r.t.Context(), r.owner(), id)
			return err
		},
		"unlinked": func(r *rig, _ string) error {
			return r.dir.Unlink(r.t.Context(), r.owner(), identity.Link{Channel: "chat", Sender: "anna"})
		},
		"linked to another": func(r *rig, id string) error {
			if err := r.dir.Unlink(r.t.Context(), r.owner(), identity.Link{Channel: "chat", Sender: "anna"}); err != nil {
				return err
			}
			code, _, err := r.dir.Invite(r.t.Context(), r.owner(), "another", scope.Admin)
			if err != nil {
				return err
			}
			n := len(r.chat.sent())
			r.accept(said("anna", "join-again", code))
			r.wait(n + 1)
			links, err := r.dir.Links(r.t.Context())
			if len(links) != 1 || links[0].Sender != "anna" || links[0].Member == id {
				r.t.Errorf("the links are %v", links)
			}
			return err
		},
		"a guest": func(r *rig, id string) error {
			_, err := r.dir.SetRole(r.t.Context(), r.owner(), id, scope.Guest)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := &acting{}
			o := func() rigOptions {
				p := pairs()
				p.agent.Runner = a
				return p
			}
			bubble(t, o, func(r *rig) {
				id := r.join("anna", scope.Ordinary)
				r.accept(ordered("anna", "1", "later", "every 1h send me my tickets"))
				r.wait(2)
				if err := leave(r, id); err != nil {
					t.Fatal(err)
				}
				r.settle()
				n := len(r.chat.sent())
				r.after(3 * time.Hour)
				want := 0
				if name == "a guest" { // still theirs, with the role that they have now
					want = 3
				}
				if got := a.runs(); len(got) != want || want > 0 && !strings.HasSuffix(got[0], ", guest") {
					t.Errorf("it ran: %v", got)
				}
				if got := r.chat.sent()[n:]; len(got) != want {
					t.Errorf("somebody was answered: %+v", got)
				}
			})
		})
	}
}

// TestErrandsComeAgain as long as nobody takes them back. Times that go by while
// no gateway runs are not made up for.
func TestErrandsComeAgain(t *testing.T) {
	a := &acting{}
	engine := inprocess.New(inprocess.Options{})
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner, p.engine = a, engine
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o())
		r.join("anna", scope.Ordinary)
		r.accept(ordered("anna", "1", "later", "every 1d what is new?"))
		id := idIn(r.wait(2)[1].Text)
		r.after(49 * time.Hour)
		if got := a.runs(); len(got) != 2 {
			t.Fatalf("%d runs in two days", len(got))
		}
		r.stop()
		<-time.After(10 * 24 * time.Hour)
		r = newRig(t, o())
		r.after(time.Minute)
		if got := a.runs(); len(got) != 3 {
			t.Errorf("%d runs after ten days without a gateway", len(got))
		}
		r.accept(ordered("anna", "2", "later", "cancel "+id), ordered("anna", "3", "later", "cancel "+id), ordered("anna", "4", "later", ""))
		said := r.wait(4)[1:]
		for i, want := range []string{"I will not take it up.", "nothing of this id", "There is nothing that I am to take up"} {
			if !strings.Contains(said[i].Text, want) {
				t.Errorf("said %q, want %q", said[i].Text, want)
			}
		}
		r.after(72 * time.Hour)
		if got := a.runs(); len(got) != 3 {
			t.Errorf("%d runs after it was cancelled", len(got))
		}
		r.stop()
		_ = engine.Close()
	})
}

// TestErrandsOfTwoGateways are taken up by one of them.
func TestErrandsOfTwoGateways(t *testing.T) {
	a := &acting{}
	engine := inprocess.New(inprocess.Options{})
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner, p.engine, p.others = a, engine, true
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o())
		r.join("anna", scope.Ordinary)
		r.accept(ordered("anna", "1", "later", "every 1h look"))
		r.wait(2)
		other := newRig(t, o())
		r.after(10*time.Hour + 30*time.Minute)
		if got := a.runs(); len(got) != 10 {
			t.Errorf("%d runs in ten hours", len(got))
		}
		if n := len(r.chat.sent()) + len(other.chat.sent()); n != 12 {
			t.Errorf("%d messages were sent", n)
		}
		r.stop()
		other.stop()
		_ = engine.Close()
	})
}

// What is asked for a time of day comes at that time, in the gateway's zone, and the
// answer names both.
func TestLaterAtATimeOfDay(t *testing.T) {
	a := &acting{}
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner = a
		return p
	}
	bubble(t, o, func(r *rig) {
		id := r.join("anna", scope.Ordinary)
		now := time.Now().UTC()
		due := time.Date(now.Year(), now.Month(), now.Day()+1, 9, 0, 0, 0, time.UTC)
		n := len(r.chat.sent())
		r.accept(ordered("anna", "1", "later", "tomorrow 9:00 call Ada"))
		if got, want := r.wait(n + 1)[n].Text, due.Format("Monday, 2 January 2006 at 15:04 UTC"); !strings.Contains(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
		r.after(time.Until(due) - time.Minute)
		if got := a.runs(); len(got) != 0 {
			t.Errorf("too early: %v", got)
		}
		r.after(2 * time.Minute)
		if d := cmp.Diff([]string{"call Ada as " + id + ", member"}, a.runs()); d != "" {
			t.Error(d)
		}
	})
}

// TestWhoMayAskForLater: members, for so much and no more; a room shows nothing of
// what was asked elsewhere.
func TestWhoMayAskForLater(t *testing.T) {
	o := func() rigOptions {
		return rigOptions{policy: identity.Policy{DM: identity.DMOpen, Groups: identity.GroupsOpen}}
	}
	bubble(t, o, func(r *rig) {
		r.join("anna", scope.Ordinary)
		ask := func(e channels.Event, want string) {
			t.Helper()
			n := len(r.chat.sent())
			r.accept(e)
			if got := r.wait(n + 1)[n].Text; !strings.Contains(got, want) {
				t.Errorf("said %q, want %q", got, want)
			}
		}
		room := func(key, args string) channels.Event {
			e := ordered("anna", key, "later", args)
			e.Where.Conversation, e.Room = "room", channels.Room{Title: "room"}
			return e
		}
		ask(ordered("eve", "e1", "later", "2h look"), "Only members")
		ask(ordered("anna", "1", "later", "2h"), "not what")
		ask(ordered("anna", "1b", "later", "soon look"), "Write when and what")
		ask(ordered("anna", "2", "later", "2h call the bank"), "I will take this up")
		ask(ordered("anna", "2b", "later", ""), "call the bank")
		ask(room("3", ""), "There is nothing")
		ask(room("4", "3h read the minutes"), "I will take this up")
		ask(room("5", ""), "read the minutes")
		for n := range 18 {
			ask(ordered("anna", fmt.Sprint("m", n), "later", "2h look"), "I will take this up")
		}
		ask(ordered("anna", "6", "later", "2h look"), "take one back first")
		if n := errandsLeft(t, r); n != 20 {
			t.Errorf("%d are kept", n)
		}
		n := len(r.chat.sent())
		r.after(4 * time.Hour)
		rooms := 0
		for _, s := range r.chat.sent()[n:] {
			if s.To == "room" {
				rooms++
				if !strings.Contains(s.Text, "read the minutes") || s.ReplyTo != "4" {
					t.Errorf("the room is told %+v", s)
				}
			}
		}
		if rooms != 1 || errandsLeft(t, r) != 0 {
			t.Errorf("%d answers in the room, %d left", rooms, errandsLeft(t, r))
		}
	})
}
