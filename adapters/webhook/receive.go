package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// answer is what the sender of a request is told.
type answer struct {
	Status  string        `json:"status"` // accepted, answered, pending, ignored or refused
	ID      string        `json:"id,omitempty"`
	Why     string        `json:"why,omitempty"`
	Replies []codec.Reply `json:"replies,omitempty"`

	code int
	wait time.Duration // after which it is worth trying again
	text string        // instead of JSON
}

// The states of a request.
const (
	accepted = "accepted" // it is kept and will be worked on
	answered = "answered" // here is what there is to say
	pending  = "pending"  // it is kept; whoever asks again with the same key gets the answer
	ignored  = "ignored"  // it was understood and is not meant for the bot
	refused  = "refused"
)

func refuse(code int, why string) answer { return answer{Status: refused, Why: why, code: code} }

// later asks the sender to try again.
func later(err error) answer {
	return answer{
		Status: refused, Why: "try again later", code: http.StatusServiceUnavailable, wait: max(time.Second, channels.RetryAfter(err)),
	}
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
			w.WriteHeader(a.code)
			_, _ = io.WriteString(w, a.text)
			return
		}
		h.Set("Content-Type", "application/json")
		w.WriteHeader(a.code)
		_ = json.NewEncoder(w).Encode(a) // when the sender is gone, there is nobody to tell
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
	wait, err := patience(r)
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
	if a := c.judged(r.Context(), c.check, r.Header, body); a.code != 0 {
		return a
	}
	payload, err := codec.Decode(r.Header.Get("Content-Type"), body)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	c.host.Heard()
	if text, ok := challengeOf(c.cfg.Verify.Kind, payload); ok {
		return answer{code: http.StatusOK, text: text}
	}
	in := codec.Request{Payload: payload, Header: r.Header.Get, Query: r.URL.Query()}
	out := c.cfg.Mapping.Event(in, codec.At{Channel: c.host.ID(), Account: account, Key: cmp.Or(c.cfg.key(r.Header, body), rand.Text())})
	if out.Ignored != "" {
		c.host.Log().DebugContext(r.Context(), "update ignored", "reason", out.Ignored)
		return answer{Status: ignored, Why: out.Ignored, code: http.StatusOK}
	}
	if a := c.accept(r.Context(), sink, out.Event); a.code != 0 {
		return a
	}
	if wait == 0 {
		return answer{Status: accepted, ID: out.Event.Key, code: http.StatusAccepted}
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
	if a := c.judged(r.Context(), c.token, http.Header{tokenHeader: q["hub.verify_token"]}, nil); a.code != 0 {
		return a
	}
	return answer{code: http.StatusOK, text: q.Get("hub.challenge")}
}

// challengeOf is what Slack wants to read when it checks an address.
func challengeOf(k proof.Kind, payload any) (string, bool) {
	m, _ := payload.(map[string]any)
	text, ok := m["challenge"].(string)
	return text, k == proof.Slack && m["type"] == "url_verification" && ok
}

// key is what stays the same when a request comes again, where the configuration
// does not say; "" when nothing is. An id that is not signed is not believed:
// somebody who repeats what he has overheard could change it.
func (s settings) key(h http.Header, body []byte) string {
	switch v := s.Verify; {
	case v.Kind == proof.Standard:
		return h.Get("Webhook-Id")
	case !v.Signed():
		return h.Get("Idempotency-Key")
	case v.Stamp != "": // the same text may be sent twice, at different times
		return codec.Hash([]byte(h.Get(v.Stamp)), []byte("\n"), body)
	}
	return codec.Hash(body)
}

// accept makes an event durable. The zero answer says that it is.
func (c *Channel) accept(ctx context.Context, sink channels.Sink, e channels.Event) answer {
	leave, err := c.enter(ctx, e.Where)
	if err != nil {
		return later(err)
	}
	defer leave()
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

// longestWait is how long a request may wait for its answer.
const longestWait = 2 * time.Minute

var errWait = errors.New("wait must be a time of at most 2m, such as 30s")

// patience is how long a request waits: ?wait=30s, or ?wait=30.
func patience(r *http.Request) (time.Duration, error) {
	text := strings.TrimSpace(r.URL.Query().Get("wait"))
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if n, bad := strconv.Atoi(text); bad == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 || d > longestWait {
		return 0, errWait
	}
	return d, nil
}

// await reads the answer to an event, for as long as its sender waits.
func (c *Channel) await(ctx context.Context, sink channels.Sink, key string, wait time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	a := answer{Status: answered, ID: key, code: http.StatusOK}
	for p, err := range sink.Replies(ctx, account, key) {
		if err != nil {
			if ctx.Err() == nil {
				c.host.Log().WarnContext(ctx, "the answer cannot be read", "event", key, "err", err)
			}
			a.Status, a.code = pending, http.StatusAccepted
			return a
		}
		a.Replies = append(a.Replies, codec.NewReply(p, time.Time{}))
	}
	return a
}
