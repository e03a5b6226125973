package vaulttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

var _ kv.Store = (*State)(nil)

// ErrCrash is what a State answers once the moment set with CrashAt has come.
var ErrCrash = errors.New("vaulttest: the process died here")

// State is a durable state in memory whose process can die at any write. The
// zero State is empty and ready to use, and never dies.
type State struct {
	mu      sync.Mutex
	entries map[[2]string]kv.Entry
	writes  int // commits asked for since CrashAt
	dies    int // at which commit; 0: never
	applied bool
	dead    bool
}

// CrashAt lets the process die at the n-th write from now, before it is
// committed or, if committed is set, after it and before the caller learns of
// it. From then on every call fails with ErrCrash.
func (s *State) CrashAt(n int, committed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes, s.dies, s.applied = 0, n, committed
}

// Restart is the state as the next process finds it.
func (s *State) Restart() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &State{entries: cloned(s.entries)}
}

// Crashed reports whether the moment set with CrashAt has come.
func (s *State) Crashed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

func cloned(in map[[2]string]kv.Entry) map[[2]string]kv.Entry {
	out := make(map[[2]string]kv.Entry, len(in))
	for k, e := range in {
		e.Value = slices.Clone(e.Value)
		out[k] = e
	}
	return out
}

// Get returns one value.
func (s *State) Get(_ context.Context, space, key string) (kv.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return kv.Entry{}, ErrCrash
	}
	e := s.entries[[2]string{space, key}]
	e.Value = slices.Clone(e.Value)
	return e, nil
}

// List returns the values under prefix that follow after.
func (s *State) List(_ context.Context, space, prefix, after string, limit int) ([]kv.Entry, error) {
	all, err := s.under(space, prefix)
	if limit == 0 {
		limit = 1000
	}
	all = slices.DeleteFunc(all, func(e kv.Entry) bool { return e.Key <= after })
	return all[:min(limit, len(all))], err
}

// Latest returns the last n values under prefix.
func (s *State) Latest(_ context.Context, space, prefix string, n int) ([]kv.Entry, error) {
	all, err := s.under(space, prefix)
	return all[max(0, len(all)-n):], err
}

func (s *State) under(space, prefix string) ([]kv.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return nil, ErrCrash
	}
	var all []kv.Entry
	for k, e := range s.entries {
		if k[0] == space && strings.HasPrefix(k[1], prefix) {
			e.Value = slices.Clone(e.Value)
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b kv.Entry) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// Write makes all changes or none.
func (s *State) Write(_ context.Context, w ...kv.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return ErrCrash
	}
	s.writes++
	s.dead = s.dies > 0 && s.writes == s.dies
	if s.dead && !s.applied {
		return ErrCrash
	}
	next := cloned(s.entries)
	for _, x := range w {
		if !apply(next, x) {
			return kv.ErrConflict
		}
	}
	s.entries = next
	if s.dead {
		return ErrCrash
	}
	return nil
}

// apply makes one change, unless its condition does not hold.
func apply(entries map[[2]string]kv.Entry, w kv.Write) bool {
	k := [2]string{w.Space, w.Key}
	e := entries[k]
	if (w.If == kv.Absent && e.Version != 0) || (w.If > 0 && e.Version != w.If) {
		return false
	}
	if w.Value == nil {
		delete(entries, k)
		return true
	}
	entries[k] = kv.Entry{Key: w.Key, Version: e.Version + 1, Value: slices.Clone(w.Value)}
	return true
}

// Tamper changes stored values behind the vault's back: f is called for each
// and returns what is to stand instead, nil to remove it. Versions stay.
func (s *State) Tamper(f func(space string, e kv.Entry) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range cloned(s.entries) {
		v := f(k[0], e)
		if v == nil {
			delete(s.entries, k)
			continue
		}
		e.Value = v
		s.entries[k] = e
	}
}
