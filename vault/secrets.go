package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// tries bounds how often a change is attempted when other processes change the
// same workspace.
const tries = 8

// Setting says what a value is for. A nil field leaves what an existing secret
// has; in a new one it stands for none.
type Setting struct {
	// Hosts are the only destinations (host or host:port) that the value may
	// ever be sent to. With none, what the operator's configuration names
	// decides for channels and providers, and no turn gets it out.
	Hosts  []string
	Format *Format // how it is put into a request
}

// Set stores a value, as the next version of the secret if there is one. The
// name is one of the workspace, or name@member for a member's own. Grants stay,
// and so does the format. When Set returns, the value is durable; a crash
// leaves the old value or the new one. The caller clears value.
func (s *Store) Set(ctx context.Context, workspace, name string, value []byte, hosts []string) (Stored, error) {
	return s.Put(ctx, workspace, name, value, Setting{Hosts: hosts})
}

// Put is [Store.Set] for all that can be said of a secret.
func (s *Store) Put(ctx context.Context, workspace, name string, value []byte, to Setting) (Stored, error) {
	allowed, err := canonicalHosts(to.Hosts)
	if err != nil {
		return Stored{}, err
	}
	return s.change(ctx, workspace, name, func(old *record, _ *shelf) (Meta, []byte, error) {
		meta := Meta{}
		if old != nil {
			meta = old.meta
		}
		if to.Hosts != nil {
			meta.Hosts = allowed
		}
		if to.Format != nil {
			meta.Format = *to.Format
		}
		if err := meta.Format.Check(); err != nil {
			return Meta{}, nil, err
		}
		return meta, slices.Clone(value), nil
	})
}

// Rotate replaces a value with what f makes of it. Rotations happen one after
// the other, and f must not call the vault. f must not keep the old value; both
// are cleared when Rotate returns.
func (s *Store) Rotate(ctx context.Context, workspace, name string, f func(old []byte) ([]byte, error)) (Stored, error) {
	return s.change(ctx, workspace, name, func(old *record, sh *shelf) (Meta, []byte, error) {
		if old == nil {
			return Meta{}, nil, ErrNotFound
		}
		plain, err := old.open(sh.keys, sh.workspace)
		if err != nil {
			return Meta{}, nil, err
		}
		defer clear(plain)
		fresh, err := f(plain)
		// fresh may be a part of plain: it is copied before either is cleared.
		kept := slices.Clone(fresh)
		defer clear(fresh)
		return old.meta, kept, withoutValue(err, plain)
	})
}

// Grant lets the turns that g describes lease the secret. One that says the
// same for another time is replaced.
func (s *Store) Grant(ctx context.Context, workspace, name string, g Grant) error {
	if g.Kind == "" || g.Name == "" || (Purpose{Kind: g.Kind}).configured() {
		return errors.New("a grant names the kind and the name of what uses the secret, other than a channel, provider or webhook")
	}
	g.Until = g.Until.UTC().Truncate(time.Second)
	return s.regrant(ctx, workspace, name, func(all []Grant) []Grant {
		return append(slices.DeleteFunc(slices.Clone(all), g.same), g)
	})
}

// Revoke takes a grant back, whatever its end. Leases on the secret end at once.
func (s *Store) Revoke(ctx context.Context, workspace, name string, g Grant) error {
	return s.regrant(ctx, workspace, name, func(all []Grant) []Grant {
		return slices.DeleteFunc(slices.Clone(all), g.same)
	})
}

// regrant stores the same value under other grants.
func (s *Store) regrant(ctx context.Context, workspace, name string, f func([]Grant) []Grant) error {
	_, err := s.change(ctx, workspace, name, func(old *record, sh *shelf) (Meta, []byte, error) {
		if old == nil {
			return Meta{}, nil, ErrNotFound
		}
		meta := old.meta
		meta.Grants = f(meta.Grants)
		meta.Version-- // the value stays, and so does its version
		plain, err := old.open(sh.keys, sh.workspace)
		return meta, plain, err
	})
	return err
}

// decide makes the next state of a secret from the one that stands, nil for
// none. The value it returns is cleared after use.
type decide func(old *record, sh *shelf) (Meta, []byte, error)

// change stores what f decides, and decides anew when another process was
// faster.
func (s *Store) change(ctx context.Context, workspace, name string, f decide) (Stored, error) {
	if err := CheckSecret(name); err != nil {
		return Stored{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range tries {
		stored, err := s.attempt(ctx, workspace, name, f)
		if !errors.Is(err, kv.ErrConflict) {
			return stored, wrap(name, err)
		}
		if err := s.again(ctx, workspace); err != nil {
			return Stored{}, wrap(name, err)
		}
	}
	return Stored{}, wrap(name, kv.ErrConflict)
}

func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secret %s: %w", name, err)
}

// attempt stores one secret in one commit.
func (s *Store) attempt(ctx context.Context, workspace, name string, f decide) (Stored, error) {
	sh, err := s.ensureLocked(ctx, workspace)
	if err != nil {
		return Stored{}, err
	}
	old := sh.records[name]
	meta, plain, err := f(old, sh)
	defer clear(plain)
	if err != nil {
		return Stored{}, err
	}
	if len(plain) == 0 || len(plain) > MaxValue {
		return Stored{}, fmt.Errorf("a value has 1 to %d bytes", MaxValue)
	}
	short := len(plain) < MinMatch
	if short && s.o.Strict && meta.Version == versionOf(old) {
		return Stored{}, fmt.Errorf("the vault is strict: a value has at least %d characters, so that it can be recognised where it leaks", MinMatch)
	}
	meta.Name, meta.Changed = name, s.o.Now().UTC()
	meta.Version++
	s.o.Leaks.LearnAs(lesson(workspace, name, meta.Version), plain)
	if old == nil {
		meta.Created = meta.Changed
	}
	next, err := sealRecord(sh.keys.now, workspace, meta, sh.serial+1, plain)
	if err != nil {
		return Stored{}, err
	}
	if err := s.swap(ctx, sh, map[string]*record{name: next}); err != nil {
		return Stored{}, err
	}
	return Stored{Meta: meta, Short: short}, nil
}

// versionOf is a record's version; a change that keeps the value comes with the
// one before.
func versionOf(r *record) int {
	if r == nil {
		return 0
	}
	return r.meta.Version
}

// swap commits the next records of some secrets, nil to delete one, and makes
// them visible.
func (s *Store) swap(ctx context.Context, sh *shelf, changes map[string]*record) error {
	after := *sh
	after.serial++
	after.records = maps.Clone(sh.records)
	writes := make([]kv.Write, 0, len(changes))
	for name, next := range changes {
		w := kv.Write{Space: space, Key: secretPrefix + sh.workspace + "/" + name, If: kv.Absent}
		old := sh.records[name]
		if old != nil {
			w.If = old.row
		}
		delete(after.records, name)
		if next != nil {
			text, err := next.encode()
			if err != nil {
				return err
			}
			w.Value = text
			next.row = max(w.If, 0) + 1
			after.records[name] = next
		}
		writes = append(writes, w)
		if next == nil { // what it was exchanged for goes with it
			writes = append(writes, kv.Write{Space: space, Key: tokenPrefix + sh.workspace + "/" + name})
		}
	}
	row := after.row
	err := s.commit(ctx, &after, writes...)
	if after.row != row { // the commit stands even if what follows it failed
		s.put(&after)
	}
	return err
}

// again reads a workspace anew; another process may have removed it. The
// caller holds s.mu.
func (s *Store) again(ctx context.Context, workspace string) error {
	sh, err := s.reload(ctx, workspace)
	switch {
	case errors.Is(err, errGone):
		s.forget(workspace)
		return nil
	case err != nil:
		return err
	}
	s.put(sh)
	return nil
}

// Delete removes a secret; ErrNotFound when there is none. Leases on it end at
// once.
func (s *Store) Delete(ctx context.Context, workspace, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range tries {
		sh := s.shelf(workspace)
		if sh == nil || sh.records[name] == nil {
			return wrap(name, ErrNotFound)
		}
		err := s.swap(ctx, sh, map[string]*record{name: nil})
		if !errors.Is(err, kv.ErrConflict) {
			return wrap(name, err)
		}
		if err := s.again(ctx, workspace); err != nil {
			return wrap(name, err)
		}
	}
	return wrap(name, kv.ErrConflict)
}

// List describes a workspace's secrets by name, without their values. It does
// no I/O.
func (s *Store) List(_ context.Context, workspace string) ([]Meta, error) {
	sh := s.shelf(workspace)
	if sh == nil {
		return nil, nil
	}
	var out []Meta
	for _, r := range sh.records {
		m := r.meta
		m.Hosts, m.Grants = slices.Clone(m.Hosts), slices.Clone(m.Grants)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Meta) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
