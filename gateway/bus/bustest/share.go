package bustest

import (
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

func orderKey(order, n int) string { return fmt.Sprintf("o%d/%d", order, n) }

var shareCases = []testCase{
	{name: "what was accepted survives a restart", shared: true, run: restart},
	{name: "two engines never lease the same order", shared: true, run: func(b *bench) {
		other := b.on(b.open(0))
		b.publish("a/1", "b/1")
		l, m := b.lease(), other.lease()
		if l.Order == m.Order {
			b.Fatalf("both have %s", l.Order)
		}
		b.idle()
		other.idle()
	}},
	{name: "a lease of a dead engine is taken over by another", shared: true, run: func(b *bench) {
		b.publish("a/1")
		old := b.lease()
		other := b.on(b.open(0))
		other.idle()
		b.Advance(2 * time.Minute)
		l := other.take("a/1")
		b.wantErr(b.Settle(b.ctx, old, all(old, bus.Verdict{Fate: bus.Ack})), bus.ErrLeaseLost)
		other.settle(l, bus.Verdict{Fate: bus.Ack})
	}},
	{name: "a waiting lease learns of another engine's publication", shared: true, run: func(b *bench) {
		other := b.on(b.open(0))
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		other.publish("a/1")
		b.served(got, "a/1")
	}},
	{name: "a waiting lease learns of another engine's retry", shared: true, run: func(b *bench) {
		other := b.on(b.open(0))
		b.publish("a/1")
		l := other.lease()
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		other.settle(l, bus.Verdict{Fate: bus.Retry, At: b.Now().Add(100 * time.Millisecond)})
		b.served(got, "a/1")
	}},
	{name: "a waiting lease learns that another engine died", shared: true, run: func(b *bench) {
		other := b.on(b.open(0))
		b.publish("a/1")
		other.leases(bus.Want{Queue: bus.Inbox, For: 200 * time.Millisecond})
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		b.served(got, "a/1")
	}},
	{name: "a channel that another engine worked empty has room", shared: true, limit: 2, run: func(b *bench) {
		other := b.on(b.open(2))
		b.publish("a/1", "a/2")
		b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("a/3")}), bus.ErrFull)
		b.diff("worked", other.work(inbox(1)), []string{"a/1", "a/2"})
		b.publish("a/3")
	}},
	{name: "conditions hold across engines", shared: true, run: func(b *bench) {
		other := b.on(b.open(0))
		b.must(b.Write(b.ctx, put("k", "v", bus.Absent)))
		other.wantErr(other.Write(b.ctx, put("k", "w", bus.Absent)), bus.ErrConflict)
		other.must(other.Write(b.ctx, put("k", "w", 1)))
		b.diff("value", b.value("s", "k"), "w@2")
	}},
	{name: "a key is accepted once across engines", shared: true, run: func(b *bench) {
		other := b.on(b.open(0))
		done := make(chan error, 2)
		for _, e := range []bus.Engine{b.Engine, other.Engine} {
			go func() {
				for i := range 50 {
					if err := e.Publish(b.ctx, bus.Batch{Records: recs(orderKey(i%3, i))}); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		b.must(<-done)
		b.must(<-done)
		b.diff("accepted", len(b.work(inbox(9))), 50)
	}},
}

func restart(b *bench) {
	b.publish("a/1", "a/2", "b/1")
	late := rec("l/1")
	late.NotBefore = b.Now().Add(time.Hour)
	b.publishRecs(late)
	b.must(b.Write(b.ctx, put("k", "v", 0)))
	l := b.take("a/1", "a/2")
	b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
		"a/1": {Fate: bus.Ack}, "a/2": {Fate: bus.Park, Tag: "t"},
	}, Emit: []bus.Record{outRec("a/r")}}))
	l = b.take("b/1")
	b.must(b.Close())

	b = b.on(b.open(0))
	b.idle() // b/1 is leased by a dead engine
	b.diff("state", b.value("s", "k"), "v@1")
	b.diff("depths", b.depth(), map[string]int{
		"inbox c leased": 1, "inbox c ready": 1, "inbox c parked": 1, "outbox c ready": 1,
	})
	b.settle(l, bus.Verdict{Fate: bus.Ack}) // the lease outlives the engine
	b.diff("outbox", keys(b.leases(bus.Want{Queue: bus.Outbox})[0].Records), []string{"a/r"})
	b.unpark("t", 1)
	b.publish("a/1")
	b.take("a/2")
	b.Advance(2 * time.Hour)
	b.diff("due later", sorted(b.work(inbox(9))), []string{"a/2", "l/1"})
}
