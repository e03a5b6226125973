package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// TestLogIsMoved: what was written gets from the log into the file, without a
// write that waits for it, long before SQLite would do it by itself, and the log
// begins anew.
func TestLogIsMoved(t *testing.T) {
	d := open(t)
	var file, seq, name string
	if err := d.Reader().QueryRow(`PRAGMA database_list`).Scan(&seq, &name, &file); err != nil {
		t.Fatal(err)
	}
	before := salt(t, file)
	n := 0
	for ; n < 3500; n += 100 {
		write(t, d, n, 100)
	}
	for until := time.Now().Add(time.Minute); bytes.Equal(salt(t, file), before); n++ {
		if time.Now().After(until) || n > 4500 {
			t.Fatalf("after %d writes the log has not begun anew", n)
		}
		<-time.After(60 * time.Millisecond) // the next look
		write(t, d, n, 1)
	}
	if i, err := os.Stat(file); err != nil || i.Size() < 3000*4096 {
		t.Errorf("the file holds %d bytes, %v", i.Size(), err)
	}
	if got := rows(t, d); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}

// TestLogIsMovedWhileClosing: the end does not wait for a log that is being
// moved to be empty, and loses nothing.
func TestLogIsMovedWhileClosing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	for round := range 5 {
		d, err := sqlite.Open(t.Context(), file, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Write(t.Context(), func(tx *sqlite.Tx) error {
			if _, _, err := tx.Exec(`CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, v BLOB)`); err != nil {
				return err
			}
			for i := range 3100 {
				if err := insert(round*3100+i, nil)(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil || n != 5*3100 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// write adds rows that take a page each.
func write(t *testing.T, d *sqlite.DB, first, rows int) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *sqlite.Tx) error {
		for i := range rows {
			if err := insert(first+i, make([]byte, 4000))(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// salt is what changes when the log beside a file begins anew.
func salt(t *testing.T, file string) []byte {
	t.Helper()
	log, err := os.ReadFile(file + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return log[:min(24, len(log))]
}
