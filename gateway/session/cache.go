package session

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// maxCached bounds the entries in memory, over all sessions.
const maxCached = 20000

// cache keeps what was read of sessions, so that a turn reads only what was
// added since: histories grow at their end.
type cache struct {
	mu      sync.Mutex
	shelves map[ID]*shelf
	size    int // entries in all shelves
	clock   int64
}

// shelf is what is known of one session: its last entries, oldest first. What
// a slice shows was never changed after it was handed out; it only grows.
type shelf struct {
	used int64 // of the cache's clock, under its mutex
	n    int   // entries, as the cache counts them

	mu      sync.Mutex
	keys    []string
	entries []agent.Entry
}

func newCache() *cache { return &cache{shelves: map[ID]*shelf{}} }

// read returns a session's last entries with their keys. The caller changes
// nothing in them.
func (c *cache) read(ctx context.Context, store kv.Reader, id ID) ([]string, []agent.Entry, error) {
	s := c.shelf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.catchUp(ctx, store, id); err != nil {
		return nil, nil, err
	}
	c.count(id, s)
	n := len(s.keys)
	return s.keys[:n:n], s.entries[:n:n], nil
}

// catchUp reads what is new.
func (s *shelf) catchUp(ctx context.Context, store kv.Reader, id ID) error {
	rows, err := s.fresh(ctx, store, string(id)+separator)
	if err != nil {
		return err
	}
	for _, r := range rows {
		var e agent.Entry
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return fmt.Errorf("session entry: %w", err)
		}
		if e.Role == agent.Summary { // nothing before it is needed any more
			s.keys, s.entries = nil, nil
		}
		s.keys, s.entries = append(s.keys, r.Key), append(s.entries, e)
	}
	if over := len(s.keys) - mostLoaded; over > 0 {
		s.keys, s.entries = s.keys[over:], s.entries[over:]
	}
	return nil
}

func (s *shelf) fresh(ctx context.Context, store kv.Reader, prefix string) ([]kv.Entry, error) {
	if n := len(s.keys); n > 0 {
		rows, err := store.List(ctx, entries, prefix, s.keys[n-1], mostLoaded)
		if err != nil || len(rows) < mostLoaded {
			return rows, err
		}
		s.keys, s.entries = nil, nil // more was added than is ever looked at
	}
	rows, err := store.Latest(ctx, entries, prefix, firstLoaded)
	if err != nil || len(rows) < firstLoaded || slices.ContainsFunc(rows, isSummary) {
		return rows, err
	}
	return store.Latest(ctx, entries, prefix, mostLoaded)
}

func isSummary(r kv.Entry) bool {
	var e struct{ Role agent.Role }
	return json.Unmarshal(r.Value, &e) == nil && e.Role == agent.Summary
}

func (c *cache) shelf(id ID) *shelf {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelves[id]
	if s == nil {
		s = &shelf{}
		c.shelves[id] = s
	}
	c.clock++
	s.used = c.clock
	return s
}

// count notes a shelf's size, and makes room. The caller holds s.mu.
func (c *cache) count(id ID, s *shelf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shelves[id] != s {
		return // dropped meanwhile
	}
	c.size += len(s.keys) - s.n
	s.n = len(s.keys)
	for c.size > maxCached && len(c.shelves) > 1 {
		c.dropOldestLocked(id)
	}
}

func (c *cache) dropOldestLocked(except ID) {
	var oldest ID
	var used int64
	for id, s := range c.shelves {
		if id != except && (oldest == "" || s.used < used) {
			oldest, used = id, s.used
		}
	}
	c.dropLocked(oldest)
}

// ends reports whether a session is known to go on behind a key.
func (c *cache) ends(id ID, key string) bool {
	c.mu.Lock()
	s := c.shelves[id]
	c.mu.Unlock()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.keys)
	return n > 0 && s.keys[n-1] >= key
}

// drop forgets a session.
func (c *cache) drop(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(id)
}

func (c *cache) dropLocked(id ID) {
	if s := c.shelves[id]; s != nil {
		c.size -= s.n
		delete(c.shelves, id)
	}
}
