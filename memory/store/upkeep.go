package store

import (
	"context"
	"fmt"

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

// Erase removes what is of somebody, also what they shared, and what others kept
// of a conversation in their words. It returns how many items that were.
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
	return own + shared, nil
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
