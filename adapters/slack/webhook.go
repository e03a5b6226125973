package slack

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// Receive implements channels.Receiver: events, interactions and slash commands
// all come to one address. It answers 200 only for what is durable, or can
// never be an event; everything else the platform sends again.
func (c *Channel) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := c.receive(w, r, sink); status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
		}
	})
}

func (c *Channel) receive(w http.ResponseWriter, r *http.Request, sink channels.Sink) (status int) {
	if c.cfg.many() {
		switch {
		case strings.HasSuffix(r.URL.Path, pathInstall):
			return c.install(w, r)
		case strings.HasSuffix(r.URL.Path, pathInstalled):
			return c.back(w, r, sink)
		}
	}
	if c.cfg.Mode != modeEvents {
		return http.StatusNotFound
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, codec.MaxPayload))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	}
	if status := c.proved(r, body); status != http.StatusOK {
		return status
	}
	p, err := read(r, body)
	if err != nil {
		return http.StatusBadRequest
	}
	if p.Kind == codec.KindVerification {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, p.Challenge)
		return http.StatusOK
	}
	return c.take(w, r, sink, p)
}

// proved checks that the request is Slack's.
func (c *Channel) proved(r *http.Request, body []byte) int {
	v, ok := c.host.(proof.Verifier)
	if !ok {
		return http.StatusUnauthorized
	}
	err := v.Verify(r.Context(), c.check, proof.Request{Header: r.Header, Body: body, At: time.Now()})
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, proof.ErrRefused):
		c.host.Log().WarnContext(r.Context(), "a request was refused", "err", err)
		return http.StatusUnauthorized
	}
	c.host.Log().ErrorContext(r.Context(), "a request could not be checked", "err", err)
	return http.StatusServiceUnavailable
}

// read tells the two forms of body apart.
func read(r *http.Request, body []byte) (codec.Payload, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		return codec.ParseForm(body)
	}
	return codec.Parse(body)
}

// take has a payload's events accepted.
func (c *Channel) take(w http.ResponseWriter, r *http.Request, sink channels.Sink, p codec.Payload) int {
	ctx := r.Context()
	if !c.ready() {
		return later(w, nil)
	}
	c.host.Heard()
	events, known := c.events(ctx, p)
	if !known {
		return http.StatusOK
	}
	if n := r.Header.Get("X-Slack-Retry-Num"); n != "" {
		c.host.Log().DebugContext(ctx, "an event comes again", "event", p.ID)
	}
	c.expect(events)
	rejected, err := c.offer(ctx, sink, events)
	if err != nil {
		c.host.Log().WarnContext(ctx, "event not accepted; the platform sends it again", "event", p.ID, "err", err)
		return later(w, err)
	}
	c.rejected(ctx, rejected)
	return http.StatusOK
}

// ready reports whether Run has learned yet who the bot is.
func (c *Channel) ready() bool {
	_, ok := c.teams.only()
	return ok || c.cfg.many()
}

// later asks the platform to try again.
func later(w http.ResponseWriter, err error) int {
	wait := max(1, int(channels.RetryAfter(err).Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	return http.StatusServiceUnavailable
}
