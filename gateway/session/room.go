package session

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Heard is a room's message that was not meant for the bot.
type Heard struct {
	Seq   int64 // its position in the inbox
	Event channels.Event
}

// Overheard makes the writes that keep a room's messages as context, and drop
// what is too old.
func (b *Book) Overheard(ctx context.Context, at channels.Address, heard []Heard) ([]kv.Write, error) {
	prefix := at.Order() + separator
	kept, err := b.store.List(ctx, Background, prefix, "", 0)
	if err != nil {
		return nil, err
	}
	heard = heard[max(0, len(heard)-MaxBackground):]
	var writes []kv.Write
	for i := range max(0, min(len(kept), len(kept)+len(heard)-MaxBackground)) {
		writes = append(writes, kv.Write{Space: Background, Key: kept[i].Key})
	}
	for _, h := range heard {
		h.Event.Raw, h.Event.Via = nil, nil
		v, err := json.Marshal(h.Event)
		if err != nil {
			return nil, fmt.Errorf("overheard: %w", err)
		}
		writes = append(writes, kv.Write{Space: Background, Key: fmt.Sprintf("%s%016x", prefix, h.Seq), Value: v})
	}
	return writes, nil
}

// Background returns what was overheard in a room, oldest first, what is not
// yet kept at the end, and the writes that forget it all once a turn has taken
// it up.
func (b *Book) Background(ctx context.Context, at channels.Address, fresh []Heard) ([]channels.Event, []kv.Write, error) {
	rows, err := b.store.List(ctx, Background, at.Order()+separator, "", 0)
	if err != nil {
		return nil, nil, err
	}
	events := make([]channels.Event, 0, len(rows)+len(fresh))
	forget := make([]kv.Write, 0, len(rows))
	for _, r := range rows {
		var e channels.Event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return nil, nil, fmt.Errorf("overheard: %w", err)
		}
		events = append(events, e)
		forget = append(forget, kv.Write{Space: Background, Key: r.Key})
	}
	for _, h := range fresh {
		events = append(events, h.Event)
	}
	return events[max(0, len(events)-MaxBackground):], forget, nil
}

// Move makes the writes that give a room's session, and what was overheard in
// it, to the room's new id.
func (b *Book) Move(ctx context.Context, workspace string, from, to channels.Address) ([]kv.Write, error) {
	old, next := roomID(workspace, from.Order()), roomID(workspace, to.Order())
	writes, err := b.rename(ctx, entries, string(old)+separator, string(next)+separator)
	if err != nil {
		return nil, err
	}
	b.cache.drop(old)
	b.cache.drop(next)
	heard, err := b.rename(ctx, Background, from.Order()+separator, to.Order()+separator)
	if err != nil {
		return nil, err
	}
	writes = append(writes, heard...)
	m, err := b.Meta(ctx, old)
	if err != nil || m.version == 0 {
		return writes, err
	}
	if rest, ok := strings.CutPrefix(m.After, string(old)); ok {
		m.After = string(next) + rest
	}
	v, err := json.Marshal(m)
	return append(writes,
		kv.Write{Space: metas, Key: string(old)},
		kv.Write{Space: metas, Key: string(next), Value: v},
	), err
}

func (b *Book) rename(ctx context.Context, space, old, next string) ([]kv.Write, error) {
	var writes []kv.Write
	after := ""
	for {
		rows, err := b.store.List(ctx, space, old, after, 0)
		if err != nil || len(rows) == 0 {
			return writes, err
		}
		for _, r := range rows {
			after = r.Key
			writes = append(writes,
				kv.Write{Space: space, Key: r.Key},
				kv.Write{Space: space, Key: next + r.Key[len(old):], Value: r.Value})
		}
	}
}

// roomID names the session that everybody in a room shares.
func roomID(workspace, conversation string) ID {
	return ID(strings.ReplaceAll(url.PathEscape(workspace)+"|"+conversation, separator, "%21"))
}
