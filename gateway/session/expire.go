package session

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Keep says how long histories are kept. A zero field keeps for ever.
type Keep struct {
	Idle     time.Duration // of a session, after its last entry
	Replaced time.Duration // of entries from before the last /new or the last summary
}

// expireAtOnce is how many entries are removed in one go.
const expireAtOnce = 500

// pastEntries sorts behind every entry's key within a session.
const pastEntries = "~"

// Expired makes the writes that remove what is over of one session, the first
// behind the mark after, and returns the mark to go on from: the same session's
// as long as it has more to remove, and "" after the last session.
func (b *Book) Expired(ctx context.Context, after string, keep Keep, now time.Time) (old []kv.Write, next string, err error) {
	rows, err := b.store.List(ctx, entries, "", after, 1)
	if err != nil || len(rows) == 0 {
		return nil, "", err
	}
	name, _, _ := strings.Cut(rows[0].Key, separator)
	id, prefix := ID(name), name+separator
	next = prefix + pastEntries
	m, err := b.Meta(ctx, id)
	if err != nil {
		return nil, "", err
	}
	idle, err := b.idle(ctx, prefix, keep.Idle, now)
	if err != nil {
		return nil, "", err
	}
	first := ""
	if !idle {
		if keep.Replaced <= 0 || !olderThan(rows[0], keep.Replaced, now) {
			return nil, next, nil
		}
		if first, err = b.replaced(ctx, prefix, m); err != nil {
			return nil, "", err
		}
	}
	rows, err = b.store.List(ctx, entries, prefix, "", expireAtOnce)
	if err != nil {
		return nil, "", err
	}
	for _, r := range rows {
		if idle || r.Key < first && olderThan(r, keep.Replaced, now) {
			old = append(old, kv.Write{Space: entries, Key: r.Key})
		}
	}
	switch {
	case len(rows) == expireAtOnce && len(old) == expireAtOnce:
		next = prefix // there may be more of it
	case idle && m.version > 0:
		old = append(old, kv.Write{Space: metas, Key: name, If: m.version})
	}
	if len(old) > 0 {
		b.cache.drop(id)
	}
	return old, next, nil
}

// idle reports whether the last entry of a session is older than it is kept.
func (b *Book) idle(ctx context.Context, prefix string, keep time.Duration, now time.Time) (bool, error) {
	if keep <= 0 {
		return false, nil
	}
	last, err := b.store.Latest(ctx, entries, prefix, 1)
	return err == nil && len(last) == 1 && olderThan(last[0], keep, now), err
}

// replaced is the first key that counts, or may count.
func (b *Book) replaced(ctx context.Context, prefix string, m Meta) (string, error) {
	rows, err := b.store.Latest(ctx, entries, prefix, firstLoaded)
	if err == nil && len(rows) == firstLoaded && !slices.ContainsFunc(rows, isSummary) {
		rows, err = b.store.Latest(ctx, entries, prefix, mostLoaded)
	}
	if err != nil {
		return "", fmt.Errorf("history: %w", err)
	}
	first := ""
	if m.After != "" {
		first = m.After + "\x00" // it does not count itself
	}
	for _, r := range rows {
		if isSummary(r) {
			first = max(first, r.Key)
		}
	}
	return first, nil
}

// olderThan reports whether an entry is known to be older than d.
func olderThan(r kv.Entry, d time.Duration, now time.Time) bool {
	var e struct {
		At time.Time `json:"at"`
	}
	return json.Unmarshal(r.Value, &e) == nil && !e.At.IsZero() && now.Sub(e.At) > d
}
