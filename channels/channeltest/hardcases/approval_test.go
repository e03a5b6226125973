package hardcases_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// A turn waits for a person: it asks, gives its lease up, lets the conversation
// go on, and is resumed by the press of a button, over restarts and crashes at
// every step, with its tool run exactly once.

const (
	approvals = "approval" // space: turn -> approval
	journal   = "step"     // space: turn/index -> agent.Step
)

// approval is the question, decided by compare-and-set.
type approval struct {
	Tag     string
	By      string // empty: undecided
	Granted bool
}

// payer is an agent whose only tool pays.
type payer struct{ paid *int }

var _ agent.Runner = payer{}

func (p payer) Run(ctx context.Context, t agent.Turn, port agent.Port) (agent.Result, error) {
	if len(t.Journal) == 2 { // begun and finished in an earlier run
		return agent.Result{Replies: []agent.Reply{{Markdown: string(t.Journal[1].Result)}}}, nil
	}
	if len(t.Journal) == 1 {
		return agent.Result{Replies: []agent.Reply{{Markdown: "I cannot tell whether it was paid"}}}, nil
	}
	d, err := port.Approve(ctx, agent.Request{Tool: "pay", Args: json.RawMessage(`{"eur":5}`), Summary: "Pay 5 EUR?"})
	switch {
	case errors.Is(err, agent.ErrSuspended):
		return agent.Result{Suspended: true}, nil
	case err != nil:
		return agent.Result{}, err
	case !d.Approved:
		return agent.Result{Replies: []agent.Reply{{Markdown: "not paid"}}}, nil
	}
	if err := port.Journal(ctx, agent.Step{Index: 0, Tool: "pay", Hash: "h"}); err != nil {
		return agent.Result{}, err
	}
	*p.paid++
	if err := port.Journal(ctx, agent.Step{Index: 1, Tool: "pay", Hash: "h", Result: json.RawMessage(`"paid"`)}); err != nil {
		return agent.Result{}, err
	}
	return agent.Result{Replies: []agent.Reply{{Markdown: `"paid"`}}}, nil
}

// station is one worker's side of a turn.
type station struct {
	bus  bus.Engine
	l    *bus.Lease
	turn string
	die  int // the Hold at which the process dies; 0: never

	holds    int
	question string
}

var (
	_         agent.Port = (*station)(nil)
	errKilled            = errors.New("killed")
)

func (s *station) Next(context.Context) ([]channels.Event, error) { return nil, nil }
func (s *station) Draft(string)                                   {}

func (s *station) Journal(ctx context.Context, st agent.Step) error {
	_, err := s.bus.Hold(ctx, s.l, bus.Hold{State: []bus.Write{{
		Space: journal, Key: fmt.Sprintf("%s/%03d", s.turn, st.Index), Value: encode(st),
	}}})
	if s.holds++; s.holds == s.die {
		return errKilled
	}
	return err
}

func (s *station) Approve(ctx context.Context, r agent.Request) (agent.Decision, error) {
	e, err := s.bus.Get(ctx, approvals, s.turn)
	if err != nil {
		return agent.Decision{}, err
	}
	var a approval
	if e.Version != 0 {
		if err := json.Unmarshal(e.Value, &a); err != nil {
			return agent.Decision{}, err
		}
	}
	if a.By != "" {
		return agent.Decision{Approved: a.Granted, By: a.By}, nil
	}
	s.question = r.Summary
	return agent.Decision{}, agent.ErrSuspended
}

// serve leases a turn, runs it and settles it; false when nothing was due.
func serve(t *testing.T, e bus.Engine, r agent.Runner, die int) bool {
	t.Helper()
	l := lease(t, e, bus.Inbox)
	if l == nil {
		return false
	}
	s := &station{bus: e, l: l, turn: "turn-" + l.Records[0].Key, die: die}
	turn := agent.Turn{
		ID: s.turn, Scope: scope.New(scope.Principal{Workspace: "w", Member: "m", Role: scope.Owner}), Where: place,
		Events: []channels.Event{decode[channels.Event](t, l.Records[0].Body)}, Attempt: l.Records[0].Attempt,
	}
	steps, err := e.List(t.Context(), journal, s.turn+"/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range steps {
		turn.Journal = append(turn.Journal, decode[agent.Step](t, st.Value))
	}
	res, err := r.Run(t.Context(), turn, s)
	if errors.Is(err, errKilled) {
		return true // nothing more is heard of this process
	}
	if err != nil {
		t.Fatal(err)
	}
	if res.Suspended {
		tag := "approval/" + s.turn
		settle(t, e, l, bus.Outcome{
			Verdicts: verdict(l, bus.Verdict{Fate: bus.Park, Tag: tag, At: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)}),
			Emit:     []bus.Record{outbound(s.turn+"/ask", s.question)},
			State:    []bus.Write{{Space: approvals, Key: s.turn, If: bus.Absent, Value: encode(approval{Tag: tag})}},
		})
		return true
	}
	settle(t, e, l, bus.Outcome{
		Verdicts: verdict(l, bus.Verdict{Fate: bus.Ack}),
		Emit:     []bus.Record{outbound(s.turn+"/r0", res.Replies[0].Markdown)},
	})
	return true
}

func outbound(key, text string) bus.Record {
	return bus.Record{Queue: bus.Outbox, Channel: "c", Account: "a", Key: key, Order: place.Order(), Body: encode(text)}
}

// decide works off one press: the decision becomes durable first, then the turn
// is due again, then the press is done. It may die after each.
func decide(t *testing.T, e bus.Engine, die int) (decided bool) {
	t.Helper()
	l := mustLease(t, e, bus.Urgent)
	p := decode[channels.Event](t, l.Records[0].Body)
	turn := p.Content.(channels.Press).Data
	entry, err := e.Get(t.Context(), approvals, turn)
	if err != nil {
		t.Fatal(err)
	}
	a := decode[approval](t, entry.Value)
	if a.By == "" {
		a.By, a.Granted = p.Who.ID, true
		_, err = e.Hold(t.Context(), l, bus.Hold{State: []bus.Write{{Space: approvals, Key: turn, If: entry.Version, Value: encode(a)}}})
		if err != nil && !errors.Is(err, bus.ErrConflict) {
			t.Fatal(err)
		}
		decided = err == nil
	}
	if die == 1 {
		return decided
	}
	if _, err := e.Unpark(t.Context(), a.Tag); err != nil {
		t.Fatal(err)
	}
	if die == 2 {
		return decided
	}
	settle(t, e, l, bus.Outcome{Verdicts: verdict(l, bus.Verdict{Fate: bus.Ack})})
	return decided
}

func outbox(t *testing.T, e bus.Engine, turn string) (out []string) {
	t.Helper()
	ls, err := e.Replies(t.Context(), "c", turn+"/")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ls {
		out = append(out, decode[string](t, l.Body))
	}
	return out
}

func TestTurnThatWaitsForAnApproval(t *testing.T) {
	for _, c := range []struct {
		name        string
		dieDeciding int // after which step of the decision
		dieTurn     int // at which journal entry of the resumed turn
		wantPaid    int
		wantLast    string
	}{
		{"nothing dies", 0, 0, 1, `"paid"`},
		{"dies with the decision made and the turn still parked", 1, 0, 1, `"paid"`},
		{"dies with the turn due and the press not settled", 2, 0, 1, `"paid"`},
		{"dies before the tool", 0, 1, 0, "I cannot tell whether it was paid"},
		{"dies after the tool, its result kept", 0, 2, 1, `"paid"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, clock := newEngine(t)
			paid := 0
			agent := payer{&paid}
			accept(t, e, event("ask", channels.Message{ID: "1", Text: "pay!"}))
			serve(t, e, agent, 0)
			if paid != 0 || lease(t, e, bus.Inbox) != nil {
				t.Fatal("the turn did not wait")
			}
			// The conversation goes on meanwhile.
			accept(t, e, event("other", channels.Message{ID: "2", Text: "hello"}))
			other := mustLease(t, e, bus.Inbox)
			if len(other.Records) != 1 || other.Records[0].Key != "other" {
				t.Fatalf("leased %+v", other.Records)
			}
			// The press arrives while that turn runs.
			accept(t, e, event("press", channels.Press{ID: "q", Data: "turn-ask"}))
			if !decide(t, e, c.dieDeciding) {
				t.Error("the press did not decide")
			}
			settle(t, e, other, bus.Outcome{Verdicts: verdict(other, bus.Verdict{Fate: bus.Ack})})
			if c.dieDeciding > 0 {
				clock.forward(time.Minute) // the press's lease runs out
				if decide(t, e, 0) {
					t.Error("the repeated press decided once more")
				}
			}
			serve(t, e, agent, c.dieTurn)
			if c.dieTurn > 0 {
				clock.forward(time.Minute)
				serve(t, e, agent, 0)
			}
			if serve(t, e, agent, 0) {
				t.Error("the turn ran once more")
			}
			if paid != c.wantPaid {
				t.Errorf("paid %d times, want %d", paid, c.wantPaid)
			}
			got := outbox(t, e, "turn-ask")
			if len(got) != 2 || got[0] != "Pay 5 EUR?" || got[1] != c.wantLast {
				t.Errorf("said %q, want the question and %q", got, c.wantLast)
			}
		})
	}
}

// TestTwoPressesDecideOnce: two people press at the same moment, on two replicas.
func TestTwoPressesDecideOnce(t *testing.T) {
	e, _ := newEngine(t)
	accept(t, e, event("ask", channels.Message{ID: "1", Text: "pay!"}))
	paid := 0
	serve(t, e, payer{&paid}, 0)
	entry, err := e.Get(t.Context(), approvals, "turn-ask")
	if err != nil {
		t.Fatal(err)
	}
	write := func(by string) error {
		return e.Write(t.Context(), bus.Write{Space: approvals, Key: "turn-ask", If: entry.Version, Value: encode(approval{By: by})})
	}
	if err := write("first"); err != nil {
		t.Fatal(err)
	}
	if err := write("second"); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("the second decision: %v", err)
	}
}

// TestApprovalExpires: nobody answers, and the turn becomes a dead letter that
// an operator sees and its sender is told of.
func TestApprovalExpires(t *testing.T) {
	e, clock := newEngine(t)
	accept(t, e, event("ask", channels.Message{ID: "1", Text: "pay!"}))
	paid := 0
	serve(t, e, payer{&paid}, 0)
	clock.forward(48 * time.Hour)
	if _, err := e.Sweep(t.Context(), bus.Retention{}); err != nil {
		t.Fatal(err)
	}
	ls, err := e.DeadLetters(t.Context(), bus.Inbox, 0, 10)
	if err != nil || len(ls) != 1 || ls[0].Key != "ask" {
		t.Errorf("dead letters %+v, %v", ls, err)
	}
	if n, err := e.Unpark(t.Context(), "approval/turn-ask"); n != 0 || err != nil {
		t.Errorf("a late press made %d records due again (%v)", n, err)
	}
}
