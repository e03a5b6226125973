// Package mirror keeps small spaces of the state in memory, for engines that see
// every change of it. Most of what a turn reads (who the sender is, which model
// the session has chosen, whether a draft was shown) lies in such spaces, and is
// mostly not there: a space that is known as a whole answers that too.
package mirror

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// A space that has more than this is read from the store.
const (
	maxRows  = 8192
	maxBytes = 2 << 20
)

var _ kv.Reader = (*Mirror)(nil)

// Mirror reads through to a store what it does not know as a whole. Its methods
// may be called concurrently.
type Mirror struct {
	store kv.Reader

	mu     sync.RWMutex
	spaces map[string]*space
}

type stage int

const (
	unread  stage = iota
	reading       // by one caller; the others ask the store
	whole
	large // it stays that way until the process ends
)

// space is what is known of one space: its entries in byte order of the key.
type space struct {
	stage   stage
	changed bool // while it was being read
	rows    []kv.Entry
	bytes   int
	unasked atomic.Int64 // changes since somebody asked for it
}

// leastPatience is how many changes of a space, at least, are taken in for
// nobody.
const leastPatience = 256

// New returns a mirror of a store. Apply must be called with every change.
func New(store kv.Reader) *Mirror {
	return &Mirror{store: store, spaces: map[string]*space{}}
}

// Get implements [kv.Reader].
func (m *Mirror) Get(ctx context.Context, name, key string) (kv.Entry, error) {
	if !m.read(ctx, name) {
		return m.store.Get(ctx, name, key)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.spaces[name]
	if s.stage != whole {
		return m.store.Get(ctx, name, key)
	}
	i, found := s.find(key)
	if !found {
		return kv.Entry{}, nil
	}
	return copied(s.rows[i]), nil
}

// List implements [kv.Reader].
func (m *Mirror) List(ctx context.Context, name, prefix, after string, limit int) ([]kv.Entry, error) {
	if !m.read(ctx, name) {
		return m.store.List(ctx, name, prefix, after, limit)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.spaces[name]
	if s.stage != whole {
		return m.store.List(ctx, name, prefix, after, limit)
	}
	rows := s.under(prefix)
	first, found := find(rows, after)
	if found {
		first++
	}
	rows = rows[first:]
	return copies(rows[:min(len(rows), rule.Limit(limit))]), nil
}

// Latest implements [kv.Reader].
func (m *Mirror) Latest(ctx context.Context, name, prefix string, n int) ([]kv.Entry, error) {
	if !m.read(ctx, name) {
		return m.store.Latest(ctx, name, prefix, n)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.spaces[name]
	if s.stage != whole {
		return m.store.Latest(ctx, name, prefix, n)
	}
	rows := s.under(prefix)
	return copies(rows[max(0, len(rows)-max(n, 0)):]), nil
}

// Apply takes in what a commit has changed.
func (m *Mirror) Apply(changes []kv.Write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range changes {
		if s := m.spaces[w.Space]; s != nil {
			s.apply(w)
		}
	}
}

// read sees to it that a space is known as a whole, and reports whether it is.
func (m *Mirror) read(ctx context.Context, name string) bool {
	m.mu.RLock()
	s := m.spaces[name]
	known := s != nil && s.stage != unread
	is := known && s.stage == whole
	if is {
		s.unasked.Store(0)
	}
	m.mu.RUnlock()
	if known {
		return is
	}
	if s = m.begin(name); s == nil {
		return false
	}
	rows, err := m.store.List(ctx, name, "", "", maxRows+1)
	m.mu.Lock()
	defer m.mu.Unlock()
	s.stage = unread
	if err != nil || s.changed {
		return false // what was read may be older than a change: next time
	}
	s.stage, s.rows, s.bytes = whole, rows, 0
	for _, r := range rows {
		s.bytes += size(r)
	}
	s.bound()
	return s.stage == whole
}

// begin marks a space as being read; nil when somebody else was faster.
func (m *Mirror) begin(name string) *space {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.spaces[name]
	if s == nil {
		s = &space{}
		m.spaces[name] = s
	}
	if s.stage != unread {
		return nil
	}
	s.stage, s.changed = reading, false
	return s
}

func (s *space) apply(w kv.Write) {
	if s.stage != whole {
		s.changed = true
		return
	}
	i, found := s.find(w.Key)
	if found {
		s.bytes -= size(s.rows[i])
	}
	switch {
	case w.Value == nil && found:
		s.rows = slices.Delete(s.rows, i, i+1)
		return
	case w.Value == nil:
		return
	case found:
		s.rows[i].Version++
		s.rows[i].Value = slices.Clone(w.Value)
	default:
		s.rows = slices.Insert(s.rows, i, kv.Entry{Key: w.Key, Version: 1, Value: slices.Clone(w.Value)})
	}
	s.bytes += size(s.rows[i])
	s.bound()
	s.tire()
}

// tire forgets a space that has changed more often than it has rows since
// somebody asked for it, such as what grows with each message and is read once at
// the start. To read it anew then costs no more than the changes would have.
func (s *space) tire() {
	if s.stage == whole && s.unasked.Add(1) > int64(max(len(s.rows), leastPatience)) {
		*s = space{}
	}
}

// bound gives up a space that has become too large.
func (s *space) bound() {
	if len(s.rows) > maxRows || s.bytes > maxBytes {
		*s = space{stage: large}
	}
}

func (s *space) find(key string) (int, bool) { return find(s.rows, key) }

func find(rows []kv.Entry, key string) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(e kv.Entry, k string) int { return strings.Compare(e.Key, k) })
}

// under returns the entries whose key begins with prefix.
func (s *space) under(prefix string) []kv.Entry {
	from, _ := s.find(prefix)
	rows := s.rows[from:]
	if beyond := rule.Beyond(prefix); beyond != "" {
		end, _ := find(rows, beyond)
		rows = rows[:end]
	}
	return rows
}

func size(e kv.Entry) int { return len(e.Key) + len(e.Value) }

func copied(e kv.Entry) kv.Entry {
	e.Value = slices.Clone(e.Value)
	return e
}

func copies(rows []kv.Entry) []kv.Entry {
	if len(rows) == 0 {
		return nil
	}
	out := make([]kv.Entry, len(rows))
	for i, r := range rows {
		out[i] = copied(r)
	}
	return out
}
