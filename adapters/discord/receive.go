package discord

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// maxRequest is the size of an interaction, in bytes.
const maxRequest = 1 << 20

// Receive implements channels.Receiver. It takes interactions at the address
// that is entered as the application's Interactions Endpoint URL, and believes
// only what bears the application's signature. What it answers says that the
// interaction is durable.
func (c *Channel) Receive(sink channels.Sink) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, answer, told := c.receive(w, r, sink)
		defer told()
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) //nolint:gosec // one of a few constants, as JSON
		_ = http.NewResponseController(w).Flush()
	})
}

// receive is what a request is answered with. told has to be called once that
// has happened: a reply waits for it, as it must not overtake the answer.
func (c *Channel) receive(w http.ResponseWriter, r *http.Request, sink channels.Sink) (status int, answer []byte, told func()) {
	told = func() {}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, nil, told
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge, nil, told
		}
		return http.StatusBadRequest, nil, told
	}
	self, err := c.self(r.Context())
	if err != nil {
		return http.StatusServiceUnavailable, nil, told
	}
	if err := signed(r, self.app.Key, body); err != nil {
		c.host.Log().DebugContext(r.Context(), "an interaction is not signed by the platform", "err", err)
		return http.StatusUnauthorized, nil, told
	}
	c.host.Heard()
	ctx, cancel := context.WithTimeout(r.Context(), 2800*time.Millisecond) // the platform waits 3 seconds
	defer cancel()
	return c.interaction(ctx, self, body, sink)
}

// signed checks the signature of a request.
func signed(r *http.Request, key string, body []byte) error {
	check, err := proof.New(proof.Spec{
		Kind: proof.Ed25519, PublicKey: key,
		Header: "X-Signature-Ed25519", Stamp: "X-Signature-Timestamp", Signs: "{timestamp}{body}",
	}, nil)
	if err != nil {
		return err
	}
	return check.Check(r.Context(), nil, proof.Request{Header: r.Header, Body: body, At: time.Now()})
}

// interaction has an interaction accepted and says what its person is shown.
func (c *Channel) interaction(ctx context.Context, self account, body []byte, sink channels.Sink) (status int, answer []byte, told func()) {
	told = func() {}
	in := &intake{Channel: c, sink: sink, self: self, world: codec.NewWorld()}
	var ping bool
	r := in.decode(ctx, func() (r codec.Result) {
		r, ping = in.world.Interaction(self.Self, body)
		return r
	})
	switch {
	case ping:
		return http.StatusOK, codec.Pong(), told
	case r.Defer == nil || len(r.Events) == 0:
		c.host.Log().DebugContext(ctx, "update ignored", "type", "INTERACTION_CREATE", "reason", r.Ignored)
		return http.StatusBadRequest, nil, told
	}
	b := batch{}
	b.add(in, r)
	told = c.deferred.begin(codec.Short(r.Defer.Token.Reveal()))
	rejected, err := channels.Offer(ctx, sink, channels.Batch{Events: b.events, State: b.state})
	switch {
	case err != nil:
		c.host.Log().WarnContext(ctx, "an interaction was not accepted; its person reads that the application did not respond", "err", err)
		return http.StatusServiceUnavailable, nil, told
	case len(rejected) > 0:
		c.host.Log().ErrorContext(ctx, "an event cannot be kept and is passed over", "err", errors.Join(rejected...))
		return http.StatusBadRequest, nil, told
	}
	return http.StatusOK, r.Defer.Body(), told
}
