package telegram

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What a person can do about a failure.
const (
	fixReach   = "Check that this machine reaches the Bot API at base_url."
	fixSecret  = "Store the bot's token under the name that the channel's token key refers to."
	fixToken   = "Get the token from @BotFather (/mybots, API Token), store it anew and check that base_url is right."
	fixPoller  = "Stop the other program that uses this bot's token, or make a new token with @BotFather (/revoke)."
	fixWebhook = "Stop the other program that sets a webhook for this bot, or make a new token with @BotFather (/revoke)."
	fixStore   = "The gateway's own store does not take messages; see its log and the free space on its disk."
	fixPublic  = "Check public_url: https, port 443, 80, 88 or 8443, a valid certificate, and reachable from the internet."
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

// unreachable is the advice for a failure to reach the platform.
func unreachable(err error) string {
	var e *channels.Error
	if errors.As(err, &e) && e.Op == opToken {
		return fixSecret
	}
	return fixReach
}

// backoff is the pause after a failure; it grows with each and has jitter, so
// that many channels do not come back in step. The zero backoff begins at half
// a second and ends at 30.
type backoff struct {
	failures int
	longest  time.Duration
}

func (b *backoff) reset() { b.failures = 0 }

// wait pauses, at least for the given time, and fails only with ctx.
func (b *backoff) wait(ctx context.Context, least time.Duration) error {
	longest := b.longest
	if longest == 0 {
		longest = 30 * time.Second
	}
	d := min(500*time.Millisecond<<min(b.failures, 10), longest)
	b.failures++
	d = d/2 + rand.N(d) //nolint:gosec // spreads load, guards nothing
	t := time.NewTimer(max(d, least))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
