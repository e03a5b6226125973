package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	d, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), sqlite.Options{
		Schema: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, `CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)`)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func insert(n int, v any) func(*sqlite.Tx) error {
	return func(tx *sqlite.Tx) error {
		_, _, err := tx.Exec(`INSERT INTO t (n, v) VALUES (?, ?)`, n, v)
		return err
	}
}

func rows(t *testing.T, d *sqlite.DB) (n int) {
	t.Helper()
	if err := d.Reader().QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var errFault = errors.New("fault")

// TestEachWriteStandsAlone: of many writes at once, those that fail fail alone,
// whether they had written something before or not.
func TestEachWriteStandsAlone(t *testing.T) {
	d := open(t)
	const n = 90
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = d.Write(t.Context(), func(tx *sqlite.Tx) error {
				if i%3 == 1 {
					return errFault // before writing
				}
				if err := insert(i, nil)(tx); err != nil {
					return err
				}
				if i%3 == 2 {
					return errFault // after writing
				}
				return nil
			})
		})
	}
	wg.Wait()
	for i, err := range errs {
		if want := i%3 != 0; errors.Is(err, errFault) != want {
			t.Errorf("write %d: %v, want a fault: %t", i, err, want)
		}
	}
	if got := rows(t, d); got != n/3 {
		t.Errorf("%d rows, want %d", got, n/3)
	}
}

// TestGroupCommit: writes that arrive during a commit share the next one.
func TestGroupCommit(t *testing.T) {
	d := open(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	before := d.Commits()
	var wg sync.WaitGroup
	wg.Go(func() {
		once := sync.OnceFunc(func() { close(begun); <-goOn })
		if err := d.Write(t.Context(), func(tx *sqlite.Tx) error {
			once()
			return insert(0, nil)(tx)
		}); err != nil {
			t.Error(err)
		}
	})
	<-begun
	queued := make(chan struct{}, 50)
	for i := 1; i <= cap(queued); i++ {
		wg.Go(func() {
			queued <- struct{}{}
			if err := d.Write(t.Context(), insert(i, nil)); err != nil {
				t.Error(err)
			}
		})
	}
	for range cap(queued) {
		<-queued
	}
	close(goOn)
	wg.Wait()
	if got := d.Commits() - before; got > 25 {
		t.Errorf("%d commits for 51 writes", got)
	}
	if got := rows(t, d); got != 51 {
		t.Errorf("%d rows, want 51", got)
	}
}

// TestEndedContext: a write that has not begun does not happen; one that has
// begun is waited for.
func TestEndedContext(t *testing.T) {
	d := open(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		once := sync.OnceFunc(func() { close(begun); <-goOn })
		first <- d.Write(ctx, func(tx *sqlite.Tx) error {
			once()
			return insert(1, nil)(tx)
		})
	}()
	<-begun
	go func() { second <- d.Write(ctx, insert(2, nil)) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting write: %v, want canceled", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("the write under way: %v", err)
	}
	if got := rows(t, d); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}

func TestValues(t *testing.T) {
	d := open(t)
	for i, v := range []any{nil, []byte{}, []byte{0, 1, 255}, int64(-5), "text", 2.5} {
		if err := d.Write(t.Context(), insert(i, v)); err != nil {
			t.Fatal(err)
		}
		err := d.Write(t.Context(), func(tx *sqlite.Tx) error {
			row, found, err := tx.One(`SELECT v FROM t WHERE n = ?`, i)
			if err != nil || !found {
				return fmt.Errorf("found %t: %w", found, err)
			}
			if row.IsNull(0) != (v == nil) || fmt.Sprint(row[0]) != fmt.Sprint(v) {
				t.Errorf("value is %#v, want %#v", row[0], v)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReaderCannotWrite(t *testing.T) {
	if _, err := open(t).Reader().Exec(`INSERT INTO t (n) VALUES (1)`); err == nil {
		t.Error("a reader wrote")
	}
}

func TestReadingCommitsNothing(t *testing.T) {
	d := open(t)
	before := d.Commits()
	if err := d.Write(t.Context(), func(tx *sqlite.Tx) error {
		_, _, err := tx.One(`SELECT 1 FROM t`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if d.Commits() != before {
		t.Error("a read counts as a commit")
	}
}

func TestClosed(t *testing.T) {
	d := open(t)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), insert(1, nil)); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	d, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if errors.Is(err, os.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%q is %v, want 0600", suffix, info.Mode().Perm())
		}
	}
}

// TestWritesAreSynced: the writing connection syncs each commit, though the
// schema was brought up to date without.
func TestWritesAreSynced(t *testing.T) {
	d := open(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal"} {
		err := d.Write(t.Context(), func(tx *sqlite.Tx) error {
			row, _, err := tx.One("PRAGMA " + pragma)
			if got := fmt.Sprint(row[0]); got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFsyncLatency(t *testing.T) {
	if d, err := sqlite.FsyncLatency(t.TempDir(), 3); err != nil || d <= 0 {
		t.Errorf("latency %v, %v", d, err)
	}
	if _, err := sqlite.FsyncLatency(filepath.Join(t.TempDir(), "missing"), 3); err == nil {
		t.Error("measured in a folder that does not exist")
	}
}

// told is a rider that does nothing and remembers how transactions ended.
type told struct{ ends []error }

func (*told) Ride(*sqlite.Tx) error { return nil }

func (r *told) Arrive(err error, _ bool) { r.ends = append(r.ends, err) }

// TestPanic: a write that panics does not take the database with it, and the
// rider learns that it was rolled back.
func TestPanic(t *testing.T) {
	d := open(t)
	var rider told
	d.SetRider(&rider)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = d.Write(t.Context(), func(tx *sqlite.Tx) error {
			if err := insert(1, nil)(tx); err != nil {
				return err
			}
			panic("fault")
		})
	}()
	if err := d.Write(t.Context(), insert(2, nil)); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, d); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
	if n := len(rider.ends); n != 2 || rider.ends[0] == nil || rider.ends[1] != nil {
		t.Errorf("the rider was told %v", rider.ends)
	}
}

// TestBusy: when another process does not let go of the file, a write says so,
// and goes on later.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	dbs := [2]*sqlite.DB{}
	for i := range dbs {
		d, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		dbs[i] = d
	}
	create := func(tx *sqlite.Tx) error {
		_, _, err := tx.Exec(`CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, v BLOB)`)
		return err
	}
	if err := dbs[0].Write(t.Context(), func(tx *sqlite.Tx) error {
		if err := dbs[1].Write(t.Context(), create); err == nil {
			t.Error("two processes wrote at once")
		}
		return create(tx)
	}); err != nil {
		t.Fatal(err)
	}
	if err := dbs[1].Write(t.Context(), insert(1, nil)); err != nil {
		t.Error(err)
	}
}

// TestWriteWithin: what nobody waits for goes with the next write, and by itself
// when there is none.
func TestWriteWithin(t *testing.T) {
	d := open(t)
	before := d.Commits()
	done := make(chan error, 1)
	go func() { done <- d.WriteWithin(t.Context(), time.Hour, insert(1, nil)) }()
	var err error
	for n, open := 2, true; open; n++ { // until it has been in the line of one of these
		if werr := d.Write(t.Context(), insert(n, nil)); werr != nil {
			t.Fatal(werr)
		}
		before++
		select {
		case err = <-done:
			open = false
		default:
		}
	}
	if err != nil {
		t.Error(err)
	}
	if got := d.Commits(); got != before {
		t.Errorf("%d commits, want %d: it has a commit of its own", got, before)
	}
	if err := d.WriteWithin(t.Context(), time.Millisecond, insert(0, nil)); err != nil {
		t.Error(err)
	}
	if got := d.Commits(); got != before+1 {
		t.Errorf("%d commits, want %d", got, before+1)
	}
}

// TestWriteWithinEnds: whoever waits for company does not wait longer than its
// context or the database.
func TestWriteWithinEnds(t *testing.T) {
	d := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.WriteWithin(ctx, time.Hour, insert(1, nil)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteWithin(t.Context(), time.Hour, insert(2, nil)); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("a closed database: %v", err)
	}
}
