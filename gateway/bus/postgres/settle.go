package postgres

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// fence locks the order of the lease together with the orders of the emissions
// and reports ErrLeaseLost when the lease does not stand.
func (t *tx) fence(ctx context.Context, l *bus.Lease, emit []bus.Record) (order, error) {
	own := orderID{l.Queue, l.Channel, l.Order}
	locked, err := t.lockOrders(ctx, ordersOf(emit, own))
	if err != nil {
		return order{}, err
	}
	o := locked[own]
	if !o.held || o.epoch != l.Epoch {
		return order{}, bus.ErrLeaseLost
	}
	return o, nil
}

// Settle ends a lease in one commit.
func (e *Engine) Settle(ctx context.Context, l *bus.Lease, out bus.Outcome) error {
	if err := rule.CheckOutcome(out); err != nil {
		return err
	}
	at, malformed := rule.Seqs(l, out.Verdicts)
	err := e.write(ctx, func(ctx context.Context, t *tx) error {
		o, err := t.fence(ctx, l, out.Emit)
		if err != nil {
			return err
		}
		if malformed != nil {
			return malformed
		}
		t.woke = true
		if err := t.settle(ctx, &o, at, out); err != nil {
			return err
		}
		failpoint.Hit(failpoint.SettleBeforeCommit)
		return nil
	})
	if err == nil {
		failpoint.Hit(failpoint.SettleAfterCommit)
	}
	return wrap("settle", err)
}

// settle sends everything at once; whether a condition held shows in the answers.
func (t *tx) settle(ctx context.Context, o *order, at map[string][]int64, out bus.Outcome) error {
	var b pgx.Batch
	conflict, missing := false, false
	for _, w := range inLockOrder(out.State) {
		queueWrite(&b, w, &conflict)
	}
	for _, key := range slices.Sorted(maps.Keys(out.Verdicts)) {
		for _, seq := range at[key] {
			t.queueVerdict(&b, o, seq, out.Verdicts[key], &missing)
		}
	}
	b.Queue(`UPDATE bus_record SET state = 2, attempt = attempt - 1, at = `+clock("$4")+`
		WHERE order_id = $1 AND seq BETWEEN $2 AND $3 AND state = 3`, o.id, o.head, o.tail, t.skew)
	for i := range out.Emit {
		queueInsert(&b, &out.Emit[i], t.skew)
	}
	b.Queue(release, o.id, o.head)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	switch {
	case missing:
		return rule.ErrNotLeased
	case conflict:
		return bus.ErrConflict
	}
	return nil
}

// verdict gives a leased record its fate.
var verdict = `UPDATE bus_record SET state = $3::smallint, attempt = attempt - $4, at = ` + clock("$10") + `,
	due = CASE WHEN $5::bigint IS NULL THEN due WHEN $3::smallint = 2 THEN greatest($5, ` + clock("$10") + `) ELSE $5 END,
	reason = $6, tag = $7, dead = $8, progress = coalesce($9, progress)
	WHERE seq = $1 AND order_id = $2 AND state = 3`

func (t *tx) queueVerdict(b *pgx.Batch, o *order, seq int64, v bus.Verdict, missing *bool) {
	state, back := ready, 0
	var due, reason, tag any
	switch v.Fate {
	case bus.Ack:
		state = done
	case bus.Dead:
		state = dead
	case bus.Retry:
		due = micros(v.At)
	case bus.Release:
		back = 1
	case bus.Park:
		state, due, tag = parked, micros(v.At), v.Tag
	}
	if v.Reason != "" {
		reason = v.Reason
	}
	b.Queue(verdict, seq, o.id, state, back, due, reason, tag, state == dead, []byte(v.Progress), t.skew).
		Exec(func(tag commandTag) error {
			if tag.RowsAffected() == 0 {
				*missing = true
			}
			return nil
		})
}

// Hold keeps a lease. A call that changes nothing commits nothing.
func (e *Engine) Hold(ctx context.Context, l *bus.Lease, h bus.Hold) ([]bus.Record, error) {
	if err := rule.Check(h.Emit, h.State); err != nil {
		return nil, err
	}
	at, malformed := rule.Seqs(l, h.Progress)
	var joined []bus.Record
	var until int64
	err := e.write(ctx, func(ctx context.Context, t *tx) error {
		joined, until = nil, 0
		o, err := t.fence(ctx, l, h.Emit)
		if err != nil {
			return err
		}
		if malformed != nil {
			return malformed
		}
		if joined, until, err = t.hold(ctx, &o, l, at, h); err == nil {
			failpoint.Hit(failpoint.HoldBeforeCommit)
		}
		return err
	})
	if err != nil {
		return nil, wrap("hold", err)
	}
	failpoint.Hit(failpoint.HoldAfterCommit)
	if until != 0 {
		l.Until = fromMicros(until)
	}
	l.Records = append(l.Records, joined...)
	return joined, nil
}

var joinMark = `WITH t AS MATERIALIZED (SELECT ` + clock("$3") + ` AS now),
	waiting AS (
		SELECT seq, max(due) OVER (ORDER BY seq) AS latest FROM bus_record
		WHERE order_id = $1 AND seq >= $2 AND state = 2
	)
	UPDATE bus_record r SET state = 3, attempt = r.attempt + 1, at = t.now
	FROM waiting w, t WHERE r.seq = w.seq AND w.latest <= t.now
	RETURNING r.seq, r.order_id, r.due, r.attempt, r.published, r.account, r.key, r.workspace, r.progress, r.body, 0::bigint`

func (t *tx) join(ctx context.Context, o *order, l *bus.Lease) ([]bus.Record, error) {
	rows, err := t.Query(ctx, joinMark, o.id, o.head, t.skew)
	if err != nil {
		return nil, err
	}
	into := bus.Lease{Queue: l.Queue, Channel: l.Channel, Order: l.Order}
	if err := collect(rows, map[int64]*bus.Lease{o.id: &into}); err != nil {
		return nil, err
	}
	slices.SortFunc(into.Records, func(a, b bus.Record) int { return int(a.Seq - b.Seq) })
	return into.Records, nil
}

// hold returns what it joined, and the lease's new end: 0 when there was nothing
// to do.
func (t *tx) hold(ctx context.Context, o *order, l *bus.Lease, at map[string][]int64, h bus.Hold) (joined []bus.Record, until int64, err error) {
	if h.Join {
		if joined, err = t.join(ctx, o, l); err != nil {
			return nil, 0, err
		}
	}
	// A lease that is only extended is left alone while more than half is left.
	threshold := int64(math.MaxInt64)
	if len(joined)+len(h.Progress)+len(h.Emit)+len(h.State) == 0 {
		threshold = l.For.Microseconds() / 2
	}
	tail := o.tail
	if n := len(joined); n > 0 {
		tail = max(tail, joined[n-1].Seq)
	}
	var b pgx.Batch
	conflict, missing := false, false
	for _, w := range inLockOrder(h.State) {
		queueWrite(&b, w, &conflict)
	}
	t.progress(&b, o, at, h.Progress, &missing)
	for i := range h.Emit {
		queueInsert(&b, &h.Emit[i], t.skew)
	}
	b.Queue(`UPDATE bus_order SET due = `+clock("$2")+` + $3, tail = $4 WHERE id = $1 AND due - `+clock("$2")+` <= $5
		RETURNING due`, o.id, t.skew, l.For.Microseconds(), tail, threshold).
		Query(func(rows pgx.Rows) error {
			if rows.Next() {
				return rows.Scan(&until)
			}
			return rows.Err()
		})
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return nil, 0, err
	}
	t.woke = len(h.Emit) > 0
	switch {
	case missing:
		return nil, 0, rule.ErrNotLeased
	case conflict:
		return nil, 0, bus.ErrConflict
	}
	return joined, until, nil
}

func (t *tx) progress(b *pgx.Batch, o *order, at map[string][]int64, progress map[string]json.RawMessage, missing *bool) {
	for _, key := range slices.Sorted(maps.Keys(progress)) {
		for _, seq := range at[key] {
			b.Queue(`UPDATE bus_record SET progress = $3 WHERE seq = $1 AND order_id = $2 AND state = 3`,
				seq, o.id, []byte(progress[key])).Exec(func(tag commandTag) error {
				*missing = *missing || tag.RowsAffected() == 0
				return nil
			})
		}
	}
}
