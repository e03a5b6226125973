package inprocess

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// Lease takes orders that have due records.
func (e *Engine) Lease(ctx context.Context, w bus.Want) ([]*bus.Lease, error) {
	if err := rule.CheckWant(w); err != nil {
		return nil, err
	}
	w = rule.Filled(w)
	for {
		leases, changed, next, err := e.tryLease(ctx, w)
		if err != nil || len(leases) > 0 || w.NoWait {
			return leases, err
		}
		if err := e.wait(ctx, changed, next); err != nil {
			return nil, err
		}
	}
}

// tryLease returns leases, or what to wait for: a change, or the time next, at
// which an order falls due; zero for never.
func (e *Engine) tryLease(ctx context.Context, w bus.Want) (_ []*bus.Lease, changed <-chan struct{}, next time.Time, err error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	defer leave()
	now := e.now()
	var due []*order
	for _, o := range e.orders {
		if o.orderID.queue != w.Queue || (w.Channels != nil && !slices.Contains(w.Channels, o.channel)) {
			continue
		}
		at, ever := o.due()
		switch {
		case !ever:
		case !at.After(now):
			due = append(due, o)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	slices.SortFunc(due, olderOrder)
	var leases []*bus.Lease
	for _, o := range due[:min(len(due), w.N)] {
		leases = append(leases, o.lease(w, now))
	}
	return leases, e.changed, next, nil
}

// due says when the order may be leased: when its lease runs out, else when the
// first record that waits is due.
func (o *order) due() (at time.Time, ever bool) {
	switch {
	case o.held:
		return o.until, true
	case len(o.queue) == 0:
		return time.Time{}, false
	}
	return o.queue[0].due, true
}

func olderOrder(a, b *order) int {
	x, _ := a.due()
	y, _ := b.due()
	return cmp.Or(x.Compare(y), cmp.Compare(a.queue[0].Seq, b.queue[0].Seq))
}

func (o *order) lease(w bus.Want, now time.Time) *bus.Lease {
	for _, r := range o.queue {
		r.state = bus.Ready // a lease that ran out leaves them marked
	}
	o.epoch++
	o.held, o.until = true, now.Add(w.For)
	return &bus.Lease{
		Queue: o.orderID.queue, Order: o.name, Channel: o.channel,
		Epoch: o.epoch, Until: o.until, For: w.For,
		Records: o.take(now, w.Max),
	}
}

// take hands out the records that are due and not yet handed out, in order and
// up to the first that is not due.
func (o *order) take(now time.Time, most int) []bus.Record {
	var out []bus.Record
	for _, r := range o.queue {
		if r.state == bus.Leased {
			continue
		}
		if r.due.After(now) || (most > 0 && len(out) == most) {
			break
		}
		r.state, r.at = bus.Leased, now
		r.Attempt++
		out = append(out, r.copied())
	}
	return out
}

func (r *record) copied() bus.Record {
	c := r.Record
	c.Body = slices.Clone(r.Body)
	c.Progress = slices.Clone(r.Progress)
	return c
}

// wait blocks until something changed, next has come, or ctx ends. A clock that
// a test moves is noticed within a second.
func (e *Engine) wait(ctx context.Context, changed <-chan struct{}, next time.Time) error {
	var due <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(min(next.Sub(e.now()), time.Second))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
		return nil
	case <-due:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leased returns the order of a lease that still stands.
func (e *Engine) leased(l *bus.Lease) (*order, error) {
	o := e.orders[orderID{l.Queue, l.Channel, l.Order}]
	if o == nil || !o.held || o.epoch != l.Epoch {
		return nil, bus.ErrLeaseLost
	}
	return o, nil
}

// holds returns the records of the lease under that key. Two accounts may use
// the same key within one order; then there are two.
func (o *order) holds(key string) []*record {
	var rs []*record
	for _, r := range o.queue {
		if r.state == bus.Leased && r.Key == key {
			rs = append(rs, r)
		}
	}
	return rs
}

func allHeld[V any](o *order, byKey map[string]V) error {
	for key := range byKey {
		if len(o.holds(key)) == 0 {
			return rule.ErrNotLeased
		}
	}
	return nil
}

// Hold keeps a lease.
func (e *Engine) Hold(ctx context.Context, l *bus.Lease, h bus.Hold) ([]bus.Record, error) {
	if err := rule.Check(h.Emit, h.State); err != nil {
		return nil, err
	}
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	o, err := e.leased(l)
	if err != nil {
		return nil, err
	}
	if err := allHeld(o, h.Progress); err != nil {
		return nil, err
	}
	if !e.stands(h.State) {
		return nil, bus.ErrConflict
	}
	now := e.now()
	var joined []bus.Record
	if h.Join {
		joined = o.take(now, 0)
	}
	for key, p := range h.Progress {
		o.progress(key, p)
	}
	e.append(h.Emit)
	e.write(h.State)
	if idle := len(joined)+len(h.Progress)+len(h.Emit)+len(h.State) == 0; !idle || o.until.Sub(now) <= l.For/2 {
		o.until = now.Add(l.For)
		l.Until = o.until
	}
	l.Records = append(l.Records, joined...)
	return joined, nil
}

func (o *order) progress(key string, p json.RawMessage) {
	for _, r := range o.holds(key) {
		r.Progress = slices.Clone(p)
	}
}
