package bustest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

type atomicDuration struct{ ns atomic.Int64 }

func (d *atomicDuration) load() time.Duration { return time.Duration(d.ns.Load()) }
func (d *atomicDuration) add(x time.Duration) { d.ns.Add(int64(x)) }

// patience is how long a case waits for what must happen.
const patience = 20 * time.Second

// bench is what a case works with: an engine and short words for its calls,
// which fail the test on an unexpected error.
type bench struct {
	testing.TB
	Harness
	bus.Engine
	ctx context.Context
}

func newBench(t testing.TB, h Harness, limit int) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &bench{TB: t, Harness: h, ctx: ctx}
	b.Engine = b.open(limit)
	t.Cleanup(cancel)
	return b
}

// open opens another engine on the same storage.
func (b *bench) open(limit int) bus.Engine {
	b.Helper()
	e := b.Harness.Open(b.TB, limit)
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	return e
}

// on returns the bench at another engine.
func (b *bench) on(e bus.Engine) *bench {
	c := *b
	c.Engine = e
	return &c
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) wantErr(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("error is %v, want %v", err, want)
	}
}

func (b *bench) diff(what string, got, want any) {
	b.Helper()
	if d := cmp.Diff(want, got); d != "" {
		b.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// rec returns an inbox record: "order/key" names both, "a/1".
func rec(name string) bus.Record {
	order, _, _ := strings.Cut(name, "/")
	return bus.Record{
		Workspace: "w", Channel: "c", Account: "acc", Queue: bus.Inbox,
		Key: name, Order: order, Body: json.RawMessage(`{"n":"` + name + `"}`),
	}
}

func recs(names ...string) []bus.Record {
	rs := make([]bus.Record, 0, len(names))
	for _, n := range names {
		rs = append(rs, rec(n))
	}
	return rs
}

func outRec(name string) bus.Record {
	r := rec(name)
	r.Queue = bus.Outbox
	return r
}

func (b *bench) publish(names ...string) {
	b.Helper()
	b.must(b.Publish(b.ctx, bus.Batch{Records: recs(names...)}))
}

func (b *bench) publishRecs(rs ...bus.Record) {
	b.Helper()
	b.must(b.Publish(b.ctx, bus.Batch{Records: rs}))
}

func inbox(n int) bus.Want { return bus.Want{Queue: bus.Inbox, N: n, NoWait: true, For: time.Minute} }

// leases takes what is due and returns it by order.
func (b *bench) leases(w bus.Want) []*bus.Lease {
	b.Helper()
	w.NoWait = true
	ls, err := b.Lease(b.ctx, w)
	b.must(err)
	return ls
}

// lease takes exactly one order of the inbox.
func (b *bench) lease() *bus.Lease {
	b.Helper()
	ls := b.leases(inbox(1))
	if len(ls) != 1 {
		b.Fatalf("got %d leases, want 1", len(ls))
	}
	return ls[0]
}

// idle asserts that nothing is due in the inbox.
func (b *bench) idle() {
	b.Helper()
	if ls := b.leases(inbox(1)); len(ls) != 0 {
		b.Fatalf("leased %s %v, want nothing due", ls[0].Order, keys(ls[0].Records))
	}
}

// take takes one order and asserts its records.
func (b *bench) take(want ...string) *bus.Lease {
	b.Helper()
	l := b.lease()
	b.diff("leased records", keys(l.Records), want)
	return l
}

func keys(rs []bus.Record) []string {
	ks := make([]string, 0, len(rs))
	for _, r := range rs {
		ks = append(ks, r.Key)
	}
	return ks
}

func attempts(rs []bus.Record) map[string]int {
	as := map[string]int{}
	for _, r := range rs {
		as[r.Key] = r.Attempt
	}
	return as
}

func letterKeys(ls []bus.Letter) []string {
	ks := make([]string, 0, len(ls))
	for _, l := range ls {
		ks = append(ks, l.Key)
	}
	return ks
}

// settle ends the lease with one verdict for all its records.
func (b *bench) settle(l *bus.Lease, v bus.Verdict) {
	b.Helper()
	b.must(b.Settle(b.ctx, l, all(l, v)))
}

func all(l *bus.Lease, v bus.Verdict) bus.Outcome {
	o := bus.Outcome{Verdicts: map[string]bus.Verdict{}}
	for _, r := range l.Records {
		o.Verdicts[r.Key] = v
	}
	return o
}

// work leases order after order, acknowledges everything and returns the keys.
func (b *bench) work(w bus.Want) []string {
	b.Helper()
	var got []string
	for {
		ls := b.leases(w)
		if len(ls) == 0 {
			return got
		}
		for _, l := range ls {
			got = append(got, keys(l.Records)...)
			b.settle(l, bus.Verdict{Fate: bus.Ack})
		}
	}
}

// waitLease leases in the background. The result has to come within patience.
func (b *bench) waitLease(ctx context.Context, w bus.Want) func() ([]*bus.Lease, error) {
	b.Helper()
	type result struct {
		ls  []*bus.Lease
		err error
	}
	got := make(chan result, 1)
	go func() {
		ls, err := b.Lease(ctx, w)
		got <- result{ls, err}
	}()
	return func() ([]*bus.Lease, error) {
		b.Helper()
		select {
		case r := <-got:
			return r.ls, r.err
		case <-time.After(patience):
			b.Fatal("a lease waits for ever")
			return nil, nil
		}
	}
}

func (b *bench) value(space, key string) string {
	b.Helper()
	x, err := b.Get(b.ctx, space, key)
	b.must(err)
	if x.Version == 0 {
		return ""
	}
	return fmt.Sprintf("%s@%d", x.Value, x.Version)
}

// depth counts by "queue channel state".
func (b *bench) depth() map[string]int {
	b.Helper()
	ds, err := b.Depths(b.ctx)
	b.must(err)
	m := map[string]int{}
	for _, d := range ds {
		m[fmt.Sprintf("%s %s %s", d.Queue, d.Channel, d.State)] += d.Count
	}
	return m
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func put(key, value string, cond int64) bus.Write {
	w := bus.Write{Space: "s", Key: key, If: cond}
	if value != "" {
		w.Value = []byte(value)
	}
	return w
}
