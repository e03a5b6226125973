package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// moved is a record that goes back into its order's sequence.
type moved struct{ seq, orderID int64 }

// Unpark makes the records under tag due again, in their old places.
func (e *Engine) Unpark(ctx context.Context, tag string) (int, error) {
	n := 0
	err := e.commit(ctx, func(w *writer) error {
		var rs []moved
		err := w.Query(func(r db.Row) error {
			rs = append(rs, moved{r.Int(0), r.Int(1)})
			return nil
		}, `SELECT seq, order_id FROM bus_record WHERE state = 4 AND tag = ? AND (due = 0 OR due > ?) ORDER BY seq`, tag, w.now)
		if err != nil {
			return err
		}
		n = len(rs)
		return w.revive(rs, `UPDATE bus_record SET state = 2, due = ?, at = ?, tag = NULL WHERE seq = ?`)
	})
	return n, err
}

// revive makes the records due now by the given update and puts them back.
func (w *writer) revive(rs []moved, update string) error {
	if err := w.release(); err != nil {
		return err
	}
	for _, r := range rs {
		if _, _, err := w.Exec(update, w.now, w.now, r.seq); err != nil {
			return err
		}
		if err := w.reinsert(r); err != nil {
			return err
		}
	}
	return nil
}

// reinsert lets an order know of a record that waits again. Under a lease only
// the head moves: the lease's end decides when the order is due.
func (w *writer) reinsert(r moved) error {
	row, found, err := w.One(`SELECT queue, channel, held, due, head FROM bus_order WHERE id = ?`, r.orderID)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("bus: record %d has no order", r.seq)
	}
	lane := laneID{row.Text(0), row.Text(1)}
	w.lane(lane).pending++
	held, idle, head := row.Int(2) != 0, row.IsNull(3), row.Int(4)
	switch {
	case held:
		_, _, err = w.Exec(`UPDATE bus_order SET head = min(head, ?) WHERE id = ?`, r.seq, r.orderID)
	case idle || r.seq < head:
		w.due(lane, w.now)
		_, _, err = w.Exec(`UPDATE bus_order SET due = ?, head = ? WHERE id = ?`, w.now, r.seq, r.orderID)
	}
	return err
}

// Discard acknowledges the records under tag.
func (e *Engine) Discard(ctx context.Context, tag string) (int, error) {
	var n int64
	err := e.commit(ctx, func(w *writer) (err error) {
		n, _, err = w.Exec(`UPDATE bus_record SET state = 6, at = ?, tag = NULL
			WHERE state = 4 AND tag = ? AND (due = 0 OR due > ?)`, w.now, tag, w.now)
		return err
	})
	return int(n), err
}

// Replay makes dead records due again, their attempts reset.
func (e *Engine) Replay(ctx context.Context, seqs ...int64) (int, error) {
	n := 0
	err := e.commit(ctx, func(w *writer) error {
		rs, err := w.deadAmong(seqs)
		if err != nil {
			return err
		}
		n = len(rs)
		return w.revive(rs, `UPDATE bus_record SET state = 2, due = ?, at = ?, attempt = 0, reason = NULL WHERE seq = ?`)
	})
	return n, err
}

func (w *writer) deadAmong(seqs []int64) ([]moved, error) {
	var rs []moved
	for _, seq := range slices.Compact(slices.Sorted(slices.Values(seqs))) {
		row, found, err := w.One(`SELECT order_id FROM bus_record WHERE seq = ? AND state = 5`, seq)
		if err != nil {
			return nil, err
		}
		if found {
			rs = append(rs, moved{seq, row.Int(0)})
		}
	}
	return rs, nil
}

// Drop removes dead records; their keys stay known.
func (e *Engine) Drop(ctx context.Context, seqs ...int64) (int, error) {
	n := 0
	err := e.commit(ctx, func(w *writer) error {
		rs, err := w.deadAmong(seqs)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if err := w.forget(r.seq); err != nil {
				return err
			}
		}
		n = len(rs)
		return nil
	})
	return n, err
}

// forget removes a record and keeps the hash of its key.
func (w *writer) forget(seq int64) error {
	row, found, err := w.One(`SELECT queue, channel, account, key, published FROM bus_record WHERE seq = ?`, seq)
	if err != nil || !found {
		return err
	}
	hash := rule.Hash(row.Text(0), row.Text(1), row.Text(2), row.Text(3))
	if _, _, err := w.Exec(`INSERT INTO bus_key (hash, published) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		hash[:], row.Int(4)); err != nil {
		return err
	}
	_, _, err = w.Exec(`DELETE FROM bus_record WHERE seq = ?`, seq)
	return err
}

// letters is the start of every query that returns letters.
const letters = `SELECT r.workspace, r.channel, r.account, r.queue, r.key, coalesce(o.name, ''), r.due, r.body,
	r.seq, r.attempt, r.published, r.progress, r.state, coalesce(r.reason, ''), r.at,
	o.held = 1 AND o.due > ?1
	FROM bus_record r LEFT JOIN bus_order o ON o.id = r.order_id `

// DeadLetters lists dead records, oldest first.
func (e *Engine) DeadLetters(ctx context.Context, queue string, after int64, limit int) ([]bus.Letter, error) {
	return e.letters(ctx, letters+`WHERE r.state = 5 AND r.queue = ?2 AND r.seq > ?3 ORDER BY r.seq LIMIT ?4`,
		e.now().UnixMicro(), queue, after, rule.Limit(limit))
}

// Replies returns the outbox records under a key prefix, in order.
func (e *Engine) Replies(ctx context.Context, channel, prefix string) ([]bus.Letter, error) {
	return e.letters(ctx, letters+`WHERE r.queue = 'outbox' AND r.channel = ?2 AND r.key >= ?3
		AND r.key < ?4 ORDER BY r.seq`,
		e.now().UnixMicro(), channel, prefix, beyond(prefix))
}

func (e *Engine) letters(ctx context.Context, query string, args ...any) ([]bus.Letter, error) {
	if e.isClosed() {
		return nil, bus.ErrClosed
	}
	rows, err := e.db.Reader().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("bus: letters: %w", err)
	}
	defer rows.Close()
	var all []bus.Letter
	for rows.Next() {
		l, err := letter(rows)
		if err != nil {
			return nil, fmt.Errorf("bus: letters: %w", err)
		}
		all = append(all, l)
	}
	return all, rows.Err()
}

func letter(rows *sql.Rows) (bus.Letter, error) {
	var (
		l                  bus.Letter
		due, published, at int64
		state              int
		held               sql.NullBool
		body, progress     []byte
	)
	err := rows.Scan(&l.Workspace, &l.Channel, &l.Account, &l.Queue, &l.Key, &l.Order, &due, &body,
		&l.Seq, &l.Attempt, &published, &progress, &state, &l.Reason, &at, &held)
	l.Body, l.Progress = body, progress
	l.Published, l.At = fromMicros(published), fromMicros(at)
	if state <= leased {
		l.NotBefore = notBefore(due, published)
	}
	l.State = stateOf(state, held.Bool)
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
	if e.isClosed() {
		return nil, bus.ErrClosed
	}
	rows, err := e.db.Reader().QueryContext(ctx, `
		SELECT o.queue, o.channel, CASE WHEN r.state = 3 AND o.due > ?1 THEN 'leased' ELSE 'ready' END AS s, count(*), min(r.published)
		FROM bus_order o JOIN bus_record r ON r.order_id = o.id AND r.seq >= o.head AND r.state <= 3
		WHERE o.due IS NOT NULL GROUP BY o.queue, o.channel, s
		UNION ALL
		SELECT queue, channel, 'parked', count(*), min(published) FROM bus_record WHERE state = 4 GROUP BY queue, channel
		UNION ALL
		SELECT queue, channel, 'dead', count(*), min(published) FROM bus_record WHERE state = 5 GROUP BY queue, channel
		ORDER BY 1, 2, 3`, e.now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("bus: depths: %w", err)
	}
	defer rows.Close()
	var all []bus.Depth
	for rows.Next() {
		var d bus.Depth
		var oldest int64
		if err := rows.Scan(&d.Queue, &d.Channel, &d.State, &d.Count, &oldest); err != nil {
			return nil, fmt.Errorf("bus: depths: %w", err)
		}
		d.Oldest = time.UnixMicro(oldest)
		all = append(all, d)
	}
	return all, rows.Err()
}
