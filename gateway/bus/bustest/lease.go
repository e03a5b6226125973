package bustest

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

var leaseCases = []testCase{
	{name: "records of an order come in the order of publication", run: func(b *bench) {
		b.publish("a/3", "a/1")
		b.publish("a/2")
		b.take("a/3", "a/1", "a/2")
	}},
	{name: "an order is leased to one worker at a time", run: func(b *bench) {
		b.publish("a/1")
		l := b.take("a/1")
		b.idle()
		b.publish("a/2")
		b.idle()
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.take("a/2")
	}},
	{name: "orders do not wait for one another", run: func(b *bench) {
		b.publish("a/1", "b/1", "a/2", "c/1")
		b.take("a/1", "a/2")
		b.take("b/1")
		b.take("c/1")
		b.idle()
	}},
	{name: "the oldest order comes first", run: func(b *bench) {
		for _, n := range []string{"z/1", "m/1", "a/1"} {
			b.publish(n)
		}
		b.take("z/1")
		b.take("m/1")
		b.take("a/1")
	}},
	{name: "n orders at once", run: func(b *bench) {
		for i := range 5 {
			b.publish(fmt.Sprintf("o%d/1", i))
		}
		b.diff("leases", len(b.leases(inbox(3))), 3)
		b.diff("leases", len(b.leases(inbox(3))), 2)
		b.diff("leases", len(b.leases(inbox(3))), 0)
	}},
	{name: "no n means one", run: func(b *bench) {
		b.publish("a/1", "b/1")
		b.diff("leases", len(b.leases(bus.Want{Queue: bus.Inbox})), 1)
	}},
	{name: "no duration means thirty seconds", run: func(b *bench) {
		b.publish("a/1")
		b.diff("for", b.leases(bus.Want{Queue: bus.Inbox})[0].For, 30*time.Second)
		b.Advance(29 * time.Second)
		b.idle()
		b.Advance(2 * time.Second)
		b.take("a/1")
	}},
	{name: "max bounds a lease", run: func(b *bench) {
		b.publish("a/1", "a/2", "a/3")
		for _, want := range [][]string{{"a/1", "a/2"}, {"a/3"}} {
			l := b.leases(bus.Want{Queue: bus.Inbox, Max: 2})[0]
			b.diff("leased", keys(l.Records), want)
			b.settle(l, bus.Verdict{Fate: bus.Ack})
		}
		b.idle()
	}},
	{name: "queues are apart", run: func(b *bench) {
		urgent := rec("a/2")
		urgent.Queue = bus.Urgent
		b.publishRecs(rec("a/1"), urgent, outRec("a/3"))
		for q, want := range map[string]string{bus.Inbox: "a/1", bus.Urgent: "a/2", bus.Outbox: "a/3"} {
			ls := b.leases(bus.Want{Queue: q, N: 9})
			b.diff("leases of "+q, len(ls), 1)
			b.diff("leased of "+q, keys(ls[0].Records), []string{want})
		}
	}},
	{name: "the urgent lane of an order passes its lease", run: func(b *bench) {
		b.publish("a/1")
		b.take("a/1")
		urgent := rec("a/stop")
		urgent.Order += bus.UrgentSuffix
		b.publishRecs(urgent)
		b.take("a/stop")
	}},
	{name: "channels narrow the choice", run: channels},
	{name: "two channels may use the same name of an order", run: func(b *bench) {
		r := rec("a/1")
		r.Channel = "c2"
		b.publishRecs(rec("a/1"), r)
		ls := b.leases(inbox(9))
		b.diff("leases", len(ls), 2)
		b.diff("channels", sorted([]string{ls[0].Channel, ls[1].Channel}), []string{"c", "c2"})
		for _, l := range ls {
			b.settle(l, bus.Verdict{Fate: bus.Ack})
		}
	}},
	{name: "an unknown queue is refused", run: func(b *bench) {
		if _, err := b.Lease(b.ctx, bus.Want{Queue: "dropbox", NoWait: true}); err == nil {
			b.Fatal("leased from a queue that does not exist")
		}
	}},
	{name: "a record whose time has not come holds back its order only", run: notBefore},
	{name: "a delayed record in the middle ends the lease before it", run: func(b *bench) {
		late := rec("a/2")
		late.NotBefore = b.Now().Add(time.Hour)
		b.publishRecs(rec("a/1"), late, rec("a/3"))
		b.settle(b.take("a/1"), bus.Verdict{Fate: bus.Ack})
		b.idle()
		b.Advance(61 * time.Minute)
		b.take("a/2", "a/3")
	}},
	{name: "attempts are counted at the lease", run: func(b *bench) {
		b.publish("a/1")
		for n := 1; n <= 2; n++ {
			l := b.take("a/1")
			b.diff("attempts", attempts(l.Records), map[string]int{"a/1": n})
			b.settle(l, bus.Verdict{Fate: bus.Retry})
		}
		b.take("a/1") // this worker dies
		b.publish("a/2")
		b.Advance(2 * time.Minute)
		l := b.take("a/1", "a/2")
		b.diff("attempts after a death", attempts(l.Records), map[string]int{"a/1": 4, "a/2": 1})
	}},
	{name: "a lease that ran out is taken over and fenced", run: fence},
	{name: "a lease that ran out but was not taken over still settles", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.Advance(2 * time.Minute)
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.idle()
	}},
	{name: "a takeover with a smaller max frees the rest", run: func(b *bench) {
		b.publish("a/1", "a/2", "a/3")
		b.take("a/1", "a/2", "a/3")
		b.Advance(2 * time.Minute)
		l := b.leases(bus.Want{Queue: bus.Inbox, Max: 1, For: time.Minute})[0]
		b.diff("leased", keys(l.Records), []string{"a/1"})
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.take("a/2", "a/3")
	}},
	{name: "each lease of an order has a higher epoch", run: func(b *bench) {
		var last int64
		for i := range 4 {
			b.publish(fmt.Sprintf("a/%d", i))
			l := b.lease()
			if l.Epoch <= last {
				b.Fatalf("epoch %d after %d", l.Epoch, last)
			}
			last = l.Epoch
			b.settle(l, bus.Verdict{Fate: bus.Ack})
		}
	}},
}

func channels(b *bench) {
	for _, ch := range []string{"x", "y", "z"} {
		r := rec(ch + "/1")
		r.Channel = ch
		b.publishRecs(r)
	}
	w := inbox(9)
	w.Channels = []string{"x", "z"}
	b.diff("leased", sorted(b.work(w)), []string{"x/1", "z/1"})
	w.Channels = []string{"nobody"}
	b.diff("leased", len(b.leases(w)), 0)
	w.Channels = []string{} // none, which is not the same as any
	b.diff("leased", len(b.leases(w)), 0)
	b.take("y/1")
}

func notBefore(b *bench) {
	late := rec("a/1")
	late.NotBefore = b.Now().Add(time.Minute)
	b.publishRecs(late, rec("a/2"), rec("b/1"))
	b.take("b/1")
	b.idle()
	b.Advance(30 * time.Second)
	b.idle()
	b.Advance(31 * time.Second)
	b.take("a/1", "a/2")
}

func fence(b *bench) {
	b.publish("a/1", "a/2")
	old := b.lease()
	b.Advance(2 * time.Minute)
	l := b.take("a/1", "a/2")
	if l.Epoch <= old.Epoch {
		b.Fatalf("epoch %d after %d", l.Epoch, old.Epoch)
	}
	stale := all(old, bus.Verdict{Fate: bus.Ack})
	stale.Emit = []bus.Record{outRec("a/stale")}
	stale.State = []bus.Write{put("k", "stale", 0)}
	b.wantErr(b.Settle(b.ctx, old, stale), bus.ErrLeaseLost)
	b.publish("a/3")
	_, err := b.Hold(b.ctx, old, bus.Hold{Join: true, Emit: stale.Emit, State: stale.State})
	b.wantErr(err, bus.ErrLeaseLost)
	stale.State[0].If = 77 // the fence comes before the conditions
	b.wantErr(b.Settle(b.ctx, old, stale), bus.ErrLeaseLost)
	b.diff("state", b.value("s", "k"), "")
	b.diff("outbox", len(b.leases(bus.Want{Queue: bus.Outbox})), 0)

	joined, err := b.Hold(b.ctx, l, bus.Hold{Join: true})
	b.must(err)
	b.diff("joined", keys(joined), []string{"a/3"})
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.wantErr(b.Settle(b.ctx, l, all(l, bus.Verdict{Fate: bus.Ack})), bus.ErrLeaseLost) // settled is settled
	_, err = b.Hold(b.ctx, l, bus.Hold{})
	b.wantErr(err, bus.ErrLeaseLost)
	b.idle()
}

var waitCases = []testCase{
	{name: "a lease waits for a publication", run: wakes(func(b *bench) { b.publish("a/1") })},
	{name: "a lease waits for an emission", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Outbox})
		o := all(l, bus.Verdict{Fate: bus.Ack})
		o.Emit = []bus.Record{outRec("a/r")}
		b.must(b.Settle(b.ctx, l, o))
		b.served(got, "a/r")
	}},
	{name: "a lease waits for the order to be settled", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.publish("a/2")
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.served(got, "a/2")
	}},
	{name: "a lease waits for a record's time", run: wakes(func(b *bench) {
		r := rec("a/1")
		r.NotBefore = b.Now().Add(150 * time.Millisecond)
		b.publishRecs(r)
	})},
	{name: "a lease waits for a retry to fall due", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		b.settle(l, bus.Verdict{Fate: bus.Retry, At: b.Now().Add(150 * time.Millisecond)})
		b.served(got, "a/1")
	}},
	{name: "a lease waits for an unpark", run: func(b *bench) {
		b.publish("a/1")
		b.settle(b.lease(), bus.Verdict{Fate: bus.Park, Tag: "t"})
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		_, err := b.Unpark(b.ctx, "t")
		b.must(err)
		b.served(got, "a/1")
	}},
	{name: "a lease waits for a replay", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.settle(l, bus.Verdict{Fate: bus.Dead})
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		_, err := b.Replay(b.ctx, l.Records[0].Seq)
		b.must(err)
		b.served(got, "a/1")
	}},
	{name: "a lease waits for another's lease to run out", run: func(b *bench) {
		b.publish("a/1")
		b.leases(bus.Want{Queue: bus.Inbox, For: 150 * time.Millisecond})
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		b.served(got, "a/1")
	}},
	{name: "a lease notices that the clock was moved", run: func(b *bench) {
		r := rec("a/1")
		r.NotBefore = b.Now().Add(time.Hour)
		b.publishRecs(r)
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		b.Advance(2 * time.Hour)
		b.served(got, "a/1")
	}},
	{name: "a lease of another channel keeps waiting", run: func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		got := b.waitLease(ctx, bus.Want{Queue: bus.Inbox, Channels: []string{"other"}})
		b.publish("a/1")
		b.take("a/1")
		cancel()
		_, err := got()
		b.wantErr(err, context.Canceled)
	}},
	{name: "a lease ends with its context", run: func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		got := b.waitLease(ctx, bus.Want{Queue: bus.Inbox})
		cancel()
		_, err := got()
		b.wantErr(err, context.Canceled)
		b.publish("a/1") // nobody has it who is gone
		b.take("a/1")
	}},
	{name: "a lease whose context has a deadline", run: func(b *bench) {
		ctx, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
		defer cancel()
		_, err := b.Lease(ctx, bus.Want{Queue: bus.Inbox})
		b.wantErr(err, context.DeadlineExceeded)
	}},
	{name: "closing ends waiting leases", run: func(b *bench) {
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		also := b.waitLease(b.ctx, bus.Want{Queue: bus.Outbox})
		b.must(b.Close())
		_, err := got()
		b.wantErr(err, bus.ErrClosed)
		_, err = also()
		b.wantErr(err, bus.ErrClosed)
		b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("a/1")}), bus.ErrClosed)
		_, err = b.Lease(b.ctx, inbox(1))
		b.wantErr(err, bus.ErrClosed)
		_, err = b.Get(b.ctx, "s", "k")
		b.wantErr(err, bus.ErrClosed)
	}},
	{name: "one publication wakes one of many", run: wakeOne},
}

// wakes waits with a lease, lets f make a/1 due, and asserts that the lease gets it.
func wakes(f func(b *bench)) func(b *bench) {
	return func(b *bench) {
		got := b.waitLease(b.ctx, bus.Want{Queue: bus.Inbox})
		f(b)
		b.served(got, "a/1")
	}
}

func (b *bench) served(got func() ([]*bus.Lease, error), want ...string) {
	b.Helper()
	ls, err := got()
	b.must(err)
	if len(ls) != 1 {
		b.Fatalf("got %d leases, want 1", len(ls))
	}
	b.diff("leased", keys(ls[0].Records), want)
}

func wakeOne(b *bench) {
	const n = 8
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	got := make(chan *bus.Lease, n)
	failed := make(chan error, n)
	for range n {
		go func() {
			ls, err := b.Lease(ctx, bus.Want{Queue: bus.Inbox})
			if err != nil {
				failed <- err
				return
			}
			got <- ls[0]
		}()
	}
	orders := map[string]bool{}
	for i := range n / 2 {
		b.publish(fmt.Sprintf("o%d/1", i))
		select {
		case l := <-got:
			orders[l.Order] = true
		case <-time.After(patience):
			b.Fatal("nobody woke")
		}
	}
	b.diff("orders", len(orders), n/2)
	cancel()
	for range n / 2 {
		b.wantErr(<-failed, context.Canceled)
	}
}
