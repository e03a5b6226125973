package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// A turn runs in the process that holds the lease of its conversation, and a
// /stop may be leased by another. That one asks by a row in the state, under the
// conversation's order; whoever runs the turn sees the row, stops the turn and
// writes into the row what became of it.

// stopSpace holds what one process asks of the others: order -> stopAsked.
const stopSpace = "stop"

// The rhythm of stopping across processes. A process looks only while it has a
// turn that lasts, so that quick answers cost nothing.
const (
	stopLook  = 300 * time.Millisecond
	stopWait  = 4 * stopLook // for another process to say that the turn is its own
	stopPoll  = 50 * time.Millisecond
	stopStale = time.Minute // a row this old was left behind
)

// stopper is who stops, and when: Seq is the position of the /stop.
type stopper struct {
	Member      string `json:"member"`
	Administers bool   `json:"administers,omitempty"`
	Seq         int64  `json:"seq"`
}

type stopAsked struct {
	stopper
	At     time.Time `json:"at"`
	Result *stopped  `json:"result,omitempty"` // nil until some process has an answer
}

// stop ends the turn of the conversation, wherever it runs.
func (s *sitting) stop(ctx context.Context, it item) (stopped, error) {
	by := stopper{Member: it.scope.Scope.Member(), Administers: it.scope.Scope.Role().Administers(), Seq: it.rec.Seq}
	order := it.event.Where.Order()
	if what := s.g.running.stop(order, by); what != nothingRuns || !s.g.replicas {
		return what, nil
	}
	return s.g.stopElsewhere(ctx, order, by)
}

// stopElsewhere asks the other processes, and waits a moment for an answer.
func (g *Gateway) stopElsewhere(ctx context.Context, order string, by stopper) (stopped, error) {
	ask, err := json.Marshal(stopAsked{stopper: by, At: g.now()})
	if err != nil {
		return nothingRuns, fmt.Errorf("ask to stop: %w", err)
	}
	if err := g.bus.Write(ctx, bus.Write{Space: stopSpace, Key: order, Value: ask}); err != nil {
		return nothingRuns, fmt.Errorf("ask to stop: %w", err)
	}
	result := nothingRuns
	for end := g.now().Add(stopWait); ; {
		e, err := g.bus.Get(ctx, stopSpace, order)
		if err != nil {
			return nothingRuns, fmt.Errorf("was it stopped: %w", err)
		}
		var row stopAsked
		if err := json.Unmarshal(e.Value, &row); err == nil && row.Result != nil {
			result = *row.Result
			break
		}
		if g.now().After(end) {
			break
		}
		if err := pause(ctx, stopPoll); err != nil {
			return nothingRuns, err
		}
	}
	return result, g.bus.Write(ctx, bus.Write{Space: stopSpace, Key: order})
}

// heedStops stops turns of this process that another one asks to stop, until
// ctx ends.
func (g *Gateway) heedStops(ctx context.Context) error {
	for pause(ctx, stopLook) == nil {
		if !g.running.lasting(g.now(), stopLook) {
			continue
		}
		rows, err := g.bus.List(ctx, stopSpace, "", "", 0)
		if err != nil && ctx.Err() == nil {
			g.log.Warn("look for stops", "err", err)
		}
		for _, r := range rows {
			if err := g.heed(ctx, r); err != nil && ctx.Err() == nil {
				g.log.Warn("stop for another process", "conversation", r.Key, "err", err)
			}
		}
	}
	return nil
}

func (g *Gateway) heed(ctx context.Context, r bus.Entry) error {
	var row stopAsked
	if err := json.Unmarshal(r.Value, &row); err != nil {
		return err
	}
	if row.Result != nil {
		return nil
	}
	what := g.running.stop(r.Key, row.stopper)
	if what == nothingRuns {
		return nil // perhaps at another process
	}
	row.Result = &what
	v, err := json.Marshal(row)
	if err != nil {
		return err
	}
	err = g.bus.Write(ctx, bus.Write{Space: stopSpace, Key: r.Key, If: r.Version, Value: v})
	if errors.Is(err, bus.ErrConflict) {
		return nil // nobody waits any more
	}
	return err
}
