// Package migrations holds the schema of the databases, one folder for each
// dialect with the same version numbers, and brings a database up to date.
// Migrations go forward only.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// Dialect names a folder of migrations.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// FS returns the migrations of a dialect.
func FS(d Dialect) (fs.FS, error) {
	if d != SQLite && d != Postgres {
		return nil, fmt.Errorf("migrations: no dialect %q", d)
	}
	return fs.Sub(files, string(d))
}

// errNewer: a newer program has brought the database further than this one knows.
var errNewer = errors.New("a newer gatehouse has used this database, and there is no way back: start that version again, or restore a backup from before the upgrade")

// Up applies what the database lacks. It blocks until done. On Postgres several
// replicas may call it at once: one works, the others wait. A database that is
// ahead of this program is left as it is: the error says so.
func Up(ctx context.Context, db *sql.DB, d Dialect) error {
	dir, err := FS(d)
	if err != nil {
		return err
	}
	p, err := provider(db, d, dir)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	has, knows, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if has > knows {
		return fmt.Errorf("migrations: the schema is version %d, this program knows %d: %w", has, knows, errNewer)
	}
	return nil
}
