package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
	db "github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/memorytest"
	"github.com/gatehouse-chat/gatehouse/memory/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/migrations"
)

// ordinary makes a database whose owner is no superuser: policies hold it.
func ordinary(t testing.TB) string {
	t.Helper()
	dsn := pgtest.DSN(t)
	admin, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(u.Path, "/")
	role := "r_" + database
	for _, q := range []string{
		`CREATE EXTENSION IF NOT EXISTS vector`,
		fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD 'x' NOSUPERUSER`, role),
		fmt.Sprintf(`ALTER DATABASE %q OWNER TO %q`, database, role),
		fmt.Sprintf(`ALTER SCHEMA public OWNER TO %q`, role),
	} {
		if _, err := admin.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, _ = admin.Exec(ctx, fmt.Sprintf(`REASSIGN OWNED BY %q TO CURRENT_USER`, role))
		_, _ = admin.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %q OWNER TO CURRENT_USER`, database))
		_, _ = admin.Exec(ctx, fmt.Sprintf(`DROP ROLE %q`, role))
		_ = admin.Close(ctx)
	})
	u.User = url.UserPassword(role, "x")
	return u.String()
}

func open(t testing.TB, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, db.Options{Conns: 4, Schema: func(ctx context.Context, db *sql.DB) error {
		return migrations.Up(ctx, db, migrations.Postgres)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestConformance(t *testing.T) {
	var all sync.Map // engine -> its database
	make := func(t *testing.T, dsn string) store.Engine {
		e := postgres.New(open(t, dsn))
		if ok, err := e.Guarded(t.Context()); err != nil || !ok {
			t.Fatal("the policies do not hold the role of this test", err)
		}
		all.Store(e, dsn)
		return e
	}
	memorytest.Run(t, memorytest.Harness{
		Open: func(t *testing.T) store.Engine { return make(t, ordinary(t)) },
		Again: func(t *testing.T, e store.Engine) store.Engine {
			dsn, ok := all.Load(e)
			if !ok {
				t.Fatal("not an engine of this test")
			}
			return make(t, dsn.(string))
		},
	})
}

// TestPolicies: what a statement forgets to say, the policies say.
func TestPolicies(t *testing.T) {
	t.Parallel()
	d := open(t, ordinary(t))
	e := postgres.New(d)
	units, err := e.Units(t.Context(), []store.Unit{{Workspace: "main", Reach: "member", Name: "anna"}, {Workspace: "main", Reach: "member", Name: "ben"}}, store.Make)
	if err != nil {
		t.Fatal(err)
	}
	var rows []store.Row
	for i, u := range units {
		rows = append(rows, store.Row{
			ID: fmt.Sprint("x", i), Unit: u.ID, Kind: "fact", Label: "trusted", Body: []byte("{}"),
			Chunks: []store.Chunk{{Body: []byte("\x00fox"), Words: []string{"fox"}}},
		})
	}
	if err := e.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	model, err := e.Model(t.Context(), "m", 3)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := e.Pending(t.Context(), model, 10)
	if err != nil || len(pending) != 2 {
		t.Fatal(pending, err)
	}
	for _, c := range pending {
		if err := e.SetVectors(t.Context(), model, []store.Vector{{Chunk: c.ID, Values: []float32{1, 0, 0}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		units string
		want  int
	}{{"", 0}, {fmt.Sprint(units[0].ID), 1}, {fmt.Sprint(units[0].ID, ",", units[1].ID), 2}, {"all", 2}, {"0", 0}} {
		for _, table := range []string{"memory_item", "memory_chunk", "memory_vector"} {
			var n int
			err := pgx.BeginFunc(t.Context(), d.Pool(), func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SELECT set_config('gatehouse.units', $1, true)`, strings.ReplaceAll(c.units, " ", "")); err != nil {
					return err
				}
				return tx.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n)
			})
			if err != nil || n != c.want {
				t.Errorf("units %q see %d rows of %s, want %d; %v", c.units, n, table, c.want, err)
			}
		}
	}
	var n int
	if err := d.Pool().QueryRow(t.Context(), `SELECT count(*) FROM memory_item`).Scan(&n); err != nil || n != 0 {
		t.Errorf("without a word about units there are %d rows, %v", n, err)
	}
}

func BenchmarkRecall(b *testing.B) { memorytest.Bench(b, postgres.New(open(b, ordinary(b)))) }
