package inprocess

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// Settle ends a lease.
func (e *Engine) Settle(ctx context.Context, l *bus.Lease, out bus.Outcome) error {
	if err := rule.CheckOutcome(out); err != nil {
		return err
	}
	leave, err := e.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	o, err := e.leased(l)
	if err != nil {
		return err
	}
	if err := allHeld(o, out.Verdicts); err != nil {
		return err
	}
	if !e.stands(out.State) {
		return bus.ErrConflict
	}
	now := e.now()
	for _, r := range slices.Clone(o.queue) {
		if r.state != bus.Leased {
			continue
		}
		v, named := out.Verdicts[r.Key]
		if !named {
			v = bus.Verdict{Fate: bus.Release}
		}
		r.meet(v, now)
	}
	o.held = false
	e.append(out.Emit)
	e.write(out.State)
	e.wake()
	return nil
}

// meet gives a leased record its fate.
func (r *record) meet(v bus.Verdict, now time.Time) {
	if v.Progress != nil {
		r.Progress = slices.Clone(v.Progress)
	}
	r.reason, r.tag = v.Reason, ""
	switch v.Fate {
	case bus.Ack:
		r.become(bus.Done, now)
	case bus.Retry:
		r.become(bus.Ready, now)
		r.due = later(v.At, now)
	case bus.Release:
		r.become(bus.Ready, now)
		r.Attempt--
	case bus.Dead:
		r.become(bus.Died, now)
	case bus.Park:
		r.become(bus.Parked, now)
		r.due, r.tag = v.At, v.Tag
	}
}

// become moves the record into a state and in or out of its order's sequence,
// where it keeps the place that its Seq gives it.
func (r *record) become(s bus.State, now time.Time) {
	o := r.order
	i, in := slices.BinarySearchFunc(o.queue, r.Seq, func(x *record, seq int64) int { return int(x.Seq - seq) })
	r.state, r.at = s, now
	switch {
	case r.waits() && !in:
		o.queue = slices.Insert(o.queue, i, r)
	case !r.waits() && in:
		o.queue = slices.Delete(o.queue, i, i+1)
	}
}
