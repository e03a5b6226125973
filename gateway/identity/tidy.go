package identity

import (
	"context"
	"errors"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Tidy forgets, in every workspace, what has run out: requests, codes, wrong
// codes, and who asked in vain.
func (d *Directory) Tidy(ctx context.Context) error {
	all, err := d.Workspaces(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if err := d.In(w.ID).tidy(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) tidy(ctx context.Context) error {
	now := d.now()
	if _, err := d.Pairings(ctx); err != nil { // forgets expired ones
		return err
	}
	return errors.Join(
		tidy(ctx, d, "code/", func(c code) bool { return !now.Before(c.Expires) }),
		tidy(ctx, d, "tries/", func(t tries) bool { return now.Sub(t.Since) >= triesReset }),
		tidy(ctx, d, "asked/", func(a asked) bool { return now.Sub(a.At) >= max(AskAgain, CodeLife) }),
	)
}

// tidy deletes the entries under prefix that are over, unless they change.
func tidy[T any](ctx context.Context, d *Directory, prefix string, over func(T) bool) error {
	all, err := rows[T](ctx, d, prefix)
	if err != nil {
		return err
	}
	for _, r := range all {
		if !over(r.value) {
			continue
		}
		if err := d.store.Write(ctx, r.forget()); err != nil && !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return nil
}
