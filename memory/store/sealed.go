package store

import (
	"context"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/memory/internal/rank"
	"github.com/gatehouse-chat/gatehouse/memory/internal/vector"
	"github.com/gatehouse-chat/gatehouse/memory/internal/words"
)

// sealedPass is what one look through the sealed chunks of a scope has found. An
// index of sealed text would tell what it says: how often words occur, and a
// vector brings most of its text back. So there is none, and a search opens
// every chunk that its scope may read.
type sealedPass struct {
	having map[string][]int64
	near   []Near
	words  int64
}

// pass looks through what is sealed in the units of the search. query is the
// question's vector, nil for none; all are its words.
func (r *search) pass(ctx context.Context, query []float32, model Model, all []string) error {
	var units []int64
	for _, u := range r.units {
		if u.Sealed > 0 {
			units = append(units, u.ID)
		}
	}
	r.sealed = &sealedPass{having: map[string][]int64{}}
	if len(units) == 0 {
		return nil
	}
	wanted := make(map[string]bool, len(all))
	for _, w := range all {
		wanted[w] = true
	}
	var near []rank.Scored
	err := r.s.engine.Sealed(ctx, units, model, func(c Chunk) error {
		raw, err := r.s.open(ctx, c.Item.Of.Workspace, true, c.Body, chunkPlace(c.Item.ID, c.Index))
		if err != nil {
			return err
		}
		r.sealed.count(c.ID, words.Split(string(raw)), wanted)
		if query == nil || c.Vector == nil {
			return nil
		}
		code, err := r.s.open(ctx, c.Item.Of.Workspace, true, c.Vector, vectorPlace(c.Item.ID, c.Index))
		if err != nil {
			return err
		}
		near = append(near, rank.Scored{Chunk: c.ID, Score: vector.Code(code).Cosine(query)})
		return nil
	})
	if err != nil {
		return fmt.Errorf("memory: look through what is encrypted: %w", err)
	}
	rank.Order(near)
	for _, n := range near[:min(len(near), r.vectorDepth())] {
		r.sealed.near = append(r.sealed.near, Near{Chunk: n.Chunk, Cosine: n.Score})
	}
	return nil
}

func (p *sealedPass) count(chunk int64, all []string, wanted map[string]bool) {
	p.words += int64(len(all))
	for _, w := range all {
		if !wanted[w] {
			continue
		}
		if l := p.having[w]; len(l) == 0 || l[len(l)-1] != chunk {
			p.having[w] = append(l, chunk)
		}
	}
}
