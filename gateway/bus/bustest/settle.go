package bustest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

var holdCases = []testCase{
	{name: "a hold extends the lease", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		for range 4 {
			b.Advance(40 * time.Second)
			_, err := b.Hold(b.ctx, l, bus.Hold{})
			b.must(err)
			if left := l.Until.Sub(b.Now()); left < 50*time.Second {
				b.Fatalf("%v left after a hold of a minute", left)
			}
		}
		b.idle()
		b.settle(l, bus.Verdict{Fate: bus.Ack})
	}},
	{name: "a hold of a fresh lease changes nothing", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		until := l.Until
		b.Advance(20 * time.Second)
		_, err := b.Hold(b.ctx, l, bus.Hold{Join: true})
		b.must(err)
		if !l.Until.Equal(until) {
			b.Fatalf("until moved from %v to %v", until, l.Until)
		}
		b.Advance(45 * time.Second) // past the first end
		b.take("a/1")
	}},
	{name: "a hold with something to store extends a fresh lease", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.Advance(20 * time.Second)
		_, err := b.Hold(b.ctx, l, bus.Hold{State: []bus.Write{put("k", "v", 0)}})
		b.must(err)
		b.Advance(45 * time.Second)
		b.idle()
	}},
	{name: "a hold joins what became due", run: join},
	{name: "a hold without join joins nothing", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.publish("a/2")
		got, err := b.Hold(b.ctx, l, bus.Hold{State: []bus.Write{put("k", "v", 0)}})
		b.must(err)
		b.diff("joined", len(got), 0)
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.take("a/2")
	}},
	{name: "a hold joins nothing beyond a record whose time has not come", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		late := rec("a/3")
		late.NotBefore = b.Now().Add(time.Hour)
		b.publishRecs(rec("a/2"), late, rec("a/4"))
		got, err := b.Hold(b.ctx, l, bus.Hold{Join: true})
		b.must(err)
		b.diff("joined", keys(got), []string{"a/2"})
	}},
	{name: "a hold joins an unparked record", run: func(b *bench) {
		b.publish("a/1")
		b.settle(b.lease(), bus.Verdict{Fate: bus.Park, Tag: "t"})
		b.publish("a/2")
		l := b.take("a/2")
		_, err := b.Unpark(b.ctx, "t")
		b.must(err)
		got, err := b.Hold(b.ctx, l, bus.Hold{Join: true})
		b.must(err)
		b.diff("joined", keys(got), []string{"a/1"})
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.idle()
	}},
	{name: "progress is stored by record and comes back", run: progress},
	{name: "progress of a record that the lease does not hold is refused", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		_, err := b.Hold(b.ctx, l, bus.Hold{Progress: map[string]json.RawMessage{"b/1": json.RawMessage(`1`)}})
		if err == nil {
			b.Fatal("accepted")
		}
	}},
	{name: "a hold emits", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		for range 2 { // the key is known the second time
			_, err := b.Hold(b.ctx, l, bus.Hold{Emit: []bus.Record{outRec("a/draft")}})
			b.must(err)
		}
		ls := b.leases(bus.Want{Queue: bus.Outbox})
		b.diff("emitted", keys(ls[0].Records), []string{"a/draft"})
	}},
	{name: "a hold that conflicts commits nothing", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.publish("a/2")
		got, err := b.Hold(b.ctx, l, bus.Hold{
			Join: true, Emit: []bus.Record{outRec("a/draft")},
			Progress: map[string]json.RawMessage{"a/1": json.RawMessage(`1`)},
			State:    []bus.Write{put("k", "v", 0), put("x", "v", 9)},
		})
		b.wantErr(err, bus.ErrConflict)
		b.diff("joined", len(got), 0)
		b.diff("outbox", len(b.leases(bus.Want{Queue: bus.Outbox})), 0)
		b.diff("state", b.value("s", "k"), "")
		b.settle(l, bus.Verdict{Fate: bus.Retry})
		l = b.take("a/1", "a/2")
		b.diff("progress", string(l.Records[0].Progress), "")
		b.diff("attempts", attempts(l.Records), map[string]int{"a/1": 2, "a/2": 1})
	}},
}

func join(b *bench) {
	b.publish("a/1")
	l := b.take("a/1")
	b.publish("a/2", "b/1", "a/3")
	got, err := b.Hold(b.ctx, l, bus.Hold{Join: true})
	b.must(err)
	b.diff("joined", keys(got), []string{"a/2", "a/3"})
	b.diff("attempts", attempts(got), map[string]int{"a/2": 1, "a/3": 1})
	b.diff("lease", keys(l.Records), []string{"a/1", "a/2", "a/3"})
	got, err = b.Hold(b.ctx, l, bus.Hold{Join: true})
	b.must(err)
	b.diff("joined again", len(got), 0)
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.take("b/1")
	b.idle()
}

func progress(b *bench) {
	b.publish("a/1", "a/2")
	l := b.lease()
	_, err := b.Hold(b.ctx, l, bus.Hold{Progress: map[string]json.RawMessage{"a/2": json.RawMessage(`{"part":1}`)}})
	b.must(err)
	b.Advance(2 * time.Minute)
	l = b.take("a/1", "a/2")
	b.diff("progress", string(l.Records[0].Progress)+string(l.Records[1].Progress), `{"part":1}`)
	b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
		"a/1": {Fate: bus.Retry, Progress: json.RawMessage(`[1]`)},
		"a/2": {Fate: bus.Retry},
	}}))
	l = b.take("a/1", "a/2")
	b.diff("progress of a verdict", string(l.Records[0].Progress), `[1]`)
	b.diff("progress that was left", string(l.Records[1].Progress), `{"part":1}`)
}

var settleCases = []testCase{
	{name: "acknowledged is done", run: func(b *bench) {
		b.publish("a/1", "a/2")
		b.settle(b.lease(), bus.Verdict{Fate: bus.Ack})
		b.idle()
		b.diff("depths", b.depth(), map[string]int{})
	}},
	{name: "a retry comes again, not before its time", run: retry},
	{name: "a retry without a time is due at once", run: func(b *bench) {
		b.publish("a/1")
		b.settle(b.lease(), bus.Verdict{Fate: bus.Retry, Reason: "model overloaded"})
		b.take("a/1")
	}},
	{name: "a release does not count the attempt", run: func(b *bench) {
		b.publish("a/1", "a/2")
		l := b.lease()
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
			"a/1": {Fate: bus.Release}, "a/2": {Fate: bus.Retry},
		}}))
		b.diff("attempts", attempts(b.lease().Records), map[string]int{"a/1": 1, "a/2": 2})
	}},
	{name: "a record without a verdict is released", run: func(b *bench) {
		b.publish("a/1", "a/2", "a/3")
		l := b.lease()
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{"a/2": {Fate: bus.Ack}}}))
		l = b.take("a/1", "a/3")
		b.diff("attempts", attempts(l.Records), map[string]int{"a/1": 1, "a/3": 1})
	}},
	{name: "a dead record holds back nothing", run: func(b *bench) {
		b.publish("a/1", "a/2")
		l := b.lease()
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
			"a/1": {Fate: bus.Dead, Reason: "cannot be read"}, "a/2": {Fate: bus.Release},
		}}))
		b.take("a/2")
	}},
	{name: "a parked record holds back nothing", run: func(b *bench) {
		b.publish("a/1", "a/2")
		l := b.lease()
		b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{"a/1": {Fate: bus.Park, Tag: "t"}}}))
		b.settle(b.take("a/2"), bus.Verdict{Fate: bus.Ack})
		b.idle()
	}},
	{name: "a settlement emits into several queues and orders", run: emit},
	{name: "a settlement emits behind what waits in its own order", run: func(b *bench) {
		b.publish("a/1")
		l := b.lease()
		b.publish("a/2")
		o := all(l, bus.Verdict{Fate: bus.Ack})
		o.Emit = recs("a/3")
		b.must(b.Settle(b.ctx, l, o))
		b.take("a/2", "a/3")
	}},
	{name: "a settlement that conflicts commits nothing and leaves the lease", run: settleConflict},
	{name: "a malformed settlement is refused whole", run: settleMalformed},
	{name: "two accounts may use one key in an order", run: func(b *bench) {
		r := rec("a/1")
		r.Account = "acc2"
		b.publishRecs(rec("a/1"), r)
		l := b.take("a/1", "a/1")
		b.settle(l, bus.Verdict{Fate: bus.Ack})
		b.idle()
	}},
}

func retry(b *bench) {
	b.publish("a/1", "a/2")
	l := b.take("a/1", "a/2")
	b.must(b.Settle(b.ctx, l, bus.Outcome{Verdicts: map[string]bus.Verdict{
		"a/1": {Fate: bus.Retry, At: b.Now().Add(time.Minute)},
		"a/2": {Fate: bus.Release},
	}}))
	b.publish("b/1")
	b.take("b/1")
	b.idle()
	b.Advance(61 * time.Second)
	l = b.take("a/1", "a/2")
	b.diff("attempts", attempts(l.Records), map[string]int{"a/1": 2, "a/2": 1})
}

func emit(b *bench) {
	b.publish("a/1")
	l := b.lease()
	o := all(l, bus.Verdict{Fate: bus.Ack})
	late := outRec("b/r2")
	late.NotBefore = b.Now().Add(time.Hour)
	o.Emit = []bus.Record{outRec("a/r1"), late, rec("z/1"), outRec("a/r2"), outRec("a/r1")}
	o.State = []bus.Write{put("turn", "done", bus.Absent)}
	b.must(b.Settle(b.ctx, l, o))
	b.take("z/1")
	ls := b.leases(bus.Want{Queue: bus.Outbox, N: 9})
	b.diff("outbox orders", len(ls), 1)
	b.diff("emitted", keys(ls[0].Records), []string{"a/r1", "a/r2"})
	b.diff("state", b.value("s", "turn"), "done@1")
}

func settleConflict(b *bench) {
	b.publish("a/1")
	l := b.lease()
	o := all(l, bus.Verdict{Fate: bus.Ack})
	o.Emit = []bus.Record{outRec("a/r1")}
	o.State = []bus.Write{put("turn", "done", 0), put("session", "x", 3)}
	b.wantErr(b.Settle(b.ctx, l, o), bus.ErrConflict)
	b.diff("outbox", len(b.leases(bus.Want{Queue: bus.Outbox})), 0)
	b.diff("state", b.value("s", "turn"), "")
	b.idle() // still leased
	o.State = o.State[:1]
	b.must(b.Settle(b.ctx, l, o)) // decided anew
	b.diff("outbox", len(b.leases(bus.Want{Queue: bus.Outbox})), 1)
}

func settleMalformed(b *bench) {
	b.publish("a/1")
	l := b.lease()
	for i, o := range []bus.Outcome{
		{Verdicts: map[string]bus.Verdict{"a/1": {Fate: "gone"}}},
		{Verdicts: map[string]bus.Verdict{"a/1": {}}},
		{Verdicts: map[string]bus.Verdict{"a/1": {Fate: bus.Park}}},
		{Verdicts: map[string]bus.Verdict{"a/1": {Fate: bus.Ack}, "b/1": {Fate: bus.Ack}}},
		{Verdicts: map[string]bus.Verdict{"a/1": {Fate: bus.Ack}}, Emit: []bus.Record{{Queue: bus.Outbox}}},
		{Verdicts: map[string]bus.Verdict{"a/1": {Fate: bus.Ack}}, State: []bus.Write{{}}},
	} {
		if err := b.Settle(b.ctx, l, o); err == nil {
			b.Errorf("malformed outcome %d was accepted", i)
		}
	}
	b.settle(l, bus.Verdict{Fate: bus.Ack})
	b.idle()
}

var stateCases = []testCase{
	{name: "versions grow by one", run: func(b *bench) {
		for i := 1; i <= 3; i++ {
			b.must(b.Write(b.ctx, put("k", fmt.Sprint(i), 0)))
			b.diff("value", b.value("s", "k"), fmt.Sprintf("%d@%d", i, i))
		}
		x, err := b.Get(b.ctx, "s", "k")
		b.must(err)
		b.diff("key", x.Key, "k")
	}},
	{name: "an absent key is the zero entry", run: func(b *bench) {
		x, err := b.Get(b.ctx, "s", "k")
		b.must(err)
		b.diff("entry", x, bus.Entry{})
	}},
	{name: "spaces are apart", run: func(b *bench) {
		b.must(b.Write(b.ctx, put("k", "v", 0)))
		b.diff("value", b.value("other", "k"), "")
	}},
	{name: "an empty value exists", run: func(b *bench) {
		b.must(b.Write(b.ctx, bus.Write{Space: "s", Key: "k", Value: []byte{}}))
		x, err := b.Get(b.ctx, "s", "k")
		b.must(err)
		b.diff("version", x.Version, int64(1))
		b.diff("length", len(x.Value), 0)
	}},
	{name: "any bytes are a value", run: func(b *bench) {
		v := []byte{0, 1, 0xff, 0, 0xfe}
		b.must(b.Write(b.ctx, bus.Write{Space: "s", Key: "k", Value: v}))
		x, err := b.Get(b.ctx, "s", "k")
		b.must(err)
		b.diff("value", x.Value, v)
	}},
	{name: "a nil value deletes", run: func(b *bench) {
		b.must(b.Write(b.ctx, put("k", "v", 0)))
		b.must(b.Write(b.ctx, put("k", "", 1)))
		b.diff("value", b.value("s", "k"), "")
		b.must(b.Write(b.ctx, put("k", "", 0))) // deleting what is not there
		b.must(b.Write(b.ctx, put("k", "", bus.Absent)))
		b.wantErr(b.Write(b.ctx, put("k", "", 1)), bus.ErrConflict)
		b.must(b.Write(b.ctx, put("k", "w", bus.Absent)))
		b.diff("value", b.value("s", "k"), "w@1")
	}},
	{name: "conditions", run: conditions},
	{name: "one of many writers wins", run: compareAndSwap},
	{name: "a write stands or falls whole", run: func(b *bench) {
		b.wantErr(b.Write(b.ctx, put("a", "1", 0), put("b", "1", 4)), bus.ErrConflict)
		b.diff("value", b.value("s", "a"), "")
	}},
	{name: "conditions see the writes before them", run: func(b *bench) {
		b.must(b.Write(b.ctx, put("k", "1", bus.Absent), put("k", "2", 1), put("k", "", 2), put("k", "3", bus.Absent)))
		b.diff("value", b.value("s", "k"), "3@1")
		b.wantErr(b.Write(b.ctx, put("n", "1", bus.Absent), put("n", "2", bus.Absent)), bus.ErrConflict)
		b.diff("value", b.value("s", "n"), "")
	}},
	{name: "list pages in byte order", run: list},
	{name: "latest returns the end", run: latest},
	{name: "a list returns a thousand unless told", run: func(b *bench) {
		var ws []bus.Write
		for i := range 1001 {
			ws = append(ws, put(fmt.Sprintf("%04d", i), "v", 0))
		}
		b.must(b.Write(b.ctx, ws...))
		xs, err := b.List(b.ctx, "s", "", "", 0)
		b.must(err)
		b.diff("entries", len(xs), 1000)
	}},
}

func conditions(b *bench) {
	b.wantErr(b.Write(b.ctx, put("k", "v", 1)), bus.ErrConflict)
	b.must(b.Write(b.ctx, put("k", "v", bus.Absent)))
	b.wantErr(b.Write(b.ctx, put("k", "w", bus.Absent)), bus.ErrConflict)
	b.wantErr(b.Write(b.ctx, put("k", "w", 2)), bus.ErrConflict)
	b.diff("value", b.value("s", "k"), "v@1")
	b.must(b.Write(b.ctx, put("k", "w", 1)))
	b.wantErr(b.Write(b.ctx, put("k", "x", 1)), bus.ErrConflict)
	b.diff("value", b.value("s", "k"), "w@2")
}

// compareAndSwap counts with many writers: no increment may be lost.
func compareAndSwap(b *bench) {
	const writers, each = 8, 10
	done := make(chan error, writers)
	for range writers {
		go func() {
			for n := 0; n < each; {
				x, err := b.Get(b.ctx, "s", "n")
				if err != nil {
					done <- err
					return
				}
				cond := x.Version
				if cond == 0 {
					cond = bus.Absent
				}
				switch err := b.Write(b.ctx, put("n", fmt.Sprint(x.Version+1), cond)); {
				case err == nil:
					n++
				case !isConflict(err):
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		b.must(<-done)
	}
	b.diff("value", b.value("s", "n"), fmt.Sprintf("%d@%d", writers*each, writers*each))
}

func entryKeys(xs []bus.Entry) []string {
	ks := []string{}
	for _, x := range xs {
		ks = append(ks, x.Key)
	}
	return ks
}

func list(b *bench) {
	for _, k := range []string{"a", "p", "p/1", "p/10", "p/2", "p/ü", "pq", "P/1", "p/%", "p/_"} {
		b.must(b.Write(b.ctx, put(k, k, 0)))
	}
	b.must(b.Write(b.ctx, bus.Write{Space: "t", Key: "p/3", Value: []byte("x")}))
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 0, []string{"P/1", "a", "p", "p/%", "p/1", "p/10", "p/2", "p/_", "p/ü", "pq"}},
		{"p/", "", 0, []string{"p/%", "p/1", "p/10", "p/2", "p/_", "p/ü"}},
		{"p/", "", 2, []string{"p/%", "p/1"}},
		{"p/", "p/1", 2, []string{"p/10", "p/2"}},
		{"p/", "p/2", 9, []string{"p/_", "p/ü"}},
		{"p/", "p/ü", 9, []string{}},
		{"p/", "zzz", 9, []string{}},
		{"p/", "a", 1, []string{"p/%"}},
		{"p/_", "", 0, []string{"p/_"}},
		{"p", "", 1, []string{"p"}},
		{"p", "p", 1, []string{"p/%"}},
		{"none", "", 0, []string{}},
	} {
		xs, err := b.List(b.ctx, "s", c.prefix, c.after, c.limit)
		b.must(err)
		b.diff(fmt.Sprintf("list %q after %q limit %d", c.prefix, c.after, c.limit), entryKeys(xs), c.want)
		for _, x := range xs {
			b.diff("entry", fmt.Sprintf("%s@%d", x.Value, x.Version), x.Key+"@1")
		}
	}
}

func latest(b *bench) {
	for _, k := range []string{"a", "p/1", "p/2", "p/3", "q"} {
		b.must(b.Write(b.ctx, put(k, k, 0)))
	}
	for _, c := range []struct {
		prefix string
		n      int
		want   []string
	}{
		{"p/", 2, []string{"p/2", "p/3"}},
		{"p/", 9, []string{"p/1", "p/2", "p/3"}},
		{"", 1, []string{"q"}},
		{"p/", 0, []string{}},
		{"none", 3, []string{}},
	} {
		xs, err := b.Latest(b.ctx, "s", c.prefix, c.n)
		b.must(err)
		b.diff(fmt.Sprintf("latest %d of %q", c.n, c.prefix), entryKeys(xs), c.want)
	}
}
