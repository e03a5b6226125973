package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// Of the memory, each member sees and changes their own, and reads what the
// workspace shares. Those who administer look after all that is shared; what
// somebody keeps for themselves they do not see either.

// remembering is the scope in which somebody looks at memory.
func (p *Operator) remembering(ctx context.Context, by scope.Scope) (scope.Scope, error) {
	return p.directory(by).Alone(ctx, by)
}

// aboutMemory gives an error of the memory the form on which faces branch.
func aboutMemory(err error) error {
	switch {
	case errors.Is(err, memory.ErrItem):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, memory.ErrDenied):
		return fmt.Errorf("%w: %w", identity.ErrForbidden, err)
	}
	return err
}

// Memory lists a part of what is remembered, in the order of the ids.
func (p *Operator) Memory(ctx context.Context, by scope.Scope, page store.Page) ([]store.Listed, error) {
	in, err := p.remembering(ctx, by)
	if err != nil {
		return nil, err
	}
	page.Everywhere = true
	all, err := p.o.Memory.List(ctx, in, page)
	return all, aboutMemory(err)
}

// MemoryItem shows one.
func (p *Operator) MemoryItem(ctx context.Context, by scope.Scope, id string) (store.Listed, error) {
	in, err := p.remembering(ctx, by)
	if err != nil {
		return store.Listed{}, err
	}
	all, err := p.o.Memory.Get(ctx, in, id)
	if err == nil && len(all) == 0 {
		err = identity.Unknown{What: "item", Name: id, See: "memory list"}
	}
	if err != nil {
		return store.Listed{}, aboutMemory(err)
	}
	return all[0], nil
}

// SearchMemory searches as a turn does, with what each leg says of a hit.
func (p *Operator) SearchMemory(ctx context.Context, by scope.Scope, q memory.Query) ([]memory.Hit, error) {
	in, err := p.remembering(ctx, by)
	if err != nil {
		return nil, err
	}
	q.Everywhere = true
	hits, err := p.o.Memory.Recall(ctx, in, q)
	return hits, aboutMemory(err)
}

// KeepMemory keeps items: new ones for whoever asks, or where they say; those
// with a known id in its place.
func (p *Operator) KeepMemory(ctx context.Context, by scope.Scope, items ...store.Listed) (ids []string, err error) {
	defer func() { p.did(ctx, by, "memory kept", some(ids), &err) }()
	in, err := p.remembering(ctx, by)
	if err != nil {
		return nil, err
	}
	for i := range items {
		if items[i].Reach == "" {
			items[i].Reach = memory.Private
		}
		if items[i].Kind == "" {
			items[i].Kind = memory.Note
		}
		if items[i].Label == "" {
			items[i].Label = memory.Trusted
		}
	}
	ids, err = p.o.Memory.Restore(ctx, in, items...)
	if err == nil && !p.o.Running {
		_ = p.vectors(ctx) // what is missing is made by the next who asks, or by the gateway
	}
	return ids, aboutMemory(err)
}

// some names things in the audit log: a few by their ids, many by their number.
func some(ids []string) string {
	const few = 5
	if len(ids) > few {
		return fmt.Sprintf("%d items", len(ids))
	}
	return strings.Join(ids, " ")
}

// ForgetMemory forgets items, and returns how many there were.
func (p *Operator) ForgetMemory(ctx context.Context, by scope.Scope, ids ...string) (_ int, err error) {
	n := 0
	defer func() {
		outcome := err
		if err == nil && n < len(ids) {
			outcome = fmt.Errorf("%d of %d items: %w", len(ids)-n, len(ids), identity.ErrUnknown)
		}
		p.did(ctx, by, "memory forgotten", some(ids), &outcome)
	}()
	in, err := p.remembering(ctx, by)
	if err != nil {
		return 0, err
	}
	n, err = p.o.Memory.Forget(ctx, in, ids...)
	return n, aboutMemory(err)
}

// reindexFor bounds one call of ReindexMemory.
const reindexFor = 2 * time.Second

// ReindexMemory makes vectors that are missing, for two seconds at most, and says
// how far it is. A running gateway does so by itself, and only tells.
func (p *Operator) ReindexMemory(ctx context.Context, by scope.Scope) (_ store.Progress, err error) {
	if err := p.allow(by); err != nil {
		return store.Progress{}, err
	}
	if p.o.Running {
		p.o.Memory.Wake()
		return p.o.Memory.Progress(ctx)
	}
	if err := p.vectors(ctx); err != nil {
		return store.Progress{}, err
	}
	return p.o.Memory.Progress(ctx)
}

// vectors makes what is missing, as far as the time goes.
func (p *Operator) vectors(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, reindexFor)
	defer cancel()
	if err := p.o.Memory.Reindex(limited, nil); err != nil && limited.Err() == nil {
		return err
	}
	return nil
}
