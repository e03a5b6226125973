package sqlite

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// fence returns the order of a lease that still stands.
func (w *writer) fence(l *bus.Lease) (*order, error) {
	o, err := w.order(laneID{l.Queue, l.Channel}, l.Order)
	if err != nil {
		return nil, err
	}
	if o == nil || !o.held || o.epoch != l.Epoch {
		return nil, bus.ErrLeaseLost
	}
	return o, nil
}

// company is how long the end of a lease that nothing follows from waits for
// another write to share its commit. A message that comes alone costs two
// commits instead of three, since its successor is accepted with the end of its
// reply. It is short beside what a platform takes for a send, which is as long in
// doubt when the process dies.
const company = 5 * time.Millisecond

// patience is how long an outcome may wait: not at all when it makes anything
// due or known.
func patience(l *bus.Lease, out bus.Outcome) time.Duration {
	if len(out.Emit)+len(out.State) > 0 || len(out.Verdicts) < len(l.Records) {
		return 0
	}
	for _, v := range out.Verdicts {
		if v.Fate != bus.Ack {
			return 0
		}
	}
	return company
}

// Settle ends a lease in one commit.
func (e *Engine) Settle(ctx context.Context, l *bus.Lease, out bus.Outcome) error {
	if err := rule.CheckOutcome(out); err != nil {
		return err
	}
	at, malformed := rule.Seqs(l, out.Verdicts)
	err := e.commitWithin(ctx, patience(l, out), func(w *writer) error {
		o, err := w.fence(l)
		if err != nil {
			return err
		}
		if malformed != nil {
			return malformed
		}
		if err := w.stands(out.State); err != nil {
			return err
		}
		if err := w.settle(o, at, out); err != nil {
			return err
		}
		failpoint.Hit(failpoint.SettleBeforeCommit)
		return nil
	})
	if err == nil {
		failpoint.Hit(failpoint.SettleAfterCommit)
	}
	return err
}

func (w *writer) settle(o *order, at map[string][]int64, out bus.Outcome) error {
	ended := 0 // records that need no lease any more
	for _, key := range slices.Sorted(maps.Keys(out.Verdicts)) {
		for _, seq := range at[key] {
			if err := w.meet(o, seq, out.Verdicts[key]); err != nil {
				return err
			}
			if f := out.Verdicts[key].Fate; f == bus.Ack || f == bus.Dead || f == bus.Park {
				ended++
			}
		}
	}
	// What the lease has handed out is 0 when it is not known.
	all := ended > 0 && ended == o.out
	if !all && (o.head < o.tail || len(at) == 0) { // else the one leased record has its verdict
		if err := w.giveBack(o); err != nil {
			return err
		}
	}
	if err := w.append(out.Emit, out.State); err != nil {
		return err
	}
	if all && o.last != 0 && o.last <= o.tail {
		o.idle = true
		w.end(o)
		return nil
	}
	return w.free(o)
}

// giveBack makes ready what was leased and has no verdict.
func (w *writer) giveBack(o *order) error {
	_, _, err := w.Exec(`UPDATE bus_record SET state = 2, attempt = attempt - 1, at = ?
		WHERE order_id = ? AND seq BETWEEN ? AND ? AND state = 3`, w.now, o.id, o.head, o.tail)
	return err
}

// meet gives a leased record its fate.
func (w *writer) meet(o *order, seq int64, v bus.Verdict) error {
	state, back := ready, 0
	var due, reason, tag, progress any
	switch v.Fate {
	case bus.Ack:
		state = done
	case bus.Dead:
		state = dead
	case bus.Retry:
		due = max(micros(v.At), w.now)
	case bus.Release:
		back = 1
	case bus.Park:
		state, due, tag = parked, micros(v.At), v.Tag
	}
	if v.Reason != "" {
		reason = v.Reason
	}
	if v.Progress != nil {
		progress = []byte(v.Progress)
	}
	n, _, err := w.Exec(`UPDATE bus_record SET state = ?, attempt = attempt - ?, at = ?,
		due = coalesce(?, due), reason = ?, tag = ?, progress = coalesce(?, progress)
		WHERE seq = ? AND order_id = ? AND state = 3`,
		state, back, w.now, due, reason, tag, progress, seq, o.id)
	if err != nil {
		return err
	}
	if n == 0 {
		return rule.ErrNotLeased
	}
	if state != ready {
		w.lane(o.lane).pending--
	}
	return nil
}

// Hold keeps a lease. A call that changes nothing commits nothing.
func (e *Engine) Hold(ctx context.Context, l *bus.Lease, h bus.Hold) ([]bus.Record, error) {
	if err := rule.Check(h.Emit, h.State); err != nil {
		return nil, err
	}
	at, malformed := rule.Seqs(l, h.Progress)
	var joined []bus.Record
	var until int64
	err := e.commit(ctx, func(w *writer) error {
		joined, until = nil, 0
		o, err := w.fence(l)
		if err != nil {
			return err
		}
		if malformed != nil {
			return malformed
		}
		if err := w.stands(h.State); err != nil {
			return err
		}
		if joined, until, err = w.hold(o, l, at, h); err != nil {
			return err
		}
		failpoint.Hit(failpoint.HoldBeforeCommit)
		return nil
	})
	if err != nil {
		return nil, err
	}
	failpoint.Hit(failpoint.HoldAfterCommit)
	if until != 0 {
		l.Until = fromMicros(until)
	}
	l.Records = append(l.Records, joined...)
	return joined, nil
}

// hold returns what it joined, and the lease's new end: 0 when there was
// nothing to do.
func (w *writer) hold(o *order, l *bus.Lease, at map[string][]int64, h bus.Hold) (joined []bus.Record, until int64, err error) {
	if h.Join {
		if joined, err = w.records(o, 0); err != nil {
			return nil, 0, err
		}
	}
	idle := len(joined)+len(h.Progress)+len(h.Emit)+len(h.State) == 0
	if idle && o.due-w.now > l.For.Microseconds()/2 {
		return nil, 0, nil
	}
	if n := len(joined); n > 0 {
		if o.out > 0 {
			o.out += n
		}
		o.tail = max(o.tail, joined[n-1].Seq)
		if err := w.mark(o.id, joined[0].Seq, joined[n-1].Seq); err != nil {
			return nil, 0, err
		}
	}
	if err := w.progress(o, at, h.Progress); err != nil {
		return nil, 0, err
	}
	if err := w.append(h.Emit, h.State); err != nil {
		return nil, 0, err
	}
	o.due = w.now + l.For.Microseconds()
	w.change(o)
	return joined, o.due, nil
}

func (w *writer) progress(o *order, at map[string][]int64, progress map[string]json.RawMessage) error {
	for key, p := range progress {
		for _, seq := range at[key] {
			n, _, err := w.Exec(`UPDATE bus_record SET progress = ? WHERE seq = ? AND order_id = ? AND state = 3`,
				blob(p), seq, o.id)
			if err != nil {
				return err
			}
			if n == 0 {
				return rule.ErrNotLeased
			}
		}
	}
	return nil
}
