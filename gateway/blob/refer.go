package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// refSpace holds the references: name / holder -> refRow.
const refSpace = "blob-ref"

// Holder is the durable thing that keeps a blob's name: a row of the state, or
// with Channel a reply of that channel's outbox.
type Holder struct {
	Channel string `json:"channel,omitempty"`
	Space   string `json:"space,omitempty"`
	Key     string `json:"key"`
}

type refRow struct {
	Holder
	At time.Time `json:"at"`
}

// Refer makes the write that refers to a blob. It stands no later than its
// holder does: it is committed with it, or within [Grace] before. The blob must
// have been put, or touched, within Grace.
func Refer(id ID, h Holder, now time.Time) (kv.Write, error) {
	v, err := json.Marshal(refRow{Holder: h, At: now})
	if err != nil {
		return kv.Write{}, fmt.Errorf("refer to blob %s: %w", id, err)
	}
	key := string(id) + "/" + h.Space + "/" + h.Key
	if h.Channel != "" {
		key = string(id) + "/outbox/" + h.Channel + "/" + h.Key
	}
	return kv.Write{Space: refSpace, Key: key, Value: v}, nil
}

// sweepLimit is how many old blobs one sweep looks at.
const sweepLimit = 1000

// Sweeper removes what nothing refers to any more. Its Sweep is not to be
// called concurrently; several processes may each have one.
type Sweeper struct {
	Shelf Shelf
	State kv.Store
	// Holds reports whether a holder is still there. A doubt is an error.
	Holds func(ctx context.Context, h Holder) (bool, error)
	Now   func() time.Time

	after ID // how far the last sweep has looked
}

// Sweep looks at the next blobs, and after the last of them begins anew. It
// returns how many it removed.
func (s *Sweeper) Sweep(ctx context.Context) (int, error) {
	before := s.Now().Add(-Grace)
	if err := s.Shelf.Unfinished(ctx, before); err != nil {
		return 0, fmt.Errorf("remove unfinished files: %w", err)
	}
	old, err := s.Shelf.Old(ctx, s.after, before, sweepLimit)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, id := range old {
		held, err := s.held(ctx, id, before)
		if err != nil {
			return removed, fmt.Errorf("who holds blob %s: %w", id, err)
		}
		s.after = id
		if held {
			continue
		}
		gone, err := s.Shelf.Remove(ctx, id, before)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	if len(old) < sweepLimit {
		s.after = ""
	}
	return removed, nil
}

// held looks for a reference whose holder is there, and removes those before it
// whose holder is gone.
func (s *Sweeper) held(ctx context.Context, id ID, before time.Time) (bool, error) {
	after := ""
	for {
		rows, err := s.State.List(ctx, refSpace, string(id)+"/", after, 100)
		if err != nil || len(rows) == 0 {
			return false, err
		}
		for _, e := range rows {
			after = e.Key
			alive, err := s.alive(ctx, e, before)
			if err != nil || alive {
				return alive, err
			}
			err = s.State.Write(ctx, kv.Write{Space: refSpace, Key: e.Key, If: e.Version})
			if err != nil && !errors.Is(err, kv.ErrConflict) {
				return false, err
			}
			if err != nil { // it was made anew
				return true, nil
			}
		}
	}
}

func (s *Sweeper) alive(ctx context.Context, e kv.Entry, before time.Time) (bool, error) {
	var r refRow
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return false, err
	}
	if !r.At.Before(before) {
		return true, nil
	}
	return s.Holds(ctx, r.Holder)
}
