package e2e_test

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // reads the store of a gateway that has ended
)

// underWay counts the sends that a gateway which has ended left unsettled, and
// the dead letters. It looks at a copy: what the next process finds is what the
// last one left.
func underWay(t testing.TB, data string) (sends, dead int) {
	t.Helper()
	copied := t.TempDir()
	for _, name := range []string{"gatehouse.db", "gatehouse.db-wal"} {
		if err := copyFile(filepath.Join(copied, name), filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(copied, "gatehouse.db")); err != nil {
		return 0, 0 // it was killed before it made its store
	}
	db, err := sql.Open("sqlite", filepath.Join(copied, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables int
	err = db.QueryRow(`SELECT count(*) FROM sqlite_master WHERE name = 'bus_record'`).Scan(&tables)
	if err == nil && tables > 0 {
		err = db.QueryRow(`SELECT coalesce(sum(queue = 'outbox' AND state = 3), 0), coalesce(sum(state = 5), 0) FROM bus_record`).Scan(&sends, &dead)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sends, dead
}

// copyFile copies a file that may be missing.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
