package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/order"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// answer is what the sender of a request is told, with what the host adds.
type answer struct {
	codec.Answer

	wait time.Duration // after which it is worth trying again
	text string        // instead of JSON
}

func refuse(code int, why string) answer { return answer{Answer: codec.Refuse(code, why)} }

// later asks the sender to try again.
func later(err error) answer {
	a := refuse(http.StatusServiceUnavailable, "try again later")
	a.wait = max(time.Second, channels.RetryAfter(err))
	return a
}

// says is a text instead of JSON.
func says(text string) answer {
	return answer{Answer: codec.Answer{Code: http.StatusOK}, text: text}
}

// Receive implements channels.Receiver. A request that can never be taken is
// told so with 4xx, and is not sent again; only what may go better later gets
// 503.
func (c *Channel) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := c.receive(w, r, sink)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if a.wait > 0 {
			h.Set("Retry-After", strconv.Itoa(int((a.wait + time.Second - 1).Seconds())))
		}
		if a.text != "" {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(a.Code)
			_, _ = io.WriteString(w, a.text)
			return
		}
		h.Set("Content-Type", "application/json")
		w.WriteHeader(a.Code)
		_ = json.NewEncoder(w).Encode(a.Answer) // when the sender is gone, there is nobody to tell
	})
}

func (c *Channel) receive(w http.ResponseWriter, r *http.Request, sink channels.Sink) answer {
	if r.Method == http.MethodGet && c.token != nil {
		return c.challenge(r)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "send it with POST")
	}
	query := r.URL.Query()
	wait, err := codec.Patience(query)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, codec.MaxBody))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return refuse(http.StatusRequestEntityTooLarge, "the body is longer than 1 MiB")
		}
		return refuse(http.StatusBadRequest, "the body cannot be read")
	}
	if a := c.judged(r.Context(), c.check, r.Header, body); a.Code != 0 {
		return a
	}
	place := c.line.Arrive()
	defer place.Leave()
	in := codec.Raw{Header: r.Header.Get, Query: query, Body: c.check.Conceal(body)}
	out, err := c.cfg.Mapping.Read(in, c.cfg.Proof, codec.At{Channel: c.host.ID(), Account: account, Key: rand.Text()})
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	c.host.Heard()
	switch {
	case out.Challenge != "":
		return says(out.Challenge)
	case out.Ignored != "":
		c.host.Log().DebugContext(r.Context(), "update ignored", "reason", out.Ignored)
		return answer{Answer: codec.Ignore(out.Ignored)}
	}
	if a := c.accept(r.Context(), sink, place, out.Event); a.Code != 0 {
		return a
	}
	place.Leave()
	if wait == 0 {
		return answer{Answer: codec.Take(out.Event.Key)}
	}
	return c.await(r.Context(), sink, out.Event.Key, wait)
}

// judged refuses a request that is not proved. The zero answer lets it pass. What
// is wrong is for the operator's log: whoever tries keys learns nothing.
func (c *Channel) judged(ctx context.Context, check *proof.Checker, h http.Header, body []byte) answer {
	err := c.judge.Verify(ctx, check, proof.Request{Header: h, Body: body, At: time.Now()})
	switch {
	case err == nil:
		return answer{}
	case errors.Is(err, proof.ErrRefused):
		c.host.Log().InfoContext(ctx, "a request is refused", "err", err)
		return refuse(http.StatusUnauthorized, "the request does not prove whose it is")
	}
	c.host.Log().ErrorContext(ctx, "a request cannot be judged", "err", err)
	return later(err)
}

// tokenHeader carries the token of Meta's check to where it is compared.
const tokenHeader = "X-Hub-Verify-Token"

// challenge answers the platform's check that the address is ours.
func (c *Channel) challenge(r *http.Request) answer {
	q := r.URL.Query()
	if q.Get("hub.mode") != "subscribe" {
		return refuse(http.StatusBadRequest, "it is no check of a subscription")
	}
	if a := c.judged(r.Context(), c.token, http.Header{tokenHeader: q["hub.verify_token"]}, nil); a.Code != 0 {
		return a
	}
	return says(q.Get("hub.challenge"))
}

// accept makes an event durable. The zero answer says that it is.
func (c *Channel) accept(ctx context.Context, sink channels.Sink, place *order.Place, e channels.Event) answer {
	if err := place.Enter(ctx, []channels.Event{e}); err != nil {
		return later(err)
	}
	e.At = time.Now() // in the order of the commits
	switch err := sink.Accept(ctx, channels.Batch{Events: []channels.Event{e}}); {
	case channels.KindOf(err) == channels.Rejected:
		return refuse(http.StatusUnprocessableEntity, "it can never be kept as it is")
	case err != nil:
		c.host.Log().WarnContext(ctx, "request not accepted", "err", err)
		return later(err)
	}
	return answer{}
}

// await reads the answer to an event, for as long as its sender waits.
func (c *Channel) await(ctx context.Context, sink channels.Sink, key string, wait time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var replies []codec.Reply
	for p, err := range sink.Replies(ctx, account, key) {
		if err != nil {
			if ctx.Err() == nil {
				c.host.Log().WarnContext(ctx, "the answer cannot be read", "event", key, "err", err)
			}
			return answer{Answer: codec.Answered(key, replies, false)}
		}
		replies = append(replies, codec.NewReply(p, time.Time{}))
	}
	return answer{Answer: codec.Answered(key, replies, true)}
}
