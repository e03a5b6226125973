package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// batch is how many secrets are stored under a new data key in one commit, and
// how many workspaces are locked anew.
const batch = 500

// RotateKey replaces the key that locks the data keys, and locks all of them
// with the new one. The old one is needed no longer when it returns. Leases and
// reads go on meanwhile, changes wait. When the process dies on the way, both
// keys unlock, and the next Open finishes the work.
func (s *Store) RotateKey(ctx context.Context) error {
	r, ok := renewer(s.o.Key)
	if !ok {
		return fmt.Errorf("this key cannot be replaced in its place: move to another one: %w", errors.ErrUnsupported)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.Renew(ctx); err != nil {
		return err
	}
	failpoint.Hit(failpoint.KeyRenewed)
	return s.relock(ctx)
}

// renewer finds out whether a source's key can be replaced.
func renewer(k KeySource) (Renewer, bool) {
	if part, ok := k.(Source); ok {
		r, ok := part.Wrapper.(Renewer)
		return r, ok
	}
	r, ok := k.(Renewer)
	return r, ok
}

// relock locks with the newest key what an older one locks, and then forgets the
// older ones. The caller holds s.mu.
func (s *Store) relock(ctx context.Context) error {
	id, err := s.o.Key.KeyID(ctx)
	if err != nil && !errors.Is(err, ErrNoKey) { // the first use makes it
		return err
	}
	var stale []*shelf
	for _, sh := range *s.shelves.Load() {
		if sh.source != id {
			stale = append(stale, sh)
		}
	}
	for part := range slices.Chunk(stale, batch) {
		if err := s.relockSome(ctx, part); err != nil {
			return err
		}
	}
	failpoint.Hit(failpoint.KeyRelocked)
	if r, ok := renewer(s.o.Key); ok {
		return r.Retire(ctx)
	}
	return nil
}

// relockSome locks the data keys of some workspaces anew, in one commit.
func (s *Store) relockSome(ctx context.Context, stale []*shelf) error {
	var writes []kv.Write
	next := maps.Clone(*s.shelves.Load())
	for _, sh := range stale {
		if err := s.raise(ctx, sh); err != nil { // the counters may lie elsewhere from now on
			return err
		}
		row, err := s.rewrap(ctx, sh)
		if err != nil {
			return fmt.Errorf("lock the keys of workspace %s: %w", sh.workspace, err)
		}
		w, err := keyWrite(sh.workspace, row, sh.keyRow)
		if err != nil {
			return err
		}
		after := *sh
		after.source, after.keyRow = row.Source, sh.keyRow+1
		writes, next[sh.workspace] = append(writes, w), &after
	}
	if err := s.o.State.Write(ctx, writes...); err != nil {
		return fmt.Errorf("lock the data keys: %w", err)
	}
	s.shelves.Store(&next)
	for _, sh := range stale {
		s.o.Relocked(ctx, sh.workspace, sh.source, next[sh.workspace].source)
	}
	return nil
}

// rewrap locks a workspace's keys, inside the source where it can do that.
func (s *Store) rewrap(ctx context.Context, sh *shelf) (keyRow, error) {
	inside, ok := s.o.Key.(Rewrapper)
	if part, is := s.o.Key.(Source); is {
		inside, ok = part.Wrapper.(Rewrapper)
	}
	if !ok {
		return s.wrap(ctx, sh.workspace, sh.keys)
	}
	entry, err := s.o.State.Get(ctx, space, keyPrefix+sh.workspace)
	if err != nil {
		return keyRow{}, err
	}
	row, err := decodeKeyRow(entry.Value)
	if err != nil {
		return keyRow{}, err
	}
	wrapped, err := inside.Rewrap(ctx, row.Wrapped, row.bound(sh.workspace))
	if errors.Is(err, ErrWrongKey) || errors.Is(err, ErrCorrupt) { // it comes from another source
		return s.wrap(ctx, sh.workspace, sh.keys)
	}
	if err != nil {
		return keyRow{}, err
	}
	row.Wrapped = wrapped
	row.Source, err = s.o.Key.KeyID(ctx)
	return row, err
}

// RotateData gives a workspace a new data key and encrypts every secret of it
// anew. Leases and reads go on meanwhile, changes wait. When the process dies on
// the way, every secret can be read, and the next Open finishes the work.
func (s *Store) RotateData(ctx context.Context, workspace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range tries {
		err := s.rotateData(ctx, workspace)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
		if err := s.again(ctx, workspace); err != nil {
			return err
		}
	}
	return kv.ErrConflict
}

func (s *Store) rotateData(ctx context.Context, workspace string) error {
	sh := s.shelf(workspace)
	if sh == nil {
		return fmt.Errorf("workspace %s: %w", workspace, ErrNotFound)
	}
	after := *sh
	after.keys = sh.keys.renewed()
	after.serial++
	row, err := s.wrap(ctx, workspace, after.keys)
	if err != nil {
		return err
	}
	w, err := keyWrite(workspace, row, sh.keyRow)
	if err != nil {
		return err
	}
	after.source, after.keyRow = row.Source, sh.keyRow+1
	err = s.commit(ctx, &after, w)
	if after.row != sh.row { // it stands even if what follows it failed
		s.put(&after)
	}
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.DataKeyed)
	return s.reseal(ctx, workspace)
}

// reseal encrypts with the newest data key what is under an older one. The
// caller holds s.mu.
func (s *Store) reseal(ctx context.Context, workspace string) error {
	var stale []string
	sh := s.shelf(workspace)
	for name, r := range sh.records {
		if sh.keys.of(r.blob) != sh.keys.now {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	for names := range slices.Chunk(stale, batch) {
		if err := s.resealSome(ctx, s.shelf(workspace), names); err != nil {
			return fmt.Errorf("encrypt the secrets of workspace %s anew: %w", workspace, err)
		}
		failpoint.Hit(failpoint.DataResealed)
	}
	return nil
}

// resealSome does so for some secrets, in one commit. They keep their versions
// and serials: nothing but the key is new.
func (s *Store) resealSome(ctx context.Context, sh *shelf, names []string) error {
	after := *sh
	after.records = maps.Clone(sh.records)
	writes := make([]kv.Write, 0, len(names))
	for _, name := range names {
		old := sh.records[name]
		plain, err := old.open(sh.keys, sh.workspace)
		if err != nil {
			return err
		}
		next, err := sealRecord(sh.keys.now, sh.workspace, old.meta, old.serial, plain)
		clear(plain)
		if err != nil {
			return err
		}
		text, err := next.encode()
		if err != nil {
			return err
		}
		next.row = old.row + 1
		after.records[name] = next
		writes = append(writes, kv.Write{Space: space, Key: secretPrefix + sh.workspace + "/" + name, If: old.row, Value: text})
	}
	if err := s.o.State.Write(ctx, writes...); err != nil {
		return err
	}
	s.put(&after)
	return nil
}

// resume finishes what a process that died has left, and moves what the former
// source still locks. The caller holds s.mu.
func (s *Store) resume(ctx context.Context) error {
	all := *s.shelves.Load()
	if len(all) == 0 {
		return nil
	}
	if err := s.relock(ctx); err != nil {
		return err
	}
	for workspace := range all {
		if err := s.reseal(ctx, workspace); err != nil {
			return err
		}
	}
	return nil
}
