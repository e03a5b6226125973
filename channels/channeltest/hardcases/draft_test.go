package hardcases_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// A turn shows its first draft, and the process dies somewhere between that and
// the final answer. Whatever happens, the person ends up with one message that
// holds the final text; only a platform that cannot tell what it took may be
// left with the torn-off draft beside it.

// screen is a platform with messages that can be edited. With keys it knows
// what was sent to it before.
type screen struct {
	channels.Channel // what this case does not call
	keys             bool
	texts            []string
	byKey            map[string]int
}

var (
	_ channels.Channel    = (*screen)(nil)
	_ channels.Reconciler = (*screen)(nil)
)

func (s *screen) Send(_ context.Context, p channels.Part) (channels.Receipt, error) {
	text := markup.PlainText.Render(p.Body)
	i := len(s.texts)
	if p.Replaces != "" {
		if _, err := fmt.Sscan(string(p.Replaces), &i); err != nil || i >= len(s.texts) {
			return channels.Receipt{}, &channels.Error{Op: "send", Channel: "c", Kind: channels.Gone, Err: err}
		}
		s.texts[i] = text
	} else {
		s.texts = append(s.texts, text)
		s.byKey[p.Key] = i
	}
	return channels.Receipt{ID: channels.MessageID(fmt.Sprint(i)), At: time.Now()}, nil
}

func (s *screen) Sent(_ context.Context, p channels.Part, _ time.Time) (channels.Receipt, bool, error) {
	if !s.keys {
		return channels.Receipt{}, false, errors.ErrUnsupported
	}
	i, ok := s.byKey[p.Key]
	return channels.Receipt{ID: channels.MessageID(fmt.Sprint(i))}, ok, nil
}

const refs = "draft" // space: turn -> the id of its first draft

// answering is one process that answers; die names where it ends.
type answering struct {
	t   *testing.T
	bus bus.Engine
	scr *screen
	die string
}

// at reports whether the process dies here.
func (p *answering) at(point string) bool { return p.die == point }

// run leases the turn, shows a draft, answers; false: the process has died.
func (p *answering) run() bool {
	t := p.t
	l := mustLease(t, p.bus, bus.Inbox)
	// The first draft is a record: the same key in a rerun is the same draft.
	if _, err := p.bus.Hold(t.Context(), l, bus.Hold{Emit: []bus.Record{outbound("turn/0", "draft")}}); err != nil {
		t.Fatal(err)
	}
	if p.at("hold.after-commit") {
		return false
	}
	if !p.deliver() || p.at("turn.before-model") {
		return false
	}
	settle(t, p.bus, l, bus.Outcome{
		Verdicts: verdict(l, bus.Verdict{Fate: bus.Ack}),
		Emit:     []bus.Record{outbound("turn/r0", "final"), outbound("turn/r1", "the rest")},
	})
	return !p.at("settle.after-commit") && p.deliver()
}

// deliver sends what is due.
func (p *answering) deliver() bool {
	for l := lease(p.t, p.bus, bus.Outbox); l != nil; l = lease(p.t, p.bus, bus.Outbox) {
		out := bus.Outcome{Verdicts: map[string]bus.Verdict{}}
		for _, r := range l.Records {
			part := channels.Part{Key: r.Key, To: place, Body: markup.Plain(decode[string](p.t, r.Body))}
			if r.Key == "turn/r0" {
				ref, err := p.bus.Get(p.t.Context(), refs, "turn")
				if err != nil {
					p.t.Fatal(err)
				}
				part.Replaces = channels.MessageID(ref.Value)
			}
			receipt, ok := p.send(r, part)
			if !ok {
				return false
			}
			if r.Key == "turn/0" && receipt.ID != "" {
				out.State = append(out.State, bus.Write{Space: refs, Key: "turn", Value: []byte(receipt.ID)})
			}
			out.Verdicts[r.Key] = bus.Verdict{Fate: bus.Ack}
		}
		settle(p.t, p.bus, l, out)
		if _, drafted := out.Verdicts["turn/0"]; drafted && p.at("delivery.after-settle") {
			return false
		}
	}
	return true
}

// send asks first when an earlier attempt may have succeeded. A draft that
// nobody can ask about is given up: the final will say it all.
func (p *answering) send(r bus.Record, part channels.Part) (channels.Receipt, bool) {
	if r.Attempt > 1 && part.Replaces == "" {
		receipt, was, err := p.scr.Sent(p.t.Context(), part, time.Time{})
		switch {
		case err == nil && was:
			return receipt, true
		case err != nil && r.Key == "turn/0":
			return channels.Receipt{}, true
		}
	}
	if p.at("send.before " + r.Key) {
		return channels.Receipt{}, false
	}
	receipt, err := p.scr.Send(p.t.Context(), part)
	if err != nil {
		p.t.Fatal(err)
	}
	return receipt, !p.at("send.after " + r.Key)
}

func TestCrashBetweenDraftAndFinal(t *testing.T) {
	want := []string{"final", "the rest"}
	for _, c := range []struct {
		die  string
		keys bool
		want []string
	}{
		{"", true, want},
		{"hold.after-commit", true, want},
		{"send.before turn/0", true, want},
		{"send.after turn/0", true, want},
		{"send.after turn/0", false, []string{"draft", "final", "the rest"}}, // an orphan, and nothing said twice
		{"delivery.after-settle", true, want},
		{"delivery.after-settle", false, want},
		{"turn.before-model", true, want},
		{"settle.after-commit", true, want},
		{"send.before turn/r0", true, want},
		{"send.after turn/r0", true, want},
		{"send.after turn/r0", false, want}, // an edit is repeated without harm
		{"send.after turn/r1", true, want},
	} {
		t.Run(fmt.Sprintf("%s keys=%v", c.die, c.keys), func(t *testing.T) {
			e, clock := newEngine(t)
			scr := &screen{keys: c.keys, byKey: map[string]int{}}
			accept(t, e, event("ask", channels.Message{ID: "1", Text: "?"}))
			first := &answering{t: t, bus: e, scr: scr, die: c.die}
			if first.run() != (c.die == "") {
				t.Fatal("it should have died, or should not have")
			}
			clock.forward(2 * time.Minute) // its leases run out
			second := &answering{t: t, bus: e, scr: scr}
			if l := lease(t, e, bus.Inbox); l != nil {
				settle(t, e, l, bus.Outcome{Verdicts: verdict(l, bus.Verdict{Fate: bus.Release})})
				second.run()
			}
			second.deliver()
			if d := cmp.Diff(c.want, scr.texts); d != "" {
				t.Errorf("the person sees (-want +got):\n%s", d)
			}
		})
	}
}

// TestLateDraftIsFenced: the process that was taken over from cannot put
// another draft into the outbox.
func TestLateDraftIsFenced(t *testing.T) {
	e, clock := newEngine(t)
	accept(t, e, event("ask", channels.Message{ID: "1", Text: "?"}))
	old := mustLease(t, e, bus.Inbox)
	clock.forward(2 * time.Minute)
	young := mustLease(t, e, bus.Inbox)
	if young.Epoch <= old.Epoch {
		t.Errorf("epoch %d after %d", young.Epoch, old.Epoch)
	}
	_, err := e.Hold(t.Context(), old, bus.Hold{Emit: []bus.Record{outbound("turn/0", "late")}})
	if !errors.Is(err, bus.ErrLeaseLost) {
		t.Errorf("the late draft: %v", err)
	}
	if l := lease(t, e, bus.Outbox); l != nil {
		t.Errorf("the outbox holds %+v", l.Records)
	}
}
