package sqlite

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// Spaces lists the spaces of the state. Each is found by a step in the index
// behind the one before.
func (e *Engine) Spaces(ctx context.Context) ([]string, error) {
	if e.isClosed() {
		return nil, bus.ErrClosed
	}
	var all []string
	after := ""
	for {
		stmt, err := e.db.Prepared(ctx, `SELECT coalesce(min(space), '') FROM bus_state WHERE space > ?`) //nolint:sqlclosecheck // the database keeps it
		if err != nil {
			return nil, err
		}
		if err := stmt.QueryRowContext(ctx, after).Scan(&after); err != nil {
			return nil, err
		}
		if after == "" {
			return all, nil
		}
		all = append(all, after)
	}
}

// Revise stores what f makes of records.
func (e *Engine) Revise(ctx context.Context, after int64, limit int, f func(bus.Letter) bus.Revision) (last int64, err error) {
	err = e.commit(ctx, func(w *writer) (err error) {
		last, err = w.revise(after, rule.Limit(limit), f)
		return err
	})
	return last, err
}

func (w *writer) revise(after int64, limit int, f func(bus.Letter) bus.Revision) (last int64, err error) {
	type change struct {
		moved
		bus.Revision
	}
	var changes []change
	if err := w.store(); err != nil {
		return 0, err
	}
	err = w.Query(func(r db.Row) error {
		l := bus.Letter{
			Record: bus.Record{
				Seq: r.Int(0), Workspace: r.Text(2), Channel: r.Text(3), Account: r.Text(4), Queue: r.Text(5), Key: r.Text(6),
				Order: r.Text(7), Attempt: int(r.Int(8)), Published: fromMicros(r.Int(9)), Body: r.Blob(10), Progress: r.Blob(11),
			},
			State: stateOf(int(r.Int(12)), r.Int(13) != 0), Reason: r.Text(14), At: fromMicros(r.Int(15)),
		}
		last = l.Seq
		v := f(l)
		waits := l.State == bus.Ready || l.State == bus.Leased
		if v.Remove && !waits || !v.Remove && (v.Body != nil || v.Progress != nil) {
			changes = append(changes, change{moved{l.Seq, r.Int(1)}, v})
		}
		return nil
	}, `SELECT r.seq, r.order_id, r.workspace, r.channel, r.account, r.queue, r.key, coalesce(o.name, ''), r.attempt, r.published,
		r.body, r.progress, r.state, o.held = 1 AND o.due > ?, coalesce(r.reason, ''), r.at
		FROM bus_record r LEFT JOIN bus_order o ON o.id = r.order_id WHERE r.seq > ? ORDER BY r.seq LIMIT ?`, w.now, after, limit)
	if err != nil {
		return 0, err
	}
	for _, c := range changes {
		if c.Remove {
			err = w.forgetAll([]moved{c.moved})
		} else {
			_, _, err = w.Exec(`UPDATE bus_record SET body = coalesce(?, body), progress = coalesce(?, progress) WHERE seq = ?`,
				blob(c.Body), blob(c.Progress), c.seq)
		}
		if err != nil {
			return 0, err
		}
	}
	return last, nil
}
