// Package link is what an adapter needs to keep its connection to a platform:
// pauses between attempts, and health that is told when it changes.
package link

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Reporter passes a health on to the host when it has changed. It may be used
// concurrently.
type Reporter struct {
	Host channels.Host

	mu   sync.Mutex
	last string
}

// Report tells the host, unless it knows already.
func (r *Reporter) Report(h channels.Health) {
	text := string(h.Phase) + "\x00" + h.Fix + "\x00" + h.As
	if h.Err != nil {
		text += "\x00" + h.Err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == r.last {
		return
	}
	r.last = text
	r.Host.Report(h)
}

// The pauses of the zero Backoff.
const (
	first   = 500 * time.Millisecond
	longest = 30 * time.Second
)

// Backoff is the pause after a failure; it grows with each and has jitter, so
// that many channels do not come back in step. The zero Backoff begins at half
// a second and ends at 30. It is used by one goroutine.
type Backoff struct {
	Longest time.Duration // 0: 30 s

	failures int
}

// Reset begins with the shortest pause again.
func (b *Backoff) Reset() { b.failures = 0 }

// Wait pauses, at least for the given time, and fails only with ctx.
func (b *Backoff) Wait(ctx context.Context, least time.Duration) error {
	most := b.Longest
	if most == 0 {
		most = longest
	}
	d := min(first<<min(b.failures, 10), most)
	b.failures++
	d = d/2 + rand.N(d) //nolint:gosec // spreads load, guards nothing
	return Sleep(ctx, max(d, least))
}

// Sleep pauses and fails only with ctx. It does not pause for nothing.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
