package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

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
	if n := words(); n != 4 { // with the unit's
		t.Errorf("the index has %d words", n)
	}
	if n, err := e.Remove(t.Context(), store.Filter{All: true, IDs: []string{"x"}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n := words(); n != 0 {
		t.Errorf("the index still has %d words", n)
	}
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
