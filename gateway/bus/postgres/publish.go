package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	db "github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// The states as the table holds them; see the migration.
const (
	ready  = 2
	leased = 3
	parked = 4
	dead   = 5
	done   = 6
)

// orderID names an order.
type orderID struct{ queue, channel, name string }

func compareOrders(a, b orderID) int {
	return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.channel, b.channel), cmp.Compare(a.name, b.name))
}

// ordersOf returns the orders of the records in the sequence in which everybody
// locks them.
func ordersOf(records []bus.Record, more ...orderID) []orderID {
	ids := more
	for i := range records {
		ids = append(ids, orderID{records[i].Queue, records[i].Channel, records[i].Order})
	}
	slices.SortFunc(ids, compareOrders)
	return slices.Compact(ids)
}

// ensure makes the rows that are missing. Their first epoch is the highest
// position handed out: no order that was forgotten before can have had a higher
// one.
const ensure = `INSERT INTO bus_order (queue, channel, name, epoch)
	SELECT q, c, n, (SELECT last_value FROM bus_seq)
	FROM unnest($1::text[], $2::text[], $3::text[]) AS x (q, c, n)
	ON CONFLICT (queue, channel, name) DO NOTHING`

// lock locks the rows in the sequence of their names.
const lock = `SELECT o.id, o.queue, o.channel, o.name, o.epoch, o.held, o.due, o.head, o.tail
	FROM bus_order o JOIN unnest($1::text[], $2::text[], $3::text[]) AS x (q, c, n)
	ON o.queue = x.q AND o.channel = x.c AND o.name = x.n
	ORDER BY o.queue, o.channel, o.name FOR UPDATE OF o`

func columns(ids []orderID) (q, c, n []string) {
	for _, id := range ids {
		q, c, n = append(q, id.queue), append(c, id.channel), append(n, id.name)
	}
	return q, c, n
}

// order is a row of bus_order.
type order struct {
	id         int64
	orderID    orderID
	epoch      int64
	held       bool
	due        *int64
	head, tail int64
}

func scanOrder(row pgx.CollectableRow) (order, error) {
	var o order
	err := row.Scan(&o.id, &o.orderID.queue, &o.orderID.channel, &o.orderID.name, &o.epoch, &o.held, &o.due, &o.head, &o.tail)
	return o, err
}

// insert appends one record to its order, whose row is locked, unless the key is
// known. The order's row changes only when nothing waited there before.
var insert = `WITH t AS MATERIALIZED (SELECT ` + clock("$10") + ` AS now), added AS (
	INSERT INTO bus_record (order_id, state, attempt, due, at, published, queue, channel, account, key, workspace, body)
	SELECT o.id, 2, 0, greatest(t.now, $1), t.now, t.now, $2, $3, $4, $5, $6, $7 FROM bus_order o, t
	WHERE o.queue = $2 AND o.channel = $3 AND o.name = $8
	AND NOT EXISTS (SELECT 1 FROM bus_key WHERE hash = $9)
	ON CONFLICT (queue, channel, key, account) DO NOTHING
	RETURNING order_id, seq, due
)
UPDATE bus_order o SET due = added.due, head = added.seq FROM added WHERE o.id = added.order_id AND o.due IS NULL`

func queueInsert(b *pgx.Batch, r *bus.Record, skew int64) {
	hash := rule.Hash(r.Queue, r.Channel, r.Account, r.Key)
	b.Queue(insert, micros(r.NotBefore), r.Queue, r.Channel, r.Account, r.Key, r.Workspace, []byte(r.Body), r.Order, hash[:], skew)
}

// Publish appends the batch in one commit. A batch without state takes one round
// trip.
func (e *Engine) Publish(ctx context.Context, b bus.Batch) error {
	if err := rule.Check(b.Records, b.State); err != nil {
		return err
	}
	if err := e.checkRoom(ctx, b.Records); err != nil {
		return err
	}
	var err error
	if len(b.State) == 0 {
		err = e.publishAtOnce(ctx, b.Records)
	} else {
		err = e.write(ctx, func(ctx context.Context, t *tx) error {
			if len(b.Records) > 0 {
				if _, err := t.lockOrders(ctx, ordersOf(b.Records)); err != nil {
					return err
				}
			}
			if err := t.append(ctx, b.Records, b.State); err != nil {
				return err
			}
			failpoint.Hit(failpoint.PublishBeforeCommit)
			return nil
		})
	}
	if err != nil {
		return wrap("publish", err)
	}
	failpoint.Hit(failpoint.PublishAfterCommit)
	e.room.add(b.Records)
	return nil
}

// publishAtOnce sends locks and insertions together. They are one transaction,
// for nothing separates them; each statement sees what was committed before its
// own beginning, so the insertions come after the locks.
func (e *Engine) publishAtOnce(ctx context.Context, records []bus.Record) error {
	if e.wake.isClosed() {
		return bus.ErrClosed
	}
	if err := ctx.Err(); err != nil || len(records) == 0 {
		return err
	}
	ids := ordersOf(records)
	q, c, n := columns(ids)
	skew := e.skewMicros()
	err := e.db.With(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		var b pgx.Batch
		b.Queue(ensure, q, c, n)
		locked := 0
		b.Queue(lock, q, c, n).Query(func(rows pgx.Rows) error {
			all, err := pgx.CollectRows(rows, scanOrder)
			locked = len(all)
			return err
		})
		for i := range records {
			queueInsert(&b, &records[i], skew)
		}
		if err := conn.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		if locked < len(ids) { // a sweep was quicker; keys make the repetition harmless
			return db.ErrAgain
		}
		return nil
	})
	if err == nil {
		e.wake.signal()
	}
	return err
}

// lockOrders makes and locks the orders' rows.
func (t *tx) lockOrders(ctx context.Context, ids []orderID) (map[orderID]order, error) {
	q, c, n := columns(ids)
	var b pgx.Batch
	var all []order
	b.Queue(ensure, q, c, n)
	b.Queue(lock, q, c, n).Query(func(rows pgx.Rows) (err error) {
		all, err = pgx.CollectRows(rows, scanOrder)
		return err
	})
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	if len(all) < len(ids) {
		return nil, db.ErrAgain
	}
	locked := make(map[orderID]order, len(all))
	for _, o := range all {
		locked[o.orderID] = o
	}
	return locked, nil
}

// append inserts the records, whose orders are locked, and writes the state.
func (t *tx) append(ctx context.Context, records []bus.Record, state []bus.Write) error {
	var b pgx.Batch
	conflict := false
	for _, w := range inLockOrder(state) {
		queueWrite(&b, w, &conflict)
	}
	for i := range records {
		queueInsert(&b, &records[i], t.skew)
	}
	if b.Len() == 0 {
		return nil
	}
	t.woke = t.woke || len(records) > 0
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if conflict {
		return bus.ErrConflict
	}
	return nil
}

// inLockOrder sorts writes by key, so that two transactions do not wait for one
// another; writes of the same key keep their sequence.
func inLockOrder(ws []bus.Write) []bus.Write {
	ws = slices.Clone(ws)
	slices.SortStableFunc(ws, func(a, b bus.Write) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Key, b.Key))
	})
	return ws
}

// queueWrite queues one conditional write, which sets conflict when its
// condition does not hold.
func queueWrite(b *pgx.Batch, w bus.Write, conflict *bool) {
	one := func(n int64) {
		if n != 1 {
			*conflict = true
		}
	}
	q := writeQuery(b, w)
	switch {
	case w.If == bus.Absent && w.Value == nil:
		q.QueryRow(func(row pgx.Row) error {
			var n int64
			err := row.Scan(&n)
			one(n + 1)
			return err
		})
	case w.If != 0:
		q.Exec(func(tag commandTag) error { one(tag.RowsAffected()); return nil })
	}
}

func writeQuery(b *pgx.Batch, w bus.Write) *pgx.QueuedQuery {
	switch {
	case w.If == bus.Absent && w.Value == nil:
		return b.Queue(`SELECT count(*) FROM bus_state WHERE space = $1 AND key = $2`, w.Space, w.Key)
	case w.If == bus.Absent:
		return b.Queue(`INSERT INTO bus_state (space, key, version, value) VALUES ($1, $2, 1, $3)
			ON CONFLICT DO NOTHING`, w.Space, w.Key, w.Value)
	case w.If > 0 && w.Value == nil:
		return b.Queue(`DELETE FROM bus_state WHERE space = $1 AND key = $2 AND version = $3`, w.Space, w.Key, w.If)
	case w.If > 0:
		return b.Queue(`UPDATE bus_state SET version = version + 1, value = $4
			WHERE space = $1 AND key = $2 AND version = $3`, w.Space, w.Key, w.If, w.Value)
	case w.Value == nil:
		return b.Queue(`DELETE FROM bus_state WHERE space = $1 AND key = $2`, w.Space, w.Key)
	}
	return b.Queue(`INSERT INTO bus_state AS s (space, key, version, value) VALUES ($1, $2, 1, $3)
		ON CONFLICT (space, key) DO UPDATE SET version = s.version + 1, value = excluded.value`, w.Space, w.Key, w.Value)
}

// Write changes the state in one commit.
func (e *Engine) Write(ctx context.Context, writes ...bus.Write) error {
	return e.Publish(ctx, bus.Batch{State: writes})
}

// roomTTL is how long a count is trusted that is below the limit.
const roomTTL = time.Second

// checkRoom reports ErrFull when a record of the batch is new and its channel at
// its limit. What other replicas publish is noticed within a second.
func (e *Engine) checkRoom(ctx context.Context, records []bus.Record) error {
	if e.limit == 0 {
		return nil
	}
	if e.wake.isClosed() {
		return bus.ErrClosed
	}
	for i := range records {
		r := &records[i]
		if e.room.below(laneID{r.Queue, r.Channel}, e.limit) {
			continue
		}
		n, known, err := e.countRoom(ctx, r)
		if err != nil {
			return wrap("count", err)
		}
		e.room.set(laneID{r.Queue, r.Channel}, n)
		if n >= e.limit && !known {
			return bus.ErrFull
		}
	}
	return nil
}

func (e *Engine) countRoom(ctx context.Context, r *bus.Record) (n int, known bool, err error) {
	hash := rule.Hash(r.Queue, r.Channel, r.Account, r.Key)
	err = e.db.Pool().QueryRow(ctx, `SELECT (SELECT count(*) FROM bus_order o
		JOIN bus_record r ON r.order_id = o.id AND r.seq >= o.head AND r.state <= 3
		WHERE o.queue = $1 AND o.channel = $2 AND o.due IS NOT NULL),
		EXISTS (SELECT 1 FROM bus_record WHERE queue = $1 AND channel = $2 AND key = $3 AND account = $4)
		OR EXISTS (SELECT 1 FROM bus_key WHERE hash = $5)`,
		r.Queue, r.Channel, r.Key, r.Account, hash[:]).Scan(&n, &known)
	return n, known, err
}

func (k *roomKeeper) below(id laneID, limit int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.counts[id]
	return c != nil && c.waiting < limit && time.Since(c.at) < roomTTL
}

func (k *roomKeeper) set(id laneID, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts[id] = &roomCount{waiting: n, at: time.Now()}
}

// add counts what was published; what is settled meanwhile shows at the next count.
func (k *roomKeeper) add(records []bus.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range records {
		if c := k.counts[laneID{records[i].Queue, records[i].Channel}]; c != nil {
			c.waiting++
		}
	}
}

// wrap leaves the contract's errors as they are.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case isContract(err):
		return err
	}
	return fmt.Errorf("bus: %s: %w", op, err)
}
