package migrations

import (
	"database/sql"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// provider builds goose's engine for one database. Replicas of Postgres are
// kept apart by an advisory lock; a SQLite file has its own.
func provider(db *sql.DB, d Dialect, dir fs.FS) (*goose.Provider, error) {
	if d == SQLite {
		return goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	}
	// Ask every second, for five minutes: another replica may be migrating.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
}
