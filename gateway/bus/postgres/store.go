package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// Get returns one value of the state.
func (e *Engine) Get(ctx context.Context, space, key string) (bus.Entry, error) {
	if e.wake.isClosed() {
		return bus.Entry{}, bus.ErrClosed
	}
	x := bus.Entry{Key: key}
	err := e.db.Pool().QueryRow(ctx, `SELECT version, value FROM bus_state WHERE space = $1 AND key = $2`, space, key).
		Scan(&x.Version, &x.Value)
	if errors.Is(err, pgx.ErrNoRows) {
		return bus.Entry{}, nil
	}
	if err != nil {
		return bus.Entry{}, wrap("get", err)
	}
	return x, nil
}

// List returns the entries under prefix that follow after.
func (e *Engine) List(ctx context.Context, space, prefix, after string, limit int) ([]bus.Entry, error) {
	if after < prefix {
		// Everything under the prefix follows after, the prefix itself included.
		return e.entries(ctx, `key >= $2`, prefix, ` ORDER BY key LIMIT $3`, space, prefix, rule.Limit(limit))
	}
	return e.entries(ctx, `key > $2`, prefix, ` ORDER BY key LIMIT $3`, space, after, rule.Limit(limit))
}

// Latest returns the last n entries under prefix.
func (e *Engine) Latest(ctx context.Context, space, prefix string, n int) ([]bus.Entry, error) {
	all, err := e.entries(ctx, `key >= $2`, prefix, ` ORDER BY key DESC LIMIT $3`, space, prefix, max(n, 0))
	slices.Reverse(all)
	return all, err
}

// entries reads a range that ends with the prefix. The end is a bound of the
// index where there is one: a condition such as ($4 = ” OR key < $4) would read
// on to the end of the space.
func (e *Engine) entries(ctx context.Context, from, prefix, rest string, args ...any) ([]bus.Entry, error) {
	query := `SELECT key, version, value FROM bus_state WHERE space = $1 AND ` + from
	if end := rule.Beyond(prefix); end != "" {
		query, args = query+` AND key < $4`, append(args, end)
	}
	if e.wake.isClosed() {
		return nil, bus.ErrClosed
	}
	rows, err := e.db.Pool().Query(ctx, query+rest, args...)
	if err != nil {
		return nil, wrap("list", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[bus.Entry])
	return all, wrap("list", err)
}
