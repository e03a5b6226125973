package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// Times of polling.
const (
	longPoll = 50 * time.Second // how long the platform may hold an empty answer
	// stall is when a poll that has not ended is cut. Together with the poll
	// after it, which does not wait, a dead connection is replaced well within
	// the 120 seconds after which a channel must not be deaf any more.
	stall     = longPoll + 25*time.Second
	quickPoll = 25 * time.Second // the same for a poll that does not wait
	// forgotten is when the platform may have begun to count anew: an update id
	// is random after a week of silence, and could be below the offset.
	forgotten = 6 * 24 * time.Hour
	batchSize = 100 // the most that the platform gives at once
)

// offset is what is kept between polls.
type offset struct {
	Next int64     `json:"next"` // the first update that was not accepted
	At   time.Time `json:"at"`   // when the one before was
}

// poller is one run of the poll loop.
type poller struct {
	*Channel
	self  codec.Self
	sink  channels.Sink
	from  offset
	fast  bool // the next poll does not wait: it finds out whether polling works
	pause link.Backoff
	hooks int // webhooks removed in a row
}

func (p *poller) key() string { return fmt.Sprintf("offset/%d", p.self.ID) }

// Sole implements channels.Sole: of two who poll with one token, each ends the
// other's poll. A webhook may be received anywhere.
func (c *Channel) Sole() bool { return c.cfg.Mode == modePoll }

func (c *Channel) runPoll(ctx context.Context, self codec.Self, sink channels.Sink) error {
	p := &poller{Channel: c, self: self, sink: sink, fast: true}
	if err := p.load(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := p.turn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// load reads the offset. One that cannot be read is as good as none: the
// platform then gives what it has, and keys tell what was seen.
func (p *poller) load(ctx context.Context) error {
	b, err := p.host.State().Get(ctx, p.key())
	if err != nil {
		return fmt.Errorf("read the offset: %w", err)
	}
	if b != nil && json.Unmarshal(b, &p.from) != nil {
		p.from = offset{}
		p.host.Log().WarnContext(ctx, "the stored offset is damaged; polling from the oldest update")
	}
	return nil
}

// turn polls once and has the updates accepted. Its error ends Run.
func (p *poller) turn(ctx context.Context) error {
	if err := p.announce(ctx); err != nil {
		return err
	}
	updates, err := p.fetch(ctx)
	if err != nil {
		return p.failed(ctx, err)
	}
	p.fast, p.hooks = false, 0
	p.pause.Reset()
	p.host.Heard()
	p.health.Report(channels.Health{Phase: channels.Connected, As: p.name()})
	if len(updates) == 0 {
		return nil
	}
	return p.take(ctx, updates)
}

func (p *poller) name() string { return "@" + p.self.Username }

// announce tells of moved groups before the updates that follow the move.
func (p *poller) announce(ctx context.Context) error {
	return p.persist(ctx, func() error { return p.moves.announce(ctx, p.self, p.sink, stamp) })
}

// request writes the parameters of the next poll.
func (p *poller) request() []byte {
	in := struct {
		Offset  int64    `json:"offset,omitempty"`
		Limit   int      `json:"limit"`
		Timeout int      `json:"timeout"`
		Allowed []string `json:"allowed_updates"`
	}{Limit: batchSize, Allowed: codec.Allowed()}
	if time.Since(p.from.At) < forgotten {
		in.Offset = p.from.Next
	}
	if !p.fast {
		in.Timeout = int(longPoll / time.Second)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil // it holds numbers and constants
	}
	return b
}

// fetch polls, and cuts a poll that hangs.
func (p *poller) fetch(ctx context.Context) ([]json.RawMessage, error) {
	limit := stall
	if p.fast {
		limit = quickPoll
	}
	cut, cancel := context.WithTimeoutCause(ctx, limit, errStalled)
	defer cancel()
	updates, n, err := p.api.poll(cut, p.request())
	switch {
	case err != nil && errors.Is(context.Cause(cut), errStalled):
		// A connection that is dead for one request is dead for all.
		p.api.client.CloseIdleConnections()
		return nil, p.api.fail("getUpdates", channels.Transient, errStalled)
	case err != nil:
		return nil, err
	case !n.OK:
		return nil, p.api.refused("getUpdates", n)
	}
	return updates, nil
}

var errStalled = errors.New("the poll was not answered and has been cut")

// failed reports why a poll failed, and waits. Its error ends Run.
func (p *poller) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	p.fast = true
	h := channels.Health{Phase: channels.Retrying, Err: err, Fix: unreachable(err), As: p.name()}
	var least time.Duration
	switch reason := reasonOf(err); {
	case channels.KindOf(err) == channels.Unauthorized:
		return err
	case reason == codec.ReasonWebhookSet:
		return p.unhook(ctx, h)
	case reason == codec.ReasonOtherPoller:
		// The last to ask wins: hurrying would only make both fail.
		h.Fix, least = fixPoller, 5*time.Second
	case channels.KindOf(err) == channels.RateLimited:
		h.Fix = "Nothing: the platform asked for a pause."
	}
	p.health.Report(h)
	return p.wait(ctx, max(least, channels.RetryAfter(err)))
}

// unhook removes the webhook that keeps the bot from polling. A second program
// that sets it again and again is met with pauses.
func (p *poller) unhook(ctx context.Context, h channels.Health) error {
	p.hooks++
	if p.hooks > 1 {
		h.Fix = fixWebhook
		p.health.Report(h)
		if err := p.wait(ctx, 0); err != nil {
			return err
		}
	}
	p.host.Log().WarnContext(ctx, "a webhook was set for this bot and is removed, because the channel polls")
	err := p.api.invoke(ctx, "deleteWebhook", struct{}{}, nil)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	h.Err = err
	p.health.Report(h)
	return p.wait(ctx, channels.RetryAfter(err))
}

// wait pauses; the end of ctx is not an error of Run.
func (p *poller) wait(ctx context.Context, least time.Duration) error {
	if err := p.pause.Wait(ctx, least); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// reasonOf is the platform's reason for a refusal.
func reasonOf(err error) string {
	var e *channels.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return ""
}

// take has a batch accepted together with the offset behind it.
func (p *poller) take(ctx context.Context, updates []json.RawMessage) error {
	b, next := p.batch(ctx, updates)
	if next == 0 {
		// Without a single update id there is nothing to go on from.
		return p.failed(ctx, p.api.fail("getUpdates", channels.Transient, codec.ErrNotUpdate))
	}
	from := offset{Next: next, At: time.Now().UTC()}
	value, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("write the offset: %w", err)
	}
	b.State = []channels.Write{{Key: p.key(), Value: value}}
	p.expect(b.Events)
	accepted := false
	err = p.persist(ctx, func() error {
		rejected, err := channels.Offer(ctx, p.sink, b)
		accepted = err == nil
		if accepted {
			p.rejected(ctx, rejected)
		}
		return err
	})
	if accepted {
		p.from = from
	}
	return err
}

// rejected leaves a trace of what the gateway never takes: it is acknowledged
// all the same, so that the platform does not bring it for ever.
func (c *Channel) rejected(ctx context.Context, all []error) {
	for _, err := range all {
		c.host.Log().ErrorContext(ctx, "an update cannot be kept and is passed over", "err", err)
	}
}

// batch decodes updates; next is the offset behind them, or 0.
func (p *poller) batch(ctx context.Context, updates []json.RawMessage) (b channels.Batch, next int64) {
	b.Events = make([]channels.Event, 0, len(updates))
	for _, raw := range updates {
		u, err := codec.Decode(raw, p.self)
		if err != nil {
			p.host.Log().WarnContext(ctx, "an entry of getUpdates is no update", "err", err)
			continue
		}
		next = max(next, u.ID+1)
		p.ignored(ctx, u)
		for i := range u.Events {
			stamp(&u.Events[i])
		}
		b.Events = append(b.Events, u.Events...)
	}
	return b, next
}

// persist repeats f until it succeeds or ctx ends: what was received is held
// here, unacknowledged, and nothing more is asked for.
func (p *poller) persist(ctx context.Context, f func() error) error {
	var pause link.Backoff
	for {
		err := f()
		if err == nil || ctx.Err() != nil {
			return nil
		}
		p.fast = true // so that the health is right again soon after
		p.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fixStore, As: p.name()})
		if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
			return nil
		}
	}
}

// ignored leaves a trace of an update that gave no event.
func (c *Channel) ignored(ctx context.Context, u codec.Update) {
	if u.Ignored != "" {
		c.host.Log().DebugContext(ctx, "update ignored", "update", u.ID, "reason", u.Ignored)
	}
}

// expect notes what the bot is about to work on. It comes before the Accept,
// because the work may begin as soon as that is done.
func (c *Channel) expect(events []channels.Event) {
	if *c.ack.Load() == "" {
		return
	}
	for i := range events {
		c.unacked.Add(&events[i])
	}
}

// stamp gives our time to an event that the platform gave none.
func stamp(e *channels.Event) {
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
}
