package postgres_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// TestLargeUnits: a unit that holds much has an index of its own, and is found
// together with those that hold little; the index that an older version had over
// all of them gives way to it.
func TestLargeUnits(t *testing.T) {
	t.Parallel()
	const many, few, dimensions = 2000, 7, 3
	dsn := ordinary(t)
	d := open(t, dsn)
	e := postgres.New(d)
	units, err := e.Units(t.Context(), []store.Unit{
		{Workspace: "main", Reach: "workspace"}, {Workspace: "main", Reach: "member", Name: "anna"}, {Workspace: "main", Reach: "member", Name: "ben"},
	}, store.Make)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{many, few, few} {
		row := store.Row{ID: units[i].Name + "x", Unit: units[i].ID, Kind: "document", Label: "trusted", Body: []byte("{}"), Text: []byte("x")}
		for at := range n {
			row.Chunks = append(row.Chunks, store.Chunk{Index: at, Body: []byte("\x00x")})
		}
		if err := e.Put(t.Context(), []store.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	model, err := e.Model(t.Context(), "m", dimensions)
	if err != nil {
		t.Fatal(err)
	}
	turned := func(at float64) []float32 { return []float32{float32(math.Cos(at)), float32(math.Sin(at)), 0} }
	of := map[int64]int64{} // chunk to unit
	for {
		pending, err := e.Pending(t.Context(), model, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(pending) == 0 {
			break
		}
		var vectors []store.Vector
		for _, c := range pending {
			of[c.ID] = c.Item.Unit
			vectors = append(vectors, store.Vector{Chunk: c.ID, Values: turned(float64(c.Index) / many)})
		}
		if err := e.SetVectors(t.Context(), model, vectors); err != nil {
			t.Fatal(err)
		}
	}
	look := func(t *testing.T, e store.Engine) {
		t.Helper()
		const n = 40
		near, err := e.Nearest(t.Context(), []int64{units[0].ID, units[1].ID}, model, turned(0.5), n)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(near, func(a, b store.Near) int { return int(a.Chunk - b.Chunk) })
		from := map[int64]int{}
		for _, x := range near {
			from[of[x.Chunk]]++
			if of[x.Chunk] == units[0].ID && x.Cosine < 0.999 {
				t.Errorf("chunk %d is far away: %f", x.Chunk, x.Cosine)
			}
		}
		if diff := cmp.Diff(map[int64]int{units[0].ID: n, units[1].ID: few}, from); diff != "" {
			t.Error("of the units:", diff)
		}
	}
	look(t, e)
	indexes := func() []string {
		rows, err := d.Pool().Query(t.Context(), `SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%hnsw%' ORDER BY indexname`)
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	want := []string{fmt.Sprint("memory_vector_m", model.ID, "_u", units[0].ID)}
	if diff := cmp.Diff(want, indexes()); diff != "" {
		t.Error("indexes of vectors:", diff)
	}
	for _, q := range []string{
		`DROP INDEX ` + want[0],
		`CREATE INDEX memory_vector_m1 ON memory_vector USING hnsw ((v::halfvec(3)) halfvec_cosine_ops) WHERE model = 1 AND v IS NOT NULL`,
		`DELETE FROM goose_db_version WHERE version_id >= 6`,
	} {
		if _, err := d.Pool().Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	newer := postgres.New(open(t, dsn))
	if diff := cmp.Diff(want, indexes()); diff != "" {
		t.Error("indexes after the upgrade:", diff)
	}
	look(t, newer)
}
