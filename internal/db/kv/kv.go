// Package kv is the contract of the durable state: versioned values by space
// and key. The bus commits writes together with its records; everything that
// needs to keep something small (identities, sessions, secrets, an adapter's
// offset) reads and writes it through this contract and never sees SQL.
package kv

import (
	"context"
	"errors"
)

// ErrConflict: a Write's condition did not hold; read again and decide anew.
var ErrConflict = errors.New("state changed meanwhile")

// Entry is one value.
type Entry struct {
	Key     string
	Version int64 // grows by one with each write; 0: the key does not exist
	Value   []byte
}

// Absent as a Write's condition: the key must not exist.
const Absent int64 = -1

// Write changes one value. A nil Value deletes.
type Write struct {
	Space, Key string
	If         int64 // 0: unconditional; Absent: must not exist; n > 0: the version that must stand
	Value      []byte
}

// Reader reads values. A read sees everything committed before it began.
type Reader interface {
	// Get returns the zero Entry when the key does not exist.
	Get(ctx context.Context, space, key string) (Entry, error)
	// List returns up to limit entries whose key begins with prefix and is
	// greater than after, in byte order of the key. limit 0 means 1000.
	List(ctx context.Context, space, prefix, after string, limit int) ([]Entry, error)
	// Latest returns the last n entries whose key begins with prefix, in byte
	// order of the key.
	Latest(ctx context.Context, space, prefix string, n int) ([]Entry, error)
}

// Watcher tells of changes as they are made, to those who keep in memory what
// they have read.
type Watcher interface {
	// Watch has f called with the changes of each commit, in the order of the
	// commits and before those who made them learn that they stand. f must not
	// block, call the store or change what it is given. It reports false, and
	// never calls f, where another process may write to the same state.
	Watch(f func([]Write)) bool
}

// Store reads and writes values.
type Store interface {
	Reader
	// Write makes all the changes in one commit, or none of them: ErrConflict
	// when a condition does not hold.
	Write(ctx context.Context, w ...Write) error
}
