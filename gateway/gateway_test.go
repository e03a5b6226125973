package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

type owner = scope.Scope

func plain() rigOptions { return rigOptions{} }

func sentTexts(all []sent) []string {
	var out []string
	for _, s := range all {
		out = append(out, s.Text)
	}
	return out
}

func TestOneMessageOneAnswer(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		r.accept(said("anna", "1", "hello"))
		r.accept(said("anna", "1", "hello")) // the platform repeats itself
		r.settle()
		want := []sent{{To: "dm-anna", Text: "echo: hello"}}
		if d := cmp.Diff(want, r.chat.sent()); d != "" {
			t.Error(d)
		}
	})
}

func TestConversationsDoNotWaitForEachOther(t *testing.T) {
	release := make(chan struct{})
	slow := runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
		if t.Events[0].Who.ID == "slow" {
			<-release
		}
		return reply("done " + t.Events[0].Who.ID), nil
	})
	bubble(t, func() rigOptions {
		release = make(chan struct{})
		return rigOptions{agent: gateway.AgentSettings{Runner: slow}}
	}, func(r *rig) {
		r.accept(said("slow", "1", "x"), said("anna", "2", "y"))
		if d := cmp.Diff([]string{"done anna"}, sentTexts(r.wait(1))); d != "" {
			t.Error(d)
		}
		close(release)
		r.wait(2)
	})
}

// working is an agent that makes several model calls, a second each, and asks
// for what was added before every one.
func working(rounds int) runner {
	return func(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
		all := t.Events
		for range rounds {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				if errors.Is(context.Cause(ctx), agent.ErrStopped) {
					return reply("so far"), nil
				}
				return agent.Result{}, context.Cause(ctx)
			}
			more, err := p.Next(ctx)
			if err != nil {
				return agent.Result{}, err
			}
			all = append(all, more...)
		}
		return reply("echo: " + texts(all)), nil
	}
}

func TestQueueModes(t *testing.T) {
	tests := []struct {
		mode gateway.QueueMode
		want []string
	}{
		{gateway.Steer, []string{"echo: one | two | three"}},
		{gateway.Followup, []string{"echo: one", "echo: two", "echo: three"}},
		{gateway.Collect, []string{"echo: one", "(This answers your 2 messages together.)\n\necho: two | three"}},
		{gateway.Interrupt, []string{"(This answers your 3 messages together.)\n\necho: one | two | three"}},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			bubble(t, func() rigOptions {
				return rigOptions{agent: gateway.AgentSettings{Runner: working(3), Queue: tt.mode}}
			}, func(r *rig) {
				r.accept(said("anna", "1", "one"))
				r.after(500 * time.Millisecond)
				r.accept(said("anna", "2", "two"))
				r.after(100 * time.Millisecond)
				r.accept(said("anna", "3", "three"))
				r.wait(len(tt.want))
				r.after(20 * time.Second)
				if d := cmp.Diff(tt.want, sentTexts(r.chat.sent())); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestSteeringNeverCrossesPeople(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: working(3)}}
	}, func(r *rig) {
		r.accept(saidIn("room", "anna", "1", "one", true))
		r.after(500 * time.Millisecond)
		r.accept(saidIn("room", "ben", "2", "two", true), saidIn("room", "anna", "3", "three", true))
		r.wait(2)
		want := []sent{{To: "room", Text: "echo: one | three", ReplyTo: "1"}, {To: "room", Text: "echo: two", ReplyTo: "2"}}
		if d := cmp.Diff(want, r.chat.sent()); d != "" {
			t.Error(d)
		}
	})
}

func TestStopEndsTheTurnAtOnce(t *testing.T) {
	for _, mode := range []gateway.QueueMode{gateway.Steer, gateway.Followup, gateway.Collect, gateway.Interrupt} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func() rigOptions {
				return rigOptions{agent: gateway.AgentSettings{Runner: working(600), Queue: mode}}
			}, func(r *rig) {
				r.accept(said("anna", "1", "one"))
				r.after(1500 * time.Millisecond)
				began := time.Now()
				r.accept(ordered("anna", "2", "stop", ""))
				got := sentTexts(r.wait(2))
				if d := time.Since(began); d > time.Second {
					t.Errorf("it took %v", d)
				}
				want := []string{"Stopped.", "so far\n\n(stopped)"}
				if d := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestStopIsForTheSpeaker(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: working(5)}}
	}, func(r *rig) {
		r.accept(saidIn("room", "anna", "1", "one", true))
		r.after(500 * time.Millisecond)
		stop := ordered("ben", "2", "stop", "")
		stop.Where, stop.Room = channels.Address{Channel: "chat", Conversation: "room"}, channels.Room{}
		r.accept(stop)
		got := sentTexts(r.wait(2))
		if !strings.Contains(got[0], "somebody else") || got[1] != "echo: one" {
			t.Errorf("got %q", got)
		}
	})
}

func TestRoomsAnswerOnlyWhenAddressed(t *testing.T) {
	var background []channels.Event
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			background = t.Background
			return reply("echo: " + texts(t.Events)), nil
		})}}
	}, func(r *rig) {
		r.accept(saidIn("room", "anna", "1", "the weather is fine", false))
		r.settle()
		r.accept(saidIn("room", "ben", "2", "what did anna say?", true))
		got := r.wait(1)
		if d := cmp.Diff([]string{"echo: what did anna say?"}, sentTexts(got)); d != "" {
			t.Error(d)
		}
		if got := texts(background); got != "the weather is fine" {
			t.Errorf("the agent was given %q as background", got)
		}
	})
}

// A message that opens a thread by being answered in it stands in the room: what
// was said there before is its background, and that of the next one.
func TestThreadsBeginWithTheRoomsTalk(t *testing.T) {
	background := map[string]string{}
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			background[texts(t.Events)] = texts(t.Background)
			return reply("echo: " + texts(t.Events)), nil
		})}}
	}, func(r *rig) {
		opens := func(id, text, thread string) channels.Event {
			e := saidIn("room", "ben", id, text, true)
			e.Where.Thread = channels.ThreadID(thread)
			return e
		}
		r.accept(saidIn("room", "anna", "1", "the weather is fine", false))
		r.settle()
		r.accept(opens("2", "what did anna say?", "2"))
		r.wait(1)
		r.accept(opens("3", "say it again", "2"))
		r.wait(2)
		r.accept(opens("4", "and here?", "4"))
		r.wait(3)
	})
	want := map[string]string{"what did anna say?": "the weather is fine", "say it again": "", "and here?": "the weather is fine"}
	if d := cmp.Diff(want, background); d != "" {
		t.Error(d)
	}
}

func TestAlbumIsOneTurn(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		for i, key := range []string{"1", "2", "3"} {
			e := said("anna", key, "")
			e.Content = channels.Message{ID: channels.MessageID(key), Text: "photo " + key, Group: "album"}
			r.accept(e)
			if i < 2 {
				r.after(100 * time.Millisecond)
			}
		}
		r.wait(1)
		r.after(5 * time.Second)
		if d := cmp.Diff([]string{"echo: photo 1 | photo 2 | photo 3"}, sentTexts(r.chat.sent())); d != "" {
			t.Error(d)
		}
	})
}

func TestDraftIsReplacedByTheFinal(t *testing.T) {
	streaming := runner(func(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
		p.Draft("the first part of a long answer")
		<-time.After(3 * time.Second)
		p.Draft("the first part of a long answer, and the second")
		<-time.After(3 * time.Second)
		return reply("the whole of a long answer"), nil
	})
	bubble(t, func() rigOptions {
		return rigOptions{stream: true, agent: gateway.AgentSettings{Runner: streaming}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "go"))
		r.wait(3)
		r.after(10 * time.Second)
		want := []sent{
			{To: "dm-anna", Text: "the first part of a long answer"},
			{To: "dm-anna", Text: "the first part of a long answer, and the second", Replaces: "m1"},
			{To: "dm-anna", Text: "the whole of a long answer", Replaces: "m1"},
		}
		if d := cmp.Diff(want, r.chat.sent()); d != "" {
			t.Error(d)
		}
		if r.chat.typed == 0 {
			t.Error("nobody saw that the bot was at work")
		}
	})
}

func TestAgentThatKeepsFailingIsSetAside(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(context.Context, agent.Turn, agent.Port) (agent.Result, error) {
			panic("boom")
		})}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "go"))
		r.after(5 * time.Minute)
		got := r.wait(1)
		if !strings.Contains(got[0].Text, "set it aside") {
			t.Errorf("told %q", got[0].Text)
		}
		dead, err := r.bus.DeadLetters(t.Context(), bus.Inbox, 0, 10)
		if err != nil || len(dead) != 1 {
			t.Errorf("dead letters: %+v, %v", dead, err)
		}
	})
}

func TestCommands(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{
			Model: "default", Models: []string{"default", "other"}, DailySpend: 5,
			Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
				return agent.Result{
					Replies: []agent.Reply{{Markdown: "model " + t.Model}},
					Entries: []agent.Entry{{Role: agent.User, Text: "x"}, {Role: agent.Assistant, Text: "y"}},
					Usage:   []agent.Usage{{USD: 1.25, Input: 10, Output: 5}},
				}, nil
			}),
		}}
	}, func(r *rig) {
		ask := func(n int, e channels.Event, want ...string) {
			t.Helper()
			r.accept(e)
			got := r.wait(n)[n-1].Text
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("got %q, want it to contain %q", got, w)
				}
			}
		}
		ask(1, said("anna", "1", "hi"), "model default")
		ask(2, ordered("anna", "2", "help", ""), "/stop", "/model", "/whoami")
		ask(3, ordered("anna", "3", "status", ""), "2 entries", "$1.25 of $5.00")
		ask(4, ordered("anna", "4", "whoami", ""), "sender:chat", "guest")
		ask(5, ordered("anna", "5", "usage", ""), "1 model calls", "10 tokens in", "$3.75 is left")
		ask(6, ordered("anna", "6", "model", "nonesuch"), "no model named")
		ask(7, ordered("anna", "7", "model", "other"), "other")
		ask(8, said("anna", "8", "hi"), "model other")
		ask(9, ordered("anna", "9", "new", ""), "new conversation")
		ask(10, ordered("anna", "10", "status", ""), "0 entries")
		ask(11, ordered("anna", "11", "stop", ""), "nothing to stop")
		ask(12, ordered("anna", "12", "dance", ""), "do not know")
	})
}

func TestDeliveryFailures(t *testing.T) {
	fail := func(k channels.Kind, after time.Duration) error {
		return &channels.Error{Op: "send", Channel: "chat", Kind: k, RetryAfter: after}
	}
	tests := []struct {
		name    string
		arrived bool
		errs    []error
		want    []string
		dead    int
	}{
		{"rate limited", false, []error{fail(channels.RateLimited, 7*time.Second)}, []string{"echo: hello"}, 0},
		{"transient", false, []error{fail(channels.Transient, 0), fail(channels.Transient, 0)}, []string{"echo: hello"}, 0},
		{"format", false, []error{fail(channels.Format, 0)}, []string{"echo: hello"}, 0},
		{"ambiguous, lost", false, []error{fail(channels.Ambiguous, 0)}, []string{repeated + "echo: hello"}, 0},
		{"ambiguous, arrived", true, []error{fail(channels.Ambiguous, 0)}, []string{"echo: hello", repeated + "echo: hello"}, 0},
		{"ambiguous twice", true, []error{fail(channels.Ambiguous, 0), fail(channels.Ambiguous, 0)}, []string{"echo: hello", repeated + "echo: hello", inDoubt}, 1},
		{"rejected", false, []error{fail(channels.Rejected, 0)}, []string{lost}, 1},
		{"gone", false, []error{fail(channels.Gone, 0)}, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, plain, func(r *rig) {
				r.chat.fail(tt.arrived, tt.errs...)
				r.accept(said("anna", "1", "hello"))
				r.after(5 * time.Minute)
				if d := cmp.Diff(tt.want, sentTexts(r.chat.sent())); d != "" {
					t.Error(d)
				}
				dead, err := r.bus.DeadLetters(t.Context(), bus.Outbox, 0, 10)
				if err != nil || len(dead) != tt.dead {
					t.Errorf("%d dead letters, %v; want %d", len(dead), err, tt.dead)
				}
			})
		})
	}
}

const (
	repeated = "(This may be a repetition: I could not tell whether it reached you.)\n\n"
	inDoubt  = "I tried twice to send you an answer, and cannot tell whether it reached you. If it did not, please ask again. The person who runs this bot can see it."
	lost     = "I had an answer for you, but it could not be delivered here. The person who runs this bot can see why."
)

func TestTurnsSurviveARestart(t *testing.T) {
	first := true
	var engine bus.Engine
	slow := runner(func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
		if first {
			<-ctx.Done()
			return agent.Result{}, ctx.Err()
		}
		return reply("echo: " + texts(t.Events)), nil
	})
	bubble(t, func() rigOptions { return rigOptions{agent: gateway.AgentSettings{Runner: slow}} }, func(r *rig) {
		r.accept(said("anna", "1", "hello"))
		r.after(time.Second)
		r.stop()
		first = false
		engine = r.bus
		next := newRig(t, rigOptions{engine: engine, agent: gateway.AgentSettings{Runner: slow}})
		if d := cmp.Diff([]string{"echo: hello"}, sentTexts(next.wait(1))); d != "" {
			t.Error(d)
		}
		next.stop()
	})
}

func TestOldMessagesAreAnsweredTogether(t *testing.T) {
	var note string
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			note = t.Note
			return reply("echo: " + texts(t.Events)), nil
		})}}
	}, func(r *rig) {
		r.stop()
		r.accept(said("anna", "1", "one"), said("anna", "2", "two"))
		<-time.After(20 * time.Minute)
		next := newRig(t, rigOptions{engine: r.bus, agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			note = t.Note
			return reply("echo: " + texts(t.Events)), nil
		})}})
		want := []string{"(Your 2 messages had to wait. This answers them together.)\n\necho: one | two"}
		if d := cmp.Diff(want, sentTexts(next.wait(1))); d != "" {
			t.Error(d)
		}
		if !strings.Contains(note, "waited for 20m0s") {
			t.Errorf("the agent was told %q", note)
		}
		next.stop()
	})
}

func TestRepliesCanBeReadAgain(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		r.accept(said("anna", "1", "hello"))
		r.wait(1)
		for range 2 {
			n := 0
			for p, err := range r.gw.Sink("chat").Replies(t.Context(), "", "1") {
				if err != nil {
					t.Fatal(err)
				}
				n++
				if p.To.Conversation != "dm-anna" {
					t.Errorf("reply to %q", p.To.Conversation)
				}
			}
			if n != 1 {
				t.Errorf("%d replies, want 1", n)
			}
		}
	})
}

func TestRateIsKept(t *testing.T) {
	rate := channels.Rate{Direct: channels.PerSecond{N: 1, Burst: 1}}
	bubble(t, func() rigOptions {
		return rigOptions{rate: rate, agent: gateway.AgentSettings{Queue: gateway.Followup}}
	}, func(r *rig) {
		began := time.Now()
		for _, k := range []string{"1", "2", "3", "4"} {
			r.accept(said("anna", k, k))
		}
		got := r.wait(4)
		if d := time.Since(began); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("four messages at one a second took %v", d)
		}
		if d := cmp.Diff([]string{"echo: 1", "echo: 2", "echo: 3", "echo: 4"}, sentTexts(got)); d != "" {
			t.Error(d)
		}
	})
}

// TestLoopGuard: a program that is not marked as a bot and answers every answer
// is held up after twenty; a member is not.
func TestLoopGuard(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Queue: gateway.Followup}}
	}, func(r *rig) {
		for i := range 30 {
			r.accept(saidIn("room", "parrot", fmt.Sprintf("p%d", i), "echo", true))
			r.accept(said("anna", fmt.Sprintf("a%d", i), "hello"))
			r.after(time.Second)
		}
		parrot, anna := 0, 0
		for _, m := range r.chat.sent() {
			if m.To == "room" {
				parrot++
			} else {
				anna++
			}
		}
		if parrot != 20 || anna != 30 {
			t.Errorf("the parrot got %d answers and anna %d, want 20 and 30", parrot, anna)
		}
		r.after(time.Minute)
		r.accept(saidIn("room", "parrot", "later", "echo", true))
		r.settle()
		if n := len(r.chat.sent()); n != 51 {
			t.Errorf("after a minute of silence: %d messages in all, want 51", n)
		}
	})
}

// TestTurnsAtOnceKeepTheCap: what calls have set aside counts as spent, and a
// call that must wait for another's remainder is made with it.
func TestTurnsAtOnceKeepTheCap(t *testing.T) {
	var mu sync.Mutex
	var granted []float64
	var refused int
	costly := runner(func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
		usd, spent, err := t.Budget.Reserve(ctx, 1, 1.5)
		mu.Lock()
		if err != nil {
			refused++
		} else {
			granted = append(granted, usd)
		}
		mu.Unlock()
		if err != nil {
			return reply("the cap"), nil
		}
		<-time.After(time.Second)
		spent(1)
		res := reply("done")
		res.Usage = []agent.Usage{{USD: 1}}
		return res, nil
	})
	bubble(t, func() rigOptions {
		granted, refused = nil, 0
		return rigOptions{agent: gateway.AgentSettings{Runner: costly, DailySpend: 4}}
	}, func(r *rig) {
		for _, who := range []string{"anna", "ben", "carl", "dora", "emil", "fritz"} {
			r.accept(said(who, who, "x"))
			r.settle()
		}
		r.after(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		// 1.5, 1.5 and the last 1; then what those gave back, for one more.
		if d := cmp.Diff([]float64{1.5, 1.5, 1, 1}, granted); d != "" || refused != 2 {
			t.Errorf("%d refused; granted:\n%s", refused, d)
		}
		if n := len(r.chat.sent()); n != 6 {
			t.Errorf("%d answers, want 6", n)
		}
		s, err := r.gw.Status(t.Context())
		if err != nil || s.Spent.USD != 4 {
			t.Errorf("%v spent, %v", s.Spent.USD, err)
		}
	})
}

// TestLateFailureIsADeadLetter: what a platform took and could not deliver is told
// to the operator, once, with the platform's reason; other receipts are not.
func TestLateFailureIsADeadLetter(t *testing.T) {
	bubble(t, func() rigOptions { return rigOptions{policy: identity.Policy{DM: identity.DMPairing}} }, func(r *rig) {
		for i, state := range []string{"delivered", "failed", "read", "failed"} {
			e := said("bot", fmt.Sprintf("m%d/%s", min(i, 2), state), "")
			e.Who.Self, e.Content = true, channels.Status{ID: "m", State: state, Why: "131026 Message undeliverable"}
			r.accept(e)
		}
		again := said("bot", "m1/failed", "")
		again.Who.Self, again.Content = true, channels.Status{ID: "m", State: "failed", Why: "131026 Message undeliverable"}
		r.accept(again)
		r.after(time.Second)
		dead, err := r.bus.DeadLetters(t.Context(), bus.Inbox, 0, 0)
		if err != nil || len(dead) != 2 {
			t.Fatalf("%d dead letters, %v; want 2", len(dead), err)
		}
		for _, d := range dead {
			if !strings.Contains(d.Reason, "could not deliver it: 131026") {
				t.Errorf("%q", d.Reason)
			}
		}
		if got := r.chat.sent(); len(got) > 0 {
			t.Errorf("somebody was told: %+v", got)
		}
	})
}
