package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// The statements of the state. Both ends of a range are bounds of the index: a
// condition such as (? = ” OR key < ?) would read on to the end of the space.
const (
	getEntry     = `SELECT version, value FROM bus_state WHERE space = ? AND key = ?`
	listFrom     = `SELECT key, version, value FROM bus_state WHERE space = ? AND key >= ? AND key < ? ORDER BY key`
	listAfter    = `SELECT key, version, value FROM bus_state WHERE space = ? AND key > ? AND key < ? ORDER BY key`
	latestOfThem = `SELECT key, version, value FROM bus_state WHERE space = ? AND key >= ? AND key < ? ORDER BY key DESC`
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
	return e.state.Get(ctx, space, key)
}

// List returns the entries under prefix that follow after.
func (e *Engine) List(ctx context.Context, space, prefix, after string, limit int) ([]bus.Entry, error) {
	if e.isClosed() {
		return nil, bus.ErrClosed
	}
	return e.state.List(ctx, space, prefix, after, limit)
}

// Latest returns the last n entries under prefix.
func (e *Engine) Latest(ctx context.Context, space, prefix string, n int) ([]bus.Entry, error) {
	if e.isClosed() {
		return nil, bus.ErrClosed
	}
	return e.state.Latest(ctx, space, prefix, n)
}

// stored reads the state from the file.
type stored struct{ db *db.DB }

var _ kv.Reader = stored{}

// Get implements [kv.Reader].
func (s stored) Get(ctx context.Context, space, key string) (kv.Entry, error) {
	stmt, err := s.db.Prepared(ctx, getEntry) //nolint:sqlclosecheck // the database keeps it
	if err != nil {
		return kv.Entry{}, fmt.Errorf("bus: get: %w", err)
	}
	x := kv.Entry{Key: key}
	err = stmt.QueryRowContext(ctx, space, key).Scan(&x.Version, &x.Value)
	if errors.Is(err, sql.ErrNoRows) {
		return kv.Entry{}, nil
	}
	if err != nil {
		return kv.Entry{}, fmt.Errorf("bus: get: %w", err)
	}
	return x, nil
}

// List implements [kv.Reader].
func (s stored) List(ctx context.Context, space, prefix, after string, limit int) ([]kv.Entry, error) {
	if after < prefix {
		// Everything under the prefix follows after, the prefix itself included.
		return s.entries(ctx, listFrom, rule.Limit(limit), space, prefix, beyond(prefix))
	}
	return s.entries(ctx, listAfter, rule.Limit(limit), space, after, beyond(prefix))
}

// Latest implements [kv.Reader].
func (s stored) Latest(ctx context.Context, space, prefix string, n int) ([]kv.Entry, error) {
	all, err := s.entries(ctx, latestOfThem, max(n, 0), space, prefix, beyond(prefix))
	slices.Reverse(all)
	return all, err
}

// entries reads up to limit rows. It stops by itself: SQLite prepares a
// statement anew for every value that is bound to a LIMIT.
func (s stored) entries(ctx context.Context, query string, limit int, args ...any) ([]kv.Entry, error) {
	stmt, err := s.db.Prepared(ctx, query) //nolint:sqlclosecheck // the database keeps it
	if err != nil {
		return nil, fmt.Errorf("bus: list: %w", err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("bus: list: %w", err)
	}
	defer rows.Close()
	var all []kv.Entry
	for len(all) < limit && rows.Next() {
		var x kv.Entry
		if err := rows.Scan(&x.Key, &x.Version, &x.Value); err != nil {
			return nil, fmt.Errorf("bus: list: %w", err)
		}
		all = append(all, x)
	}
	return all, rows.Err()
}
