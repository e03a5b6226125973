package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
)

// wild panics wherever an adapter can be called beside Run.
type wild struct {
	*chat
	features atomic.Int64 // how often it still answers
}

func (w *wild) Features(a channels.Address) channels.Features {
	if w.features.Add(-1) < 0 {
		panic("boom")
	}
	return w.chat.Features(a)
}
func (*wild) Type(context.Context, channels.Address) error           { panic("boom") }
func (*wild) Answer(context.Context, channels.Press, string) error   { panic("boom") }
func (*wild) Register(context.Context, []channels.CommandSpec) error { panic("boom") }
func (*wild) Reload(context.Context, []byte) error                   { panic("boom") }
func (*wild) Run(context.Context, channels.Sink) error               { panic("boom") }

func TestAdaptersThatPanicEndNothing(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{
			agent: gateway.AgentSettings{Runner: working(2), Models: []string{"a"}},
			wrap: func(c *chat) channels.Channel {
				w := &wild{chat: c}
				w.features.Store(1000)
				return w
			},
		}
	}, func(r *rig) {
		r.accept(said("anna", "1", "hello"))
		press := said("anna", "2", "")
		press.Content = channels.Press{Data: "gone"}
		r.accept(press)
		r.after(time.Minute)
		got := strings.Join(sentTexts(r.chat.sent()), "|")
		if !strings.Contains(got, "echo: hello") || !strings.Contains(got, "no longer does anything") {
			t.Errorf("told %q", got)
		}
	})
}

func TestFeaturesThatPanicSetTheMessageAside(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{wrap: func(c *chat) channels.Channel {
			w := &wild{chat: c}
			w.features.Store(1)
			return w
		}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "hello"))
		r.after(time.Hour)
		dead, err := r.bus.DeadLetters(t.Context(), bus.Inbox, 0, 0)
		if err != nil || len(dead) != 1 {
			t.Errorf("%d dead letters, %v", len(dead), err)
		}
	})
}

// TestStopBeforeTheTurnBegan: what still waits for its other pieces can be
// stopped, too.
func TestStopBeforeTheTurnBegan(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		r.accept(said("anna", "1", strings.Repeat("x", 4000)))
		r.after(time.Second)
		r.accept(ordered("anna", "2", "stop", ""))
		r.after(time.Minute)
		if d := cmp.Diff([]string{"Stopped."}, sentTexts(r.chat.sent())); d != "" {
			t.Error(d)
		}
		r.accept(said("anna", "3", "next"))
		if got := r.wait(2); got[1].Text != "echo: next" {
			t.Errorf("then %q", got[1].Text)
		}
	})
}

// TestStopHoldsWhenTheAgentFails: an agent that makes an error of a stop does
// not bring the turn back.
func TestStopHoldsWhenTheAgentFails(t *testing.T) {
	runs := 0
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(ctx context.Context, _ agent.Turn, _ agent.Port) (agent.Result, error) {
			runs++
			<-ctx.Done()
			return agent.Result{}, ctx.Err()
		})}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "go"))
		r.after(time.Second)
		r.accept(ordered("anna", "2", "stop", ""))
		r.after(time.Minute)
		if d := cmp.Diff([]string{"Stopped."}, sentTexts(r.chat.sent())); d != "" || runs != 1 {
			t.Errorf("%d runs, %s", runs, d)
		}
	})
}

// TestStoppedRerunEndsItsDraft: a draft that an earlier run has shown does not
// stand for ever as if there were more to come.
func TestStoppedRerunEndsItsDraft(t *testing.T) {
	first := true
	bubble(t, func() rigOptions {
		return rigOptions{stream: true, agent: gateway.AgentSettings{Runner: runner(func(ctx context.Context, _ agent.Turn, p agent.Port) (agent.Result, error) {
			if first {
				p.Draft("the first part of a long answer")
			}
			<-ctx.Done()
			if errors.Is(context.Cause(ctx), agent.ErrStopped) {
				return agent.Result{}, nil
			}
			return agent.Result{}, ctx.Err()
		})}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "go"))
		r.wait(1)
		r.stop()
		first = false
		next := newRig(t, rigOptions{stream: true, engine: r.bus, agent: gateway.AgentSettings{Runner: runner(func(ctx context.Context, _ agent.Turn, _ agent.Port) (agent.Result, error) {
			<-ctx.Done()
			return agent.Result{}, nil
		})}})
		next.after(time.Second)
		next.accept(ordered("anna", "2", "stop", ""))
		next.after(time.Minute)
		var ends []sent
		for _, s := range next.chat.sent() {
			if s.Replaces != "" {
				ends = append(ends, s)
			}
		}
		if d := cmp.Diff([]sent{{To: "dm-anna", Text: "(stopped)", Replaces: "m1"}}, ends); d != "" {
			t.Error(d)
		}
		next.stop()
	})
}

// TestInterruptedTurnsArePaidFor, and the journal of what they did is known to
// the turn that starts over.
func TestInterruptedTurnsArePaidFor(t *testing.T) {
	var journals [][]agent.Step
	bubble(t, func() rigOptions {
		journals = nil
		return rigOptions{agent: gateway.AgentSettings{
			Queue: gateway.Interrupt, DailySpend: 5,
			Runner: runner(func(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
				journals = append(journals, t.Journal)
				res := reply("echo: " + texts(t.Events))
				res.Usage = []agent.Usage{{USD: 1}}
				if len(t.Events) == 1 {
					if err := p.Journal(ctx, agent.Step{Index: 0, Tool: "mail", Result: json.RawMessage("{}")}); err != nil {
						return agent.Result{}, err
					}
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), agent.ErrStopped) {
						return agent.Result{}, ctx.Err()
					}
				}
				return res, nil
			}),
		}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "one"))
		r.after(time.Second)
		r.accept(said("anna", "2", "two"))
		r.wait(1)
		st, err := r.gw.Status(t.Context())
		if err != nil || st.Spent.USD != 2 {
			t.Errorf("spent %+v, %v; want 2", st.Spent, err)
		}
		if len(journals) != 2 || len(journals[1]) != 1 || journals[1][0].Tool != "mail" {
			t.Errorf("journals %+v", journals)
		}
		if left, err := r.bus.List(t.Context(), "step", "", "", 0); err != nil || len(left) != 0 {
			t.Errorf("%d steps are left, %v", len(left), err)
		}
	})
}

// TestInterruptsEnd: what a turn cannot take in does not make it start over.
func TestInterruptsEnd(t *testing.T) {
	runs := 0
	bubble(t, func() rigOptions {
		runs = 0
		return rigOptions{agent: gateway.AgentSettings{Queue: gateway.Interrupt, Runner: runner(func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			runs++
			select {
			case <-time.After(20 * time.Second):
				return reply(fmt.Sprint(len(t.Events))), nil
			case <-ctx.Done():
				return agent.Result{}, context.Cause(ctx)
			}
		})}}
	}, func(r *rig) {
		for i := range 30 {
			r.accept(said("anna", fmt.Sprint(i), "x"))
			r.after(400 * time.Millisecond)
		}
		r.after(2 * time.Minute)
		if got := len(r.chat.sent()); got != 2 || runs > 22 {
			t.Errorf("%d answers after %d runs: %q", got, runs, sentTexts(r.chat.sent()))
		}
	})
}

// TestJournalSurvivesAnOrderlyStop: an attempt that was given back does not
// count, and what it did is known all the same.
func TestJournalSurvivesAnOrderlyStop(t *testing.T) {
	begin := runner(func(ctx context.Context, _ agent.Turn, p agent.Port) (agent.Result, error) {
		if err := p.Journal(ctx, agent.Step{Index: 0, Tool: "mail"}); err != nil {
			return agent.Result{}, err
		}
		<-ctx.Done()
		return agent.Result{}, ctx.Err()
	})
	bubble(t, func() rigOptions { return rigOptions{agent: gateway.AgentSettings{Runner: begin}} }, func(r *rig) {
		r.accept(said("anna", "1", "go"))
		r.after(time.Second)
		r.stop()
		var journal []agent.Step
		next := newRig(t, rigOptions{engine: r.bus, agent: gateway.AgentSettings{Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			journal = t.Journal
			return reply("done"), nil
		})}})
		next.wait(1)
		next.stop()
		if len(journal) != 1 || journal[0].Tool != "mail" {
			t.Errorf("the rerun was given the journal %+v", journal)
		}
	})
}

// TestBlankAnswersAreReplaced: something is said, whatever the agent came to.
func TestBlankAnswersAreReplaced(t *testing.T) {
	for _, replies := range [][]agent.Reply{nil, {{}}, {{Markdown: " \n"}}} {
		bubble(t, func() rigOptions {
			return rigOptions{agent: gateway.AgentSettings{Runner: runner(func(context.Context, agent.Turn, agent.Port) (agent.Result, error) {
				return agent.Result{Replies: replies}, nil
			})}}
		}, func(r *rig) {
			r.accept(said("anna", "1", "go"))
			if got := r.wait(1); !strings.Contains(got[0].Text, "no answer") {
				t.Errorf("told %q", got[0].Text)
			}
		})
	}
}

// TestBacklogInFollowupMode: what came while the gateway was away is answered
// together in every mode.
func TestBacklogInFollowupMode(t *testing.T) {
	bubble(t, func() rigOptions { return rigOptions{agent: gateway.AgentSettings{Queue: gateway.Followup}} }, func(r *rig) {
		r.stop()
		r.accept(said("anna", "1", "one"), said("anna", "2", "two"))
		<-time.After(20 * time.Minute)
		next := newRig(t, rigOptions{engine: r.bus, agent: gateway.AgentSettings{Queue: gateway.Followup}})
		want := []string{"(Your 2 messages had to wait. This answers them together.)\n\necho: one | two"}
		next.after(time.Minute)
		if d := cmp.Diff(want, sentTexts(next.chat.sent())); d != "" {
			t.Error(d)
		}
		next.stop()
	})
}

// TestLongTurnsWereNotAway: a turn that takes long is no reason to say that the
// gateway slept.
func TestLongTurnsWereNotAway(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: working(20 * 60)}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "one"), said("anna", "2", "two"))
		r.after(30 * time.Minute)
		got := sentTexts(r.chat.sent())
		if len(got) != 1 || strings.Contains(got[0], "away") {
			t.Errorf("told %q", got)
		}
	})
}

// TestRepliesEnd for every kind of event, also where the channel has several
// accounts.
func TestRepliesEnd(t *testing.T) {
	inAccount := func(e channels.Event, a channels.AccountID) channels.Event { e.Account = a; return e }
	self := said("anna", "self", "x")
	self.Who.Self = true
	tests := []struct {
		event channels.Event
		want  int
	}{
		{inAccount(said("anna", "turn", "hi"), "T1"), 1},
		{inAccount(said("ben", "turn2", "hi"), "T2"), 1},
		{inAccount(ordered("ben", "turn", "nothing", ""), "T3"), 1}, // a key that another account has, too
		{inAccount(ordered("anna", "command", "help", ""), "T2"), 1},
		{inAccount(self, "T1"), 0},
	}
	for _, tt := range tests {
		bubble(t, plain, func(r *rig) {
			for _, x := range tests {
				r.accept(x.event)
			}
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
			defer cancel()
			n := 0
			for p, err := range r.gw.Sink("chat").Replies(ctx, tt.event.Account, tt.event.Key) {
				if err != nil {
					t.Fatalf("%s: %v", tt.event.Key, err)
				}
				n++
				if p.To.Account != tt.event.Account {
					t.Errorf("%s: a reply to the account %q", tt.event.Key, p.To.Account)
				}
			}
			if n != tt.want {
				t.Errorf("%s: %d replies, want %d", tt.event.Key, n, tt.want)
			}
		})
	}
}

// TestReadyTellsTheTruth: a channel that keeps changing between connecting and
// retrying is not ready.
func TestReadyTellsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &hosted{driver: driver{newChat()}}
		r := newRig(t, rigOptions{})
		if err := r.gw.Apply(t.Context(), []gateway.ChannelConfig{{ID: "x", Driver: d, Section: json.RawMessage("{}")}}); err != nil {
			t.Fatal(err)
		}
		d.host.Report(channels.Health{Phase: channels.Connected})
		<-time.After(time.Hour)
		for range 6 {
			d.host.Report(channels.Health{Phase: channels.Retrying})
			<-time.After(15 * time.Second)
			d.host.Report(channels.Health{Phase: channels.Connecting})
			if is := r.gw.Ready(); !is.Ready || is.Channels[0].Waits == "" || is.Channels[0].Grace <= 0 {
				t.Errorf("within the grace: %+v", is)
			}
		}
		<-time.After(time.Minute)
		d.host.Report(channels.Health{Phase: channels.Retrying})
		if is := r.gw.Ready(); is.Ready || is.Channels[0].Ready || is.Channels[0].Grace != 0 || is.Channels[0].Away < 120 {
			t.Errorf("after the grace: %+v", is)
		}
		d.host.Report(channels.Health{Phase: channels.Broken, Err: errors.New("the token of @support"), Fix: "ask @support"})
		if is := r.gw.Ready(); is.Ready || is.Channels[0].ID != "x" || is.Channels[0].Error == "" {
			t.Errorf("broken: %+v", is)
		}
		if text := fmt.Sprintf("%+v", r.gw.Ready().Unnamed()); strings.Contains(text, "support") || strings.Contains(text, "ID:x") {
			t.Errorf("without names: %s", text)
		}
		d.host.Report(channels.Health{Phase: channels.Connected})
		if is := r.gw.Ready(); !is.Ready || is.Channels[0].Waits != "" {
			t.Errorf("connected: %+v", is)
		}
		r.stop()
	})
}

// hosted keeps the host that it was opened with.
type hosted struct {
	driver
	host channels.Host
}

func (h *hosted) Open(_ context.Context, host channels.Host, _ json.RawMessage) (channels.Channel, error) {
	h.host = host
	return h.c, nil
}

// TestStateIsBounded: what turns leave behind goes with the retention.
func TestStateIsBounded(t *testing.T) {
	keep := gateway.Retention{
		Retention: bus.Retention{Bodies: 24 * time.Hour, Dead: 48 * time.Hour, Keys: 240 * time.Hour}, Turns: 24 * time.Hour,
		Sessions: session.Keep{Idle: 24 * time.Hour},
	}
	remembering := runner(func(context.Context, agent.Turn, agent.Port) (agent.Result, error) {
		res := reply("yes")
		res.Entries = []agent.Entry{{At: time.Now(), Role: agent.User, Text: "x"}}
		return res, nil
	})
	bubble(t, func() rigOptions { return rigOptions{keep: keep, agent: gateway.AgentSettings{Runner: remembering}} }, func(r *rig) {
		r.accept(said("anna", "1", "one"), said("anna", "2", "two"), ordered("anna", "3", "help", ""))
		r.wait(2)
		count := func() (n int) {
			for _, space := range []string{"turn", "gathered", "step", "draft", "via", "session", "session-meta", "room"} {
				rows, err := r.bus.List(t.Context(), space, "", "", 0)
				if err != nil {
					t.Fatal(err)
				}
				n += len(rows)
			}
			return n
		}
		before := count()
		r.after(23 * time.Hour)
		if n := count(); n != before || n != 4 {
			t.Errorf("%d rows, then %d", before, n)
		}
		r.after(2 * time.Hour)
		if n := count(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// TestShutdownOrder: a turn that ends within its grace is delivered, while the
// channel still runs.
func TestShutdownOrder(t *testing.T) {
	var l *living
	bubble(t, func() rigOptions {
		return rigOptions{agent: gateway.AgentSettings{Runner: working(4)}, wrap: func(c *chat) channels.Channel { l = &living{chat: c}; return l }}
	}, func(r *rig) {
		r.accept(saidIn("room", "anna", "1", "one", true), said("ben", "2", "two"))
		r.after(500 * time.Millisecond)
		r.stop()
		if l.late.Load() {
			t.Error("something was sent after Run had returned")
		}
		if n := len(r.chat.sent()); n != 2 {
			t.Errorf("%d answers were delivered, want 2", n)
		}
		if ls, err := r.bus.Lease(t.Context(), bus.Want{Queue: bus.Inbox, NoWait: true}); err != nil || len(ls) != 0 {
			t.Errorf("the turns were not finished: %v, %v", ls, err)
		}
	})
}

// living notes whether it is used when it no longer runs.
type living struct {
	*chat
	over, late atomic.Bool
}

func (l *living) Run(ctx context.Context, _ channels.Sink) error {
	<-ctx.Done()
	l.over.Store(true)
	return nil
}

func (l *living) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if l.over.Load() {
		l.late.Store(true)
	}
	return l.chat.Send(ctx, p)
}

// TestUnkeepableEventsAreRefusedForGood: trying again would not help.
func TestUnkeepableEventsAreRefusedForGood(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		for _, key := range []string{"", "a\x00b", "\xff"} {
			err := r.gw.Sink("chat").Accept(t.Context(), channels.Batch{Events: []channels.Event{said("anna", key, "x")}})
			if channels.KindOf(err) != channels.Rejected {
				t.Errorf("key %q: %v", key, err)
			}
		}
		batch := channels.Batch{Events: []channels.Event{said("anna", "2", "kept"), said("anna", "", "x"), said("ben", "3", "kept")}}
		rejected, err := channels.Offer(t.Context(), r.gw.Sink("chat"), batch)
		if err != nil || len(rejected) != 1 {
			t.Errorf("offered with two others: %v, %v", rejected, err)
		}
		r.wait(2)
		letters, err := r.bus.DeadLetters(t.Context(), bus.Inbox, 0, 0)
		if err != nil || len(letters) != 3 { // the first was offered twice
			t.Errorf("%d dead letters, %v", len(letters), err)
		}
		for _, l := range letters {
			if !strings.HasPrefix(l.Reason, "rejected: an event's key") || !strings.Contains(string(l.Body), `"text":"x"`) {
				t.Errorf("a letter of reason %q holds %s", l.Reason, l.Body)
			}
		}
		e := said("anna", "1", "x")
		e.Raw = json.RawMessage("{broken")
		r.accept(e)
		r.wait(3)
	})
}

// conflicting loses the first settlement that writes state to a conflict.
type conflicting struct {
	bus.Engine
	lost bool
}

func (c *conflicting) Settle(ctx context.Context, l *bus.Lease, o bus.Outcome) error {
	if !c.lost && len(o.State) > 0 {
		c.lost = true
		return bus.ErrConflict
	}
	return c.Engine.Settle(ctx, l, o)
}

func TestConflictsAreTriedAgainSoon(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{engine: &conflicting{Engine: inprocess.New(inprocess.Options{})}}
	}, func(r *rig) {
		began := time.Now()
		r.accept(said("anna", "1", "hello"))
		r.wait(1)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("answered after %v", d)
		}
	})
}
