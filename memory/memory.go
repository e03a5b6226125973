// Package memory is what the agent remembers about people and conversations.
//
// An item belongs to a scope, and nothing is found outside it: the filter is
// part of the query, never applied afterwards. Items are cut into chunks, and
// chunks are what is found: by their words and by their meaning, the two joined
// by what each is worth for the question.
//
// This package is the contract. The engines are memory/sqlite and
// memory/postgres; memory/memorytest holds both to it. memory/chunk cuts,
// memory/ingest reads files, memory/embed makes vectors.
package memory

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Store keeps and finds items. A scope that is not valid is denied everything.
// Its methods may be called concurrently.
type Store interface {
	// Remember keeps the items, all or none, and blocks until they are durable
	// and found by their words; their vectors may follow. An item with a known
	// ID is replaced, if the scope may change it; without an ID it gets one. It
	// returns the ids in order, or an error that wraps [ErrDenied] or [ErrItem].
	Remember(ctx context.Context, s scope.Scope, items ...Item) ([]string, error)
	// Recall returns the best hits that the scope may read, best first.
	Recall(ctx context.Context, s scope.Scope, q Query) ([]Hit, error)
	// Forget removes items from the store and from every index, and returns how
	// many there were. An id that the scope may not change is skipped.
	Forget(ctx context.Context, s scope.Scope, ids ...string) (int, error)
}

// What a caller branches on.
var (
	ErrDenied = errors.New("this scope may not do that")
	ErrItem   = errors.New("an item is not valid")
)

// Item is one thing remembered.
type Item struct {
	ID     string    `json:"id"`
	Reach  Reach     `json:"reach"`
	Kind   Kind      `json:"kind"`
	Title  string    `json:"title,omitempty"` // of a document: its name
	Text   string    `json:"text"`
	Source string    `json:"source,omitempty"` // key of the event it came from
	URI    string    `json:"uri,omitempty"`    // where it can be opened: a URL, or the path of a file
	Label  Label     `json:"label"`            // kept for ever and passed on
	Member string    `json:"member,omitempty"` // whose words they are; Remember sets it
	Of     []string  `json:"of,omitempty"`     // of a digest: the members whose words it stands for; none: it is not known
	Tags   []string  `json:"tags,omitempty"`
	At     time.Time `json:"at"`             // zero: now
	Until  time.Time `json:"until,omitzero"` // it expires then; zero: never
}

// Reach says who may find an item. The set is closed.
type Reach string

// The reaches.
const (
	Private      Reach = "member"       // the member alone, wherever they ask
	Conversation Reach = "conversation" // who takes part in it
	Channel      Reach = "channel"      // who speaks on the channel; written by those who administer
	Workspace    Reach = "workspace"    // everybody here; written by those who administer
)

// Kind says what an item is. The set is closed.
type Kind string

// The kinds.
const (
	Fact     Kind = "fact"     // one sentence or two
	Note     Kind = "note"     // what somebody wrote down
	Document Kind = "document" // a file or a page
	Digest   Kind = "digest"   // what a conversation came to
)

// Label says how far an item's text is to be trusted. The set is closed.
type Label string

// The labels, from the best to the worst. They are those of the agent.
const (
	Trusted   Label = "trusted"
	ByMember  Label = "member"
	Untrusted Label = "untrusted"
)

// Chunk is a part of an item that is found as one.
type Chunk struct {
	Index   int    `json:"index"`
	Heading string `json:"heading,omitempty"` // the headings above it, outermost first; indexed with the text
	Text    string `json:"text"`
	Start   int    `json:"start"` // bytes into the item's text
	End     int    `json:"end"`
}

// Chunker cuts a text. It is pure, and never returns an empty chunk; a text
// without words gives none.
type Chunker func(k Kind, text string) []Chunk

// Query asks for items.
type Query struct {
	Text  string
	Kinds []Kind   // empty: all
	Tags  []string // all of them; empty: any
	Reach Reach    // empty: all
	Limit int      // hits at most; 0 means 10, and 100 is the most
	// Everywhere searches, for those who administer the workspace, all that its
	// members share. It is for looking after it, never for a turn.
	Everywhere bool
	// Legs restricts how chunks are found; "" is both.
	Legs Legs
	// HalfLife makes an item's score half of what it was at this age; 0: age
	// does not matter.
	HalfLife time.Duration
	// Diversity in [0, 1] passes over chunks that say what a better hit says
	// already; 0: it does not matter.
	Diversity float64
}

// Legs says by what chunks are found. The set is closed.
type Legs string

// The legs.
const (
	Hybrid  Legs = ""
	Words   Legs = "words"
	Vectors Legs = "vectors"
)

// Hit is a chunk that was found, with its item.
type Hit struct {
	Item           // its Text is empty: the chunk has what was found
	Chunk  Chunk   `json:"chunk"`
	Score  float64 `json:"score"` // of both legs together; comparable within one answer only
	Words  Leg     `json:"words"`
	Vector Leg     `json:"vector"`
}

// Leg is what one way of searching says of a hit.
type Leg struct {
	Rank  int     `json:"rank,omitempty"`  // from 1; 0: it did not find it
	Score float64 `json:"score,omitempty"` // words: BM25, unbounded; vector: cosine in [-1, 1]
}
