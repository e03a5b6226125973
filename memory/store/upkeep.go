package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// Expire removes what has expired, and returns how much.
func (s *Store) Expire(ctx context.Context) (int, error) {
	n, err := s.engine.Remove(ctx, Filter{All: true, ExpiredAt: micros(s.o.Now())})
	if err != nil {
		return n, fmt.Errorf("memory: expire: %w", err)
	}
	return n, nil
}

// Offboard removes what somebody who left kept for themselves.
func (s *Store) Offboard(ctx context.Context, workspace, member string) error {
	_, err := s.dropUnits(ctx, workspace, func(u Unit) bool { return u.Reach == memory.Private && u.Name == member })
	return err
}

// Erase removes what is of somebody, also what they shared, and the digests of
// rooms in which they spoke. It returns how many items that were.
func (s *Store) Erase(ctx context.Context, workspace, member string) (int, error) {
	own, err := s.dropUnits(ctx, workspace, func(u Unit) bool { return u.Reach == memory.Private && u.Name == member })
	if err != nil {
		return own, err
	}
	units, err := s.engine.UnitsOf(ctx, workspace)
	if err != nil || len(units) == 0 {
		return own, err
	}
	shared, err := s.engine.Remove(ctx, Filter{Units: idsOf(units), Member: member})
	if err != nil {
		return own, fmt.Errorf("memory: erase: %w", err)
	}
	digests, err := s.eraseDigests(ctx, units, member)
	return own + shared + digests, err
}

// digestsAtOnce is how many digests are looked at in one go.
const digestsAtOnce = 200

// eraseDigests removes what rooms have come to where somebody spoke, and where it
// is not known who did.
func (s *Store) eraseDigests(ctx context.Context, units []Found, member string) (int, error) {
	var rooms []int64
	for _, u := range units {
		if u.Reach != memory.Private {
			rooms = append(rooms, u.ID)
		}
	}
	if len(rooms) == 0 {
		return 0, nil
	}
	var ids []string
	for after := ""; ; {
		rows, err := s.engine.Rows(ctx, Filter{Units: rooms, Kinds: []memory.Kind{memory.Digest}, After: after, Limit: digestsAtOnce})
		if err != nil {
			return 0, fmt.Errorf("memory: erase: %w", err)
		}
		if len(rows) == 0 {
			break
		}
		for i := range rows {
			after = rows[i].ID
			it, err := s.item(ctx, &rows[i])
			if err != nil { // its key is gone: nobody reads it any more
				continue
			}
			if len(it.Of) == 0 || slices.Contains(it.Of, member) || slices.Contains(it.Of, "") {
				ids = append(ids, it.ID)
			}
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := s.engine.Remove(ctx, Filter{Units: rooms, IDs: ids})
	if err != nil {
		return n, fmt.Errorf("memory: erase: %w", err)
	}
	return n, nil
}

// Shred removes what a workspace has.
func (s *Store) Shred(ctx context.Context, workspace string) error {
	_, err := s.dropUnits(ctx, workspace, func(Unit) bool { return true })
	return err
}

func (s *Store) dropUnits(ctx context.Context, workspace string, which func(Unit) bool) (int, error) {
	all, err := s.engine.UnitsOf(ctx, workspace)
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	var ids []int64
	for _, u := range all {
		if which(u.Unit) {
			ids = append(ids, u.ID)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := s.engine.Remove(ctx, Filter{Units: ids})
	if err != nil {
		return n, fmt.Errorf("memory: remove: %w", err)
	}
	return n, nil
}

// Move gives what a room remembers to the room's new key.
func (s *Store) Move(ctx context.Context, workspace, from, to string) error {
	if err := s.engine.Rename(ctx, workspace, memory.Conversation, from, to); err != nil {
		return fmt.Errorf("memory: move: %w", err)
	}
	return nil
}
