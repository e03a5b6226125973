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
	Bytes int    // the texts come to so many at most, unless one alone is longer; 0: to any
	// Everywhere lists, for those who administer, all that the members share.
	Everywhere bool
}

// Listed is an item and whose it is.
type Listed struct {
	memory.Item
	Where string `json:"where,omitempty"` // the conversation's key or the channel
}

// List lists what a scope may read, in the order of the ids. A list that is empty
// is the end; one that is short need not be.
func (s *Store) List(ctx context.Context, sc scope.Scope, p Page) ([]Listed, error) {
	units, err := s.found(ctx, sc, p.Reach, p.Everywhere)
	if err != nil || len(units) == 0 {
		return nil, err
	}
	ids := idsOf(units)
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, maxBatch)
	var all []Listed
	size := 0
	for len(all) < p.Limit {
		rows, err := s.engine.Rows(ctx, Filter{Units: ids, Kinds: p.Kinds, After: p.After, Limit: min(listAtOnce, p.Limit-len(all)), Whole: true})
		if err != nil {
			return nil, fmt.Errorf("memory: %w", err)
		}
		if len(rows) == 0 {
			break
		}
		p.After = rows[len(rows)-1].ID
		some, err := s.listed(ctx, rows)
		if err != nil {
			return nil, err
		}
		for i := range some {
			size += len(some[i].Text)
			if p.Bytes > 0 && size > p.Bytes && len(all) > 0 {
				return all, nil
			}
			all = append(all, some[i])
		}
	}
	return all, nil
}

// listAtOnce is how many items a list reads at a time: each may have 8 MB.
const listAtOnce = 20

// listed opens rows; those that have expired are left out.
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
