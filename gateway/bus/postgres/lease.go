package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

type commandTag = pgconn.CommandTag

func isContract(err error) bool {
	for _, e := range [...]error{bus.ErrConflict, bus.ErrLeaseLost, bus.ErrFull, bus.ErrClosed, rule.ErrNotLeased} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Lease takes orders that have due records, or waits for some.
func (e *Engine) Lease(ctx context.Context, w bus.Want) ([]*bus.Lease, error) {
	if err := rule.CheckWant(w); err != nil {
		return nil, err
	}
	w = rule.Filled(w)
	for {
		changed := e.wake.watch()
		leases, wait, err := e.tryLease(ctx, w)
		if err != nil && ctx.Err() == nil && e.wake.isClosed() {
			return nil, bus.ErrClosed // Close took the connection away under it
		}
		if err != nil || len(leases) > 0 || w.NoWait {
			return leases, wrap("lease", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// The channels of a want, as conditions: none, one, which an index answers in
// order, and several.
const (
	anyChannel   = `o.queue = $1`
	oneChannel   = `o.queue = $1 AND o.channel = ($3::text[])[1]`
	someChannels = `o.queue = $1 AND o.channel = ANY ($3)`
)

func inChannels(w bus.Want) (condition string, args []any) {
	switch {
	case w.Channels == nil:
		return anyChannel, nil
	case len(w.Channels) == 1:
		return oneChannel, []any{w.Channels}
	}
	return someChannels, []any{w.Channels}
}

// tryLease returns leases, or how long to wait at most.
func (e *Engine) tryLease(ctx context.Context, w bus.Want) (leases []*bus.Lease, wait time.Duration, err error) {
	if e.wake.isClosed() {
		return nil, 0, bus.ErrClosed
	}
	if wait, err = e.nextDue(ctx, w); err != nil || wait > 0 {
		return nil, wait, err
	}
	err = e.write(ctx, func(ctx context.Context, t *tx) error {
		leases = nil
		orders, err := t.due(ctx, w)
		if err != nil || len(orders) == 0 {
			return err
		}
		if leases, err = t.take(ctx, orders, w); err == nil {
			failpoint.Hit(failpoint.LeaseBeforeCommit)
		}
		return err
	})
	if len(leases) > 0 && err == nil {
		failpoint.Hit(failpoint.LeaseAfterCommit)
	}
	// Due, but locked by somebody, or taken by now: look again soon.
	return leases, 5 * time.Millisecond, err
}

// nextDue says when it is worth while to try: at once, when the first order
// falls due, or at the next look.
func (e *Engine) nextDue(ctx context.Context, w bus.Want) (time.Duration, error) {
	condition, channels := inChannels(w)
	args := append([]any{w.Queue, e.skewMicros()}, channels...)
	var next int64
	err := e.db.Pool().QueryRow(ctx, `SELECT o.due - `+clock("$2")+` FROM bus_order o
		WHERE `+condition+` AND o.due IS NOT NULL ORDER BY o.due, o.head LIMIT 1`, args...).Scan(&next)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return sweepEvery, nil
	case err != nil || next <= 0:
		return 0, err
	}
	return min(time.Duration(next)*time.Microsecond, sweepEvery), nil
}

// dueQuery finds and locks due orders that nobody else has locked, oldest first.
func dueQuery(condition string, n int) string {
	return `SELECT o.id, o.queue, o.channel, o.name, o.epoch, o.held, o.due, o.head, o.tail
		FROM bus_order o WHERE ` + condition + ` AND o.due <= ` + clock("$2") + `
		ORDER BY o.due, o.head LIMIT ` + strconv.Itoa(n) + ` FOR UPDATE SKIP LOCKED`
}

func (t *tx) due(ctx context.Context, w bus.Want) ([]order, error) {
	condition, channels := inChannels(w)
	args := append([]any{w.Queue, t.skew}, channels...)
	rows, err := t.Query(ctx, dueQuery(condition, w.N), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanOrder)
}

// unmark frees what a lease that ran out had.
const unmark = `UPDATE bus_record r SET state = 2 FROM bus_order o
	WHERE o.id = ANY ($1) AND o.held AND r.order_id = o.id AND r.seq BETWEEN o.head AND o.tail AND r.state = 3`

// mark marks the due records of locked orders, up to the first that is not due,
// counts the attempts and starts the leases.
var mark = `WITH t AS MATERIALIZED (SELECT ` + clock("$2") + ` AS now),
	waiting AS (
		SELECT r.seq, r.order_id, max(r.due) OVER (PARTITION BY r.order_id ORDER BY r.seq) AS latest
		FROM bus_order o CROSS JOIN LATERAL (
			SELECT x.seq, x.order_id, x.due FROM bus_record x
			WHERE x.order_id = o.id AND x.seq >= o.head AND x.state = 2 ORDER BY x.seq LIMIT $3
		) r WHERE o.id = ANY ($1)
	),
	marked AS (
		UPDATE bus_record r SET state = 3, attempt = r.attempt + 1, at = t.now
		FROM waiting w, t WHERE r.seq = w.seq AND w.latest <= t.now
		RETURNING r.seq, r.order_id, r.due, r.attempt, r.published, r.account, r.key, r.workspace, r.progress, r.body
	),
	started AS (
		UPDATE bus_order o SET epoch = o.epoch + 1, held = true, due = t.now + $4, head = m.first, tail = m.last, holder = $5
		FROM (SELECT order_id, min(seq) AS first, max(seq) AS last FROM marked GROUP BY order_id) m, t
		WHERE o.id = m.order_id
	)
	SELECT m.*, t.now + $4 FROM marked m, t ORDER BY m.order_id, m.seq`

// take leases locked orders. The records are read by statements that began after
// the locks were taken.
func (t *tx) take(ctx context.Context, orders []order, w bus.Want) ([]*bus.Lease, error) {
	ids := make([]int64, len(orders))
	byID := make(map[int64]*bus.Lease, len(orders))
	expired := false
	for i, o := range orders {
		ids[i] = o.id
		expired = expired || o.held
		byID[o.id] = &bus.Lease{
			Queue: o.orderID.queue, Channel: o.orderID.channel, Order: o.orderID.name,
			Epoch: o.epoch + 1, For: w.For,
		}
	}
	if expired {
		if _, err := t.Exec(ctx, unmark, ids); err != nil {
			return nil, err
		}
	}
	var most any
	if w.Max > 0 {
		most = w.Max
	}
	rows, err := t.Query(ctx, mark, ids, t.skew, most, w.For.Microseconds(), t.holder)
	if err != nil {
		return nil, err
	}
	if err := collect(rows, byID); err != nil {
		return nil, err
	}
	var leases []*bus.Lease
	for _, o := range orders {
		if l := byID[o.id]; len(l.Records) > 0 {
			leases = append(leases, l)
			continue
		}
		if err := t.free(ctx, o.id, o.head); err != nil { // its row was out of step with its records
			return nil, err
		}
	}
	return leases, nil
}

// collect adds the records to their leases.
func collect(rows pgx.Rows, byID map[int64]*bus.Lease) error {
	var (
		r                     bus.Record
		orderID               int64
		due, published, until int64
		progress, body        []byte
	)
	_, err := pgx.ForEachRow(rows, []any{
		&r.Seq, &orderID, &due, &r.Attempt, &published, &r.Account, &r.Key, &r.Workspace, &progress, &body, &until,
	}, func() error {
		l := byID[orderID]
		r.Queue, r.Channel, r.Order = l.Queue, l.Channel, l.Order
		r.Published, r.NotBefore = fromMicros(published), notBefore(due, published)
		r.Progress, r.Body = slices.Clone(progress), slices.Clone(body)
		l.Until = fromMicros(until)
		l.Records = append(l.Records, r)
		return nil
	})
	return err
}

// notBefore undoes that a record without a time of its own is due when published.
func notBefore(due, published int64) time.Time {
	if due <= published {
		return time.Time{}
	}
	return fromMicros(due)
}

// release ends the order's lease, if any, and finds its first waiting record,
// from head on.
const release = `UPDATE bus_order o SET held = false, due = n.due, head = coalesce(n.seq, o.head)
	FROM (SELECT 1) one LEFT JOIN LATERAL (
		SELECT seq, due FROM bus_record WHERE order_id = $1 AND seq >= $2 AND state <= 3 ORDER BY seq LIMIT 1
	) n ON true WHERE o.id = $1`

func (t *tx) free(ctx context.Context, id, head int64) error {
	_, err := t.Exec(ctx, release, id, head)
	return err
}
