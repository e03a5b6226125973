package bustest

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// property runs random calls against the engine and the model, each run in a
// channel of its own, and compares every answer and everything that shows.
func property(b *bench) {
	if checks := flag.Lookup("rapid.checks"); slow && checks.Value.String() == checks.DefValue {
		b.must(checks.Value.Set("12"))
		defer func() { b.must(checks.Value.Set(checks.DefValue)) }()
	}
	runs := 0
	rapid.Check(b.TB, func(t *rapid.T) {
		runs++
		r := &randomRun{T: t, b: b, m: newModel(), channel: fmt.Sprintf("p%d", runs)}
		t.Repeat(map[string]func(*rapid.T){
			"":        r.compare,
			"publish": r.publish,
			"lease":   r.lease,
			"hold":    r.hold,
			"settle":  r.settle,
			"advance": r.advance,
			"unpark":  r.unpark,
			"letters": r.letters,
			"sweep":   r.sweep,
		})
		r.drain()
	})
}

// randomRun is one run of the property.
type randomRun struct {
	*rapid.T
	b       *bench
	m       *model
	channel string
	leases  []heldLease // all that were ever handed out, stale ones too
	fences  int
}

type heldLease struct {
	real  *bus.Lease
	model *modelLease
}

func (r *randomRun) same(what string, got, want any) {
	r.Helper()
	if d := cmp.Diff(want, got); d != "" {
		r.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func (r *randomRun) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *randomRun) record(t *rapid.T, queues ...string) bus.Record {
	order := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "order")
	n := rapid.IntRange(0, 14).Draw(t, "n")
	in := bus.Record{
		Channel: r.channel, Account: "acc", Queue: rapid.SampledFrom(queues).Draw(t, "queue"),
		Key: fmt.Sprintf("k%d", n), Order: order, Body: raw(`1`),
	}
	if wait := rapid.SampledFrom([]int{0, 0, 0, 1, 5}).Draw(t, "minutes"); wait > 0 {
		in.NotBefore = r.b.Now().Add(time.Duration(wait) * time.Minute)
	}
	return in
}

func (r *randomRun) writes(t *rapid.T) []bus.Write {
	if rapid.IntRange(0, 2).Draw(t, "writes") > 0 {
		return nil
	}
	w := bus.Write{
		Space: r.channel, Key: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "state"),
		If: rapid.Int64Range(-1, 3).Draw(t, "if"),
	}
	if rapid.IntRange(0, 4).Draw(t, "delete") > 0 {
		w.Value = []byte("v")
	}
	return []bus.Write{w}
}

func (r *randomRun) publish(t *rapid.T) {
	var in bus.Batch
	for range rapid.IntRange(1, 3).Draw(t, "records") {
		in.Records = append(in.Records, r.record(t, bus.Inbox, bus.Inbox, bus.Outbox))
	}
	in.State = r.writes(t)
	now := r.b.Now()
	err := r.b.Publish(r.b.ctx, in)
	if !r.m.stands(in.State) {
		r.refused(err, bus.ErrConflict)
		return
	}
	r.ok(err)
	r.m.publish(now, in.Records)
	r.m.write(in.State)
}

func (r *randomRun) refused(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("error is %v, want %v", err, want)
	}
}

func (r *randomRun) advance(t *rapid.T) {
	r.b.Advance(rapid.SampledFrom([]time.Duration{20 * time.Second, 2 * time.Minute, 10 * time.Minute}).Draw(t, "by"))
}

func (r *randomRun) lease(t *rapid.T) {
	w := bus.Want{
		Queue: bus.Inbox, Channels: []string{r.channel}, NoWait: true, For: time.Minute,
		N: rapid.IntRange(1, 3).Draw(t, "n"), Max: rapid.IntRange(0, 2).Draw(t, "max"),
	}
	now := r.b.Now()
	got, err := r.b.Lease(r.b.ctx, w)
	r.ok(err)
	want := r.m.lease(now, w.N, w.Max, w.For, &r.fences)
	var g, x []string
	for _, l := range got {
		g = append(g, fmt.Sprint(l.Order, keys(l.Records)))
	}
	for _, l := range want {
		x = append(x, fmt.Sprint(l.order, l.keys))
	}
	r.same("leases", g, x)
	for i := range got {
		r.leases = append(r.leases, heldLease{got[i], want[i]})
	}
}

// held draws one of the leases that were handed out; most are stale.
func (r *randomRun) held(t *rapid.T) heldLease {
	if len(r.leases) == 0 {
		t.Skip("no lease yet")
	}
	i := rapid.IntRange(0, min(3, len(r.leases)-1)).Draw(t, "lease")
	return r.leases[len(r.leases)-1-i]
}

func (r *randomRun) hold(t *rapid.T) {
	l := r.held(t)
	h := bus.Hold{Join: rapid.Bool().Draw(t, "join"), State: r.writes(t)}
	if rapid.Bool().Draw(t, "emit") {
		h.Emit = []bus.Record{r.record(t, bus.Outbox)}
	}
	now := r.b.Now()
	got, err := r.b.Hold(r.b.ctx, l.real, h)
	switch {
	case r.m.stale(l.model):
		r.refused(err, bus.ErrLeaseLost)
	case !r.m.stands(h.State):
		r.refused(err, bus.ErrConflict)
	default:
		r.ok(err)
		joined := []string{}
		if h.Join {
			joined = r.m.join(l.model, now, 0)
		}
		r.same("joined", keys(got), joined)
		r.m.publish(now, h.Emit)
		r.m.write(h.State)
		if len(joined)+len(h.Emit)+len(h.State) > 0 || l.model.until.Sub(now) <= l.model.length/2 {
			l.model.until = now.Add(l.model.length)
		}
	}
}

func (r *randomRun) verdict(t *rapid.T) bus.Verdict {
	v := bus.Verdict{Fate: rapid.SampledFrom([]bus.Fate{bus.Ack, bus.Ack, bus.Retry, bus.Release, bus.Dead, bus.Park}).Draw(t, "fate")}
	if wait := rapid.SampledFrom([]int{0, 1, 30}).Draw(t, "minutes"); wait > 0 && v.Fate != bus.Ack {
		v.At = r.b.Now().Add(time.Duration(wait) * time.Minute)
	}
	if v.Fate == bus.Park {
		v.Tag = r.channel + rapid.SampledFrom([]string{"/t", "/u"}).Draw(t, "tag")
	}
	if v.Fate == bus.Dead {
		v.Reason = "r"
	}
	if rapid.IntRange(0, 3).Draw(t, "progress") == 0 {
		v.Progress = raw(`{}`)
	}
	return v
}

func (r *randomRun) settle(t *rapid.T) {
	l := r.held(t)
	o := bus.Outcome{Verdicts: map[string]bus.Verdict{}, State: r.writes(t)}
	for _, key := range l.model.keys {
		if rapid.IntRange(0, 5).Draw(t, "named") > 0 {
			o.Verdicts[key] = r.verdict(t)
		}
	}
	if rapid.Bool().Draw(t, "emit") {
		o.Emit = []bus.Record{r.record(t, bus.Outbox, bus.Inbox)}
	}
	now := r.b.Now()
	err := r.b.Settle(r.b.ctx, l.real, o)
	switch {
	case r.m.stale(l.model):
		r.refused(err, bus.ErrLeaseLost)
	case !r.m.stands(o.State):
		r.refused(err, bus.ErrConflict)
	default:
		r.ok(err)
		r.m.settle(now, l.model, o)
	}
}

func (r *randomRun) unpark(t *rapid.T) {
	tag := r.channel + rapid.SampledFrom([]string{"/t", "/u"}).Draw(t, "tag")
	now := r.b.Now()
	if rapid.IntRange(0, 3).Draw(t, "discard") == 0 {
		n, err := r.b.Discard(r.b.ctx, tag)
		r.ok(err)
		r.same("discarded", n, r.m.unpark(now, tag, bus.Done))
		return
	}
	n, err := r.b.Unpark(r.b.ctx, tag)
	r.ok(err)
	r.same("unparked", n, r.m.unpark(now, tag, bus.Ready))
}

// dead returns the dead letters of the run's channel.
func (r *randomRun) dead() []bus.Letter {
	all, err := r.b.DeadLetters(r.b.ctx, bus.Inbox, 0, 1<<30)
	r.ok(err)
	var own []bus.Letter
	for _, l := range all {
		if l.Channel == r.channel {
			own = append(own, l)
		}
	}
	return own
}

func (r *randomRun) letters(t *rapid.T) {
	ls := r.dead()
	if len(ls) == 0 {
		t.Skip("nobody died")
	}
	l := ls[rapid.IntRange(0, len(ls)-1).Draw(t, "letter")]
	if rapid.IntRange(0, 2).Draw(t, "drop") == 0 {
		n, err := r.b.Drop(r.b.ctx, l.Seq)
		r.ok(err)
		r.same("dropped", n, 1)
		r.m.remove(func(x *modelRecord) bool { return x.queue == bus.Inbox && x.key == l.Key })
		return
	}
	now := r.b.Now()
	n, err := r.b.Replay(r.b.ctx, l.Seq)
	r.ok(err)
	r.same("replayed", n, r.m.replay(now, l.Key))
}

func (r *randomRun) sweep(*rapid.T) {
	keep := bus.Retention{Bodies: 15 * time.Minute, Dead: time.Hour}
	now := r.b.Now()
	_, err := r.b.Sweep(r.b.ctx, keep)
	r.ok(err)
	r.m.sweep(now, keep)
}

// compare holds what shows against the model.
func (r *randomRun) compare(*rapid.T) {
	now := r.b.Now()
	ls, err := r.b.Replies(r.b.ctx, r.channel, "")
	r.ok(err)
	r.same("replies", showLetters(ls), r.m.show(now, func(x *modelRecord) bool { return x.queue == bus.Outbox }))
	r.same("dead", showLetters(r.dead()), r.m.show(now, func(x *modelRecord) bool {
		return x.queue == bus.Inbox && x.state == bus.Died
	}))
	ds, err := r.b.Depths(r.b.ctx)
	r.ok(err)
	depths := map[string]int{}
	for _, d := range ds {
		if d.Channel == r.channel {
			depths[d.Queue+" "+string(d.State)] += d.Count
		}
	}
	r.same("depths", depths, r.m.depths(now))
	for _, k := range []string{"x", "y"} {
		x, err := r.b.Get(r.b.ctx, r.channel, k)
		r.ok(err)
		r.same("state", modelValue{x.Version, string(x.Value)} == r.m.state[k], true)
	}
}

// drain works everything off: nothing may be stuck at the end.
func (r *randomRun) drain() {
	for range 100 {
		r.b.Advance(time.Hour)
		now := r.b.Now()
		w := bus.Want{Queue: bus.Inbox, Channels: []string{r.channel}, NoWait: true, N: 9, For: time.Minute}
		got, err := r.b.Lease(r.b.ctx, w)
		r.ok(err)
		want := r.m.lease(now, w.N, 0, w.For, &r.fences)
		r.same("leases", len(got), len(want))
		if len(got) == 0 {
			return
		}
		for i, l := range got {
			r.same("leased", keys(l.Records), want[i].keys)
			o := all(l, bus.Verdict{Fate: bus.Ack})
			r.ok(r.b.Settle(r.b.ctx, l, o))
			r.m.settle(now, want[i], o)
		}
	}
	r.Fatal("there is no end to the records")
}
