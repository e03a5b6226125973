package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
)

// Snapshot writes a copy of the database at path, as of one moment, to a file
// that does not exist. Another process may be writing to the database meanwhile;
// it is not held up.
func Snapshot(ctx context.Context, path, to string) (err error) {
	if _, err := os.Stat(path); err != nil { // opening would make it
		return fmt.Errorf("sqlite: copy: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, Options{}.filled()))
	if err != nil {
		return fmt.Errorf("sqlite: copy: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("sqlite: copy: %w", err)
	}
	return nil
}
