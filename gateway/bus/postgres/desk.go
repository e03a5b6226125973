package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// Unpark makes the records under tag due again, in their old places.
func (e *Engine) Unpark(ctx context.Context, tag string) (int, error) {
	return e.revive(ctx, `SELECT order_id FROM bus_record WHERE tag = $1`, tag,
		`UPDATE bus_record SET state = 2, due = `+clock("$2")+`, at = `+clock("$2")+`, tag = NULL
			WHERE tag = $1 AND state = 4 AND (due = 0 OR due > `+clock("$2")+`) RETURNING order_id, seq`)
}

// Replay makes dead records due again, their attempts reset.
func (e *Engine) Replay(ctx context.Context, seqs ...int64) (int, error) {
	return e.revive(ctx, `SELECT order_id FROM bus_record WHERE dead AND seq = ANY ($1)`, seqs,
		`UPDATE bus_record SET state = 2, due = `+clock("$2")+`, at = `+clock("$2")+`, dead = false, attempt = 0, reason = NULL
			WHERE seq = ANY ($1) AND state = 5 RETURNING order_id, seq`)
}

// reinsert lets the orders know of records that wait again. Under a lease only
// the head moves: the lease's end decides when the order is due.
var reinsert = `UPDATE bus_order o SET
	due = CASE WHEN NOT o.held AND (o.due IS NULL OR m.first < o.head) THEN ` + clock("$3") + ` ELSE o.due END,
	head = CASE WHEN o.due IS NULL THEN m.first ELSE least(o.head, m.first) END
	FROM (SELECT id, min(seq) AS first FROM unnest($1::bigint[], $2::bigint[]) AS x (id, seq) GROUP BY id) m
	WHERE o.id = m.id`

// revive locks the orders of the chosen records, makes the records due by the
// given update and puts them back.
func (e *Engine) revive(ctx context.Context, chosen string, choice any, update string) (int, error) {
	var orders, seqs []int64
	err := e.write(ctx, func(ctx context.Context, t *tx) error {
		orders, seqs = nil, nil
		if _, err := t.Exec(ctx, `SELECT 1 FROM bus_order WHERE id IN (`+chosen+`)
			ORDER BY queue, channel, name FOR UPDATE`, choice); err != nil {
			return err
		}
		rows, err := t.Query(ctx, update, choice, t.skew)
		if err != nil {
			return err
		}
		var id, seq int64
		if _, err := pgx.ForEachRow(rows, []any{&id, &seq}, func() error {
			orders, seqs = append(orders, id), append(seqs, seq)
			return nil
		}); err != nil || len(seqs) == 0 {
			return err
		}
		t.woke = true
		_, err = t.Exec(ctx, reinsert, orders, seqs, t.skew)
		return err
	})
	return len(seqs), wrap("revive", err)
}

// Discard acknowledges the records under tag.
func (e *Engine) Discard(ctx context.Context, tag string) (int, error) {
	n, err := e.exec(ctx, `UPDATE bus_record SET state = 6, at = `+clock("$2")+`, tag = NULL
		WHERE tag = $1 AND state = 4 AND (due = 0 OR due > `+clock("$2")+`)`, tag, e.skewMicros())
	return n, wrap("discard", err)
}

// Drop removes dead records; their keys stay known.
func (e *Engine) Drop(ctx context.Context, seqs ...int64) (int, error) {
	n, err := e.forget(ctx, `dead AND seq = ANY ($1)`, seqs)
	return n, wrap("drop", err)
}

// exec runs one statement in a transaction of its own.
func (e *Engine) exec(ctx context.Context, query string, args ...any) (int, error) {
	var n int64
	err := e.write(ctx, func(ctx context.Context, t *tx) error {
		tag, err := t.Exec(ctx, query, args...)
		n = tag.RowsAffected()
		return err
	})
	return int(n), err
}

// forget removes the records that the condition chooses and keeps the hashes of
// their keys.
func (e *Engine) forget(ctx context.Context, condition string, args ...any) (int, error) {
	n := 0
	err := e.write(ctx, func(ctx context.Context, t *tx) error {
		n = 0
		rows, err := t.Query(ctx, `DELETE FROM bus_record WHERE seq IN (SELECT seq FROM bus_record WHERE `+condition+` FOR UPDATE)
			RETURNING queue, channel, account, key, published`, args...)
		if err != nil {
			return err
		}
		var hashes [][]byte
		var times []int64
		var queue, channel, account, key string
		var published int64
		if _, err := pgx.ForEachRow(rows, []any{&queue, &channel, &account, &key, &published}, func() error {
			hash := rule.Hash(queue, channel, account, key)
			hashes, times = append(hashes, hash[:]), append(times, published)
			return nil
		}); err != nil || len(hashes) == 0 {
			return err
		}
		n = len(hashes)
		_, err = t.Exec(ctx, `INSERT INTO bus_key (hash, published)
			SELECT * FROM unnest($1::bytea[], $2::bigint[]) ON CONFLICT DO NOTHING`, hashes, times)
		return err
	})
	return n, err
}

// letters is the start of every query that returns letters.
var letters = `SELECT r.workspace, r.channel, r.account, r.queue, r.key, coalesce(o.name, ''), r.due, r.body,
	r.seq, r.attempt, r.published, r.progress, r.state, coalesce(r.reason, ''), r.at,
	coalesce(o.held AND o.due > ` + clock("$1") + `, false)
	FROM bus_record r LEFT JOIN bus_order o ON o.id = r.order_id `

// DeadLetters lists dead records, oldest first.
func (e *Engine) DeadLetters(ctx context.Context, queue string, after int64, limit int) ([]bus.Letter, error) {
	return e.letters(ctx, letters+`WHERE r.dead AND r.queue = $2 AND r.seq > $3 ORDER BY r.seq LIMIT $4`,
		e.skewMicros(), queue, after, rule.Limit(limit))
}

// Replies returns the outbox records under a key prefix, in order.
func (e *Engine) Replies(ctx context.Context, channel, prefix string) ([]bus.Letter, error) {
	return e.letters(ctx, letters+`WHERE r.queue = 'outbox' AND r.channel = $2 AND r.key >= $3
		AND ($4 = '' OR r.key < $4) ORDER BY r.seq`, e.skewMicros(), channel, prefix, rule.Beyond(prefix))
}

func (e *Engine) letters(ctx context.Context, query string, args ...any) ([]bus.Letter, error) {
	if e.wake.isClosed() {
		return nil, bus.ErrClosed
	}
	rows, err := e.db.Pool().Query(ctx, query, args...)
	if err != nil {
		return nil, wrap("letters", err)
	}
	all, err := pgx.CollectRows(rows, scanLetter)
	return all, wrap("letters", err)
}

func scanLetter(row pgx.CollectableRow) (bus.Letter, error) {
	var (
		l                  bus.Letter
		due, published, at int64
		state              int
		held               bool
		body, progress     []byte
	)
	err := row.Scan(&l.Workspace, &l.Channel, &l.Account, &l.Queue, &l.Key, &l.Order, &due, &body,
		&l.Seq, &l.Attempt, &published, &progress, &state, &l.Reason, &at, &held)
	l.Body, l.Progress = body, progress
	l.Published, l.At = fromMicros(published), fromMicros(at)
	if state <= leased {
		l.NotBefore = notBefore(due, published)
	}
	l.State = stateOf(state, held)
	return l, err
}

// stateOf is the state as it shows: a lease that ran out holds nothing.
func stateOf(state int, held bool) bus.State {
	switch {
	case state == leased && held:
		return bus.Leased
	case state == parked:
		return bus.Parked
	case state == dead:
		return bus.Died
	case state == done:
		return bus.Done
	}
	return bus.Ready
}

// Depths counts what is not done.
func (e *Engine) Depths(ctx context.Context) ([]bus.Depth, error) {
	if e.wake.isClosed() {
		return nil, bus.ErrClosed
	}
	rows, err := e.db.Pool().Query(ctx, `
		SELECT o.queue, o.channel, CASE WHEN r.state = 3 AND o.due > `+clock("$1")+` THEN 'leased' ELSE 'ready' END, count(*), min(r.published)
		FROM bus_order o JOIN bus_record r ON r.order_id = o.id AND r.seq >= o.head AND r.state <= 3
		WHERE o.due IS NOT NULL GROUP BY 1, 2, 3
		UNION ALL
		SELECT queue, channel, 'parked', count(*), min(published) FROM bus_record WHERE tag IS NOT NULL GROUP BY 1, 2
		UNION ALL
		SELECT queue, channel, 'dead', count(*), min(published) FROM bus_record WHERE dead GROUP BY 1, 2
		ORDER BY 1, 2, 3`, e.skewMicros())
	if err != nil {
		return nil, wrap("depths", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bus.Depth, error) {
		var d bus.Depth
		var oldest int64
		err := row.Scan(&d.Queue, &d.Channel, &d.State, &d.Count, &oldest)
		d.Oldest = fromMicros(oldest)
		return d, err
	})
	return all, wrap("depths", err)
}
