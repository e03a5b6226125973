package slack

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// opOpen is the Op of a failure to open a socket.
const opOpen = "apps.connections.open"

// Times of Socket Mode.
const (
	helloWithin = 20 * time.Second // after the handshake
	disabled    = time.Minute      // between tries when Socket Mode is switched off
	// steady is how long a connection has to stand before the next one is opened
	// without a pause.
	steady = 30 * time.Second
)

// received is an envelope and where it has to be acknowledged.
type received struct {
	codec.Envelope
	from channels.Socket
}

// hub is one run of Socket Mode: some lines, each of which keeps one socket
// open, and one intake that has events accepted in the order in which they came.
type hub struct {
	*Channel
	team *team
	open channels.Socketer
	sink channels.Sink
	in   chan received
	up   atomic.Int32 // sockets on which Slack has said hello
	off  atomic.Bool  // Socket Mode was switched off, as far as is known
}

var errNoSockets = errors.New("this gateway opens no sockets; use mode: events")

func (c *Channel) runSockets(ctx context.Context, t *team, sink channels.Sink) error {
	sockets, ok := c.host.(channels.Socketer)
	if !ok {
		return c.api.fail(opOpen, channels.Rejected, errNoSockets)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	h := &hub{Channel: c, team: t, open: sockets, sink: sink, in: make(chan received, 256)}
	var lines sync.WaitGroup
	for range c.cfg.Sockets {
		lines.Go(func() {
			if err := h.line(ctx); err != nil {
				stop(err)
			}
		})
	}
	h.intake(ctx)
	lines.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// line keeps one socket open, and has the next one open before Slack ends the
// one that it announces to end. Its error ends Run.
func (h *hub) line(ctx context.Context) error {
	var reading sync.WaitGroup
	defer reading.Wait()
	var pause link.Backoff
	for ctx.Err() == nil {
		began := time.Now()
		s, err := h.connect(ctx)
		if err == nil {
			next := make(chan string, 1)
			reading.Go(func() { h.read(ctx, s, next) })
			err = h.wait(ctx, next)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && time.Since(began) > steady:
			pause.Reset()
			continue
		case err == nil:
			err = pause.Wait(ctx, 0)
		case channels.KindOf(err) == channels.Unauthorized:
			return err
		default:
			h.lost(err)
			err = pause.Wait(ctx, h.least(err))
		}
		if err != nil {
			return nil //nolint:nilerr // only the end of ctx
		}
	}
	return nil
}

// wait returns when a new socket is needed; an error says that there is one to
// tell about.
func (h *hub) wait(ctx context.Context, next <-chan string) error {
	select {
	case why := <-next:
		switch why {
		case codec.ReasonDisabled:
			h.off.Store(true)
			return h.api.fail(opOpen, channels.Other, errDisabled)
		case reasonEnded:
			return h.api.fail(opOpen, channels.Transient, errEnded)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reasonEnded is why a socket is replaced that ended without a word.
const reasonEnded = "ended"

var (
	errDisabled = errors.New("the app has Socket Mode switched off")
	errEnded    = errors.New("the connection ended")
)

// lost reports a line without a socket, unless another one has one.
func (h *hub) lost(err error) {
	if h.up.Load() > 0 {
		return
	}
	fix := unreachable(err)
	switch {
	case h.off.Load() || codeOf(err) == codec.ReasonDisabled:
		fix = fixDisabled
	case codeOf(err) == codec.ReasonTooMany:
		fix = fixSockets
	case channels.KindOf(err) == channels.RateLimited:
		fix = "Nothing: the platform asked for a pause."
	}
	h.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fix, As: h.team.as()})
}

// least is the shortest pause after a failure.
func (h *hub) least(err error) time.Duration {
	if errors.Is(err, errDisabled) {
		return disabled
	}
	return channels.RetryAfter(err)
}

// connect opens a socket. Its address holds a ticket, so it is in no error.
func (h *hub) connect(ctx context.Context) (channels.Socket, error) {
	var out struct {
		URL string `json:"url"`
	}
	if _, err := h.api.ask(ctx, h.cfg.AppToken, opOpen, url.Values{}, &out); err != nil {
		return nil, err
	}
	s, err := h.open.Socket(ctx, "", out.URL, nil)
	switch kind := channels.KindOf(err); {
	case err == nil:
		return s, nil
	case kind == channels.Unauthorized: // of the ticket, which is used or old; the token was good a moment ago
		return nil, h.api.fail("socket", channels.Transient, attempt.Cause(err))
	}
	return nil, err
}

// read takes what comes through a socket until it ends, and says once on next
// that another one is needed.
func (h *hub) read(ctx context.Context, s channels.Socket, next chan<- string) {
	said, greeted := false, false
	tell := func(why string) {
		if !said {
			said = true
			next <- why
		}
	}
	defer func() {
		_ = s.Close()
		if greeted && h.up.Add(-1) == 0 && said && ctx.Err() == nil {
			h.lost(h.api.fail(opOpen, channels.Transient, errEnded)) // and the one after it is not there yet
		}
		tell(reasonEnded)
	}()
	greeting, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	for {
		within := ctx
		if !greeted {
			within = greeting
		}
		b, err := s.Read(within)
		if err != nil {
			return
		}
		h.host.Heard()
		e, err := codec.ReadEnvelope(b)
		if err != nil {
			h.host.Log().WarnContext(ctx, "a message of the socket is no envelope")
			continue
		}
		switch e.Type {
		case codec.TypeHello:
			if !greeted {
				greeted = true
				h.up.Add(1)
				h.off.Store(false)
				h.health.Report(channels.Health{Phase: channels.Connected, As: h.team.as()})
			}
		case codec.TypeDisconnect:
			h.host.Log().DebugContext(ctx, "the platform ends a socket", "reason", e.Known())
			tell(e.Reason)
		default:
			if e.ID == "" {
				continue
			}
			select {
			case h.in <- received{e, s}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// intake has what came in accepted, in the order in which it came, and
// acknowledges it. Everything that waits is accepted in one commit.
func (h *hub) intake(ctx context.Context) {
	const most = 100
	for {
		var batch []received
		select {
		case <-ctx.Done():
			return
		case first := <-h.in:
			batch = append(batch, first)
		}
		for more := true; more && len(batch) < most; {
			select {
			case r := <-h.in:
				batch = append(batch, r)
			default:
				more = false
			}
		}
		if !h.take(ctx, batch) {
			return
		}
	}
}

// take has a batch accepted and acknowledges it; false when ctx has ended first.
func (h *hub) take(ctx context.Context, batch []received) bool {
	var events []channels.Event
	for _, r := range batch {
		events = append(events, h.decode(ctx, r.Payload)...)
	}
	h.expect(events)
	var pause link.Backoff
	for {
		rejected, err := h.offer(ctx, h.sink, events)
		if err == nil {
			h.rejected(ctx, rejected)
			break
		}
		if ctx.Err() != nil {
			return false
		}
		h.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fixStore, As: h.team.as()})
		if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
			return false
		}
	}
	if h.up.Load() > 0 {
		h.health.Report(channels.Health{Phase: channels.Connected, As: h.team.as()})
	}
	for _, r := range batch {
		if err := r.from.Write(ctx, r.Acknowledge()); err != nil { // Slack sends it again, and its key is known
			h.host.Log().DebugContext(ctx, "an acknowledgement was not sent", "err", err)
		}
	}
	return true
}
