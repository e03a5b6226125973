// Package sqlite is the bus on the embedded database.
//
// Waiting leases ride along with the writes that make their work ready: before
// a transaction commits, the orders that it made due are leased to whoever
// waits, in the same transaction, and handed out once it is durable. So a
// message costs two commits on its way (accept and lease, settle and lease of the
// reply) and a part of a third (settle of the reply, which waits some milliseconds
// for a write to go with), and nothing polls. Two times are
// watched by a timer that exists only while a lease waits: the next order that
// falls due, and once a second the question whether another process has written
// to the file.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/mirror"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/migrations"
)

var (
	_ bus.Engine = (*Engine)(nil)
	_ kv.Watcher = (*Engine)(nil)
)

// Options of an engine. The zero value is ready to use.
type Options struct {
	Now   func() time.Time // nil: time.Now
	Limit int              // waiting records of a channel and queue at which Publish answers ErrFull; 0: none
	Log   *slog.Logger     // nil: none
	// Exclusive says that no other engine uses the file: what a dead process was
	// working on is taken up at once, not when its leases run out, and small
	// spaces of the state are kept in memory.
	Exclusive bool
}

// Engine is a bus on SQLite. Several engines, in one process or in several, may
// share a file unless one is exclusive. Its methods may be called concurrently.
type Engine struct {
	db    *db.DB
	state kv.Reader // what Get, List and Latest read
	owned bool      // Close closes db

	exclusive bool // no other engine writes to the file
	now       func() time.Time
	limit     int
	log       *slog.Logger
	write     writer // only within a write

	mu      sync.Mutex
	watch   []func([]kv.Write)
	closed  bool
	waiters []*waiter        // in the order of their arrival
	next    int64            // when the first order falls due that a waiter could take
	ahead   map[string]int64 // when the first order of a queue falls due
	asked   bool             // the lanes have been read from the file
	rode    bool             // the transaction under way has leased
	alarm   *time.Timer
	armed   time.Time // when the alarm rings; zero: it is off
	retry   time.Time // after a failed commit: no sooner than this
	ringing sync.WaitGroup
}

// Open opens the file at path and brings its schema up to date.
func Open(ctx context.Context, path string, o Options) (*Engine, error) {
	d, err := db.Open(ctx, path, db.Options{Log: o.Log, Schema: func(ctx context.Context, db *sql.DB) error {
		return migrations.Up(ctx, db, migrations.SQLite)
	}})
	if err != nil {
		return nil, err
	}
	e := New(d, o)
	e.owned = true
	if o.Exclusive {
		if err := e.reclaim(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("take over the leases: %w", err), e.Close())
		}
	}
	return e, nil
}

// New returns an engine on an open database that has the schema and no rider
// yet. The caller closes the database after the engine.
func New(d *db.DB, o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{db: d, now: o.Now, limit: o.Limit, log: o.Log, exclusive: o.Exclusive}
	e.state = stored{d}
	if o.Exclusive {
		m := mirror.New(e.state)
		e.state, e.watch = m, append(e.watch, m.Apply)
	}
	e.ahead = map[string]int64{}
	e.write.lanes, e.write.watched, e.write.alone = map[laneID]*lane{}, o.Exclusive, o.Exclusive
	e.write.orders.byName = map[orderName]*order{}
	e.alarm = time.AfterFunc(time.Hour, e.ring)
	e.alarm.Stop()
	d.SetRider((*rider)(e))
	return e
}

// Watch implements [kv.Watcher]: an exclusive engine sees every change.
func (e *Engine) Watch(f func([]kv.Write)) bool {
	if !e.exclusive {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch = append(e.watch, f)
	return true
}

// DB returns the database, for its counters.
func (e *Engine) DB() *db.DB { return e.db }

// Close ends waiting leases with [bus.ErrClosed] and waits for what is under
// way. What was accepted stays.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.alarm.Stop()
	e.dismiss(bus.ErrClosed)
	e.mu.Unlock()
	e.ringing.Wait()
	if !e.owned {
		return nil
	}
	return e.db.Close()
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// commit runs f in a transaction, with the engine's clock read once.
func (e *Engine) commit(ctx context.Context, f func(w *writer) error) error {
	return e.commitWithin(ctx, 0, f)
}

// commitWithin is commit for what may wait for the company of another write.
func (e *Engine) commitWithin(ctx context.Context, patience time.Duration, f func(w *writer) error) error {
	if e.isClosed() {
		return bus.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	in := func(tx *db.Tx) error { return f(e.begin(tx)) }
	var err error
	if patience > 0 {
		err = e.db.WriteWithin(ctx, patience, in)
	} else {
		err = e.db.Write(ctx, in)
	}
	if errors.Is(err, db.ErrClosed) {
		return bus.ErrClosed
	}
	return err
}

// begin readies the writer for a step of a transaction. Steps run one at a time.
func (e *Engine) begin(tx *db.Tx) *writer {
	e.write.Tx = tx
	e.write.now = e.now().UnixMicro()
	e.write.limit = e.limit
	return &e.write
}

// micros maps a time to its column; the zero time is 0.
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

// Compact writes the file anew, so that nothing is left in it of what was
// deleted or replaced. Everything else waits meanwhile.
func (e *Engine) Compact(ctx context.Context) error { return e.db.Compact(ctx) }
