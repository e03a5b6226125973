package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// sizes says how large the value of each row is: what a row holds follows from it.
type sizes map[int64]int64

func value(n, size int64) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, uint64(n<<32|size)), int(size/8)+1)[:size]
}

// left is what somebody finds who is given the files as they lie there now, and
// opens them with SQLite's own means: what a killed process leaves.
func left(t *testing.T, path, scratch string) sizes {
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err == nil {
			err = os.WriteFile(scratch+end, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", scratch)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var fault string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&fault); err != nil || fault != "ok" {
		t.Fatal(fault, err)
	}
	found, err := contents(db)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func contents(db *sql.DB) (sizes, error) {
	rows, err := db.Query(`SELECT n, v FROM t`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := sizes{}
	for rows.Next() {
		var n int64
		var v []byte
		if err := rows.Scan(&n, &v); err != nil {
			return nil, err
		}
		if bytes.Equal(v, value(n, int64(len(v)))) {
			found[n] = int64(len(v))
		}
	}
	return found, rows.Err()
}

// TestWhatIsCommittedIsInTheFiles: after each write, whether it was committed or
// not, however large it was and whether the log began anew, the files have what
// was committed and nothing else, for a reader and for whoever comes after a kill.
func TestWhatIsCommittedIsInTheFiles(t *testing.T) {
	for _, cache := range []int{40, 8192} { // a small one moves pages to the log before the end
		t.Run(fmt.Sprint("cache of ", cache), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			d, err := sqlite.Open(t.Context(), path, sqlite.Options{
				CacheKB: cache,
				Schema: func(ctx context.Context, db *sql.DB) error {
					_, err := db.ExecContext(ctx, `PRAGMA wal_autocheckpoint = 50; CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)`)
					return err
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			want, random := sizes{}, rand.New(rand.NewPCG(1, uint64(cache)))
			for i := range 40 {
				rewrite(t, d, random, i, want)
				seen, err := contents(d.Reader())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, seen); diff != "" {
					t.Fatalf("a reader after write %d (-want +got):\n%s", i, diff)
				}
				if diff := cmp.Diff(want, left(t, path, filepath.Join(t.TempDir(), "y.db"))); diff != "" {
					t.Fatalf("the files after write %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// rewrite gives some rows new values, in one transaction, and notes them unless
// it fails, as every fourth does.
func rewrite(t *testing.T, d *sqlite.DB, random *rand.Rand, turn int, rows sizes) {
	t.Helper()
	fails := turn%4 == 3
	next := sizes{}
	for range 1 + random.IntN(12) {
		next[random.Int64N(30)] = 1 + random.Int64N([]int64{300, 30_000}[random.IntN(2)])
	}
	err := d.Write(t.Context(), func(tx *sqlite.Tx) error {
		for n, size := range next {
			if _, _, err := tx.Exec(`INSERT INTO t (n, v) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET v = ?2`, n, value(n, size)); err != nil {
				return err
			}
		}
		if turn%3 == 0 { // reads what is not committed
			if _, _, err := tx.One(`SELECT sum(length(v)) FROM t`); err != nil {
				return err
			}
		}
		if fails {
			return errFault
		}
		return nil
	})
	if fails != (err != nil) {
		t.Fatal(err)
	}
	if !fails {
		maps.Copy(rows, next)
	}
}

// TestUnsyncedCommitsAreInTheFiles: a commit is in the file for others although
// nobody has asked for a sync.
func TestUnsyncedCommitsAreInTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	seen := -1
	d, err := sqlite.Open(t.Context(), path, sqlite.Options{
		// The schema is written without syncs, so that nothing but the commit
		// itself can bring its pages into the file.
		Schema: func(ctx context.Context, db *sql.DB) error {
			if _, err := db.ExecContext(ctx, `CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB); INSERT INTO t VALUES (1, zeroblob(9000))`); err != nil {
				return err
			}
			other, err := sql.Open("sqlite", path)
			if err != nil {
				return err
			}
			defer other.Close()
			return other.QueryRowContext(ctx, `SELECT length(v) FROM t`).Scan(&seen)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if seen != 9000 {
		t.Errorf("another one sees %d bytes", seen)
	}
}
