package pgtest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestServerHasWhatTheStoresNeed(t *testing.T) {
	conn := connect(t, pgtest.DSN(t))
	var version int
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if version < 15 {
		t.Errorf("Postgres %d is older than the stores support", version)
	}
	if _, err := conn.Exec(t.Context(), "CREATE EXTENSION vector"); err != nil {
		t.Fatal(err)
	}
	var distance float64
	if err := conn.QueryRow(t.Context(), "SELECT '[1,2,3]'::vector <-> '[1,2,5]'::vector").Scan(&distance); err != nil {
		t.Fatal(err)
	}
	if distance != 2 {
		t.Errorf("distance = %v, want 2", distance)
	}
}

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	one, two := connect(t, pgtest.DSN(t)), connect(t, pgtest.DSN(t))
	if _, err := one.Exec(t.Context(), "CREATE TABLE kept (id int)"); err != nil {
		t.Fatal(err)
	}
	tables := func(conn *pgx.Conn) []string {
		rows, err := conn.Query(t.Context(), "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if diff := cmp.Diff([]string{"kept"}, tables(one)); diff != "" {
		t.Errorf("tables of the first database (-want +got):\n%s", diff)
	}
	if got := tables(two); len(got) != 0 {
		t.Errorf("the second database has tables: %v", got)
	}
}

func TestDatabaseIsDroppedWithItsConnections(t *testing.T) {
	var gone string
	t.Run("user", func(t *testing.T) {
		gone = pgtest.DSN(t)
		conn, err := pgx.Connect(t.Context(), gone)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err) // the connection stays open: the drop must not wait for it
		}
	})
	if conn, err := pgx.Connect(t.Context(), gone); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database outlived its test")
	}
}
