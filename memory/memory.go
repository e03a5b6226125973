// Package memory is what the agent remembers about people and conversations.
//
// An item belongs to a scope, and nothing is found outside it: the filter is
// part of the query, never applied afterwards. The engines and the conformance
// suite live in packages of their own.
package memory

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Store keeps and finds items. A scope that is not valid is denied everything.
type Store interface {
	// Remember keeps the items, all or none. An item with a known ID is replaced.
	Remember(ctx context.Context, s scope.Scope, items ...Item) error
	// Recall returns the best hits that the scope may read, best first.
	Recall(ctx context.Context, s scope.Scope, q Query) ([]Hit, error)
	// Forget removes items from the store and from every index. An id outside
	// the scope is skipped.
	Forget(ctx context.Context, s scope.Scope, ids ...string) error
}

// Item is one thing remembered.
type Item struct {
	ID      string
	Reach   Reach
	Kind    string // fact, note, document, digest
	Text    string
	Source  string // key of the event it came from
	Label   string // trusted, member or untrusted; kept for ever and passed on
	Tags    []string
	At      time.Time
	Expires time.Time // zero: never
}

// Reach says who may find an item. The set is closed.
type Reach string

// The reaches.
const (
	Private      Reach = "member"
	Conversation Reach = "conversation"
	Channel      Reach = "channel"
	Workspace    Reach = "workspace"
)

// Query asks for items.
type Query struct {
	Text  string
	Kinds []string // empty: all
	Limit int      // 0 means 10
}

// Hit is an item that was found.
type Hit struct {
	Item
	Score float64 // fused by rank; comparable within one answer only
	Why   string  // which leg found it, at which rank
}
