package store

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// Engine keeps the rows and their indexes. What it returns belongs to the units
// that it was asked for, and to nothing else: the units are part of every query.
// Its methods may be called concurrently, from several processes as well.
type Engine interface {
	// Units finds what is known of each unit, and makes those that are missing if
	// it is told to. One that is not there has the ID 0.
	Units(ctx context.Context, units []Unit, missing Missing) ([]Found, error)
	// UnitsOf lists the units of a workspace.
	UnitsOf(ctx context.Context, workspace string) ([]Found, error)
	// Rename gives a unit another name, all or nothing. What is under the new name
	// already stays there, too.
	Rename(ctx context.Context, workspace string, reach memory.Reach, from, to string) error

	// Put stores items with their chunks in the place of what has their ids, in one
	// commit, and indexes the words of those that are not sealed.
	Put(ctx context.Context, rows []Row) error
	// Rows lists items in the order of their ids.
	Rows(ctx context.Context, f Filter) ([]Row, error)
	// Remove removes items and whatever is indexed of them, some hundreds in one
	// commit, and returns how many.
	Remove(ctx context.Context, f Filter) (int, error)

	// Having lists for each word the chunks of the units that have it, limit at most
	// for a word: which, where more have it, is as it is told. Several words with
	// spaces between are wanted together.
	Having(ctx context.Context, units []int64, words []string, limit int, which Which) ([][]int64, error)
	// Nearest lists about n chunks of the units, whose vectors of the model are the
	// nearest, with their cosine, in no order.
	Nearest(ctx context.Context, units []int64, model Model, query []float32, n int) ([]Near, error)
	// Chunks fetches chunks with the heads of their items, in no order.
	Chunks(ctx context.Context, units []int64, ids []int64) ([]Chunk, error)
	// Sealed calls each for every sealed chunk of the units, with its vector of the
	// model.
	Sealed(ctx context.Context, units []int64, model Model, each func(Chunk) error) error

	// Model finds or makes the number of a model.
	Model(ctx context.Context, name string, dimensions int) (Model, error)
	// Pending lists chunks that have no vector of the model, n at most.
	Pending(ctx context.Context, model Model, n int) ([]Chunk, error)
	// SetVectors stores what was made of chunks, if they are still there.
	SetVectors(ctx context.Context, model Model, vectors []Vector) error
	// Progress counts the chunks, and those that have a vector of the model.
	Progress(ctx context.Context, model Model) (done, all int64, err error)
}

// Unit is what is read together: an item belongs to one.
type Unit struct {
	Workspace string
	Reach     memory.Reach
	Name      string // the member, the conversation's key or the channel; "" for a workspace
}

// Missing says what becomes of units that are not there.
type Missing bool

// What becomes of them.
const (
	LeaveOut Missing = false
	Make     Missing = true
)

// Which says what is listed where not all can be.
type Which bool

// What is listed.
const (
	Whichever Which = false // anything: a full list is counted, no more
	Newest    Which = true  // what was kept last, where the engine has an order
)

// Found is a unit and what it holds.
type Found struct {
	Unit
	ID     int64
	Chunks int64
	Words  int64 // in all chunks that are not sealed
	Sealed int64 // chunks that are
}

// Row is an item as it is kept. Times are microseconds since 1970, 0 for none.
type Row struct {
	ID     string
	Unit   int64
	Of     Unit // Rows and Chunks only
	Kind   memory.Kind
	Label  memory.Label
	Member string
	At     int64
	Until  int64
	Tags   []string // "" where the row is sealed: they are in the body
	Sealed bool
	Body   []byte
	Text   []byte  // Put and whole Rows: the item's text; nil: its only chunk has it
	Chunks []Chunk // Put; Rows only where the filter asks for them
	Was    []byte  // Put: only while this is the item's body; nil: in any case
}

// Chunk is a part of an item as it is kept.
type Chunk struct {
	ID     int64
	Index  int
	Start  int
	End    int
	Body   []byte   // heading, a zero byte, and the text; or that sealed
	Words  []string // Put: to be indexed; none where it is sealed
	Item   *Row     // Chunks, Sealed and Pending: without its chunks
	Vector []byte   // Sealed: its vector as it was set; nil: none
}

// Filter selects items. The zero filter selects none: a selection by units, by
// workspace or of all is needed.
type Filter struct {
	Units     []int64
	All       bool // whatever the unit: for the store's own upkeep
	IDs       []string
	Kinds     []memory.Kind
	Member    string // whose words they are
	ExpiredAt int64  // those whose time is up
	Wrong     *bool  // those that are sealed, or not, unlike this
	After     string // ids after this one
	Limit     int    // 0: all
	Whole     bool   // Rows: with their chunks
}

// Model is an embedder's model by its number.
type Model struct {
	ID         int64
	Dimensions int
}

// Near is a chunk and how near its vector is.
type Near struct {
	Chunk  int64
	Cosine float64
}

// Vector is what was made of a chunk.
type Vector struct {
	Chunk  int64
	Values []float32 // nil: the model knows nothing of the text
	Sealed []byte    // in the place of Values, where the chunk is sealed
}
