package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func pairs() rigOptions {
	return rigOptions{policy: identity.Policy{DM: identity.DMPairing, Groups: identity.GroupsAllowlist}}
}

// TestStrangerWhoSaysSeveralThings at once gets one code, and is answered once
// when they are let in.
func TestStrangerWhoSaysSeveralThings(t *testing.T) {
	bubble(t, pairs, func(r *rig) {
		r.accept(said("friend", "1", "one"), said("friend", "2", "two"))
		r.after(time.Second)
		if n := len(r.chat.sent()); n != 1 {
			t.Errorf("told %d things at once, want the code", n)
		}
		r.accept(ordered("friend", "3", "help", ""))
		r.after(time.Minute)
		open, err := r.dir.Pairings(t.Context())
		if err != nil || len(open) != 1 || len(r.chat.sent()) != 1 {
			t.Fatalf("requests %+v, %v; told %q", open, err, sentTexts(r.chat.sent()))
		}
		if _, err := r.gw.ApprovePairing(t.Context(), r.owner(), open[0].ID); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		got := sentTexts(r.chat.sent())
		if len(got) != 3 || !strings.Contains(strings.Join(got, "\n"), "echo: one | two") {
			t.Errorf("told %q", got)
		}
	})
}

// TestStartLinkAndAMessage in one batch: the message is that of a member.
func TestStartLinkAndAMessage(t *testing.T) {
	bubble(t, pairs, func(r *rig) {
		r.accept(said("anna", "1", "before"))
		r.wait(1)
		code, err := r.dir.StartCode(t.Context(), r.owner(), identity.OwnerID)
		if err != nil {
			t.Fatal(err)
		}
		r.accept(ordered("anna", "2", "start", code), said("anna", "3", "after"))
		r.after(time.Minute)
		got := sentTexts(r.chat.sent())[1:]
		all := strings.Join(got, "\n") // one answer or two, as the release falls
		for _, want := range []string{"Welcome", "before", "after"} {
			if strings.Count(all, want) != 1 {
				t.Errorf("told %q, want %q once", got, want)
			}
		}
	})
}

// TestStrangersAreNotTold that something of theirs failed: they may not even
// know that there is a bot.
func TestStrangersAreNotTold(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{policy: identity.Policy{DM: identity.DMAllowlist, Allow: []string{"anna"}}}
	}, func(r *rig) {
		for _, who := range []string{"anna", "mallory"} {
			e := said(who, "k-"+who, "x")
			r.accept(e)
		}
		r.wait(1)
		r.stop()
		// The same again, as records that have ended the process too often.
		r.accept(said("anna", "5", "x"), said("mallory", "6", "x"))
		for range 9 {
			ls, err := r.bus.Lease(t.Context(), bus.Want{Queue: bus.Inbox, N: 2, For: time.Second, NoWait: true})
			if err != nil || len(ls) != 2 {
				t.Fatal(len(ls), err)
			}
			for _, l := range ls {
				diedTrying(t, r.bus, l)
			}
			<-time.After(2 * time.Second)
		}
		next := newRig(t, rigOptions{engine: r.bus, policy: identity.Policy{DM: identity.DMAllowlist, Allow: []string{"anna"}}})
		next.after(time.Minute)
		got := next.chat.sent()
		if len(got) != 1 || got[0].To != "dm-anna" || !strings.Contains(got[0].Text, "set it aside") {
			t.Errorf("told %+v", got)
		}
		next.stop()
	})
}

// TestOneBadMessageTakesNoOthersAlong: what stands behind a message that ends
// the process each time is answered.
func TestOneBadMessageTakesNoOthersAlong(t *testing.T) {
	picky := runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
		if strings.Contains(texts(t.Events), "bad") {
			panic("boom")
		}
		return reply("echo: " + texts(t.Events)), nil
	})
	bubble(t, func() rigOptions { return rigOptions{agent: gateway.AgentSettings{Runner: picky}} }, func(r *rig) {
		r.accept(said("anna", "1", "bad"), said("anna", "2", "good"), said("anna", "3", "better"))
		r.after(time.Hour)
		got := sentTexts(r.chat.sent())
		if len(got) != 2 || !strings.Contains(got[0], "set it aside") || !strings.Contains(got[1], "good | better") {
			t.Errorf("told %q", got)
		}
		dead, err := r.bus.DeadLetters(t.Context(), bus.Inbox, 0, 0)
		if err != nil || len(dead) != 1 {
			t.Errorf("%d dead letters, %v", len(dead), err)
		}
	})
}

// diedTrying stands for a process that ended while it tried the head of a lease
// by itself.
func diedTrying(t *testing.T, b bus.Bus, l *bus.Lease) {
	t.Helper()
	head := l.Records[0]
	if head.Attempt <= 4 {
		return
	}
	note := fmt.Appendf(nil, `{"alone":%d}`, head.Attempt-4)
	if _, err := b.Hold(t.Context(), l, bus.Hold{Progress: map[string]json.RawMessage{head.Key: note}}); err != nil {
		t.Fatal(err)
	}
}

// TestCrashesBlameOnlyWhatWasTried: what was leased together has as many
// attempts, but what only waited is not to blame for them.
func TestCrashesBlameOnlyWhatWasTried(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		r.stop()
		r.accept(said("anna", "1", "bad"), said("anna", "2", "good"))
		for range 9 {
			ls, err := r.bus.Lease(t.Context(), bus.Want{Queue: bus.Inbox, For: time.Second, NoWait: true})
			if err != nil || len(ls) != 1 {
				t.Fatal(len(ls), err)
			}
			diedTrying(t, r.bus, ls[0])
			<-time.After(2 * time.Second)
		}
		next := newRig(t, rigOptions{engine: r.bus})
		next.after(time.Minute)
		got := sentTexts(next.chat.sent())
		if len(got) != 2 || !strings.Contains(got[0], "set it aside") || got[1] != "echo: good" {
			t.Errorf("told %q", got)
		}
		next.stop()
	})
}

// TestShortLivesBlameNobody: a process tries what may have ended others only
// when it has lived for a while, so that many short lives set nothing aside.
func TestShortLivesBlameNobody(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		r.stop()
		r.accept(said("anna", "1", "one"), said("anna", "2", "two"))
		for range 5 {
			if ls, err := r.bus.Lease(t.Context(), bus.Want{Queue: bus.Inbox, For: time.Second, NoWait: true}); err != nil || len(ls) != 1 {
				t.Fatal(len(ls), err)
			}
			<-time.After(2 * time.Second)
		}
		for range 120 {
			life := newRig(t, rigOptions{engine: r.bus})
			life.after(2 * time.Second)
			if got := sentTexts(life.chat.sent()); len(got) != 0 {
				t.Fatalf("tried too early: %q", got)
			}
			life.stop()
		}
		last := newRig(t, rigOptions{engine: r.bus})
		last.after(time.Minute)
		if got := sentTexts(last.chat.sent()); len(got) == 0 || !strings.Contains(got[0], "echo: one") {
			t.Errorf("told %q", got)
		}
		last.stop()
	})
}

// TestWhatWasOverheard reaches the turn that follows, in whatever portions it
// came, and no other.
func TestWhatWasOverheard(t *testing.T) {
	for _, together := range []bool{true, false} {
		var heard []string
		bubble(t, func() rigOptions {
			heard = nil
			return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
				heard = append(heard, texts(t.Background))
				return reply("echo: " + texts(t.Events)), nil
			})}}
		}, func(r *rig) {
			batch := []channels.Event{
				saidIn("room", "anna", "1", "a", false), saidIn("room", "ben", "2", "b", false), saidIn("room", "ben", "3", "what?", true),
				saidIn("room", "anna", "4", "c", false),
			}
			if together {
				r.accept(batch...)
			} else {
				for _, e := range batch {
					r.accept(e)
					r.settle()
				}
			}
			r.wait(1)
			r.accept(saidIn("room", "ben", "5", "and?", true))
			r.wait(2)
			if d := cmp.Diff([]string{"a | b", "c"}, heard); d != "" {
				t.Errorf("together %v: %s", together, d)
			}
		})
	}
}

// TestPiecesThatDoNotNameTheBot: in a room only the first photo of an album,
// and the first part of a long paste, has the mention.
func TestPiecesThatDoNotNameTheBot(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		piece := func(key, text string, first bool) channels.Event {
			e := saidIn("room", "anna", key, "", first)
			e.Content = channels.Message{ID: channels.MessageID(key), Text: text, Group: "album"}
			return e
		}
		r.accept(piece("1", "one", true))
		r.after(100 * time.Millisecond)
		r.accept(piece("2", "two", false), saidIn("room", "anna", "3", "aside", false), saidIn("room", "ben", "4", "aside", false))
		r.after(5 * time.Second)
		if d := cmp.Diff([]string{"echo: one | two"}, sentTexts(r.chat.sent())); d != "" {
			t.Error(d)
		}
	})
}

// TestMovedRoomRemembers: a room that gets a new id goes on where it was.
func TestMovedRoomRemembers(t *testing.T) {
	var history int
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			history = len(t.History)
			res := reply("echo")
			res.Entries = []agent.Entry{{Role: agent.User, Text: "x"}, {Role: agent.Assistant, Text: "y"}}
			return res, nil
		})}}
	}, func(r *rig) {
		r.accept(saidIn("old", "anna", "1", "x", true))
		r.wait(1)
		e := saidIn("old", "", "2", "", true)
		e.Content = channels.Moved{To: "new"}
		r.accept(e)
		r.settle()
		r.accept(saidIn("new", "anna", "3", "x", true))
		r.wait(2)
		if history != 2 {
			t.Errorf("the agent was given %d entries, want 2", history)
		}
	})
}

// TestMessageBehindAMove: what is said in the room's new place waits for the move,
// which waits for the turn in its old one; then it is admitted there, and knows
// what was said.
func TestMessageBehindAMove(t *testing.T) {
	var histories []int
	first := make(chan struct{})
	bubble(t, func() rigOptions {
		return rigOptions{
			policy: identity.Policy{DM: identity.DMOpen, Groups: identity.GroupsAllowlist, Allow: []string{"old"}},
			agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
				if histories = append(histories, len(t.History)); len(histories) == 1 {
					<-first
				}
				res := reply("echo: " + texts(t.Events))
				res.Entries = []agent.Entry{{Role: agent.User, Text: "x"}, {Role: agent.Assistant, Text: "y"}}
				return res, nil
			})},
		}
	}, func(r *rig) {
		first = make(chan struct{})
		moved := saidIn("old", "", "2", "", true)
		moved.Content = channels.Moved{To: "new"}
		r.accept(saidIn("old", "anna", "1", "before", true))
		r.settle()
		r.accept(moved, saidIn("new", "anna", "3", "after", true))
		r.accept(moved) // it is told in both rooms
		r.after(5 * time.Second)
		if got := r.chat.sent(); len(got) != 0 {
			t.Errorf("answered before the move: %+v", got)
		}
		close(first)
		if d := cmp.Diff([]string{"echo: before", "echo: after"}, sentTexts(r.wait(2))); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]int{0, 2}, histories); d != "" {
			t.Errorf("entries that the turns were given: %s", d)
		}
	})
}

// TestMoveThatNeverComes: a room is not silent for ever because its move failed.
func TestMoveThatNeverComes(t *testing.T) {
	stuck := make(chan struct{})
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
			if t.Where.Conversation == "old" {
				select {
				case <-stuck:
				case <-ctx.Done():
				}
			}
			return echo(ctx, t, p)
		})}}
	}, func(r *rig) {
		stuck = make(chan struct{})
		moved := saidIn("old", "", "2", "", true)
		moved.Content = channels.Moved{To: "new"}
		r.accept(saidIn("old", "anna", "1", "before", true))
		r.settle()
		r.accept(moved, saidIn("new", "anna", "3", "after", true))
		r.after(3 * time.Minute)
		if d := cmp.Diff([]string{"echo: after"}, sentTexts(r.chat.sent())); d != "" {
			t.Error(d)
		}
		close(stuck)
	})
}

func TestRoomsNeedAdmission(t *testing.T) {
	policy := identity.Policy{DM: identity.DMOpen, Groups: identity.GroupsAllowlist, Allow: []string{"good"}}
	bubble(t, func() rigOptions { return rigOptions{policy: policy} }, func(r *rig) {
		r.accept(saidIn("bad", "anna", "1", "x", true), saidIn("good", "anna", "2", "y", true))
		r.settle()
		if d := cmp.Diff([]string{"echo: y"}, sentTexts(r.chat.sent())); d != "" {
			t.Error(d)
		}
	})
}

func TestPairing(t *testing.T) {
	policy := identity.Policy{DM: identity.DMPairing, Groups: identity.GroupsAllowlist}
	bubble(t, func() rigOptions { return rigOptions{policy: policy} }, func(r *rig) {
		r.accept(said("friend", "1", "may I?"))
		got := r.wait(1)
		open, err := r.dir.Pairings(t.Context())
		if err != nil || len(open) != 1 || strings.Contains(got[0].Text, open[0].ID) || !strings.Contains(got[0].Text, "Your code is ") {
			t.Fatalf("pairings %+v, %v; told %q", open, err, got[0].Text)
		}
		r.accept(said("friend", "2", "hello?"))
		r.after(time.Minute)
		if n := len(r.chat.sent()); n != 1 {
			t.Fatalf("a stranger got %d messages, want one code", n)
		}
		if _, err := r.gw.ApprovePairing(t.Context(), scope.Scope{}, open[0].ID); !errors.Is(err, identity.ErrForbidden) {
			t.Fatalf("nobody in particular could approve: %v", err)
		}
		if _, err := r.gw.ApprovePairing(t.Context(), r.owner(), open[0].ID); err != nil {
			t.Fatal(err)
		}
		got = r.wait(2)
		if want := "(This answers your 2 messages together.)\n\necho: may I? | hello?"; got[1].Text != want {
			t.Errorf("after approval: %q, want %q", got[1].Text, want)
		}
	})
}

func TestPairingLimits(t *testing.T) {
	policy := identity.Policy{DM: identity.DMPairing}
	bubble(t, func() rigOptions { return rigOptions{policy: policy} }, func(r *rig) {
		for _, who := range []string{"a", "b", "c", "d"} {
			r.accept(said(who, who+"1", "x"))
			r.settle()
		}
		open, err := r.dir.Pairings(t.Context())
		if err != nil || len(open) != identity.OpenCodes {
			t.Fatalf("%d codes are open, %v; want %d", len(open), err, identity.OpenCodes)
		}
		if got := r.chat.sent(); len(got) != 4 || !strings.Contains(got[3].Text, "try again") {
			t.Errorf("the fourth was told %+v", got)
		}
		if _, err := r.gw.DenyPairing(t.Context(), r.owner(), open[0].ID); err != nil {
			t.Fatal(err)
		}
		r.after(61 * time.Minute)
		r.accept(said("d", "d2", "x"))
		r.settle()
		open, err = r.dir.Pairings(t.Context())
		if err != nil || len(open) != 1 || open[0].Who.ID != "d" {
			t.Errorf("after an hour: %+v, %v", open, err)
		}
	})
}

func TestStartLinkMakesTheOwner(t *testing.T) {
	policy := identity.Policy{DM: identity.DMPairing}
	bubble(t, func() rigOptions { return rigOptions{policy: policy} }, func(r *rig) {
		code, err := r.dir.StartCode(t.Context(), r.owner(), identity.OwnerID)
		if err != nil {
			t.Fatal(err)
		}
		r.accept(ordered("anna", "1", "start", code))
		if got := r.wait(1); !strings.Contains(got[0].Text, "owner") {
			t.Errorf("welcome: %q", got[0].Text)
		}
		r.accept(said("anna", "2", "hi"))
		if got := r.wait(2); got[1].Text != "echo: hi" {
			t.Errorf("then: %q", got[1].Text)
		}
		r.accept(ordered("mallory", "3", "start", code))
		if got := r.wait(3); strings.Contains(got[2].Text, "owner") {
			t.Errorf("the code worked twice: %q", got[2].Text)
		}
	})
}
