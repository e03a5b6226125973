package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The loop guard's measure: in a room, more events than this from somebody who
// is no member start no turn. A platform does not mark every program as a bot,
// and two that answer each other would never end.
const (
	loopEvents = 20
	loopWindow = time.Minute
	loopKept   = 4096 // senders that are remembered
)

// loopGuard counts what strangers in rooms say to the bot. Members are people
// whom somebody let in, and are never held up.
type loopGuard struct {
	mu   sync.Mutex
	seen map[string][]heard // the latest events of a sender in a room
}

type heard struct {
	key string
	at  time.Time
}

func newLoopGuard() *loopGuard { return &loopGuard{seen: map[string][]heard{}} }

// admits reports whether an event may start a turn, and counts it, once however
// often it is leased.
func (g *loopGuard) admits(e channels.Event, s scope.Scope, now time.Time) bool {
	if s.Direct() || s.Role() != scope.Guest {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := e.Where.Order() + "!" + e.Who.ID
	recent := g.seen[key]
	for len(recent) > 0 && now.Sub(recent[0].at) >= loopWindow {
		recent = recent[1:]
	}
	if slices.ContainsFunc(recent, func(h heard) bool { return h.key == e.Key }) {
		return true
	}
	if len(recent) >= loopEvents {
		g.seen[key] = recent
		return false
	}
	if len(g.seen) >= loopKept {
		g.forget(now)
	}
	g.seen[key] = append(recent, heard{key: e.Key, at: now})
	return true
}

// forget drops senders who have been silent, or everybody where none has.
func (g *loopGuard) forget(now time.Time) {
	for k, all := range g.seen {
		if now.Sub(all[len(all)-1].at) >= loopWindow {
			delete(g.seen, k)
		}
	}
	if len(g.seen) >= loopKept {
		clear(g.seen)
	}
}
