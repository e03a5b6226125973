package slack

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// threads knows the threads in which the bot has spoken, across restarts. In
// them it is meant by whoever speaks. The methods may be called concurrently.
type threads struct {
	state channels.State

	mu   sync.Mutex
	seen map[string]bool // a few answers, so that not each message asks the store
}

const threadsSeen = 4096

// join notes that the bot has spoken in a thread. It is durable when it returns.
func (t *threads) join(ctx context.Context, at channels.Address, now time.Time) error {
	w, ok := codec.Joins(at, now)
	if !ok {
		return nil
	}
	t.mu.Lock()
	in := t.seen[w.Key]
	t.mu.Unlock()
	if in {
		return nil
	}
	if err := t.state.Put(ctx, w); err != nil {
		return fmt.Errorf("note that the bot takes part in a thread: %w", err)
	}
	t.remember(w.Key, true)
	return nil
}

func (t *threads) remember(key string, in bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= threadsSeen {
		t.seen = map[string]bool{}
	}
	t.seen[key] = in
}

// joined reports whether the bot has spoken there.
func (t *threads) joined(ctx context.Context, at channels.Address) (bool, error) {
	w, _ := codec.Joins(at, time.Time{})
	key := w.Key
	t.mu.Lock()
	in, ok := t.seen[key]
	t.mu.Unlock()
	if ok && in {
		return true, nil
	}
	// That it has not may have changed in another gateway.
	v, err := t.state.Get(ctx, key)
	if err != nil {
		return false, err
	}
	if v != nil {
		t.remember(key, true)
	}
	return v != nil, nil
}

// prune forgets threads in which the bot has not spoken for long.
func (t *threads) prune(ctx context.Context, now time.Time) error {
	after := ""
	for {
		kept, err := t.state.List(ctx, codec.KeepThreads, after, 0)
		if err != nil {
			return fmt.Errorf("read the threads: %w", err)
		}
		var old []channels.Write
		for _, w := range kept {
			after = w.Key
			if codec.Forgotten(w.Value, now) {
				old = append(old, channels.Write{Key: w.Key})
			}
		}
		if len(old) > 0 {
			if err := t.state.Put(ctx, old...); err != nil {
				return fmt.Errorf("forget old threads: %w", err)
			}
		}
		if len(kept) == 0 {
			return nil
		}
	}
}
