package hardcases_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
)

// clock is a time that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) forward(d time.Duration) { c.now = c.now.Add(d) }

func newEngine(t *testing.T) (*inprocess.Engine, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	e := inprocess.New(inprocess.Options{Now: c.Now})
	t.Cleanup(func() { _ = e.Close() })
	return e, c
}

// intake is the gateway's Sink, reduced to what matters here.
type intake struct{ bus bus.Bus }

var _ channels.Sink = intake{}

func (i intake) Accept(ctx context.Context, b channels.Batch) error {
	var batch bus.Batch
	for _, e := range b.Events {
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		r := bus.Record{Queue: bus.Inbox, Channel: string(e.Where.Channel), Account: string(e.Account), Key: e.Key, Order: e.Where.Order(), Body: body}
		if _, ok := e.Content.(channels.Press); ok {
			r.Queue, r.Order = bus.Urgent, r.Order+bus.UrgentSuffix
		}
		batch.Records = append(batch.Records, r)
	}
	for _, w := range b.State {
		batch.State = append(batch.State, bus.Write{Space: "channel", Key: w.Key, Value: w.Value})
	}
	return i.bus.Publish(ctx, batch)
}

func (intake) Replies(context.Context, channels.AccountID, string) iter.Seq2[channels.Part, error] {
	return func(yield func(channels.Part, error) bool) { yield(channels.Part{}, errors.ErrUnsupported) }
}

// place is where everything happens.
var place = channels.Address{Channel: "c", Account: "a", Conversation: "room"}

func event(key string, content channels.Content) channels.Event {
	return channels.Event{Key: key, Account: "a", Where: place, Who: channels.Sender{ID: "u"}, Addressed: true, Content: content}
}

func accept(t *testing.T, b bus.Bus, es ...channels.Event) {
	t.Helper()
	if err := (intake{b}).Accept(t.Context(), channels.Batch{Events: es}); err != nil {
		t.Fatal(err)
	}
}

// lease takes one lease, or nil when nothing is due.
func lease(t *testing.T, b bus.Bus, queue string) *bus.Lease {
	t.Helper()
	ls, err := b.Lease(t.Context(), bus.Want{Queue: queue, N: 1, For: 30 * time.Second, NoWait: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(ls) == 0 {
		return nil
	}
	return ls[0]
}

func mustLease(t *testing.T, b bus.Bus, queue string) *bus.Lease {
	t.Helper()
	l := lease(t, b, queue)
	if l == nil {
		t.Fatalf("nothing is due in the %s", queue)
	}
	return l
}

func settle(t *testing.T, b bus.Bus, l *bus.Lease, o bus.Outcome) {
	t.Helper()
	if err := b.Settle(t.Context(), l, o); err != nil {
		t.Fatal(err)
	}
}

func verdict(l *bus.Lease, v bus.Verdict) map[string]bus.Verdict {
	out := map[string]bus.Verdict{}
	for _, r := range l.Records {
		out[r.Key] = v
	}
	return out
}

func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func decode[T any](t *testing.T, b []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
