// Package sqlite opens the embedded database: one writer with group commit, a
// small pool of readers, write-ahead log, synchronous=FULL.
//
// Every write goes through [DB.Write]. Calls that arrive while a commit is on
// its way share the next one, so that one fsync serves many of them. There is no
// writer goroutine: the first caller in line commits for all who queued behind
// it, and a caller that is alone commits for itself without a switch.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// ErrClosed is returned by writes to a database that was closed.
var ErrClosed = errors.New("sqlite: closed")

// Options of a database. The zero value is ready to use.
type Options struct {
	Log         *slog.Logger  // nil: none
	Readers     int           // connections that read; 0: 4
	CacheKB     int           // page cache of each connection; 0: 8192
	BusyTimeout time.Duration // how long a write waits for another process; 0: 10 s
	// Schema brings the schema up to date before the database is used. It gets
	// the writing connection.
	Schema func(ctx context.Context, db *sql.DB) error
}

func (o Options) filled() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.CacheKB == 0 {
		o.CacheKB = 8192
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 10 * time.Second
	}
	return o
}

// DB is an open database. Its methods may be called concurrently.
type DB struct {
	log     *slog.Logger
	write   *sql.DB // one connection
	read    *sql.DB
	tx      *Tx           // the writing connection; whoever has the turn uses it
	turn    chan struct{} // held by the caller that commits
	rider   Rider
	commits atomic.Int64
	moved   int64          // the writes whose pages were moved out of the log; whoever has the turn uses it
	moving  atomic.Bool    // somebody moves the log
	movers  sync.WaitGroup // begun by whoever has the turn
	closing chan struct{}  // closed by Close
	// prepared holds the readers' statements: text -> *sql.Stmt.
	prepared sync.Map

	mu     sync.Mutex
	queue  []*job
	closed bool
}

// Open opens or makes the file at path, readable by its owner only.
func Open(ctx context.Context, path string, o Options) (_ *DB, err error) {
	o = o.filled()
	if err := touch(path); err != nil {
		return nil, err
	}
	d := &DB{log: o.Log, turn: make(chan struct{}, 1), closing: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = d.closePools()
		}
	}()
	if d.write, err = sql.Open("sqlite", dsn(path, o)+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	d.write.SetMaxOpenConns(1)
	if err := d.write.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	if err := d.migrate(ctx, o); err != nil {
		return nil, err
	}
	if d.read, err = sql.Open("sqlite", dsn(path, o)+"&_pragma=query_only(1)"); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	d.read.SetMaxOpenConns(o.Readers)
	d.read.SetMaxIdleConns(o.Readers)
	if d.tx, err = newTx(ctx, d.write); err != nil {
		return nil, err
	}
	return d, nil
}

// migrate brings the schema up to date. It syncs nothing meanwhile: the log keeps
// the file consistent, and the first commit after it syncs the whole log.
func (d *DB) migrate(ctx context.Context, o Options) error {
	if o.Schema == nil {
		return nil
	}
	if _, err := d.write.ExecContext(ctx, `PRAGMA synchronous = NORMAL`); err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	if err := o.Schema(ctx, d.write); err != nil {
		return err
	}
	if _, err := d.write.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	return nil
}

// touch makes the file with narrow permissions; the log files beside it inherit them.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	return f.Close()
}

// dsn is written out because the order matters: the busy timeout must stand
// before the journal mode is asked for.
func dsn(path string, o Options) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	u := url.URL{Path: filepath.ToSlash(abs)}
	return "file:" + u.EscapedPath() +
		"?_pragma=busy_timeout(" + strconv.FormatInt(o.BusyTimeout.Milliseconds(), 10) + ")" +
		"&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(FULL)" +
		"&_pragma=temp_store(MEMORY)" +
		"&_pragma=cache_size(-" + strconv.Itoa(o.CacheKB) + ")" +
		"&_pragma=wal_autocheckpoint(" + longLog + ")" +
		"&_pragma=journal_size_limit(67108864)"
}

// Reader returns the connections that read. A query sees everything committed
// before it began; a write through it fails.
func (d *DB) Reader() *sql.DB { return d.read }

// Prepared returns a query of the readers that is compiled once for each of
// their connections and kept until Close. It is for the few texts that run all
// the time.
func (d *DB) Prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := d.prepared.Load(query); ok {
		return s.(*sql.Stmt), nil //nolint:forcetypeassert // nothing else is stored
	}
	s, err := d.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, ok := d.prepared.LoadOrStore(query, s); ok {
		return first.(*sql.Stmt), s.Close() //nolint:forcetypeassert,sqlclosecheck // as above; another caller was faster
	}
	return s, nil
}

// Commits returns how many transactions that changed something were committed.
func (d *DB) Commits() int64 { return d.commits.Load() }

// Close waits for the write that is under way and closes the connections.
// Writes after it return [ErrClosed].
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	queued := d.queue
	d.queue = nil
	d.mu.Unlock()
	for _, j := range queued {
		if j.claim() {
			j.finish(ErrClosed)
		}
	}
	close(d.closing)
	d.turn <- struct{}{} // never given back: nobody commits any more
	d.movers.Wait()
	return errors.Join(d.tx.close(), d.closePools())
}

func (d *DB) closePools() error {
	var errs []error
	d.prepared.Range(func(_, s any) bool {
		errs = append(errs, s.(*sql.Stmt).Close()) //nolint:forcetypeassert // nothing else is stored
		return true
	})
	for _, p := range [...]*sql.DB{d.read, d.write} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
