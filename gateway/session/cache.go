package session

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// maxCached bounds the entries in memory, over all sessions.
const maxCached = 20000

// cache keeps what was read of sessions, so that a turn reads only what was
// added since: histories grow at their end. Where the store tells of every
// change, it takes that in, and a turn reads nothing.
type cache struct {
	store   kv.Reader
	watched bool // every change comes to changed

	mu      sync.Mutex // held for moments only, never while something is read
	shelves map[ID]*shelf
	size    int // entries in all shelves
	clock   int64
}

// shelf is what is known of one session: its last entries, oldest first. What
// a slice shows was never changed after it was handed out; it only grows.
type shelf struct {
	used    int64 // of the cache's clock
	loaded  bool
	changes int // ever
	n       int // entries, as the cache counts them
	keys    []string
	entries []agent.Entry
}

func newCache(store kv.Reader) *cache {
	c := &cache{store: store, shelves: map[ID]*shelf{}}
	if w, ok := store.(kv.Watcher); ok {
		c.watched = w.Watch(c.changed)
	}
	return c
}

// read returns a session's last entries with their keys. The caller changes
// nothing in them.
func (c *cache) read(ctx context.Context, id ID) ([]string, []agent.Entry, error) {
	c.mu.Lock()
	s := c.shelfLocked(id)
	known := *s
	c.mu.Unlock()
	if known.loaded && c.watched {
		return known.view()
	}
	rows, anew, err := fresh(ctx, c.store, string(id)+separator, known.keys)
	if err != nil {
		return nil, nil, err
	}
	added := make([]agent.Entry, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Value, &added[i]); err != nil {
			return nil, nil, fmt.Errorf("session entry: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.changes != known.changes || c.shelves[id] != s {
		// Somebody else was here meanwhile: what was read is true, but it does not
		// continue what the shelf holds now.
		s = &shelf{keys: slices.Clip(known.keys), entries: slices.Clip(known.entries)}
	}
	if anew {
		s.clear()
	}
	for i, r := range rows {
		s.append(r.Key, added[i])
	}
	s.loaded = true
	if c.shelves[id] == s {
		c.countLocked(s)
		c.makeRoomLocked(id)
	}
	return s.view()
}

func (s *shelf) view() ([]string, []agent.Entry, error) {
	n := len(s.keys)
	return s.keys[:n:n], s.entries[:n:n], nil
}

// fresh reads what follows the known keys, or, when that is too much or nothing
// is known, the last entries anew.
func fresh(ctx context.Context, store kv.Reader, prefix string, known []string) (rows []kv.Entry, anew bool, err error) {
	if n := len(known); n > 0 {
		rows, err := store.List(ctx, entries, prefix, known[n-1], mostLoaded)
		if err != nil || len(rows) < mostLoaded {
			return rows, false, err
		}
	}
	rows, err = store.Latest(ctx, entries, prefix, firstLoaded)
	if err != nil || len(rows) < firstLoaded || slices.ContainsFunc(rows, isSummary) {
		return rows, true, err
	}
	rows, err = store.Latest(ctx, entries, prefix, mostLoaded)
	return rows, true, err
}

func isSummary(r kv.Entry) bool {
	var e struct{ Role agent.Role }
	return json.Unmarshal(r.Value, &e) == nil && e.Role == agent.Summary
}

// changed takes in what a commit has changed.
func (c *cache) changed(writes []kv.Write) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range writes {
		if w.Space != entries {
			continue
		}
		name, _, _ := strings.Cut(w.Key, separator)
		if s := c.shelves[ID(name)]; s != nil {
			s.changes++
			c.takeLocked(ID(name), s, w)
		}
	}
}

// takeLocked puts a new last entry on the shelf. Whatever else happens to a
// session is rare; it is then read anew.
func (c *cache) takeLocked(id ID, s *shelf, w kv.Write) {
	n := len(s.keys)
	var e agent.Entry
	switch {
	case !s.loaded, w.Value == nil && n > 0 && w.Key < s.keys[0]:
	case w.Value == nil, n > 0 && w.Key <= s.keys[n-1], json.Unmarshal(w.Value, &e) != nil:
		c.dropLocked(id)
	default:
		s.append(w.Key, e)
		c.countLocked(s)
	}
}

func (s *shelf) append(key string, e agent.Entry) {
	if e.Role == agent.Summary { // nothing before it is needed any more
		s.clear()
	}
	s.keys, s.entries = append(s.keys, key), append(s.entries, e)
	if over := len(s.keys) - mostLoaded; over > 0 {
		s.keys, s.entries = s.keys[over:], s.entries[over:]
	}
	s.changes++
}

func (s *shelf) clear() {
	s.keys, s.entries = nil, nil
	s.changes++
}

// countLocked notes the size of a shelf that the cache holds.
func (c *cache) countLocked(s *shelf) {
	c.size += len(s.keys) - s.n
	s.n = len(s.keys)
}

func (c *cache) shelfLocked(id ID) *shelf {
	s := c.shelves[id]
	if s == nil {
		s = &shelf{}
		c.shelves[id] = s
	}
	c.clock++
	s.used = c.clock
	return s
}

func (c *cache) makeRoomLocked(except ID) {
	for c.size > maxCached && len(c.shelves) > 1 {
		c.dropOldestLocked(except)
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
	defer c.mu.Unlock()
	s := c.shelves[id]
	return s != nil && len(s.keys) > 0 && s.keys[len(s.keys)-1] >= key
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
