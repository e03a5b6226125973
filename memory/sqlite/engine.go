// Package sqlite is the memory on the embedded database.
//
// Words are found by FTS5, in which each stands with its unit as one term, so
// that what a scope may read is a part of the search. Vectors are searched in two
// steps: a bit for each dimension is held in memory (48 bytes for 384
// dimensions), by unit, and gives some two hundred candidates; their codes of a
// byte for each dimension are compared. Up to 64 MB of these are in memory as
// well, else they are read from the file. Both are read at the first search.
package sqlite

import (
	"context"
	"encoding/json"
	"sync"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/internal/vector"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

var _ store.Engine = (*Engine)(nil)

// Engine keeps the memory in a SQLite file, of which it must be the only one
// that writes memory. Its methods may be called concurrently.
type Engine struct {
	db    *db.DB
	known known // units

	// mu is held by each change of vectors from before its commit until the bits
	// have it, and while the bits are read.
	mu    sync.Mutex
	model int64         // of the bits; 0: they are not read yet
	held  int           // bytes of codes that are held in memory at most
	signs *vector.Signs // of the model; its own lock guards what is in it
}

// New returns an engine on an open database that has the schema. It does no I/O.
func New(d *db.DB) *Engine { return &Engine{db: d, held: mostHeld} }

// change is the way of every write: afterwards nothing is known any more.
func (e *Engine) change(ctx context.Context, f func(*db.Tx) error) error {
	defer e.known.forget()
	return e.db.Write(ctx, f)
}

// Compact writes the file anew, so that nothing is left in it of what was
// deleted or replaced.
func (e *Engine) Compact(ctx context.Context) error { return e.db.Compact(ctx) }

// list makes the argument for json_each.
func list[T any](v []T) string {
	if len(v) == 0 {
		return "[]"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "[]" // numbers and texts always can be
	}
	return string(b)
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
