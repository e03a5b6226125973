package sqlite

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// sweepChunk is how many rows one transaction of a sweep looks at: the stations
// write in between.
const sweepChunk = 500

// Sweep applies the retention, in many short commits.
func (e *Engine) Sweep(ctx context.Context, keep bus.Retention) (bus.Swept, error) {
	var s bus.Swept
	if err := e.expire(ctx, &s); err != nil {
		return s, err
	}
	if err := e.sweepDone(ctx, keep.Bodies, &s); err != nil {
		return s, err
	}
	if err := e.sweepDead(ctx, keep.Dead, &s); err != nil {
		return s, err
	}
	if err := e.sweepKeys(ctx, rule.Keys(keep), &s); err != nil {
		return s, err
	}
	return s, nil
}

func (e *Engine) expire(ctx context.Context, s *bus.Swept) error {
	return e.commit(ctx, func(w *writer) error {
		n, _, err := w.Exec(`UPDATE bus_record SET state = 5, at = ?, reason = 'expired', tag = NULL
			WHERE state = 4 AND due > 0 AND due <= ?`, w.now, w.now)
		s.Expired = int(n)
		return err
	})
}

// sweepDone walks the records from the oldest on and stops at the first that was
// published too late to be old: nothing was done before it was published.
func (e *Engine) sweepDone(ctx context.Context, keep time.Duration, s *bus.Swept) error {
	if keep == 0 {
		return nil
	}
	for after, more := int64(0), true; more; {
		var old []moved
		var at int64
		err := e.commit(ctx, func(w *writer) error {
			old, at, more = nil, after, false
			cutoff, seen := w.now-keep.Microseconds(), 0
			err := w.Query(func(r db.Row) error {
				if r.Int(4) > cutoff {
					return db.ErrStop
				}
				at, seen = r.Int(0), seen+1
				if r.Int(2) == done && r.Int(3) <= cutoff {
					old = append(old, moved{r.Int(0), r.Int(1)})
				}
				return nil
			}, `SELECT seq, order_id, state, at, published FROM bus_record WHERE seq > ? ORDER BY seq LIMIT ?`, after, sweepChunk)
			more = seen == sweepChunk
			if err != nil {
				return err
			}
			return w.forgetAll(old)
		})
		if err != nil {
			return err
		}
		after = at
		s.Bodies += len(old)
	}
	return nil
}

func (e *Engine) sweepDead(ctx context.Context, keep time.Duration, s *bus.Swept) error {
	if keep == 0 {
		return nil
	}
	for {
		var old []moved
		err := e.commit(ctx, func(w *writer) error {
			old = nil
			err := w.Query(func(r db.Row) error {
				old = append(old, moved{r.Int(0), r.Int(1)})
				return nil
			}, `SELECT seq, order_id FROM bus_record WHERE state = 5 AND at <= ? LIMIT ?`, w.now-keep.Microseconds(), sweepChunk)
			if err != nil {
				return err
			}
			return w.forgetAll(old)
		})
		if err != nil {
			return err
		}
		s.Dead += len(old)
		if len(old) < sweepChunk {
			return nil
		}
	}
}

func (w *writer) forgetAll(rs []moved) error {
	if err := w.release(); err != nil {
		return err
	}
	for _, r := range rs {
		if err := w.forget(r.seq); err != nil {
			return err
		}
	}
	for _, r := range rs {
		if err := w.forgetOrder(r.orderID); err != nil {
			return err
		}
	}
	return nil
}

// forgetOrder removes an order that holds no records any more. Its epochs must
// not come again, or a worker that was frozen all the while would find its lease
// valid: so it goes only once more positions were handed out than it had epochs,
// for the row that may follow it starts there.
func (w *writer) forgetOrder(id int64) error {
	_, _, err := w.Exec(`DELETE FROM bus_order WHERE id = ? AND held = 0 AND due IS NULL
		AND NOT EXISTS (SELECT 1 FROM bus_record WHERE order_id = bus_order.id)
		AND epoch <= (SELECT seq FROM sqlite_sequence WHERE name = 'bus_record')`, id)
	return err
}

func (e *Engine) sweepKeys(ctx context.Context, keep time.Duration, s *bus.Swept) error {
	if keep == 0 {
		return nil
	}
	for after, more := []byte{}, true; more; {
		var at []byte
		var n int64
		err := e.commit(ctx, func(w *writer) error {
			at, more = after, false
			row, found, err := w.One(`SELECT max(hash), count(*) FROM
				(SELECT hash FROM bus_key WHERE hash > ? ORDER BY hash LIMIT ?)`, after, 20*sweepChunk)
			if err != nil || !found || row.Int(1) == 0 {
				return err
			}
			at, more = row.Blob(0), true
			n, _, err = w.Exec(`DELETE FROM bus_key WHERE hash > ? AND hash <= ? AND published <= ?`,
				after, at, w.now-keep.Microseconds())
			return err
		})
		if err != nil {
			return err
		}
		after = at
		s.Keys += int(n)
	}
	return nil
}
