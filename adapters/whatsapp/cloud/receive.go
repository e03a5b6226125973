package cloud

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/order"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// Receive implements channels.Receiver. It answers 200 only for what is durable,
// or can never be an event; everything else Meta sends again.
func (c *Channel) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, text := c.receive(w, r, sink)
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, text) //nolint:gosec // as text, to whom has shown the token
	})
}

func (c *Channel) receive(w http.ResponseWriter, r *http.Request, sink channels.Sink) (status int, text string) {
	switch r.Method {
	case http.MethodGet:
		return c.challenge(w, r)
	case http.MethodPost:
	default:
		return http.StatusMethodNotAllowed, ""
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, codec.MaxRequest))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge, ""
		}
		return http.StatusBadRequest, ""
	}
	if status := c.judged(w, r, c.signed, r.Header, body); status != http.StatusOK {
		return status, ""
	}
	place := c.line.Arrive()
	defer place.Leave()
	u, err := codec.Decode(body, codec.Self{Channel: c.host.ID(), Number: c.cfg.Number})
	if err != nil {
		return http.StatusBadRequest, ""
	}
	c.host.Heard()
	for _, why := range u.Ignored {
		c.host.Log().DebugContext(r.Context(), "update ignored", "reason", why)
	}
	for _, f := range u.Failed {
		c.host.Log().WarnContext(r.Context(), "a message that WhatsApp had taken was not delivered", "kind", f.Code, "err", f.Why)
	}
	if len(u.Events) == 0 {
		return http.StatusOK, ""
	}
	if err := c.accept(r.Context(), sink, place, u); err != nil {
		c.host.Log().WarnContext(r.Context(), "update not accepted; the platform sends it again", "err", err)
		return later(w, err), ""
	}
	return http.StatusOK, ""
}

// judged is 200 for a request that is proved to be Meta's.
func (c *Channel) judged(w http.ResponseWriter, r *http.Request, check *proof.Checker, h http.Header, body []byte) int {
	err := c.judge.Verify(r.Context(), check, proof.Request{Header: h, Body: body, At: time.Now()})
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, proof.ErrRefused):
		c.host.Log().InfoContext(r.Context(), "a request is refused", "err", err)
		return http.StatusUnauthorized
	}
	c.host.Log().ErrorContext(r.Context(), "a request cannot be judged", "err", err)
	return later(w, err)
}

// challenge answers Meta's check that the address is ours: with the token that
// the adapter has registered, or the one that was entered by hand.
func (c *Channel) challenge(w http.ResponseWriter, r *http.Request) (status int, text string) {
	q := r.URL.Query()
	tokens := q["hub.verify_token"]
	if q.Get("hub.mode") != "subscribe" || len(tokens) != 1 {
		return http.StatusBadRequest, ""
	}
	own := c.derived()
	if own == "" || subtle.ConstantTimeCompare([]byte(own), []byte(tokens[0])) != 1 {
		if c.token == nil {
			return http.StatusForbidden, ""
		}
		if status := c.judged(w, r, c.token, http.Header{tokenHeader: tokens}, nil); status != http.StatusOK {
			return status, ""
		}
	}
	return http.StatusOK, q.Get("hub.challenge")
}

// later asks the platform to try again.
func later(w http.ResponseWriter, err error) int {
	wait := max(1, int(channels.RetryAfter(err).Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	return http.StatusServiceUnavailable
}

// accept makes events durable, together with when each person wrote last and with
// their numbers. The events of one conversation are never in two accepts at a time.
func (c *Channel) accept(ctx context.Context, sink channels.Sink, place *order.Place, u codec.Update) error {
	events, err := c.people.known(ctx, u.Events)
	if err != nil {
		return err
	}
	if err := place.Enter(ctx, events); err != nil {
		return err
	}
	c.expect(events)
	opened := codec.Wrote(events)
	rejected, err := channels.Offer(ctx, sink, channels.Batch{Events: events, State: append(c.windows.writes(opened), c.people.writes(u.Numbers)...)})
	if err != nil {
		return err
	}
	for _, err := range rejected {
		c.host.Log().ErrorContext(ctx, "an update cannot be kept and is passed over", "err", err)
	}
	c.windows.note(opened)
	c.people.note(u.Numbers)
	return nil
}

// expect notes what the bot is about to work on. It comes before the Accept,
// because the work may begin as soon as that is done.
func (c *Channel) expect(events []channels.Event) {
	for _, e := range events {
		if m, ok := e.Content.(channels.Message); ok {
			c.unread.add(e.Where.Conversation, m.ID)
		}
	}
}

// unread is the newest message of each conversation, which is marked as read
// when the bot begins to write. It is a courtesy and ends with the process.
type unread struct {
	mu sync.Mutex
	at map[channels.ConversationID]channels.MessageID
}

const maxUnread = 4096

func (u *unread) add(at channels.ConversationID, id channels.MessageID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.at) >= maxUnread {
		clear(u.at)
	}
	u.at[at] = id
}

func (u *unread) last(at channels.ConversationID) channels.MessageID {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[at]
}
