package e2e_test

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // read the store of a gateway that has ended
	_ "modernc.org/sqlite"
)

// underWay counts the sends that a gateway which has ended left unsettled, and
// the dead letters.
func (r *rig) underWay() (sends, dead int) {
	r.t.Helper()
	db, err := r.openStore()
	if err != nil {
		r.t.Fatal(err)
	}
	if db == nil {
		return 0, 0 // it was killed before it made its store
	}
	defer db.Close()
	err = db.QueryRow(`SELECT coalesce(sum(CASE WHEN queue = 'outbox' AND state = 3 THEN 1 END), 0),
		coalesce(sum(CASE WHEN state = 5 THEN 1 END), 0) FROM bus_record`).Scan(&sends, &dead)
	if err != nil {
		r.t.Fatal(err)
	}
	return sends, dead
}

// openStore opens what the gateway keeps, nil when it has made nothing yet. Of a
// file it opens a copy: what the next process finds is what the last one left.
func (r *rig) openStore() (*sql.DB, error) {
	if r.set.store != "" {
		return sql.Open("pgx", r.set.store)
	}
	copied := r.t.TempDir()
	for _, name := range []string{"gatehouse.db", "gatehouse.db-wal"} {
		if err := copyFile(filepath.Join(copied, name), filepath.Join(r.data(), name)); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(copied, "gatehouse.db")); err != nil {
		return nil, nil
	}
	db, err := sql.Open("sqlite", filepath.Join(copied, "gatehouse.db"))
	if err != nil {
		return nil, err
	}
	var tables int
	err = db.QueryRow(`SELECT count(*) FROM sqlite_master WHERE name = 'bus_record'`).Scan(&tables)
	if err != nil || tables == 0 {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
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
