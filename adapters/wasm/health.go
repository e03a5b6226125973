package wasm

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What a person can do about a failure.
const (
	fixReach  = "Check that this machine reaches the platform at the addresses of the channel's section."
	fixSecret = "Store the credentials anew under the names that the channel's section refers to, and check its other keys."
	fixFaults = "Tell the module's author; the log has the fault. Until then use another version of the module."
	fixLoad   = "Use another version of the module, or tell its author."
	fixStore  = "The gateway's own store does not take messages; see its log and the free space on its disk."
)

// reporter passes a health on when it has changed.
type reporter struct {
	host channels.Host

	mu   sync.Mutex
	last string
}

func (r *reporter) report(h channels.Health) {
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
	r.host.Report(h)
}

// backoff is the pause after a failure; it grows with each and has jitter. The
// zero backoff begins at half a second and ends at 30.
type backoff struct{ failures int }

func (b *backoff) reset() { b.failures = 0 }

// wait pauses, at least for the given time, and is false when ctx has ended.
func (b *backoff) wait(ctx context.Context, least time.Duration) bool {
	d := min(500*time.Millisecond<<min(b.failures, 10), 30*time.Second)
	b.failures++
	d = d/2 + rand.N(d) //nolint:gosec // spreads load, guards nothing
	return sleep(ctx, max(d, least))
}

// sleep is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func milliseconds(n int64) time.Duration {
	const most = int64(24 * time.Hour / time.Millisecond)
	return time.Duration(min(max(n, 0), most)) * time.Millisecond
}
