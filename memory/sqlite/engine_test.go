package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/memorytest"
	"github.com/gatehouse-chat/gatehouse/memory/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/sqlite/sqlitetest"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

func TestConformance(t *testing.T) {
	var all sync.Map // engine -> its database
	make := func(d *db.DB) store.Engine {
		e := sqlite.New(d)
		all.Store(e, d)
		return e
	}
	memorytest.Run(t, memorytest.Harness{
		Open: func(t *testing.T) store.Engine { return make(sqlitetest.File(t, filepath.Join(t.TempDir(), "x.db"))) },
		Again: func(t *testing.T, e store.Engine) store.Engine {
			d, ok := all.Load(e)
			if !ok {
				t.Fatal("not an engine of this test")
			}
			return make(d.(*db.DB))
		},
	})
}

// TestForgottenWordsLeaveTheIndex: not only are they no longer found, the index
// no longer has them.
func TestForgottenWordsLeaveTheIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	e := sqlite.New(sqlitetest.File(t, path))
	units, err := e.Units(t.Context(), []store.Unit{{Workspace: "main", Reach: "member", Name: "anna"}}, store.Make)
	if err != nil {
		t.Fatal(err)
	}
	words := func() int {
		raw, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = raw.Close() }()
		raw.SetMaxOpenConns(1)
		if _, err := raw.ExecContext(t.Context(), `CREATE VIRTUAL TABLE temp.v USING fts5vocab(main, memory_words, row)`); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := raw.QueryRowContext(t.Context(), `SELECT count(*) FROM temp.v`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	row := store.Row{
		ID: "x", Unit: units[0].ID, Kind: "fact", Label: "trusted", Body: []byte("{}"),
		Chunks: []store.Chunk{{Body: []byte("\x00the black cat"), Words: []string{"the", "black", "cat"}}},
	}
	if err := e.Put(t.Context(), []store.Row{row}); err != nil {
		t.Fatal(err)
	}
	if n := words(); n != 3 {
		t.Errorf("the index has %d words", n)
	}
	if n, err := e.Remove(t.Context(), store.Filter{All: true, IDs: []string{"x"}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n := words(); n != 0 {
		t.Errorf("the index still has %d words", n)
	}
}

// TestCodesFromTheFile: what is near is the same where there is no room in memory
// for the codes of vectors.
func TestCodesFromTheFile(t *testing.T) {
	d := sqlitetest.File(t, filepath.Join(t.TempDir(), "x.db"))
	held, bare := sqlite.New(d), sqlite.NewBare(d)
	units, err := held.Units(t.Context(), []store.Unit{{Workspace: "main", Reach: "member", Name: "anna"}, {Workspace: "main", Reach: "member", Name: "ben"}}, store.Make)
	if err != nil {
		t.Fatal(err)
	}
	model, err := held.Model(t.Context(), "m", 8)
	if err != nil {
		t.Fatal(err)
	}
	rows, vectors := make([]store.Row, 20), make([]store.Vector, 20)
	for i := range rows {
		rows[i] = store.Row{
			ID: strconv.Itoa(i), Unit: units[i%2].ID, Kind: "fact", Label: "trusted", Body: []byte("{}"),
			Chunks: []store.Chunk{{Body: []byte("\x00x"), Words: []string{"x"}}},
		}
		vectors[i] = store.Vector{Chunk: int64(i + 1), Values: []float32{1, float32(i), -1, float32(i * i), 0, 2, 0, -float32(i)}}
	}
	if err := held.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if err := held.SetVectors(t.Context(), model, vectors); err != nil {
		t.Fatal(err)
	}
	near := func(e *sqlite.Engine) []store.Near {
		t.Helper()
		got, err := e.Nearest(t.Context(), []int64{units[0].ID}, model, []float32{0, 0.6, 0, 0.8, 0, 0, 0, 0}, 5)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(near(bare), near(held)); diff != "" || len(near(held)) != 5 {
		t.Errorf("(-from the file +from memory):\n%s", diff)
	}
}

// TestWordsOfAnOlderVersion: what was kept before the index took another form is
// indexed in parts, and may be changed and forgotten before its turn comes.
func TestWordsOfAnOlderVersion(t *testing.T) {
	const kept = 1200 // three parts
	path := filepath.Join(t.TempDir(), "x.db")
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := raw.ExecContext(t.Context(), q, args...); err != nil {
			t.Fatal(err)
		}
	}
	e := sqlite.New(sqlitetest.File(t, path))
	s := store.New(store.Options{Engine: e})
	by := scope.New(scope.Principal{Workspace: "main", Member: "anna", Role: scope.Ordinary, Direct: true})
	items := make([]memory.Item, kept)
	for i := range items {
		items[i] = memory.Item{ID: "i" + strconv.Itoa(1000+i), Reach: memory.Private, Kind: memory.Note, Label: memory.Trusted, Text: "common w" + strconv.Itoa(i)}
	}
	for part := range slices.Chunk(items, 600) {
		if _, err := s.Remember(t.Context(), by, part...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO memory_words (memory_words) VALUES ('delete-all')`) // as the migration leaves it
	exec(`UPDATE memory_unworded SET below = (SELECT max(id) + 1 FROM memory_chunk)`)
	found := func(word string) int {
		t.Helper()
		hits, err := s.Recall(t.Context(), by, memory.Query{Text: word, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(hits)
	}
	done := func() int64 {
		t.Helper()
		p, err := s.Progress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p.Done
	}
	if n, d := found("common"), done(); n != 0 || d != 0 {
		t.Fatalf("%d found, %d done before there is an index", n, d)
	}
	if more, err := e.IndexWords(t.Context()); err != nil || !more {
		t.Fatal(more, err)
	}
	if n, d := found("w1199"), done(); n != 1 || d != 500 {
		t.Errorf("the youngest is found %d times, %d are done", n, d)
	}
	if n := found("w0"); n != 0 {
		t.Errorf("the oldest is found already")
	}
	// Of both sides of the mark: one is forgotten, one is changed.
	for _, i := range []int{1, 1198} {
		if n, err := s.Forget(t.Context(), by, items[i].ID); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		items[i+1].Text = "common changed"
		if _, err := s.Remember(t.Context(), by, items[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	e = sqlite.New(sqlitetest.File(t, path)) // another process goes on
	s = store.New(store.Options{Engine: e})
	if err := s.Reindex(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]int{"w0": 1, "w1": 0, "w2": 0, "w1198": 0, "w1199": 0, "changed": 2, "w600": 1} {
		if n := found(word); n != want {
			t.Errorf("%s is found %d times, want %d", word, n, want)
		}
	}
	if d := done(); d != kept-2 {
		t.Errorf("%d are done", d)
	}
	exec(`INSERT INTO memory_words (memory_words) VALUES ('integrity-check')`)
}

func BenchmarkRecall(b *testing.B) {
	memorytest.Bench(b, sqlite.New(sqlitetest.File(b, filepath.Join(b.TempDir(), "x.db"))))
}

// TestUnitsAreReadAnew: what is kept of units in memory is what the last change
// made of them, whether they were looked for before or not.
func TestUnitsAreReadAnew(t *testing.T) {
	e := sqlite.New(sqlitetest.File(t, filepath.Join(t.TempDir(), "x.db")))
	unit := store.Unit{Workspace: "main", Reach: "member", Name: "anna"}
	read := func(missing store.Missing) store.Found {
		t.Helper()
		found, err := e.Units(t.Context(), []store.Unit{unit}, missing)
		if err != nil {
			t.Fatal(err)
		}
		return found[0]
	}
	if f := read(store.LeaveOut); f.ID != 0 {
		t.Fatalf("there is %+v already", f)
	}
	made := read(store.Make)
	row := store.Row{
		ID: "x", Unit: made.ID, Kind: "fact", Label: "trusted", Body: []byte("{}"),
		Chunks: []store.Chunk{{Body: []byte("\x00the cat"), Words: []string{"the", "cat"}}},
	}
	for _, step := range []struct {
		do   func() error
		want int64 // chunks
	}{
		{func() error { return nil }, 0},
		{func() error { return e.Put(t.Context(), []store.Row{row}) }, 1},
		{func() error { _, err := e.Remove(t.Context(), store.Filter{All: true, IDs: []string{"x"}}); return err }, 0},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if f := read(store.LeaveOut); f.ID != made.ID || f.Chunks != step.want {
			t.Errorf("%+v, want unit %d with %d chunks", f, made.ID, step.want)
		}
	}
}

// TestTheNewestOfWhatIsCommon: of more chunks than are listed for a word, those
// that were kept last are looked at where there is no other word, and alone.
func TestTheNewestOfWhatIsCommon(t *testing.T) {
	const chunks = 1100
	e := sqlite.New(sqlitetest.File(t, filepath.Join(t.TempDir(), "x.db")))
	by := scope.New(scope.Principal{Workspace: "main", Member: "anna", Role: scope.Ordinary, Direct: true})
	s := store.New(store.Options{Engine: e})
	var items []memory.Item
	for i := range chunks {
		items = append(items, memory.Item{ID: "n" + strconv.Itoa(i), Reach: memory.Private, Kind: memory.Note, Label: memory.Trusted, Text: "common words"})
	}
	for part := range slices.Chunk(items, 550) {
		if _, err := s.Remember(t.Context(), by, part...); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{"common", "common words"} {
		hits, err := s.Recall(t.Context(), by, memory.Query{Text: q, Legs: memory.Words, Limit: 1})
		if err != nil || len(hits) != 1 || hits[0].ID != "n1099" {
			t.Errorf("%q finds %v, %v", q, hits, err)
		}
	}
	units, err := e.Units(t.Context(), []store.Unit{{Workspace: "main", Reach: memory.Private, Name: "anna"}}, store.LeaveOut)
	if err != nil {
		t.Fatal(err)
	}
	for which, want := range map[store.Which]bool{store.Newest: true, store.Whichever: false} {
		got, err := e.Having(t.Context(), []int64{units[0].ID}, []string{"common"}, 10, which)
		if err != nil || len(got[0]) != 10 || slices.Contains(got[0], chunks) != want {
			t.Errorf("newest %v: %v, %v", which, got, err)
		}
	}
}
