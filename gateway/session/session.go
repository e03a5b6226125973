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
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The spaces of the state.
const (
	entries    = "session"
	metas      = "session-meta"
	background = "room"
)

// MaxBackground is how many messages that were not meant for the bot a room keeps.
const MaxBackground = 50

// maxLoaded bounds what one turn reads; compaction keeps histories far below it.
const maxLoaded = 400

// ID names a session.
type ID string

// Of is the session in which a scope speaks.
func Of(s scope.Scope) ID {
	if !s.Valid() {
		return ""
	}
	id := url.PathEscape(s.Workspace()) + "|" + s.Conversation()
	if s.Direct() {
		id += "|" + url.PathEscape(s.Member())
	}
	return ID(strings.ReplaceAll(id, separator, "%21"))
}

// separator ends a session's or a conversation's name in a key. It never
// stands in one, so that no name's keys are found under another's.
const separator = "!"

// Meta is what is known of a session besides its entries.
type Meta struct {
	After string    `json:"after,omitempty"` // entries up to this key no longer count
	Model string    `json:"model,omitempty"` // chosen with /model; empty: the configured one
	Since time.Time `json:"since"`           // of the last /new
}

// Book reads sessions. It is safe for concurrent use.
type Book struct {
	store kv.Reader
	cache *cache
}

// NewBook reads from the given state.
func NewBook(store kv.Reader) *Book { return &Book{store: store, cache: newCache()} }

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
	return m, nil
}

// History returns what counts, oldest first: the last summary and all after it.
// The caller changes nothing in it.
func (b *Book) History(ctx context.Context, id ID, m Meta) ([]agent.Entry, error) {
	keys, all, err := b.cache.read(ctx, b.store, id)
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

// Save makes the write that replaces a session's meta.
func Save(id ID, m Meta) (kv.Write, error) {
	v, err := json.Marshal(m)
	return kv.Write{Space: metas, Key: string(id), Value: v}, err
}

// Reset makes the write that begins the session anew after the given turn. The
// chosen model stays.
func Reset(id ID, m Meta, turn int64, now time.Time) (kv.Write, error) {
	m.After, m.Since = entryKey(id, turn, 0xffff), now
	return Save(id, m)
}

// Overheard makes the writes that keep a room's message as context, and drop
// what is too old.
func (b *Book) Overheard(ctx context.Context, seq int64, e channels.Event) ([]kv.Write, error) {
	e.Raw, e.Via = nil, nil
	v, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("overheard: %w", err)
	}
	prefix := e.Where.Order() + separator
	writes := []kv.Write{{Space: background, Key: fmt.Sprintf("%s%016x", prefix, seq), Value: v}}
	kept, err := b.store.List(ctx, background, prefix, "", MaxBackground+20)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(kept)-MaxBackground+1; i++ {
		writes = append(writes, kv.Write{Space: background, Key: kept[i].Key})
	}
	return writes, nil
}

// Background returns what was overheard in a room, oldest first, and the
// writes that forget it once a turn has taken it up.
func (b *Book) Background(ctx context.Context, at channels.Address) ([]channels.Event, []kv.Write, error) {
	rows, err := b.store.Latest(ctx, background, at.Order()+separator, MaxBackground)
	if err != nil {
		return nil, nil, err
	}
	events := make([]channels.Event, 0, len(rows))
	forget := make([]kv.Write, 0, len(rows))
	for _, r := range rows {
		var e channels.Event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return nil, nil, fmt.Errorf("overheard: %w", err)
		}
		events = append(events, e)
		forget = append(forget, kv.Write{Space: background, Key: r.Key})
	}
	return events, forget, nil
}
