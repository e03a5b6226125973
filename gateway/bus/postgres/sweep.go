package postgres

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// sweepChunk is how many rows one transaction of a sweep removes: the stations
// write in between.
const sweepChunk = 1000

// Sweep applies the retention, in many short commits. Replicas may sweep at once.
func (e *Engine) Sweep(ctx context.Context, keep bus.Retention) (s bus.Swept, err error) {
	skew := e.skewMicros()
	s.Expired, err = e.exec(ctx, `UPDATE bus_record SET state = 5, dead = true, at = `+clock("$1")+`, reason = 'expired', tag = NULL
		WHERE tag IS NOT NULL AND state = 4 AND due > 0 AND due <= `+clock("$1"), skew)
	if err != nil {
		return s, wrap("sweep", err)
	}
	// Nothing is done before it is published: the index by age narrows the search.
	s.Bodies, err = e.chunks(keep.Bodies, func(keep int64) (int, error) {
		return e.forget(ctx, `published <= `+clock("$1")+` - $2 AND state = 6 AND at <= `+clock("$1")+` - $2 ORDER BY seq LIMIT $3`,
			skew, keep, sweepChunk)
	})
	if err != nil {
		return s, wrap("sweep", err)
	}
	s.Dead, err = e.chunks(keep.Dead, func(keep int64) (int, error) {
		return e.forget(ctx, `dead AND at <= `+clock("$1")+` - $2 LIMIT $3`, skew, keep, sweepChunk)
	})
	if err != nil {
		return s, wrap("sweep", err)
	}
	if s.Bodies+s.Dead > 0 {
		if err := e.forgetOrders(ctx); err != nil {
			return s, wrap("sweep", err)
		}
	}
	s.Keys, err = e.chunks(rule.Keys(keep), func(keep int64) (int, error) {
		return e.exec(ctx, `DELETE FROM bus_key WHERE hash IN
			(SELECT hash FROM bus_key WHERE published <= `+clock("$1")+` - $2 LIMIT $3)`, skew, keep, sweepChunk)
	})
	return s, wrap("sweep", err)
}

// chunks calls f until there is nothing left to remove. A zero retention keeps.
func (e *Engine) chunks(keep time.Duration, f func(keep int64) (int, error)) (int, error) {
	if keep == 0 {
		return 0, nil
	}
	for total := 0; ; {
		n, err := f(keep.Microseconds())
		total += n
		if err != nil || n < sweepChunk {
			return total, err
		}
	}
}

// forgetOrders removes orders that hold no records any more. Their epochs must
// not come again, or a worker that was frozen all the while would find its lease
// valid: so they go only once more positions were handed out than they had
// epochs, for the row that may follow starts there.
func (e *Engine) forgetOrders(ctx context.Context) error {
	_, err := e.exec(ctx, `DELETE FROM bus_order WHERE id IN (
		SELECT id FROM bus_order o WHERE o.due IS NULL AND NOT o.held
		AND o.epoch <= (SELECT last_value FROM bus_seq)
		AND NOT EXISTS (SELECT 1 FROM bus_record r WHERE r.order_id = o.id)
		FOR UPDATE SKIP LOCKED)
		AND due IS NULL`)
	return err
}
