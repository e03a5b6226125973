package postgres_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	db "github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/postgres"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// crowd is a unit of many chunks beside two of few, with vectors on a circle.
type crowd struct {
	dsn   string
	d     *db.DB
	e     *postgres.Engine
	units []store.Found
	model store.Model
	of    map[int64]int64 // chunk to unit
}

const (
	many = 2000
	few  = 7
)

func gather(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{dsn: ordinary(t), of: map[int64]int64{}}
	c.d = open(t, c.dsn)
	c.e = postgres.New(c.d)
	var err error
	c.units, err = c.e.Units(t.Context(), []store.Unit{
		{Workspace: "main", Reach: "conversation", Name: "new"}, {Workspace: "main", Reach: "member", Name: "anna"}, {Workspace: "main", Reach: "conversation", Name: "old"},
	}, store.Make)
	if err != nil {
		t.Fatal(err)
	}
	if c.model, err = c.e.Model(t.Context(), "m", 3); err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{many, few, few} {
		c.put(t, fmt.Sprint("x", i), i, n)
	}
	return c
}

// put keeps an item of n chunks in a unit, and sets their vectors: evenly within
// one radian.
func (c *crowd) put(t *testing.T, id string, unit, n int) {
	t.Helper()
	row := store.Row{ID: id, Unit: c.units[unit].ID, Kind: "document", Label: "trusted", Body: []byte("{}"), Text: []byte("x")}
	for at := range n {
		row.Chunks = append(row.Chunks, store.Chunk{Index: at, Body: []byte("\x00x")})
	}
	if err := c.e.Put(t.Context(), []store.Row{row}); err != nil {
		t.Fatal(err)
	}
	pending, err := c.e.Pending(t.Context(), c.model, 2*many)
	if err != nil || len(pending) != n {
		t.Fatal(len(pending), err)
	}
	var vectors []store.Vector
	for _, p := range pending {
		c.of[p.ID] = p.Item.Unit
		vectors = append(vectors, store.Vector{Chunk: p.ID, Values: turned(float64(p.Index) / float64(n))})
	}
	if err := c.e.SetVectors(t.Context(), c.model, vectors); err != nil {
		t.Fatal(err)
	}
}

func turned(at float64) []float32 { return []float32{float32(math.Cos(at)), float32(math.Sin(at)), 0} }

// indexes are the names of the graphs.
func (c *crowd) indexes(t *testing.T) []string {
	t.Helper()
	rows, err := c.d.Pool().Query(t.Context(), `SELECT indexname FROM pg_indexes WHERE tablename = 'memory_vector' AND indexname ~ '_m[0-9]+' ORDER BY indexname`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// name is that of the graph of the first unit's vectors up to a chunk.
func (c *crowd) name(upTo int64) string {
	return fmt.Sprintf("memory_vector_m%d_u%d_c%d", c.model.ID, c.units[0].ID, upTo)
}

// indexed expects so many graphs to be made, and then these to be there.
func (c *crowd) indexed(t *testing.T, e *postgres.Engine, settled bool, made int, want ...string) {
	t.Helper()
	n, err := e.IndexVectors(t.Context(), c.model, settled)
	if err != nil || n != made {
		t.Errorf("%d graphs were made, want %d; %v", n, made, err)
	}
	if diff := cmp.Diff(want, c.indexes(t), cmpopts.EquateEmpty()); diff != "" {
		t.Error("graphs:", diff)
	}
}

// found expects n chunks near the middle, of each unit so many.
func (c *crowd) found(t *testing.T, e *postgres.Engine, n int, want map[int]int) {
	t.Helper()
	near, err := e.Nearest(t.Context(), []int64{c.units[0].ID, c.units[1].ID}, c.model, turned(0.5), n)
	if err != nil {
		t.Fatal(err)
	}
	from := map[int]int{}
	for _, x := range near {
		unit := slices.IndexFunc(c.units, func(u store.Found) bool { return u.ID == c.of[x.Chunk] })
		from[unit]++
		if x.Chunk <= many && x.Cosine < 0.999 {
			t.Errorf("chunk %d is far away: %f", x.Chunk, x.Cosine)
		}
	}
	if diff := cmp.Diff(want, from); diff != "" {
		t.Error("of the units:", diff)
	}
}

// TestLargeUnits: a unit that holds much gets a graph when it has come to rest,
// and is found by it together with those that hold little, and with what is newer.
func TestLargeUnits(t *testing.T) {
	t.Parallel()
	c := gather(t)
	compared := func(want int64) {
		t.Helper()
		if n, err := c.e.Compared(t.Context(), c.model); err != nil || n != want {
			t.Errorf("%d vectors wait for a graph, want %d; %v", n, want, err)
		}
	}
	compared(many)
	c.indexed(t, c.e, false, 0) // it may be growing
	c.put(t, "more", 0, few)
	c.indexed(t, c.e, false, 0) // it is
	const n = 40
	c.found(t, c.e, n, map[int]int{0: n})
	first := c.name(int64(many + 3*few))
	c.indexed(t, c.e, false, 1, first)
	compared(0)
	c.found(t, c.e, n, map[int]int{0: n, 1: few})

	c.put(t, "newer", 0, few)
	c.indexed(t, c.e, true, 0, first)
	c.found(t, c.e, n, map[int]int{0: n + few, 1: few})
	c.put(t, "as many", 0, many)
	second := c.name(int64(2*many + 4*few))
	c.indexed(t, c.e, true, 1, second)

	again := postgres.New(open(t, c.dsn))
	c.found(t, again, n, map[int]int{0: n, 1: few})
	if _, err := c.e.Remove(t.Context(), store.Filter{Units: []int64{c.units[0].ID}}); err != nil {
		t.Fatal(err)
	}
	c.indexed(t, c.e, true, 0)
	c.found(t, again, n, map[int]int{1: few}) // it believes that there is a graph
}

// TestGraphsOfAnOlderVersion: those that hold all of a unit are made anew, and the
// one over all units goes.
func TestGraphsOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	c := gather(t)
	unit := fmt.Sprintf("memory_vector_m%d_u%d", c.model.ID, c.units[0].ID)
	for _, q := range []string{
		`DROP INDEX memory_vector_fresh`,
		`CREATE INDEX memory_vector_unit ON memory_vector (unit, model)`,
		`CREATE INDEX memory_vector_m1 ON memory_vector USING hnsw ((v::halfvec(3)) halfvec_cosine_ops) WHERE model = 1 AND v IS NOT NULL`,
		fmt.Sprintf(`CREATE INDEX %s ON memory_vector USING hnsw ((v::halfvec(3)) halfvec_cosine_ops) WHERE model = 1 AND unit = %d AND v IS NOT NULL`, unit, c.units[0].ID),
		`DELETE FROM goose_db_version WHERE version_id >= 6`,
	} {
		if _, err := c.d.Pool().Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	newer := postgres.New(open(t, c.dsn))
	if diff := cmp.Diff([]string{unit}, c.indexes(t)); diff != "" {
		t.Error("graphs after the upgrade:", diff)
	}
	const n = 40
	c.found(t, newer, n, map[int]int{0: n, 1: few})
	c.indexed(t, newer, false, 1, c.name(many))
	c.found(t, newer, n, map[int]int{0: n, 1: few})
}

// TestUnfinishedGraphs: what a crash left of a graph is not asked, and is made
// anew.
func TestUnfinishedGraphs(t *testing.T) {
	t.Parallel()
	c := gather(t)
	for _, name := range []string{c.name(many), c.name(many - 1)} { // units are not unique, so that it fails half way
		if _, err := c.d.Pool().Exec(t.Context(), `CREATE UNIQUE INDEX CONCURRENTLY `+name+` ON memory_vector (unit)`); err == nil {
			t.Fatal("it was made")
		}
	}
	const n = 40
	c.found(t, c.e, n, map[int]int{0: n})
	c.indexed(t, c.e, true, 1, c.name(many))
	c.found(t, c.e, n, map[int]int{0: n, 1: few})
}

// TestGraphsByOne: of several gateways that would make the same graph one does,
// and who is stopped leaves nothing that counts.
func TestGraphsByOne(t *testing.T) {
	t.Parallel()
	c := gather(t)
	conn, err := c.d.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended('memory-graph', 0))`); err != nil {
		t.Fatal(err)
	}
	c.indexed(t, c.e, true, 0)
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_unlock_all()`); err != nil {
		t.Fatal(err)
	}
	// Whoever makes an index without a lock waits for those who are writing.
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE memory_vector IN ROW EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := c.e.IndexVectors(ctx, c.model, true)
		stopped <- err
	}()
	eventually(t, "begun", func() bool { return len(c.indexes(t)) == 1 }) // it is there, and not valid yet
	cancel()
	if err := <-stopped; err == nil {
		t.Error("it was made")
	}
	const n = 40
	c.found(t, postgres.New(c.d), n, map[int]int{0: n})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "made again", func() bool { // the server may need a moment to see that nobody waits any more
		made, err := c.e.IndexVectors(t.Context(), c.model, true)
		if err != nil {
			t.Fatal(err)
		}
		return made == 1
	})
	c.found(t, postgres.New(c.d), n, map[int]int{0: n, 1: few})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(deadline) {
			t.Fatal("it is not", what)
		}
	}
}

// TestMovedBesideAGraph: what is joined with a large unit is new there, and is
// found before its graph is made anew.
func TestMovedBesideAGraph(t *testing.T) {
	t.Parallel()
	c := gather(t)
	name := c.name(many)
	c.indexed(t, c.e, true, 1, name)
	if err := c.e.Rename(t.Context(), "main", "conversation", "old", "new"); err != nil {
		t.Fatal(err)
	}
	const n = 3
	near, err := c.e.Nearest(t.Context(), []int64{c.units[0].ID}, c.model, turned(0.5), n)
	if err != nil || len(near) != 2*n {
		t.Errorf("%d are near, want %d of the graph and as many of the rest; %v", len(near), n, err)
	}
	newer := 0
	for _, x := range near {
		if x.Chunk > many+2*few {
			newer++
		}
	}
	if newer != n {
		t.Errorf("%d have a new number", newer)
	}
	c.indexed(t, c.e, true, 0, name)
}
