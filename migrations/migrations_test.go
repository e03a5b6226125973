package migrations_test

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/gatehouse-chat/gatehouse/migrations"
)

// versions lists the files of a dialect.
func versions(t *testing.T, d migrations.Dialect) []string {
	t.Helper()
	dir, err := migrations.FS(d)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(dir, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestDialectsHaveTheSameVersions(t *testing.T) {
	sqlite, postgres := versions(t, migrations.SQLite), versions(t, migrations.Postgres)
	if d := cmp.Diff(sqlite, postgres); d != "" {
		t.Errorf("sqlite and postgres differ (-sqlite +postgres):\n%s", d)
	}
	if len(sqlite) == 0 {
		t.Error("there are no migrations")
	}
}

func TestMigrationsGoForwardOnly(t *testing.T) {
	for _, d := range []migrations.Dialect{migrations.SQLite, migrations.Postgres} {
		dir, err := migrations.FS(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range versions(t, d) {
			text, err := fs.ReadFile(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "+goose Down") {
				t.Errorf("%s/%s has a way back", d, name)
			}
		}
	}
}

func TestUpTwice(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for range 2 {
		if err := migrations.Up(context.Background(), db, migrations.SQLite); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`SELECT seq FROM bus_record`); err != nil {
		t.Error(err)
	}
}

// TestUpRefusesWhatANewerProgramMade: an older program must not write to tables
// whose meaning it does not know.
func TestUpRefusesWhatANewerProgramMade(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := migrations.Up(t.Context(), db, migrations.SQLite); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), db, migrations.SQLite); err == nil || !strings.Contains(err.Error(), "a newer gatehouse has used this database") {
		t.Errorf("an older program opens it: %v", err)
	}
}

func TestNoSuchDialect(t *testing.T) {
	if _, err := migrations.FS("oracle"); err == nil {
		t.Error("there is a dialect oracle")
	}
}
