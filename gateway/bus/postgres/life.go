package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// lifeLocks is the first half of the advisory locks by which engines show that
// they live; the second is the engine's number. It spells "gate".
const lifeLocks = 0x67617465

// The rhythm of looking after the dead. A lock that is missing may only be that
// of an engine which lost its connection and is about to come back: it keeps
// what it works on for a while, and leases that were taken away too early are
// fenced.
const (
	lookEvery  = time.Second
	missedFor  = 3 * time.Second // without its lock before an engine counts as dead
	comeBackIn = time.Second     // between attempts to get the own lock again
)

// life holds the lock that says that this engine lives, and takes over what dead
// ones were working on: their leases end at once, not when they run out.
type life struct {
	e      *Engine
	number atomic.Int32 // 0: none, and nobody can tell whether we live
	missed map[int32]time.Time

	stop context.CancelFunc
	done sync.WaitGroup
}

func (e *Engine) live() *life {
	ctx, stop := context.WithCancel(context.Background())
	l := &life{e: e, missed: map[int32]time.Time{}, stop: stop}
	l.done.Go(func() {
		for ctx.Err() == nil {
			if err := l.hold(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("cannot show the other replicas that this one lives", "err", err)
				pause(ctx, comeBackIn)
			}
		}
	})
	return l
}

func (l *life) end() {
	l.stop()
	l.done.Wait()
}

// holder is the number to lease under, or nil.
func (l *life) holder() any {
	if n := l.number.Load(); n != 0 {
		return n
	}
	return nil
}

// hold takes the lock and looks after the dead until the connection fails or
// ctx ends.
func (l *life) hold(ctx context.Context) error {
	c, err := l.e.db.Pool().Acquire(ctx)
	if err != nil {
		return err
	}
	// The lock belongs to the connection, so it does not go back to the pool.
	conn := c.Hijack()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := l.lock(ctx, conn); err != nil {
		return err
	}
	for {
		if err := l.bury(ctx, conn); err != nil {
			return err
		}
		pause(ctx, lookEvery)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// lock takes the engine's lock. An engine keeps its number when it comes back:
// its leases bear it.
func (l *life) lock(ctx context.Context, conn *pgx.Conn) error {
	number := l.number.Load()
	if number == 0 {
		if err := conn.QueryRow(ctx, `SELECT nextval('bus_holder')::integer`).Scan(&number); err != nil {
			return err
		}
	}
	// It may have to wait until the server has noticed the end of the connection
	// that had the lock before.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1::integer, $2::integer)`, lifeLocks, number); err != nil {
		return err
	}
	l.number.Store(number)
	return nil
}

// missing finds the holders of leases whose lock nobody holds.
const missing = `SELECT DISTINCT o.holder FROM bus_order o
	WHERE o.due IS NOT NULL AND o.held AND o.holder IS NOT NULL AND NOT EXISTS (
		SELECT 1 FROM pg_locks k WHERE k.locktype = 'advisory' AND k.classid = $1::integer::oid
		AND k.objid = o.holder::oid AND k.granted
		AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	)`

// free ends the leases of a holder.
var freeAll = `UPDATE bus_order SET due = ` + clock("$2") + ` WHERE holder = $1 AND held AND due > ` + clock("$2")

// bury ends the leases of engines that have been without their lock for a while.
func (l *life) bury(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, missing, lifeLocks)
	if err != nil {
		return fmt.Errorf("look for dead replicas: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("look for dead replicas: %w", err)
	}
	now := time.Now()
	seen := map[int32]time.Time{}
	for _, holder := range gone {
		since, known := l.missed[holder]
		if !known {
			since = now
		}
		if now.Sub(since) < missedFor {
			seen[holder] = since
			continue
		}
		tag, err := conn.Exec(ctx, freeAll, holder, l.e.skewMicros())
		if err != nil {
			return fmt.Errorf("end the leases of a dead replica: %w", err)
		}
		if n := tag.RowsAffected(); n > 0 {
			l.e.log.Info("a replica has died; what it was working on is taken over", "count", n)
			l.e.wake.signal()
		}
	}
	l.missed = seen
	return nil
}
