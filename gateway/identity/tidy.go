package identity

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Tidy forgets what has run out: requests, start codes, and who asked in vain.
func (d *Directory) Tidy(ctx context.Context) error {
	now := d.now()
	if _, err := d.Pairings(ctx); err != nil { // forgets expired ones
		return err
	}
	if err := tidy(ctx, d.store, "start/", func(s start) bool { return !now.Before(s.Expires) }); err != nil {
		return err
	}
	return tidy(ctx, d.store, "asked/", func(a asked) bool { return now.Sub(a.At) >= max(AskAgain, CodeLife) })
}

// tidy deletes the entries under prefix that are over, unless they change.
func tidy[T any](ctx context.Context, store kv.Store, prefix string, over func(T) bool) error {
	after := ""
	for {
		page, err := store.List(ctx, space, prefix, after, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			after = e.Key
			var v T
			if json.Unmarshal(e.Value, &v) != nil || !over(v) {
				continue
			}
			err := store.Write(ctx, kv.Write{Space: space, Key: e.Key, If: e.Version})
			if err != nil && !errors.Is(err, kv.ErrConflict) {
				return err
			}
		}
	}
}
