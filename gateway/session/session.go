// Package session keeps the history of conversations. Nothing here writes: it
// makes the writes that the gateway commits together with a turn's verdicts
// and replies, so that a history never tells of a turn that did not happen.
//
// In a direct chat each person has a session of their own; a room has one that
// everybody in it shares.
package session

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The spaces of the state.
const (
	entries = "session"
	metas   = "session-meta"
)

// Background is the space of what rooms overheard, as events.
const Background = "room"

// MaxBackground is how many messages that were not meant for the bot a room keeps.
const MaxBackground = 50

// How many entries a turn reads: few at first, more when the last summary is
// not among them, and never more than the most.
const (
	firstLoaded = 400
	mostLoaded  = 6400
)

// ID names a session.
type ID string

// Of is the session in which a scope speaks.
func Of(s scope.Scope) ID {
	if !s.Valid() {
		return ""
	}
	id := roomID(s.Workspace(), s.Conversation())
	if s.Direct() {
		id += ID("|" + strings.ReplaceAll(url.PathEscape(s.Member()), separator, "%21"))
	}
	return id
}

// separator ends a session's or a conversation's name in a key. It never
// stands in one, so that no name's keys are found under another's.
const separator = "!"

// Meta is what is known of a session besides its entries.
type Meta struct {
	After string    `json:"after,omitempty"` // entries up to this key no longer count
	Model string    `json:"model,omitempty"` // chosen with /model; empty: the configured one
	Since time.Time `json:"since"`           // of the last /new

	version int64 // of the stored value
}

// Book reads sessions. It is safe for concurrent use.
type Book struct {
	store kv.Reader
	cache *cache
}

// NewBook reads from the given state.
func NewBook(store kv.Reader) *Book { return &Book{store: store, cache: newCache(store)} }

// Meta returns the zero Meta for a session that has none.
func (b *Book) Meta(ctx context.Context, id ID) (Meta, error) {
	var m Meta
	e, err := b.store.Get(ctx, metas, string(id))
	if err != nil || e.Version == 0 {
		return m, err
	}
	if err := json.Unmarshal(e.Value, &m); err != nil {
		return m, fmt.Errorf("session meta: %w", err)
	}
	m.version = e.Version
	return m, nil
}

// History returns what counts, oldest first: the last summary and all after it.
// The caller changes nothing in it.
func (b *Book) History(ctx context.Context, id ID, m Meta) ([]agent.Entry, error) {
	keys, all, err := b.cache.read(ctx, id)
	if err != nil {
		return nil, err
	}
	from, found := slices.BinarySearch(keys, m.After)
	if found {
		from++
	}
	return all[from:], nil
}

// Append makes the writes for a turn's entries. A turn is named by the
// position of its first event, which puts the entries in order.
func (b *Book) Append(id ID, turn int64, all []agent.Entry) ([]kv.Write, error) {
	writes := make([]kv.Write, 0, len(all))
	for i, e := range all {
		v, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("session entry: %w", err)
		}
		writes = append(writes, kv.Write{Space: entries, Key: entryKey(id, turn, i), Value: v})
	}
	if b.cache.ends(id, entryKey(id, turn, 0)) {
		b.cache.drop(id) // a replayed dead letter: it goes where it belonged
	}
	return writes, nil
}

func entryKey(id ID, turn int64, i int) string {
	return fmt.Sprintf("%s%s%016x.%04x", id, separator, turn, i)
}

// Save makes the write that replaces a session's meta. It fails when the meta
// has changed since it was read: a button may choose a model while /new runs.
func Save(id ID, m Meta) (kv.Write, error) {
	v, err := json.Marshal(m)
	cond := m.version
	if cond == 0 {
		cond = kv.Absent
	}
	return kv.Write{Space: metas, Key: string(id), If: cond, Value: v}, err
}

// Reset makes the write that begins the session anew after the given turn. The
// chosen model stays.
func Reset(id ID, m Meta, turn int64, now time.Time) (kv.Write, error) {
	m.After, m.Since = entryKey(id, turn, 0xffff), now
	return Save(id, m)
}

// Erase makes the writes that delete the next rows of a workspace's sessions;
// none when there is nothing left.
func (b *Book) Erase(ctx context.Context, workspace string) ([]kv.Write, error) {
	for _, space := range []string{entries, metas} {
		rows, err := b.store.List(ctx, space, string(roomID(workspace, "")), "", 0)
		if err != nil {
			return nil, err
		}
		writes := make([]kv.Write, len(rows))
		for i, r := range rows {
			writes[i] = kv.Write{Space: space, Key: r.Key}
		}
		if len(writes) > 0 {
			return writes, nil
		}
	}
	return nil, nil
}
