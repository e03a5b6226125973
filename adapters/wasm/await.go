package wasm

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// longestAwait bounds how long a platform's request is held for its answer.
const longestAwait = 2 * time.Minute

// mostAwaited bounds what is said in one answer, in bytes of text about: with what
// JSON makes of it, it has to fit into the guest's output.
const mostAwaited = 256 << 10

var errAwait = errors.New("it waits for the answer to an event that it does not hand in")

// event finds one that a call hands in: a guest waits for what is said to its own
// events and to no others.
func (b wanted) event(key string) (*channels.Event, error) {
	for i := range b.Events {
		if b.Events[i].Key == key {
			return &b.Events[i], nil
		}
	}
	return nil, errAwait
}

// await answers a platform's request with what is said to its event, which is
// accepted. The guest runs only before and after: who waits takes no room from
// others.
func (p *poller) await(w http.ResponseWriter, r *http.Request, in wire.In, e channels.Event, wait time.Duration) (status int, body []byte) {
	in.Replies = p.replies(r.Context(), e, min(wait, longestAwait))
	if r.Context().Err() != nil {
		return later(w, 0), nil // nobody is there any more
	}
	h := &call{}
	defer h.end()
	out, result, err := p.invoke(r.Context(), sandbox.OpHTTPRequest, in, nil, h)
	if err != nil {
		p.h.Log().WarnContext(r.Context(), "the guest could not write an answer; it is there for whoever asks again", "err", err)
		return later(w, channels.RetryAfter(err)), nil
	}
	h.keep(r.Context(), result.Effects)
	return possible(out.Status), result.Out.Body
}

// replies are what is said to an event, as far as it is said in time.
func (p *poller) replies(ctx context.Context, e channels.Event, wait time.Duration) *wire.Replies {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	all, room := &wire.Replies{Key: e.Key}, mostAwaited
	for part, err := range p.sink.Replies(ctx, e.Account, e.Key) {
		if err != nil {
			if ctx.Err() == nil {
				p.h.Log().WarnContext(ctx, "the answer cannot be read", "event", e.Key, "err", err)
			}
			all.Pending = true
			return all
		}
		part.Files = nil // they stay here
		if room -= len(markup.PlainText.Render(part.Body)); room < 0 {
			p.h.Log().WarnContext(ctx, "the answer is too long to be said in the request", "event", e.Key)
			all.Pending = true
			return all
		}
		all.Parts = append(all.Parts, p.part(part, &call{}))
	}
	return all
}
