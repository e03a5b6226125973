package wasm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Quarantine: after some faults in a row the guest is not called for a while,
// which grows with each further one.
const (
	strikesOut   = 5
	firstPause   = time.Minute
	longestPause = 30 * time.Minute
)

var errQuarantined = errors.New("the guest failed again and again and is left alone for a while")

// strikes counts the faults of a guest. The zero strikes are ready.
type strikes struct {
	mu    sync.Mutex
	n     int
	until time.Time
}

// add counts a fault and returns for how long the guest is left alone; 0: it is not.
func (s *strikes) add() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.n < strikesOut {
		return 0
	}
	return s.wait(s.n - strikesOut)
}

// rest counts a fault after which the guest is left alone at once, and returns
// for how long.
func (s *strikes) rest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.wait(s.n - 1)
}

// wait begins a pause, which doubles with each one before it.
func (s *strikes) wait(before int) time.Duration {
	d := min(firstPause<<min(before, 10), longestPause)
	s.until = time.Now().Add(d)
	return d
}

// clear forgets the faults after a call that ended well.
func (s *strikes) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.until = 0, time.Time{}
}

// pause is how long the guest is still left alone.
func (s *strikes) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, time.Until(s.until))
}

// struck counts a fault and says so where people look.
func (c *channel) struck(ctx context.Context, f *sandbox.Fault) {
	c.d.count(f)
	if f.Kind == sandbox.KindHost {
		c.h.Log().ErrorContext(ctx, "the host of a guest failed", "module", f.Module, "err", f)
		return
	}
	d := c.strikes.add()
	c.h.Log().ErrorContext(ctx, "the guest failed", "module", f.Module, "kind", f.Kind, "err", f, "quarantine", d)
	if d > 0 {
		c.health.Report(channels.Health{Phase: channels.Broken, Err: f, Fix: fixFaults, As: c.as()})
	}
}
