// Package postgres opens a Postgres database: a pool of connections, the schema
// brought up to date, and transactions that are run again when the database
// gives one of two colliding transactions up.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// Options of a database. The zero value is ready to use.
type Options struct {
	Log   *slog.Logger // nil: none
	Conns int32        // connections at most; 0: 16
	// Schema brings the schema up to date before the database is used.
	Schema func(ctx context.Context, db *sql.DB) error
}

// DB is an open database. Its methods may be called concurrently.
type DB struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// commitTimeout bounds a transaction once it has begun.
const commitTimeout = 30 * time.Second

// Open connects to the database at url. No error that it returns shows the
// password.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("postgres: the URL cannot be parsed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	cfg.MaxConns = 16
	if o.Conns > 0 {
		cfg.MaxConns = o.Conns
	}
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = "gatehouse"
	params["default_transaction_isolation"] = "read committed"
	params["idle_in_transaction_session_timeout"] = "60000"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	d := &DB{pool: pool, log: o.Log}
	if err := d.prepare(ctx, o); err != nil {
		pool.Close()
		return nil, err
	}
	return d, nil
}

func (d *DB) prepare(ctx context.Context, o Options) error {
	if err := d.pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: open: %w", err)
	}
	if o.Schema == nil {
		return nil
	}
	db := stdlib.OpenDBFromPool(d.pool)
	return errors.Join(o.Schema(ctx, db), db.Close())
}

// Pool returns the connections.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Close closes the connections when they are given back.
func (d *DB) Close() { d.pool.Close() }

// attempts is how often a transaction is run that collides with others.
const attempts = 10

// Write runs f in a transaction, read committed, and returns when it is durable,
// or f's error. f may run several times. When ctx ends before f has begun,
// nothing happens; later, the outcome counts.
func (d *DB) Write(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return d.With(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { return f(ctx, tx) })
	})
}

// With runs f on a connection, and again when it collides with another
// transaction. f's context does not end with ctx.
func (d *DB) With(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	for n := 1; ; n++ {
		err := d.once(ctx, f)
		if err == nil || n == attempts || !collided(err) {
			return err
		}
	}
}

func (d *DB) once(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("postgres: connect: %w", err)
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return f(ctx, c)
}

// ErrAgain makes Write and With run their function again.
var ErrAgain = errors.New("postgres: again")

// collided reports a deadlock or a serialization failure: the database has
// undone everything and nothing is wrong with it.
func collided(err error) bool {
	if errors.Is(err, ErrAgain) {
		return true
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}
