package bustest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

var publishCases = []testCase{
	{name: "a record comes back as it was published", run: roundTrip},
	{name: "a large body comes back whole", run: largeBody},
	{name: "an absent body stays absent", run: func(b *bench) {
		r := rec("a/1")
		r.Body = nil
		b.publishRecs(r)
		if got := b.lease().Records[0].Body; len(got) != 0 {
			b.Fatalf("body is %q, want none", got)
		}
	}},
	{name: "a key is accepted once", run: dedupe},
	{name: "a key is accepted once within a batch", run: func(b *bench) {
		b.publish("a/1", "a/2", "a/1")
		b.take("a/1", "a/2")
	}},
	{name: "a duplicate under another order changes nothing", run: func(b *bench) {
		b.publish("a/1")
		again := rec("a/1")
		again.Order = "b"
		b.publishRecs(again)
		b.take("a/1")
		b.idle()
	}},
	{name: "a duplicate of a done record is known", run: func(b *bench) {
		b.publish("a/1")
		b.work(inbox(1))
		b.publish("a/1")
		b.idle()
	}},
	{name: "the other records of a batch with a duplicate are accepted", run: func(b *bench) {
		b.publish("a/1")
		b.publish("a/1", "a/2", "b/1")
		b.diff("leased", sorted(b.work(inbox(9))), []string{"a/1", "a/2", "b/1"})
	}},
	{name: "the key is scoped by queue, channel and account", run: keyScope},
	{name: "a malformed batch is refused whole", run: malformed},
	{name: "records and state stand together", run: func(b *bench) {
		b.must(b.Publish(b.ctx, bus.Batch{Records: recs("a/1"), State: []bus.Write{put("k", "v", 0)}}))
		b.take("a/1")
		b.diff("state", b.value("s", "k"), "v@1")
	}},
	{name: "a conflict commits nothing of the batch", run: func(b *bench) {
		err := b.Publish(b.ctx, bus.Batch{
			Records: recs("a/1"),
			State:   []bus.Write{put("x", "1", 0), put("k", "v", 7), put("y", "1", 0)},
		})
		b.wantErr(err, bus.ErrConflict)
		b.idle()
		b.diff("state", b.value("s", "x")+b.value("s", "y")+b.value("s", "k"), "")
		b.publish("a/1") // the key was not used up
		b.take("a/1")
	}},
	{name: "an ended context publishes nothing", run: func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		b.wantErr(b.Publish(ctx, bus.Batch{Records: recs("a/1")}), context.Canceled)
		b.idle()
	}},
	{name: "positions grow and published is the time", run: positions},
	{name: "a full channel refuses", limit: 3, run: full},
	{name: "a full channel still knows its duplicates", limit: 2, run: func(b *bench) {
		b.publish("a/1", "a/2")
		b.publish("a/1")
		b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("a/1", "a/3")}), bus.ErrFull)
	}},
	{name: "a full channel takes state and settlements", limit: 1, run: fullSettles},
	{name: "parked and dead records do not fill a channel", limit: 2, run: func(b *bench) {
		b.publish("a/1", "a/2")
		l := b.lease()
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
			"a/1": {Fate: bus.Park, Tag: "t"}, "a/2": {Fate: bus.Dead},
		}}))
		b.publish("a/3", "a/4")
		b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("a/5")}), bus.ErrFull)
	}},
}

func roundTrip(b *bench) {
	in := bus.Record{
		Workspace: "work", Channel: "chän", Account: "T1", Queue: bus.Inbox,
		Key: "tg/1/ключ", Order: "c/dm:\"1\"", Body: json.RawMessage(`{"text": "naïve 😀\u0000"}`),
	}
	before := b.Now().Add(-time.Second)
	b.publishRecs(in)
	l := b.lease()
	b.diff("lease", []string{l.Queue, l.Channel, l.Order}, []string{in.Queue, in.Channel, in.Order})
	if l.For != time.Minute || l.Until.Before(b.Now().Add(50*time.Second)) || l.Until.After(b.Now().Add(70*time.Second)) {
		b.Fatalf("lease for %v until %v, want a minute from %v", l.For, l.Until, b.Now())
	}
	got := l.Records[0]
	if d := cmp.Diff(in, got, cmpopts.IgnoreFields(bus.Record{}, "Seq", "Attempt", "Published")); d != "" {
		b.Fatalf("record (-want +got):\n%s", d)
	}
	if got.Seq <= 0 || got.Attempt != 1 || got.Published.Before(before) || got.Published.After(b.Now().Add(time.Second)) {
		b.Fatalf("seq %d, attempt %d, published %v", got.Seq, got.Attempt, got.Published)
	}
}

func largeBody(b *bench) {
	r := rec("a/1")
	r.Body = json.RawMessage(`"` + strings.Repeat("gross ", 30_000) + `"`)
	b.publishRecs(r)
	for want := 1; want <= 3; want++ {
		l := b.lease()
		if !bytes.Equal(l.Records[0].Body, r.Body) || l.Records[0].Attempt != want {
			b.Fatalf("attempt %d: body of %d bytes, want %d bytes in attempt %d",
				l.Records[0].Attempt, len(l.Records[0].Body), len(r.Body), want)
		}
		b.settle(l, bus.Verdict{Fate: bus.Retry})
	}
}

func dedupe(b *bench) {
	b.publish("a/1")
	again := rec("a/1")
	again.Body = json.RawMessage(`"other"`)
	b.publishRecs(again)
	l := b.take("a/1")
	b.diff("body", string(l.Records[0].Body), string(rec("a/1").Body))
	b.publish("a/1") // while leased
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.idle()
}

func keyScope(b *bench) {
	r := rec("a/1")
	other := []bus.Record{r, r, r, r}
	other[1].Account = "acc2"
	other[2].Channel = "c2"
	other[3].Queue = bus.Outbox
	b.publishRecs(other...)
	n := 0
	for _, q := range []string{bus.Inbox, bus.Outbox} {
		for _, l := range b.leases(bus.Want{Queue: q, N: 9}) {
			n += len(l.Records)
		}
	}
	b.diff("records accepted", n, 4)
}

func malformed(b *bench) {
	for name, spoil := range map[string]func(*bus.Batch){
		"queue":    func(x *bus.Batch) { x.Records[1].Queue = "dropbox" },
		"channel":  func(x *bus.Batch) { x.Records[1].Channel = "" },
		"key":      func(x *bus.Batch) { x.Records[1].Key = "" },
		"order":    func(x *bus.Batch) { x.Records[1].Order = "" },
		"nul":      func(x *bus.Batch) { x.Records[1].Key = "a\x00b" },
		"utf8":     func(x *bus.Batch) { x.Records[1].Order = "a\xff" },
		"space":    func(x *bus.Batch) { x.State[0].Space = "" },
		"statekey": func(x *bus.Batch) { x.State[0].Key = "" },
		"version":  func(x *bus.Batch) { x.State[0].If = -2 },
	} {
		batch := bus.Batch{Records: recs("a/1", "a/2"), State: []bus.Write{put("k", "v", 0)}}
		spoil(&batch)
		if err := b.Publish(b.ctx, batch); err == nil {
			b.Errorf("a batch with a bad %s was accepted", name)
		}
	}
	b.idle()
	b.diff("state", b.value("s", "k"), "")
}

func positions(b *bench) {
	var last int64
	for i := range 5 {
		b.publish(fmt.Sprintf("a/%d", i))
	}
	for _, r := range b.lease().Records {
		if r.Seq <= last {
			b.Fatalf("seq %d after %d", r.Seq, last)
		}
		last = r.Seq
	}
}

func full(b *bench) {
	b.publish("a/1", "b/1", "c/1")
	b.wantErr(b.Publish(b.ctx, bus.Batch{
		Records: recs("d/1"), State: []bus.Write{put("k", "v", 0)},
	}), bus.ErrFull)
	b.diff("state of a refused batch", b.value("s", "k"), "")
	other := rec("d/1")
	other.Channel = "c2"
	b.publishRecs(other) // another channel has room
	b.publishRecs(outRec("d/1"))
	l := b.leases(bus.Want{Queue: bus.Inbox, Channels: []string{"c"}, For: time.Minute})[0]
	b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("e/1")}), bus.ErrFull) // leased is not done
	b.settle(l, bus.Verdict{Fate: bus.Retry, At: b.Now().Add(time.Hour)})
	b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("e/1")}), bus.ErrFull) // nor is delayed
	b.work(bus.Want{Queue: bus.Inbox, Channels: []string{"c"}})
	b.publish("e/1")
	b.publish("e/2")
	b.wantErr(b.Publish(b.ctx, bus.Batch{Records: recs("e/3")}), bus.ErrFull)
}

func fullSettles(b *bench) {
	b.publish("a/1")
	b.must(b.Publish(b.ctx, bus.Batch{State: []bus.Write{put("k", "v", 0)}}))
	l := b.lease()
	o := all(l, bus.Verdict{Fate: bus.Ack})
	o.Emit = []bus.Record{outRec("a/r1"), outRec("a/r2"), outRec("a/r3")}
	b.must(b.Settle(b.ctx, l, o))
	b.diff("emitted", len(b.leases(bus.Want{Queue: bus.Outbox})[0].Records), 3)
}
