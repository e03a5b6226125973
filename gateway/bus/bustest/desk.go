package bustest

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

func isConflict(err error) bool { return errors.Is(err, bus.ErrConflict) }

var deskCases = []testCase{
	{name: "records are revised whatever became of them", run: revise},
	{name: "a revision removes what is done with, and its key stays known", run: reviseAway},
	{name: "the spaces of the state are listed", run: func(b *bench) {
		b.must(b.Write(b.ctx, bus.Write{Space: "t", Key: "1", Value: []byte("x")}, bus.Write{Space: "s", Key: "1", Value: []byte("x")},
			bus.Write{Space: "s", Key: "2", Value: []byte("x")}, bus.Write{Space: "u", Key: "1", Value: []byte("x")}))
		b.must(b.Write(b.ctx, bus.Write{Space: "u", Key: "1"}))
		all, err := b.Spaces(b.ctx)
		b.must(err)
		b.diff("spaces", all, []string{"s", "t"})
	}},
	{name: "unparked records come back in their old places", run: unpark},
	{name: "a record parked again goes by its new tag", run: func(b *bench) {
		b.park("old", "a/1")
		b.unpark("old", 1)
		b.settle(b.lease(), bus.Verdict{Fate: bus.Park, Tag: "new"})
		b.unpark("old", 0)
		b.unpark("new", 1)
		b.take("a/1")
	}},
	{name: "an unpark during a lease waits for its end", run: func(b *bench) {
		b.park("t", "a/1")
		b.publish("a/2", "a/3")
		l := b.take("a/2", "a/3")
		b.unpark("t", 1)
		b.idle()
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{"a/2": {Fate: bus.Ack}}}))
		b.take("a/1", "a/3")
	}},
	{name: "an unpark during a lease that runs out", run: func(b *bench) {
		b.park("t", "a/1")
		b.publish("a/2")
		b.take("a/2")
		b.unpark("t", 1)
		b.Advance(2 * time.Minute)
		l := b.take("a/1", "a/2")
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.idle()
	}},
	{name: "an unparked record passes a delayed head", run: func(b *bench) {
		b.park("t", "a/1")
		b.publish("a/2")
		b.settle(b.lease(), bus.Verdict{Fate: bus.Retry, At: b.Now().Add(time.Hour)})
		b.idle()
		b.unpark("t", 1)
		b.settle(b.take("a/1"), bus.Verdict{Fate: bus.Ack})
		b.idle()
	}},
	{name: "discarded records are done without being run", run: func(b *bench) {
		b.park("t", "a/1", "b/1")
		n, err := b.Discard(b.ctx, "t")
		b.must(err)
		b.diff("discarded", n, 2)
		b.idle()
		b.unpark("t", 0)
		b.diff("depths", b.depth(), map[string]int{})
		b.publish("a/1")
		b.idle()
	}},
	{name: "a parked record expires", run: expire},
	{name: "dead letters are listed by queue, oldest first, in pages", run: deadLetters},
	{name: "a dead letter shows what became of it", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.settle(l, bus.Verdict{Fate: bus.Dead, Reason: "rejected", Progress: json.RawMessage(`{"part":2}`)})
		ls := b.dead(bus.Inbox)
		x := ls[0]
		b.diff("letter", []any{x.State, x.Reason, x.Attempt, string(x.Body), string(x.Progress), x.Order, x.Workspace, x.Account, x.Seq},
			[]any{bus.Died, "rejected", 1, string(rec("a/1").Body), `{"part":2}`, "a", "w", "acc", l.Records[0].Seq})
		if since := b.Now().Sub(x.At); since < -time.Second || since > time.Minute {
			b.Fatalf("died %v ago", since)
		}
	}},
	{name: "a replayed letter is the same row with new attempts", run: replay},
	{name: "a dropped letter is gone and its key known", run: func(b *bench) {
		b.die("a/1", "a/2")
		seqs := b.seqs(bus.Inbox)
		n, err := b.Drop(b.ctx, seqs[0], 999_999)
		b.must(err)
		b.diff("dropped", n, 1)
		b.diff("left", letterKeys(b.dead(bus.Inbox)), []string{"a/2"})
		b.publish("a/1")
		b.idle()
		n, err = b.Replay(b.ctx, seqs[0])
		b.must(err)
		b.diff("replayed", n, 0)
	}},
	{name: "only dead records are replayed or dropped", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		seq := l.Records[0].Seq
		for range 2 {
			for _, f := range []func() (int, error){
				func() (int, error) { return b.Replay(b.ctx, seq) },
				func() (int, error) { return b.Drop(b.ctx, seq) },
				func() (int, error) { return b.Replay(b.ctx) },
			} {
				n, err := f()
				b.must(err)
				b.diff("touched", n, 0)
			}
			if len(l.Records) > 0 {
				b.settle(l, bus.Verdict{Fate: bus.Ack})
				l.Records = nil
			}
		}
		b.idle()
	}},
	{name: "depths count by queue, channel and state", run: depths},
	{name: "replies are read again, whatever became of them", run: replies},
}

// park publishes the records and parks them under tag.
func (b *bench) park(tag string, names ...string) {
	b.Helper()
	b.publish(names...)
	for _, l := range b.leases(inbox(len(names))) {
		b.settle(l, bus.Verdict{Fate: bus.Park, Tag: tag})
	}
}

func (b *bench) unpark(tag string, want int) {
	b.Helper()
	n, err := b.Unpark(b.ctx, tag)
	b.must(err)
	b.diff("unparked", n, want)
}

// die publishes the records and lets them die.
func (b *bench) die(names ...string) {
	b.Helper()
	b.publish(names...)
	for _, l := range b.leases(inbox(len(names))) {
		b.settle(l, bus.Verdict{Fate: bus.Dead, Reason: "r"})
	}
}

func (b *bench) dead(queue string) []bus.Letter {
	b.Helper()
	ls, err := b.DeadLetters(b.ctx, queue, 0, 0)
	b.must(err)
	return ls
}

func (b *bench) seqs(queue string) []int64 {
	b.Helper()
	var s []int64
	for _, l := range b.dead(queue) {
		s = append(s, l.Seq)
	}
	return s
}

func unpark(b *bench) {
	b.publish("a/1", "a/2", "a/3", "b/1")
	l := b.take("a/1", "a/2", "a/3")
	b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
		"a/1": {Fate: bus.Ack}, "a/2": {Fate: bus.Park, Tag: "t"}, "a/3": {Fate: bus.Park, Tag: "u"},
	}}))
	b.settle(b.take("b/1"), bus.Verdict{Fate: bus.Park, Tag: "t"})
	b.publish("a/4")
	b.unpark("nobody", 0)
	b.unpark("t", 2)
	b.unpark("t", 0)
	got := map[string][]string{}
	for _, l := range b.leases(inbox(9)) {
		got[l.Order] = keys(l.Records)
	}
	b.diff("leased", got, map[string][]string{"a": {"a/2", "a/4"}, "b": {"b/1"}})
}

func expire(b *bench) {
	b.publish("a/1", "b/1", "c/1")
	for _, l := range b.leases(inbox(3)) {
		v := bus.Verdict{Fate: bus.Park, Tag: "t", At: b.Now().Add(time.Hour)}
		if l.Order == "b" {
			v.At = time.Time{} // never
		}
		if l.Order == "c" {
			v.At = b.Now().Add(3 * time.Hour)
		}
		b.settle(l, v)
	}
	b.Advance(61 * time.Minute)
	s, err := b.Sweep(b.ctx, bus.Retention{})
	b.must(err)
	b.diff("swept", s, bus.Swept{Expired: 1})
	ls := b.dead(bus.Inbox)
	b.diff("dead", letterKeys(ls), []string{"a/1"})
	b.diff("reason", ls[0].Reason, "expired")
	b.Advance(3 * time.Hour)
	b.unpark("t", 1) // c has expired too, though nobody swept
	b.take("b/1")
}

func deadLetters(b *bench) {
	b.die("a/1", "b/1", "c/1")
	b.publishRecs(outRec("a/r"))
	b.settle(b.leases(bus.Want{Queue: bus.Outbox})[0], bus.Verdict{Fate: bus.Dead})
	b.publish("d/1")
	b.diff("inbox", letterKeys(b.dead(bus.Inbox)), []string{"a/1", "b/1", "c/1"})
	b.diff("outbox", letterKeys(b.dead(bus.Outbox)), []string{"a/r"})
	page, err := b.DeadLetters(b.ctx, bus.Inbox, 0, 2)
	b.must(err)
	b.diff("first page", letterKeys(page), []string{"a/1", "b/1"})
	page, err = b.DeadLetters(b.ctx, bus.Inbox, page[1].Seq, 2)
	b.must(err)
	b.diff("second page", letterKeys(page), []string{"c/1"})
}

func replay(b *bench) {
	b.die("a/1", "b/1")
	b.publish("a/2")
	seqs := b.seqs(bus.Inbox)
	n, err := b.Replay(b.ctx, seqs[0], seqs[0])
	b.must(err)
	b.diff("replayed", n, 1)
	l := b.take("a/1", "a/2")
	b.diff("seq", l.Records[0].Seq, seqs[0])
	b.diff("attempts", attempts(l.Records), map[string]int{"a/1": 1, "a/2": 1})
	b.diff("still dead", letterKeys(b.dead(bus.Inbox)), []string{"b/1"})
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.idle()
}

func depths(b *bench) {
	first := b.Now()
	b.publish("a/1", "a/2")
	b.Advance(time.Minute)
	b.publish("b/1", "c/1", "d/1")
	late := rec("e/1")
	late.NotBefore = b.Now().Add(time.Hour)
	other := outRec("a/r")
	other.Channel = "c2"
	b.publishRecs(late, other)
	l := b.take("a/1", "a/2")
	b.settle(b.take("b/1"), bus.Verdict{Fate: bus.Park, Tag: "t"})
	b.settle(b.take("c/1"), bus.Verdict{Fate: bus.Dead})
	b.diff("depths", b.depth(), map[string]int{
		"inbox c leased": 2, "inbox c ready": 2, "inbox c parked": 1, "inbox c dead": 1, "outbox c2 ready": 1,
	})
	ds, err := b.Depths(b.ctx)
	b.must(err)
	for _, d := range ds {
		if d.State == bus.Leased && d.Oldest.Sub(first).Abs() > 30*time.Second {
			b.Fatalf("oldest leased is of %v, want about %v", d.Oldest, first)
		}
	}
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.take("d/1")
	b.Advance(2 * time.Minute) // that lease runs out
	b.diff("depths", b.depth(), map[string]int{
		"inbox c ready": 2, "inbox c parked": 1, "inbox c dead": 1, "outbox c2 ready": 1,
	})
}

func replies(b *bench) {
	other := outRec("turn/1/1")
	other.Channel = "c2"
	b.publishRecs(outRec("turn/1/0"), outRec("turn/1/1"), outRec("turn/10/0"), outRec("turn/1/2"), outRec("turn/1/3"), other, rec("turn/1/4"))
	l := b.leases(bus.Want{Queue: bus.Outbox, Channels: []string{"c"}, Max: 4, For: time.Minute})[0]
	b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
		"turn/1/0": {Fate: bus.Ack}, "turn/1/1": {Fate: bus.Dead, Reason: "r"}, "turn/10/0": {Fate: bus.Ack},
		"turn/1/2": {Fate: bus.Retry, At: b.Now().Add(time.Hour), Progress: json.RawMessage(`1`)},
	}}))
	ls, err := b.Replies(b.ctx, "c", "turn/1/")
	b.must(err)
	var got []string
	for _, x := range ls {
		got = append(got, x.Key+" "+string(x.State)+" "+x.Order)
	}
	b.diff("replies", got, []string{
		"turn/1/0 done turn", "turn/1/1 dead turn", "turn/1/2 ready turn", "turn/1/3 ready turn",
	})
	b.diff("body", string(ls[0].Body), string(outRec("turn/1/0").Body))
	b.diff("progress", string(ls[2].Progress), "1")
	ls, err = b.Replies(b.ctx, "c", "turn/%")
	b.must(err)
	b.diff("replies", len(ls), 0)
}

var sweepCases = []testCase{
	{name: "bodies go, their keys stay", run: sweepBodies},
	{name: "a zero retention keeps everything", run: func(b *bench) {
		b.publishRecs(outRec("a/1"))
		b.settle(b.leases(bus.Want{Queue: bus.Outbox})[0], bus.Verdict{Fate: bus.Ack})
		b.die("a/1")
		b.Advance(1000 * 24 * time.Hour)
		s, err := b.Sweep(b.ctx, bus.Retention{})
		b.must(err)
		b.diff("swept", s, bus.Swept{})
		ls, err := b.Replies(b.ctx, "c", "")
		b.must(err)
		b.diff("replies", len(ls), 1)
		b.diff("dead", len(b.dead(bus.Inbox)), 1)
	}},
	{name: "dead letters go by their own time", run: func(b *bench) {
		b.die("a/1")
		b.Advance(10 * 24 * time.Hour)
		b.die("b/1")
		s, err := b.Sweep(b.ctx, bus.Retention{Dead: 5 * 24 * time.Hour, Bodies: time.Hour})
		b.must(err)
		b.diff("swept", s, bus.Swept{Dead: 1})
		b.diff("left", letterKeys(b.dead(bus.Inbox)), []string{"b/1"})
		b.publish("a/1")
		b.idle()
	}},
	{name: "what waits is never swept", run: func(b *bench) {
		b.park("t", "p/1")
		late := rec("b/1")
		late.NotBefore = b.Now().Add(1000 * time.Hour)
		b.publishRecs(rec("a/1"), rec("a/2"), late)
		l := b.leases(inbox(1))[0]
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{l.Records[0].Key: {Fate: bus.Release}}}))
		b.Advance(500 * time.Hour)
		s, err := b.Sweep(b.ctx, bus.Retention{Bodies: 1, Dead: 1, Keys: 1})
		b.must(err)
		b.diff("swept", s, bus.Swept{})
		b.unpark("t", 1)
	}},
	{name: "the body's time runs from when it was done", run: func(b *bench) {
		b.publishRecs(outRec("a/1"))
		b.Advance(10 * time.Hour)
		b.settle(b.leases(bus.Want{Queue: bus.Outbox})[0], bus.Verdict{Fate: bus.Ack})
		s, err := b.Sweep(b.ctx, bus.Retention{Bodies: time.Hour})
		b.must(err)
		b.diff("swept", s, bus.Swept{})
	}},
	{name: "an order whose records were swept starts again behind its old epochs", run: sweptOrder},
	{name: "many are swept", run: func(b *bench) {
		var rs []bus.Record
		for i := range 1200 {
			rs = append(rs, rec(orderKey(i%7, i)))
		}
		b.publishRecs(rs...)
		b.diff("worked", len(b.work(inbox(9))), 1200)
		b.Advance(2 * time.Hour)
		s, err := b.Sweep(b.ctx, bus.Retention{Bodies: time.Hour})
		b.must(err)
		b.diff("swept", s, bus.Swept{Bodies: 1200})
		b.publishRecs(rs...)
		b.idle()
		b.Advance(24 * time.Hour)
		s, err = b.Sweep(b.ctx, bus.Retention{Bodies: time.Hour, Keys: 20 * time.Hour})
		b.must(err)
		b.diff("swept", s, bus.Swept{Keys: 1200})
		b.publishRecs(rs...)
		b.diff("worked", len(b.work(inbox(9))), 1200)
	}},
}

func sweepBodies(b *bench) {
	b.publishRecs(rec("a/1"), outRec("a/r"))
	b.work(inbox(1))
	b.settle(b.leases(bus.Want{Queue: bus.Outbox})[0], bus.Verdict{Fate: bus.Ack})
	keep := bus.Retention{Bodies: 24 * time.Hour, Keys: time.Hour} // keys never less than bodies
	b.Advance(2 * time.Hour)
	s, err := b.Sweep(b.ctx, keep)
	b.must(err)
	b.diff("swept too early", s, bus.Swept{})
	b.Advance(23 * time.Hour)
	keep.Keys = 100 * time.Hour
	s, err = b.Sweep(b.ctx, keep)
	b.must(err)
	b.diff("swept", s, bus.Swept{Bodies: 2})
	ls, err := b.Replies(b.ctx, "c", "")
	b.must(err)
	b.diff("replies", len(ls), 0)
	b.publishRecs(rec("a/1"), outRec("a/r")) // late duplicates
	b.idle()
	b.diff("outbox", len(b.leases(bus.Want{Queue: bus.Outbox})), 0)
	b.Advance(100 * time.Hour)
	s, err = b.Sweep(b.ctx, keep)
	b.must(err)
	b.diff("swept", s, bus.Swept{Keys: 2})
	b.publish("a/1") // forgotten
	b.take("a/1")
}

// sweptOrder: a worker froze with a lease; its record was finished by another
// and swept, and the order forgotten. What comes next in the order must not fall
// to the old lease.
func sweptOrder(b *bench) {
	b.publish("a/1")
	frozen := b.lease()
	for range 20 {
		b.Advance(2 * time.Minute)
		frozen = b.lease()
	}
	b.Advance(2 * time.Minute)
	b.settle(b.lease(), bus.Verdict{Fate: bus.Ack})
	keep := bus.Retention{Bodies: time.Hour}
	b.Advance(2 * time.Hour)
	_, err := b.Sweep(b.ctx, keep)
	b.must(err)
	for i := range 40 {
		b.publish(orderKey(0, i)) // o0/i: positions move on
	}
	b.work(inbox(1))
	b.Advance(2 * time.Hour)
	_, err = b.Sweep(b.ctx, keep)
	b.must(err)
	b.publish("a/2")
	for range 40 {
		l := b.take("a/2")
		if l.Epoch == frozen.Epoch {
			b.Fatalf("epoch %d was given out twice", l.Epoch)
		}
		b.wantErr(b.Settle(b.ctx, frozen, bus.Outcome{}), bus.ErrLeaseLost)
		b.settle(l, bus.Verdict{Fate: bus.Retry})
	}
}

// revise gives every record another body and progress, in portions.
func revise(b *bench) {
	b.park("t", "p/1")
	b.die("d/1")
	b.publish("a/1", "r/1")
	l := b.take("a/1")
	var seen []string
	states := map[string]bus.State{}
	after := int64(0)
	for {
		last, err := b.Revise(b.ctx, after, 2, func(l bus.Letter) bus.Revision {
			seen = append(seen, l.Key)
			states[l.Key] = l.State
			if l.Key == "r/1" {
				return bus.Revision{}
			}
			return bus.Revision{Body: json.RawMessage(`{"new":"` + l.Key + `"}`), Progress: json.RawMessage(`{"was":1}`)}
		})
		b.must(err)
		if last == 0 {
			break
		}
		after = last
	}
	b.diff("seen", seen, []string{"p/1", "d/1", "a/1", "r/1"})
	b.diff("states", states, map[string]bus.State{"p/1": bus.Parked, "d/1": bus.Died, "a/1": bus.Leased, "r/1": bus.Ready})
	b.settle(l, bus.Verdict{Fate: bus.Retry})
	b.unpark("t", 1)
	got := map[string]string{}
	for range 3 {
		l := b.lease()
		for _, r := range l.Records {
			got[r.Key] = string(r.Body) + string(r.Progress)
		}
	}
	for _, x := range b.dead(bus.Inbox) {
		got[x.Key] = string(x.Body) + string(x.Progress)
	}
	b.diff("bodies", got, map[string]string{
		"p/1": `{"new":"p/1"}{"was":1}`, "d/1": `{"new":"d/1"}{"was":1}`, "a/1": `{"new":"a/1"}{"was":1}`, "r/1": string(rec("r/1").Body),
	})
}

// reviseAway removes everything that may be removed.
func reviseAway(b *bench) {
	b.park("t", "p/1")
	b.die("d/1")
	b.publish("o/1")
	b.settle(b.take("o/1"), bus.Verdict{Fate: bus.Ack})
	b.publish("a/1", "a/2")
	l := b.take("a/1", "a/2")
	last, err := b.Revise(b.ctx, 0, 0, func(bus.Letter) bus.Revision { return bus.Revision{Remove: true} })
	b.must(err)
	b.diff("last", last, l.Records[1].Seq)
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.publish("p/1", "d/1", "o/1")
	b.unpark("t", 0)
	b.idle()
	b.diff("dead", len(b.dead(bus.Inbox)), 0)
	left := 0
	_, err = b.Revise(b.ctx, 0, 0, func(bus.Letter) bus.Revision { left++; return bus.Revision{} })
	b.must(err)
	b.diff("left", left, 2)
}
