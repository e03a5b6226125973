package store

import (
	"context"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
)

// Page asks for a part of a list.
type Page struct {
	Reach memory.Reach // "": all
	Kinds []memory.Kind
	After string // the id of the last item before it
	Limit int    // 0: 50; 1000 at most
	// Everywhere lists, for those who administer, all that the members share.
	Everywhere bool
}

// Listed is an item and whose it is.
type Listed struct {
	memory.Item
	Where string `json:"where,omitempty"` // the conversation's key or the channel
}

// List lists what a scope may read, in the order of the ids.
func (s *Store) List(ctx context.Context, sc scope.Scope, p Page) ([]Listed, error) {
	units, err := s.found(ctx, sc, p.Everywhere)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(units))
	for _, u := range units {
		if p.Reach == "" || u.Reach == p.Reach {
			ids = append(ids, u.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if p.Limit <= 0 {
		p.Limit = 50
	}
	rows, err := s.engine.Rows(ctx, Filter{Units: ids, Kinds: p.Kinds, After: p.After, Limit: min(p.Limit, maxBatch), Whole: true})
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	return s.listed(ctx, rows)
}

func (s *Store) listed(ctx context.Context, rows []Row) ([]Listed, error) {
	out := make([]Listed, 0, len(rows))
	now := micros(s.o.Now())
	for i := range rows {
		if rows[i].Until != 0 && rows[i].Until <= now {
			continue
		}
		it, err := s.item(ctx, &rows[i])
		if err != nil {
			return nil, err
		}
		l := Listed{Item: it}
		if it.Reach == memory.Conversation || it.Reach == memory.Channel {
			l.Where = rows[i].Of.Name
		}
		out = append(out, l)
	}
	return out, nil
}

// Get fetches items that a scope may read or look after, by their ids; those
// that it may not, and those that are no more, are left out.
func (s *Store) Get(ctx context.Context, sc scope.Scope, ids ...string) ([]Listed, error) {
	if err := valid(sc); err != nil || len(ids) == 0 {
		return nil, err
	}
	rows, err := s.visible(ctx, sc, ids)
	if err != nil {
		return nil, err
	}
	return s.listed(ctx, rows)
}
