// Package postgres is the memory on Postgres with pgvector, for several gateways.
//
// What a scope may read is said twice: by the units in each statement, which
// choose the index, and by policies on the rows, for which each transaction says
// its units. Each unit that holds much has an index of its own for its vectors, by
// HNSW, which is made anew in the background as it grows; of what holds little,
// and of what has come since, all are compared, which is fast and finds all.
package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	db "github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

var _ store.Engine = (*Engine)(nil)

// Engine keeps the memory in Postgres. Its methods may be called concurrently,
// and any number of engines may share a database.
type Engine struct {
	db *db.DB

	mu     sync.Mutex
	graphs graphs    // as they were
	asked  time.Time // when they were read
	fresh  map[place]int64
	common map[string]float64 // how many chunks have a term that many have, about
	sized  time.Time          // when that was read
}

// New returns an engine on an open database that has the schema. It does no I/O.
func New(d *db.DB) *Engine { return &Engine{db: d, fresh: map[place]int64{}} }

// everything is the setting for upkeep.
const everything = "all"

func unitList(units []int64) string {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = strconv.FormatInt(u, 10)
	}
	return strings.Join(names, ",")
}

// entry says in a transaction which units it may see, and how it is planned: a
// plan for any units would not use the indexes that those at hand call for.
const entry = `SELECT set_config('gatehouse.units', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true)`

// readOnly is entry for a transaction that changes nothing.
const readOnly = entry + `, set_config('transaction_read_only', 'on', true)`

// byKey is readOnly for what has one good plan, whatever it is asked for: making
// it anew takes as long as the rest.
const byKey = readOnly + `, set_config('plan_cache_mode', 'force_generic_plan', true)`

func enter(ctx context.Context, tx pgx.Tx, units string) error {
	_, err := tx.Exec(ctx, entry, units)
	return err
}

// read runs f in a transaction that sees some units and changes nothing.
func (e *Engine) read(ctx context.Context, units string, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, e.db.Pool(), pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := enter(ctx, tx, units); err != nil {
			return err
		}
		return f(tx)
	})
}

// statement is SQL with its arguments.
type statement struct {
	text string
	args []any
}

func sql(text string, args ...any) statement { return statement{text, args} }

// ask is read for one statement, in one exchange with the server: what is sent
// together is one transaction.
func (e *Engine) ask(ctx context.Context, begin, s statement, each func(rows pgx.Rows) error) error {
	var b pgx.Batch
	b.Queue(begin.text, begin.args...)
	b.Queue(s.text, s.args...).Query(each)
	return e.db.Pool().SendBatch(ctx, &b).Close()
}

// write runs f in a transaction, maybe several times.
func (e *Engine) write(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return e.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := enter(ctx, tx, everything); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// Guarded reports whether the policies hold the role that is connected: they do
// not hold a superuser, nor who may bypass them.
func (e *Engine) Guarded(ctx context.Context) (bool, error) {
	var free bool
	err := e.db.Pool().QueryRow(ctx, `SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user`).Scan(&free)
	if err != nil {
		return false, fmt.Errorf("look at the role: %w", err)
	}
	return !free, nil
}
