package bustest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

var stressCases = []testCase{
	{name: "random calls agree with the model", run: property},
	{name: "nothing is lost, doubled or reordered", run: hammer},
}

// hammerRun is publishers, workers and an operator on one bus (on two engines,
// where they can share a storage). Every effect is an emission in a Settle, so
// the outbox tells what happened and in which sequence.
type hammerRun struct {
	b       *bench
	engines []bus.Engine
	orders  int
	records int
	effects atomic.Int64 // settlements that took effect
	stale   atomic.Int64 // settlements that were fenced off
}

// tolerant names the orders whose workers park, kill and so reorder records by
// their own decision; in all others the sequence must be kept.
func (h *hammerRun) tolerant(order string) bool { return strings.HasSuffix(order, "3") }

func hammer(b *bench) {
	h := &hammerRun{b: b, engines: []bus.Engine{b.Engine}, orders: 24, records: 40}
	if testing.Short() || slow {
		h.orders, h.records = 12, 15
	}
	if b.Shared {
		h.engines = append(h.engines, b.open(0))
	}
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	ctx, finished := context.WithCancel(ctx)
	for p := range 3 {
		g.Go(func() error { return h.publisher(ctx, p, 3) })
	}
	for n := range 6 {
		g.Go(func() error { return h.worker(ctx, rand.New(rand.NewPCG(7, uint64(n))), h.engines[n%len(h.engines)]) })
	}
	g.Go(func() error {
		defer finished()
		return h.operator(ctx)
	})
	b.must(g.Wait())
	h.check()
	if h.stale.Load() == 0 {
		b.Log("no lease was lost in this run")
	}
}

// publisher publishes every third order, one in twenty records twice.
func (h *hammerRun) publisher(ctx context.Context, p, of int) error {
	rnd := rand.New(rand.NewPCG(3, uint64(p)))
	for n := range h.records {
		for o := p; o < h.orders; o += of {
			batch := bus.Batch{Records: recs(orderKey(o, n))}
			for again := true; again; again = rnd.IntN(20) == 0 {
				if err := h.engines[rnd.IntN(len(h.engines))].Publish(ctx, batch); err != nil {
					return fmt.Errorf("publish: %w", err)
				}
			}
		}
	}
	return nil
}

func (h *hammerRun) worker(ctx context.Context, rnd *rand.Rand, e bus.Engine) error {
	for {
		w := bus.Want{Queue: bus.Inbox, N: 1 + rnd.IntN(3), Max: rnd.IntN(6), For: time.Minute}
		if rnd.IntN(12) == 0 {
			w.For = 30 * time.Millisecond // this time the worker freezes
		}
		ls, err := e.Lease(ctx, w)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		if w.For < time.Second {
			pass(ctx, e, 3*w.For) // in which other workers take the leases over
		}
		for _, l := range ls {
			if err := h.run(ctx, rnd, e, l); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// run gives a lease a random outcome: a prefix is acknowledged with one emission
// each, the rest comes again.
func (h *hammerRun) run(ctx context.Context, rnd *rand.Rand, e bus.Engine, l *bus.Lease) error {
	if rnd.IntN(3) == 0 {
		if _, err := e.Hold(ctx, l, bus.Hold{Join: true}); err != nil {
			return h.fenced(err)
		}
	}
	o := bus.Outcome{Verdicts: map[string]bus.Verdict{}}
	done := rnd.IntN(len(l.Records) + 1)
	for i, r := range l.Records {
		if i < done {
			o.Verdicts[r.Key] = bus.Verdict{Fate: bus.Ack}
			effect := outRec(r.Key)
			effect.Key = fmt.Sprintf("%s effect %d", r.Key, h.effects.Add(1))
			o.Emit = append(o.Emit, effect)
			continue
		}
		switch n := rnd.IntN(8); {
		case n < 2:
			o.Verdicts[r.Key] = bus.Verdict{Fate: bus.Retry}
		case n == 2:
			o.Verdicts[r.Key] = bus.Verdict{Fate: bus.Retry, At: h.b.Now().Add(time.Duration(rnd.IntN(20)) * time.Millisecond)}
		case n == 3 && h.tolerant(l.Order):
			o.Verdicts[r.Key] = bus.Verdict{Fate: bus.Park, Tag: "desk"}
		case n == 4 && h.tolerant(l.Order):
			o.Verdicts[r.Key] = bus.Verdict{Fate: bus.Dead}
		}
	}
	return h.fenced(e.Settle(ctx, l, o))
}

func (h *hammerRun) fenced(err error) error {
	if errors.Is(err, bus.ErrLeaseLost) {
		h.stale.Add(1)
		return nil
	}
	return err
}

// operator sends back what was parked or died, until everything is done.
func (h *hammerRun) operator(ctx context.Context) error {
	e := h.engines[0]
	for {
		if _, err := e.Unpark(ctx, "desk"); err != nil {
			return err
		}
		ls, err := e.DeadLetters(ctx, bus.Inbox, 0, 0)
		if err != nil {
			return err
		}
		for _, l := range ls {
			if _, err := e.Replay(ctx, l.Seq); err != nil {
				return err
			}
		}
		replies, err := e.Replies(ctx, "c", "")
		if err != nil {
			return err
		}
		if len(replies) >= h.orders*h.records {
			return nil
		}
		pass(ctx, e, 20*time.Millisecond)
	}
}

func (h *hammerRun) check() {
	h.b.Helper()
	ls, err := h.b.Replies(h.b.ctx, "c", "")
	h.b.must(err)
	got := map[string][]string{}
	for _, l := range ls {
		key, _, _ := strings.Cut(l.Key, " ")
		got[l.Order] = append(got[l.Order], key)
	}
	for o := range h.orders {
		var want []string
		for n := range h.records {
			want = append(want, orderKey(o, n))
		}
		order := fmt.Sprintf("o%d", o)
		effects := got[order]
		if h.tolerant(order) {
			effects, want = sorted(effects), sorted(want)
		}
		h.b.diff("effects in "+order, effects, want)
	}
	h.b.Advance(2 * time.Minute)
	h.b.diff("left in the inbox", len(h.b.leases(inbox(1))), 0)
}
