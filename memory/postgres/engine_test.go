package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
	db "github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/embed/local"
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
	units := foxes(t, e, "anna", "ben")
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
	}{{"", 0}, {fmt.Sprint(units[0]), 1}, {fmt.Sprint(units[0], ",", units[1]), 2}, {"all", 2}, {"0", 0}} {
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

// TestNothingStays: what a search says of its units ends with it, although it
// opens no transaction by name.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	d := open(t, ordinary(t))
	e := postgres.New(d)
	unit := foxes(t, e, "anna")[0]
	if found, err := e.Chunks(t.Context(), []int64{unit}, []int64{1}); err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	for _, c := range d.Pool().AcquireAllIdle(t.Context()) {
		var units, readOnly string
		err := c.QueryRow(t.Context(), `SELECT coalesce(current_setting('gatehouse.units', true), ''), current_setting('transaction_read_only')`).Scan(&units, &readOnly)
		c.Release()
		if err != nil || units != "" || readOnly != "off" {
			t.Errorf("units %q, read only %s, %v", units, readOnly, err)
		}
	}
}

// TestTermsOfAnOlderVersion: words that stand beside their unit in the index are
// put behind it.
func TestTermsOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	dsn := ordinary(t)
	d := open(t, dsn)
	units := foxes(t, postgres.New(d), "anna", "ben")
	err := pgx.BeginFunc(t.Context(), d.Pool(), func(tx pgx.Tx) error {
		for _, q := range []string{
			`SELECT set_config('gatehouse.units', 'all', true)`,
			`UPDATE memory_words w SET terms = array_to_tsvector(ARRAY['#' || c.unit, 'fox']) FROM memory_chunk c WHERE c.id = w.chunk`,
			`DELETE FROM goose_db_version WHERE version_id >= 4`,
		} {
			if _, err := tx.Exec(t.Context(), q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e := postgres.New(open(t, dsn))
	for i, u := range units {
		got, err := e.Having(t.Context(), []int64{u}, []string{"fox", "#", "hound"}, 10, store.Whichever)
		if diff := cmp.Diff([][]int64{{int64(i + 1)}, nil, nil}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	got, err := e.Having(t.Context(), units, []string{"fox"}, 1, store.Whichever)
	if err != nil || len(got[0]) != 1 {
		t.Errorf("%v %v, want one of the two", got, err)
	}
}

// TestCommonWords: a word that far more chunks have than are counted is counted
// without being looked up, and looked up where it matters which chunks these are;
// what is common in one unit says nothing of another.
func TestCommonWords(t *testing.T) {
	t.Parallel()
	d := open(t, ordinary(t))
	units := foxes(t, postgres.New(d), "anna", "ben")
	row := store.Row{ID: "pack", Unit: units[0], Kind: "document", Label: "trusted", Body: []byte("{}"), Text: []byte("x")}
	for i := range 100 {
		row.Chunks = append(row.Chunks, store.Chunk{Index: i, Body: []byte("\x00fox"), Words: []string{"fox", fmt.Sprint("only", i)}})
	}
	if err := postgres.New(d).Put(t.Context(), []store.Row{row}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Pool().Exec(t.Context(), `ANALYZE memory_words`); err != nil {
		t.Fatal(err)
	}
	e := postgres.New(d)
	const limit = 10
	having := func(units []int64, which store.Which) [][]int64 {
		t.Helper()
		got, err := e.Having(t.Context(), units, []string{"fox", "only7", "hound"}, limit, which)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	seventh := []int64{10} // behind the chunks of the two foxes
	looked := having(units, store.Newest)
	if len(looked[0]) != limit || slices.Contains(looked[0], 0) || !slices.Equal(looked[1], seventh) || looked[2] != nil {
		t.Errorf("looked up: %v", looked)
	}
	counted := having(units, store.Whichever)
	if len(counted[0]) != limit || !slices.Contains(counted[0], 0) || !slices.Equal(counted[1], seventh) || counted[2] != nil {
		t.Errorf("counted: %v", counted)
	}
	if diff := cmp.Diff([][]int64{{2}, nil, nil}, having(units[1:], store.Whichever)); diff != "" {
		t.Error("of the other unit:", diff)
	}
}

// foxes keeps for each member that there is a fox; the chunks have the numbers
// from 1 on.
func foxes(t *testing.T, e store.Engine, members ...string) []int64 {
	t.Helper()
	var want []store.Unit
	for _, m := range members {
		want = append(want, store.Unit{Workspace: "main", Reach: "member", Name: m})
	}
	units, err := e.Units(t.Context(), want, store.Make)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	var rows []store.Row
	for i, u := range units {
		ids = append(ids, u.ID)
		rows = append(rows, store.Row{
			ID: fmt.Sprint("x", i), Unit: u.ID, Kind: "fact", Label: "trusted", Body: []byte("{}"),
			Chunks: []store.Chunk{{Body: []byte("\x00fox"), Words: []string{"fox"}}},
		})
	}
	if err := e.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	return ids
}

func BenchmarkRecall(b *testing.B) { memorytest.Bench(b, postgres.New(open(b, ordinary(b)))) }

func BenchmarkIngest(b *testing.B) {
	by, err := local.New()
	if err != nil {
		b.Fatal(err)
	}
	memorytest.Ingest(b, postgres.New(open(b, ordinary(b))), by)
}
