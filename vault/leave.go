package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// shredded is the counter of a data key that is no more: no database can be as
// new.
const shredded = math.MaxInt64

// errGone: the workspace is being removed.
var errGone = errors.New("the workspace was deleted")

// Shred removes a workspace's data keys, and with them every way to read its
// secrets and what other packages sealed; then the rows. Leases end at once. A
// database from before is refused from then on. Without such a workspace it
// does nothing. When the process dies on the way, the next Open goes on.
//
// A backup holds the data keys as well: they stay locked with the key, until
// the key itself is replaced and the old one destroyed.
func (s *Store) Shred(ctx context.Context, workspace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range tries {
		sh := s.shelf(workspace)
		if sh == nil {
			return nil
		}
		err := s.shred(ctx, sh)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
		if err := s.again(ctx, workspace); err != nil {
			return err
		}
	}
	return kv.ErrConflict
}

func (s *Store) shred(ctx context.Context, sh *shelf) error {
	text, err := json.Marshal(keyRow{Format: rowFormat, Gone: true})
	if err != nil {
		return err
	}
	err = s.o.State.Write(ctx,
		kv.Write{Space: space, Key: keyPrefix + sh.workspace, If: sh.keyRow, Value: text},
		kv.Write{Space: space, Key: manifestPrefix + sh.workspace, If: sh.row},
	)
	if err != nil {
		return fmt.Errorf("shred the keys of workspace %s: %w", sh.workspace, err)
	}
	s.forget(sh.workspace)
	for _, k := range sh.keys.all() {
		if err := s.o.Key.Raise(ctx, k.name(), shredded); err != nil {
			return err
		}
	}
	return s.sweep(ctx, sh.workspace, kv.Entry{Version: sh.keyRow + 1})
}

// forget takes a workspace out of memory. The caller holds s.mu.
func (s *Store) forget(workspace string) {
	next := maps.Clone(*s.shelves.Load())
	s.unlearn(next[workspace], nil)
	delete(next, workspace)
	s.shelves.Store(&next)
}

// sweep removes what is left of a workspace without a key, and at last the mark
// that it is being removed.
func (s *Store) sweep(ctx context.Context, workspace string, row kv.Entry) error {
	for _, prefix := range []string{secretPrefix, tokenPrefix} {
		for {
			page, err := s.o.State.List(ctx, space, prefix+workspace+"/", "", batch)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			writes := make([]kv.Write, 0, len(page))
			for _, e := range page {
				writes = append(writes, kv.Write{Space: space, Key: e.Key})
			}
			if err := s.o.State.Write(ctx, writes...); err != nil {
				return err
			}
		}
	}
	return s.o.State.Write(ctx,
		kv.Write{Space: space, Key: manifestPrefix + workspace},
		kv.Write{Space: space, Key: keyPrefix + workspace, If: row.Version},
	)
}

// Offboard ends what a member has here, in one commit: grants that name the
// member are taken back and the member's own secrets are deleted. Leases on
// them end at once. It returns how many secrets it changed.
func (s *Store) Offboard(ctx context.Context, workspace, member string) (int, error) {
	if member == "" {
		return 0, errors.New("say which member leaves")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range tries {
		sh := s.shelf(workspace)
		if sh == nil {
			return 0, nil
		}
		changes, err := sh.without(member)
		if err != nil || len(changes) == 0 {
			return 0, err
		}
		err = s.swap(ctx, sh, changes)
		if !errors.Is(err, kv.ErrConflict) {
			return len(changes), err
		}
		if err := s.again(ctx, workspace); err != nil {
			return 0, err
		}
	}
	return 0, kv.ErrConflict
}

// without is what changes in a workspace when a member leaves.
func (sh *shelf) without(member string) (map[string]*record, error) {
	changes := map[string]*record{}
	theirs := func(g Grant) bool { return g.Member == member }
	for name, r := range sh.records {
		switch {
		case r.meta.Member() == member:
			changes[name] = nil
		case slices.ContainsFunc(r.meta.Grants, theirs):
			meta := r.meta
			meta.Grants = slices.DeleteFunc(slices.Clone(meta.Grants), theirs)
			plain, err := r.open(sh.keys, sh.workspace)
			if err != nil {
				return nil, wrap(name, err)
			}
			next, err := sealRecord(sh.keys.now, sh.workspace, meta, sh.serial+1, plain)
			clear(plain)
			if err != nil {
				return nil, wrap(name, err)
			}
			changes[name] = next
		}
	}
	return changes, nil
}
