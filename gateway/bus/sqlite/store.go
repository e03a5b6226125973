package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
)

// The statements of the state. Both ends of a range are bounds of the index: a
// condition such as (? = ” OR key < ?) would read on to the end of the space.
const (
	getEntry     = `SELECT version, value FROM bus_state WHERE space = ? AND key = ?`
	listFrom     = `SELECT key, version, value FROM bus_state WHERE space = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`
	listAfter    = `SELECT key, version, value FROM bus_state WHERE space = ? AND key > ? AND key < ? ORDER BY key LIMIT ?`
	latestOfThem = `SELECT key, version, value FROM bus_state WHERE space = ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?`
)

// beyond is the bound that ends everything under a prefix. SQLite sorts every
// blob behind every text, so that a blob ends what has no end.
func beyond(prefix string) any {
	if b := rule.Beyond(prefix); b != "" {
		return b
	}
	return []byte{0}
}

// Get returns one value of the state.
func (e *Engine) Get(ctx context.Context, space, key string) (bus.Entry, error) {
	if e.isClosed() {
		return bus.Entry{}, bus.ErrClosed
	}
	stmt, err := e.db.Prepared(ctx, getEntry) //nolint:sqlclosecheck // the database keeps it
	if err != nil {
		return bus.Entry{}, fmt.Errorf("bus: get: %w", err)
	}
	x := bus.Entry{Key: key}
	err = stmt.QueryRowContext(ctx, space, key).Scan(&x.Version, &x.Value)
	if errors.Is(err, sql.ErrNoRows) {
		return bus.Entry{}, nil
	}
	if err != nil {
		return bus.Entry{}, fmt.Errorf("bus: get: %w", err)
	}
	return x, nil
}

// List returns the entries under prefix that follow after.
func (e *Engine) List(ctx context.Context, space, prefix, after string, limit int) ([]bus.Entry, error) {
	if after < prefix {
		// Everything under the prefix follows after, the prefix itself included.
		return e.entries(ctx, listFrom, space, prefix, beyond(prefix), rule.Limit(limit))
	}
	return e.entries(ctx, listAfter, space, after, beyond(prefix), rule.Limit(limit))
}

// Latest returns the last n entries under prefix.
func (e *Engine) Latest(ctx context.Context, space, prefix string, n int) ([]bus.Entry, error) {
	all, err := e.entries(ctx, latestOfThem, space, prefix, beyond(prefix), max(n, 0))
	slices.Reverse(all)
	return all, err
}

func (e *Engine) entries(ctx context.Context, query string, args ...any) ([]bus.Entry, error) {
	if e.isClosed() {
		return nil, bus.ErrClosed
	}
	stmt, err := e.db.Prepared(ctx, query) //nolint:sqlclosecheck // the database keeps it
	if err != nil {
		return nil, fmt.Errorf("bus: list: %w", err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("bus: list: %w", err)
	}
	defer rows.Close()
	var all []bus.Entry
	for rows.Next() {
		var x bus.Entry
		if err := rows.Scan(&x.Key, &x.Version, &x.Value); err != nil {
			return nil, fmt.Errorf("bus: list: %w", err)
		}
		all = append(all, x)
	}
	return all, rows.Err()
}
