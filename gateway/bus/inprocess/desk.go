package inprocess

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// Unpark makes the records under tag due again.
func (e *Engine) Unpark(ctx context.Context, tag string) (int, error) {
	return e.each(ctx, e.parked(tag), func(r *record, now time.Time) {
		r.become(bus.Ready, now)
		r.due, r.tag = now, ""
	})
}

// Discard acknowledges the records under tag.
func (e *Engine) Discard(ctx context.Context, tag string) (int, error) {
	return e.each(ctx, e.parked(tag), func(r *record, now time.Time) {
		r.become(bus.Done, now)
		r.tag = ""
	})
}

func (e *Engine) parked(tag string) func(*record) bool {
	return func(r *record) bool {
		return r.state == bus.Parked && r.tag == tag && !r.expired(e.now())
	}
}

func (r *record) expired(now time.Time) bool {
	return r.state == bus.Parked && !r.due.IsZero() && !r.due.After(now)
}

// Replay makes dead records due again.
func (e *Engine) Replay(ctx context.Context, seqs ...int64) (int, error) {
	return e.each(ctx, dead(seqs), func(r *record, now time.Time) {
		r.become(bus.Ready, now)
		r.due, r.Attempt, r.reason = now, 0, ""
	})
}

// Drop removes dead records.
func (e *Engine) Drop(ctx context.Context, seqs ...int64) (int, error) {
	return e.each(ctx, dead(seqs), func(r *record, _ time.Time) { e.forget(r) })
}

func dead(seqs []int64) func(*record) bool {
	return func(r *record) bool { return r.state == bus.Died && slices.Contains(seqs, r.Seq) }
}

// forget removes a record and keeps its key.
func (e *Engine) forget(r *record) {
	delete(e.records, idOf(r.Record))
	e.seen[idOf(r.Record)] = r.Published
}

// each applies f to the chosen records and says how many there were.
func (e *Engine) each(ctx context.Context, chosen func(*record) bool, f func(*record, time.Time)) (int, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n, now := 0, e.now()
	for _, r := range e.records {
		if chosen(r) {
			f(r, now)
			n++
		}
	}
	e.wake()
	return n, nil
}

// DeadLetters lists dead records.
func (e *Engine) DeadLetters(ctx context.Context, queue string, after int64, limit int) ([]bus.Letter, error) {
	all, err := e.letters(ctx, func(r *record) bool {
		return r.state == bus.Died && r.Queue == queue && r.Seq > after
	})
	return all[:min(len(all), rule.Limit(limit))], err
}

// Replies returns the outbox records under a key prefix.
func (e *Engine) Replies(ctx context.Context, channel, prefix string) ([]bus.Letter, error) {
	return e.letters(ctx, func(r *record) bool {
		return r.Queue == bus.Outbox && r.Channel == channel && strings.HasPrefix(r.Key, prefix)
	})
}

func (e *Engine) letters(ctx context.Context, chosen func(*record) bool) ([]bus.Letter, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []bus.Letter
	for _, r := range e.records {
		if chosen(r) {
			all = append(all, bus.Letter{Record: r.copied(), State: e.stateOf(r), Reason: r.reason, At: r.at})
		}
	}
	slices.SortFunc(all, func(a, b bus.Letter) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, nil
}

// stateOf is the record's state as it shows: a lease that ran out holds nothing.
func (e *Engine) stateOf(r *record) bus.State {
	if r.state == bus.Leased && !r.order.until.After(e.now()) {
		return bus.Ready
	}
	return r.state
}

// Depths counts what has not been done yet.
func (e *Engine) Depths(ctx context.Context) ([]bus.Depth, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	type cell struct {
		queue, channel string
		state          bus.State
	}
	depths := map[cell]*bus.Depth{}
	for _, r := range e.records {
		c := cell{r.Queue, r.Channel, e.stateOf(r)}
		if c.state == bus.Done {
			continue
		}
		d := depths[c]
		if d == nil {
			d = &bus.Depth{Queue: c.queue, Channel: c.channel, State: c.state, Oldest: r.Published}
			depths[c] = d
		}
		d.Count++
		if r.Published.Before(d.Oldest) {
			d.Oldest = r.Published
		}
	}
	var all []bus.Depth
	for _, d := range depths {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b bus.Depth) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.State, b.State))
	})
	return all, nil
}

// Sweep applies the retention.
func (e *Engine) Sweep(ctx context.Context, keep bus.Retention) (bus.Swept, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return bus.Swept{}, err
	}
	defer leave()
	var s bus.Swept
	now := e.now()
	old := func(at time.Time, keep time.Duration) bool { return keep > 0 && !at.Add(keep).After(now) }
	for _, r := range e.records {
		switch {
		case r.expired(now):
			r.become(bus.Died, now)
			r.reason, r.tag = "expired", ""
			s.Expired++
		case r.state == bus.Done && old(r.at, keep.Bodies):
			e.forget(r)
			s.Bodies++
		case r.state == bus.Died && old(r.at, keep.Dead):
			e.forget(r)
			s.Dead++
		}
	}
	for k, at := range e.seen {
		if old(at, rule.Keys(keep)) {
			delete(e.seen, k)
			s.Keys++
		}
	}
	return s, nil
}

// Spaces lists the spaces of the state.
func (e *Engine) Spaces(ctx context.Context) ([]string, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []string
	for k := range e.state {
		all = append(all, k.space)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Revise stores what f makes of records.
func (e *Engine) Revise(ctx context.Context, after int64, limit int, f func(bus.Letter) bus.Revision) (int64, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var all []*record
	for _, r := range e.records {
		if r.Seq > after {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *record) int { return cmp.Compare(a.Seq, b.Seq) })
	last := int64(0)
	for _, r := range all[:min(len(all), rule.Limit(limit))] {
		last = r.Seq
		v := f(bus.Letter{Record: r.copied(), State: e.stateOf(r), Reason: r.reason, At: r.at})
		switch {
		case v.Remove && !r.waits():
			e.forget(r)
			continue
		case v.Remove:
			continue
		}
		if v.Body != nil {
			r.Body = slices.Clone(v.Body)
		}
		if v.Progress != nil {
			r.Progress = slices.Clone(v.Progress)
		}
	}
	return last, nil
}
