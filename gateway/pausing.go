package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Pauses say what is paused, and since when. Intake goes on: what is accepted
// is parked, and answered after the resumption, with the same words about the
// delay as after any other absence. Turns that run come to their end, and
// answers that were given are delivered.
type Pauses struct {
	Workspace time.Time                 `json:"workspace,omitzero"`
	Channels  map[channels.ID]time.Time `json:"channels,omitempty"`
}

// Since is when a channel was paused, by itself or with the workspace; zero
// when it is not.
func (p Pauses) Since(id channels.ID) time.Time {
	if !p.Workspace.IsZero() {
		return p.Workspace
	}
	return p.Channels[id]
}

const (
	pauseSpace = "pauses"
	pausedFor  = 365 * 24 * time.Hour // after which what is parked becomes a dead letter
	// pausesFresh is how old the knowledge of the pauses may be: another process
	// may have made one.
	pausesFresh = time.Second
)

// pausedTag holds what came in while a channel was paused.
func pausedTag(id string) string { return "paused/" + id }

// pauseBook remembers the pauses for a moment, so that not every event asks the
// store.
type pauseBook struct {
	mu     sync.Mutex
	known  Pauses
	looked time.Time
}

// Pauses reads what is paused.
func (g *Gateway) Pauses(ctx context.Context) (Pauses, error) {
	p, _, err := g.readPauses(ctx)
	return p, err
}

func (g *Gateway) readPauses(ctx context.Context) (Pauses, int64, error) {
	e, err := g.bus.Get(ctx, pauseSpace, g.dir.Workspace())
	if err != nil {
		return Pauses{}, 0, fmt.Errorf("read what is paused: %w", err)
	}
	var p Pauses
	if e.Version > 0 {
		if err := json.Unmarshal(e.Value, &p); err != nil {
			return Pauses{}, 0, fmt.Errorf("read what is paused: %w", err)
		}
	}
	g.pauses.mu.Lock()
	defer g.pauses.mu.Unlock()
	g.pauses.known, g.pauses.looked = p, g.now()
	return p, e.Version, nil
}

// paused reports whether a channel's events are to wait.
func (g *Gateway) paused(ctx context.Context, id channels.ID) (bool, error) {
	g.pauses.mu.Lock()
	p, age := g.pauses.known, g.now().Sub(g.pauses.looked)
	g.pauses.mu.Unlock()
	if age >= pausesFresh || age < 0 {
		var err error
		if p, _, err = g.readPauses(ctx); err != nil {
			return false, err
		}
	}
	return !p.Since(id).IsZero(), nil
}

// Pause lets a channel's events wait from now on, the whole workspace's for "".
// What is paused already stays as it is.
func (g *Gateway) Pause(ctx context.Context, id channels.ID) error {
	return g.changePauses(ctx, func(p *Pauses) {
		switch {
		case id == "" && p.Workspace.IsZero():
			p.Workspace = g.now()
		case id != "" && p.Channels[id].IsZero():
			p.Channels[id] = g.now()
		}
	})
}

// Resume ends a pause and returns how many events it had held back, which are
// answered from now on. A channel that is paused by itself stays so when the
// workspace is resumed, and the other way round.
func (g *Gateway) Resume(ctx context.Context, id channels.ID) (int, error) {
	err := g.changePauses(ctx, func(p *Pauses) {
		if id == "" {
			p.Workspace = time.Time{}
		}
		delete(p.Channels, id)
	})
	if err != nil {
		return 0, err
	}
	return g.unpause(ctx)
}

func (g *Gateway) changePauses(ctx context.Context, change func(*Pauses)) error {
	for {
		p, version, err := g.readPauses(ctx)
		if err != nil {
			return err
		}
		next := Pauses{Workspace: p.Workspace, Channels: maps.Clone(p.Channels)}
		if next.Channels == nil {
			next.Channels = map[channels.ID]time.Time{}
		}
		change(&next)
		v, err := json.Marshal(next)
		if err != nil {
			return err
		}
		w := kv.Write{Space: pauseSpace, Key: g.dir.Workspace(), If: version, Value: v}
		if version == 0 {
			w.If = kv.Absent
		}
		if err = g.bus.Write(ctx, w); errors.Is(err, kv.ErrConflict) {
			continue // somebody else has paused something
		}
		if err == nil {
			_, _, err = g.readPauses(ctx)
		}
		return err
	}
}

// unpause makes due what was held back on channels that are not paused.
func (g *Gateway) unpause(ctx context.Context) (int, error) {
	p, _, err := g.readPauses(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, l := range g.allLines() {
		if !p.Since(l.id).IsZero() {
			continue
		}
		n, err := g.bus.Unpark(ctx, pausedTag(string(l.id)))
		if err != nil {
			return total, fmt.Errorf("resume %s: %w", l.id, err)
		}
		total += n
	}
	return total, nil
}

// holdBack parks a record of a channel that is paused.
func (s *sitting) holdBack(r bus.Record) error {
	note, err := waited(r)
	if err != nil {
		return err
	}
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Park, Tag: pausedTag(r.Channel), At: s.g.now().Add(pausedFor), Progress: note}
	s.heldBack = true
	return nil
}

// unpauseMissed frees what was parked at the moment at which the channel was
// resumed. It reads the pauses after the parking, and a resumption frees after
// it has written them, so that one of the two sees the other.
func (s *sitting) unpauseMissed(ctx context.Context) {
	if !s.heldBack {
		return
	}
	if _, err := s.g.unpause(context.WithoutCancel(ctx)); err != nil {
		s.g.log.Error("free what was held back", "channel", s.lease.Channel, "err", err)
	}
}

// StopTurns ends every turn that runs in this process, as /stop does, and
// returns how many there were.
func (g *Gateway) StopTurns() int {
	g.running.mu.Lock()
	defer g.running.mu.Unlock()
	for _, t := range g.running.turns {
		t.cancel(agent.ErrStopped)
	}
	return len(g.running.turns)
}
