package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// Spaces lists the spaces of the state. Each is found by a step in the index
// behind the one before.
func (e *Engine) Spaces(ctx context.Context) ([]string, error) {
	if e.wake.isClosed() {
		return nil, bus.ErrClosed
	}
	rows, err := e.db.Pool().Query(ctx, `WITH RECURSIVE s AS (
		(SELECT space FROM bus_state ORDER BY space LIMIT 1)
		UNION ALL
		SELECT (SELECT b.space FROM bus_state b WHERE b.space > s.space ORDER BY b.space LIMIT 1) FROM s WHERE s.space IS NOT NULL)
		SELECT space FROM s WHERE space IS NOT NULL`)
	if err != nil {
		return nil, wrap("spaces", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return all, wrap("spaces", err)
}

// Revise stores what f makes of records. What a worker holds waits for the end
// of the commit.
func (e *Engine) Revise(ctx context.Context, after int64, limit int, f func(bus.Letter) bus.Revision) (last int64, err error) {
	removed := false
	err = e.write(ctx, func(ctx context.Context, t *tx) error {
		last, removed = 0, false
		rows, err := t.Query(ctx, letters+`WHERE r.seq > $2 ORDER BY r.seq LIMIT $3 FOR UPDATE OF r`, t.skew, after, rule.Limit(limit))
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, scanLetter)
		if err != nil {
			return err
		}
		for _, l := range all {
			last = l.Seq
			gone, err := t.revise(ctx, l, f(l))
			if err != nil {
				return err
			}
			removed = removed || gone
		}
		return nil
	})
	if err == nil && removed {
		err = e.forgetOrders(ctx)
	}
	return last, wrap("revise", err)
}

func (t *tx) revise(ctx context.Context, l bus.Letter, v bus.Revision) (removed bool, err error) {
	switch {
	case v.Remove && (l.State == bus.Ready || l.State == bus.Leased):
		return false, nil
	case v.Remove:
		hash := rule.Hash(l.Queue, l.Channel, l.Account, l.Key)
		if _, err := t.Exec(ctx, `INSERT INTO bus_key (hash, published) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
			hash[:], micros(l.Published)); err != nil {
			return false, err
		}
		_, err := t.Exec(ctx, `DELETE FROM bus_record WHERE seq = $1`, l.Seq)
		return true, err
	case v.Body == nil && v.Progress == nil:
		return false, nil
	}
	_, err = t.Exec(ctx, `UPDATE bus_record SET body = coalesce($2, body), progress = coalesce($3, progress) WHERE seq = $1`,
		l.Seq, []byte(v.Body), []byte(v.Progress))
	return false, err
}
