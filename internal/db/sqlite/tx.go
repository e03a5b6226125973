package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// Tx is the transaction that a write runs in. It is valid during that write.
//
// It speaks to the driver without database/sql's locking and conversions, which
// cost as much as the statements themselves, and prepares every text once.
type Tx struct {
	pool   *sql.DB
	conn   *sql.Conn
	raw    rawConn // only inside run
	stmts  map[string]rawStmt
	args   []driver.NamedValue
	writes int64 // statements that changed rows, ever
	failed bool  // a statement of this transaction failed
}

type rawConn interface {
	driver.Conn
	driver.ConnPrepareContext
}

type rawStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// Row is one row of a result: int64, float64, string, []byte or nil.
type Row []driver.Value

// Int returns column i, 0 for NULL.
func (r Row) Int(i int) int64 { v, _ := r[i].(int64); return v }

// Text returns column i, empty for NULL.
func (r Row) Text(i int) string { v, _ := r[i].(string); return v }

// Blob returns column i, nil for NULL. The driver cannot tell an empty value
// from NULL; see IsNull.
func (r Row) Blob(i int) []byte { v, _ := r[i].([]byte); return v }

// IsNull reports whether column i is NULL.
func (r Row) IsNull(i int) bool { return r[i] == nil }

// ErrStop ends a Query early; Query then returns nil.
var ErrStop = errors.New("sqlite: stop")

// errBegin: no transaction could begin, mostly because another process has held
// the file for longer than the busy timeout.
var errBegin = errors.New("sqlite: begin")

func newTx(ctx context.Context, pool *sql.DB) (*Tx, error) {
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	return &Tx{pool: pool, conn: c, stmts: map[string]rawStmt{}}, nil
}

func (t *Tx) close() error {
	err := t.conn.Raw(func(any) error { return t.forget() })
	return errors.Join(err, t.conn.Close())
}

func (t *Tx) forget() error {
	var errs []error
	for q, s := range t.stmts {
		errs = append(errs, s.Close())
		delete(t.stmts, q)
	}
	return errors.Join(errs...)
}

// run commits what f did, or rolls it back. Nothing that changed nothing counts
// as a commit.
func (t *Tx) run(f func(*Tx) error, commits *atomic.Int64) error {
	var outcome error
	var fault any
	err := t.conn.Raw(func(dc any) error {
		// A panic must not get to database/sql, which would close the connection
		// that all writes need.
		defer func() {
			if fault = recover(); fault != nil {
				_ = t.rollback()
			}
		}()
		t.raw = dc.(rawConn)
		outcome = t.runRaw(f, commits)
		return nil
	})
	if fault != nil {
		panic(fault)
	}
	return errors.Join(err, outcome)
}

func (t *Tx) runRaw(f func(*Tx) error, commits *atomic.Int64) error {
	t.failed = false
	if err := t.control("BEGIN IMMEDIATE"); err != nil {
		return errors.Join(errBegin, err)
	}
	before := t.writes
	if err := f(t); err != nil {
		return errors.Join(err, t.rollback())
	}
	if err := t.control("COMMIT"); err != nil {
		return errors.Join(fmt.Errorf("sqlite: commit: %w", err), t.rollback())
	}
	if t.writes != before {
		commits.Add(1)
	}
	return nil
}

// rollback is harmless after an error on which SQLite has rolled back itself.
func (t *Tx) rollback() error {
	if err := t.control("ROLLBACK"); err != nil && !t.idle() {
		return fmt.Errorf("sqlite: rollback: %w", err)
	}
	return nil
}

// idle reports whether no transaction is open: only then can one begin.
func (t *Tx) idle() bool {
	if t.control("BEGIN") != nil {
		return false
	}
	return t.control("ROLLBACK") == nil
}

func (t *Tx) control(text string) error {
	s, err := t.stmt(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background(), nil)
	return err
}

func (t *Tx) stmt(query string) (rawStmt, error) {
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	p, err := t.raw.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("sqlite: prepare: %w", err)
	}
	s := p.(rawStmt)
	t.stmts[query] = s
	return s, nil
}

func (t *Tx) bind(args []any) []driver.NamedValue {
	t.args = t.args[:0]
	for i, a := range args {
		if n, is := a.(int); is {
			a = int64(n)
		}
		t.args = append(t.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return t.args
}

// Exec runs a statement that changes rows and returns how many it changed and
// the row id that was inserted last. Arguments are int, int64, float64, string,
// []byte and nil. The text is prepared once and kept, so it must be a constant.
func (t *Tx) Exec(query string, args ...any) (rows, id int64, err error) {
	res, err := t.exec(query, args)
	if err != nil {
		t.failed = true
		return 0, 0, err
	}
	rows, _ = res.RowsAffected() // the driver's never fails
	id, _ = res.LastInsertId()
	if rows > 0 {
		t.writes++
	}
	return rows, id, nil
}

func (t *Tx) exec(query string, args []any) (driver.Result, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), t.bind(args))
}

// Query calls each for every row. The row is reused; texts and blobs in it stay
// valid. each must not run the same query again.
func (t *Tx) Query(each func(Row) error, query string, args ...any) error {
	err := t.query(each, query, args)
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

func (t *Tx) query(each func(Row) error, query string, args []any) (err error) {
	s, err := t.stmt(query)
	if err != nil {
		t.failed = true
		return err
	}
	rows, err := s.QueryContext(context.Background(), t.bind(args))
	if err != nil {
		t.failed = true
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make(Row, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			t.failed = true
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// One returns the first row, and whether there is one.
func (t *Tx) One(query string, args ...any) (row Row, found bool, err error) {
	err = t.Query(func(r Row) error {
		row, found = r, true
		return ErrStop
	}, query, args...)
	return row, found, err
}
