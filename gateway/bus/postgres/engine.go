// Package postgres is the bus on Postgres, for several replicas.
//
// Whoever writes to an order locks its row first and reads what it computes from
// in a later statement: under read committed, a statement sees what was
// committed before it began, not before it got its lock. All times are the
// database's, so replicas agree on when a lease runs out. Wake-ups travel by one
// coalesced notification; a look at the tables each second covers their loss.
package postgres

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	db "github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/migrations"
)

var _ bus.Engine = (*Engine)(nil)

// Options of an engine. The zero value is ready to use.
type Options struct {
	// Skew moves the engine's clock against the database's, for tests; nil: not.
	Skew  func() time.Duration
	Limit int          // waiting records of a channel and queue at which Publish answers ErrFull; 0: none
	Log   *slog.Logger // nil: none
}

// Engine is a bus on Postgres. Its methods may be called concurrently, and any
// number of engines may share a database.
type Engine struct {
	db    *db.DB
	owned bool
	skew  func() time.Duration
	limit int
	log   *slog.Logger
	wake  *wakeups
	life  *life
	room  *roomKeeper
}

// Open connects to the database at url and brings its schema up to date.
func Open(ctx context.Context, url string, o Options) (*Engine, error) {
	d, err := db.Open(ctx, url, db.Options{Log: o.Log, Schema: func(ctx context.Context, db *sql.DB) error {
		return migrations.Up(ctx, db, migrations.Postgres)
	}})
	if err != nil {
		return nil, err
	}
	e := New(d, o)
	e.owned = true
	return e, nil
}

// New returns an engine on an open database that has the schema. The caller
// closes the database after the engine.
func New(d *db.DB, o Options) *Engine {
	if o.Skew == nil {
		o.Skew = func() time.Duration { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		db: d, skew: o.Skew, limit: o.Limit, log: o.Log,
		wake: listen(d.Pool(), o.Log),
		room: &roomKeeper{counts: map[laneID]*roomCount{}},
	}
	e.life = e.live()
	return e
}

// DB returns the database.
func (e *Engine) DB() *db.DB { return e.db }

// Close ends waiting leases with [bus.ErrClosed]. What was accepted stays.
func (e *Engine) Close() error {
	if !e.wake.close() {
		return nil
	}
	e.life.end()
	if !e.owned {
		return nil
	}
	e.db.Close()
	return nil
}

// clock is the engine's time in SQL, in microseconds; skew is its placeholder.
// The time is taken by the statement, not by the transaction: one that follows a
// wait for a lock must not use a time from before. It is a subquery so that it is
// evaluated once, and an index can be searched with it.
func clock(skew string) string {
	return `(SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + ` + skew + `::bigint)`
}

func (e *Engine) skewMicros() int64 { return e.skew().Microseconds() }

// write runs f in a transaction and wakes who may be waiting for what it did.
func (e *Engine) write(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	if e.wake.isClosed() {
		return bus.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var t tx
	err := e.db.Write(ctx, func(ctx context.Context, pg pgx.Tx) error {
		t = tx{Tx: pg, skew: e.skewMicros(), holder: e.life.holder()}
		return f(ctx, &t)
	})
	if err == nil && t.woke {
		e.wake.signal()
	}
	return err
}

// tx is a transaction and the engine's clock in it.
type tx struct {
	pgx.Tx
	skew   int64
	holder any  // whose the leases are; nil: nobody's who could be known to be dead
	woke   bool // it may have made something due
}

type laneID struct{ queue, channel string }

// roomKeeper remembers how many records wait in a lane, so that Publish need not
// count each time.
type roomKeeper struct {
	mu     sync.Mutex
	counts map[laneID]*roomCount
}

type roomCount struct {
	waiting int // at least as many as this engine knows of
	at      time.Time
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}
