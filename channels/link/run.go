package link

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Client is the host's client for an account, but follows no redirect: an API
// has no reason to, and whoever did redirect would be sent a token's place.
func Client(h channels.Host, a channels.AccountID) *http.Client {
	c := *h.Client(a)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Refusal carries a refused token from whichever call met it to the Run that
// is under way: a socket or a long poll that is open would not notice for a
// while. The zero Refusal is ready and may be used concurrently.
type Refusal struct {
	stop atomic.Pointer[context.CancelCauseFunc]
}

// Note ends the Run that is under way with err; without one it does nothing.
func (r *Refusal) Note(err error) {
	if stop := r.stop.Load(); stop != nil {
		(*stop)(err)
	}
}

// Run receives until ctx ends, and returns nil then; else it returns why receive
// ended, or what was noted meanwhile. Before, the host is told that the channel
// connects; after, when the token does not count any more, that it is broken,
// with advice of what a person can do.
func (r *Refusal) Run(ctx context.Context, health *Reporter, receive func(context.Context) error, advice func(error) string) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop.Store(&stop)
	defer r.stop.CompareAndSwap(&stop, nil)
	health.Report(channels.Health{Phase: channels.Connecting})
	err := receive(running)
	if ctx.Err() != nil {
		return nil
	}
	if cause := context.Cause(running); cause != nil {
		err = cause
	}
	if channels.KindOf(err) == channels.Unauthorized {
		health.Report(channels.Health{Phase: channels.Broken, Err: err, Fix: advice(err)})
	}
	return err
}

// Ask asks until there is an answer, with pauses of which the host is told, with
// advice. It fails with ctx, and when the platform refuses the token.
func Ask[T any](ctx context.Context, health *Reporter, ask func(context.Context) (T, error), advice func(error) string) (T, error) {
	var none T
	var pause Backoff
	for {
		answer, err := ask(ctx)
		switch {
		case err == nil:
			return answer, nil
		case channels.KindOf(err) == channels.Unauthorized:
			return none, err
		}
		health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: advice(err)})
		if err := pause.Wait(ctx, channels.RetryAfter(err)); err != nil {
			return none, err
		}
	}
}
