package e2e_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // read the store of a gateway that has ended
	_ "modernc.org/sqlite"
)

// send is one that a gateway left unsettled.
type send struct {
	key     string
	attempt int
}

// remains is what a gateway which has ended left.
type remains struct {
	sends map[send]bool // true: a repetition was under way
	dead  int           // letters
}

// remains reads the store of a gateway that has ended.
func (r *rig) remains() remains {
	r.t.Helper()
	left := remains{sends: map[send]bool{}}
	db, err := r.openStore()
	if err != nil {
		r.t.Fatal(err)
	}
	if db == nil {
		return left // it was killed before it made its store
	}
	defer db.Close()
	rows, err := db.Query(`SELECT key, attempt, progress FROM bus_record WHERE queue = 'outbox' AND state = 3`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s send
		var note []byte
		if err := rows.Scan(&s.key, &s.attempt, &note); err != nil {
			r.t.Fatal(err)
		}
		var progress struct {
			Doubt   int
			Sending bool
		}
		_ = json.Unmarshal(note, &progress) // empty before the first try
		left.sends[s] = progress.Sending && progress.Doubt > 0
	}
	if err := errors.Join(rows.Err(), db.QueryRow(`SELECT count(*) FROM bus_record WHERE state = 5`).Scan(&left.dead)); err != nil {
		r.t.Fatal(err)
	}
	return left
}

// since is how many sends the last process left, and how many of them were
// repetitions: not those that an earlier one had left and it did not touch.
func (l remains) since(before remains) (sends, repetitions int) {
	for s, again := range l.sends {
		if _, old := before.sends[s]; old {
			continue
		}
		sends++
		if again {
			repetitions++
		}
	}
	return sends, repetitions
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
