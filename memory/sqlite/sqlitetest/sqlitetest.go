// Package sqlitetest gives a test a memory of its own, in a file.
package sqlitetest

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/migrations"
)

// Open opens a new, empty memory without an embedder. It ends with the test.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return store.New(store.Options{Engine: sqlite.New(File(t, filepath.Join(t.TempDir(), "memory.db")))})
}

// File opens the database at a path, and closes it with the test.
func File(t testing.TB, path string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), path, db.Options{Schema: func(ctx context.Context, db *sql.DB) error {
		return migrations.Up(ctx, db, migrations.SQLite)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
