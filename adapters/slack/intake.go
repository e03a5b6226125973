package slack

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// decode reads the payload of an envelope and completes its events.
func (c *Channel) decode(ctx context.Context, raw json.RawMessage) []channels.Event {
	p, err := codec.Parse(raw)
	if err != nil {
		c.host.Log().WarnContext(ctx, "an envelope holds no payload", "err", err)
		return nil
	}
	events, _ := c.events(ctx, p)
	return events
}

// events are what a payload says, completed with what the codec cannot know.
// known is false for a team in which the app is not installed.
func (c *Channel) events(ctx context.Context, p codec.Payload) (events []channels.Event, known bool) {
	t, ok := c.teams.get(channels.AccountID(p.Team))
	if p.Team == "" {
		t, ok = c.teams.only()
	}
	if !ok && c.cfg.renews() { // another gateway may have installed it
		t, _ = c.recall(ctx, p.Team)
		ok = t != nil
	}
	if !ok {
		c.host.Log().WarnContext(ctx, "event ignored", "reason", "it is of a team in which the app is not installed")
		return nil, false
	}
	r := p.Decode(t.Self)
	if r.Ignored != "" {
		c.host.Log().DebugContext(ctx, "event ignored", "event", p.ID, "reason", r.Ignored)
	}
	if r.Uninstalled {
		c.uninstalled(ctx, t)
	}
	for i := range r.Events {
		c.complete(ctx, &r.Events[i])
		codec.OfTeam(t.Team, r.Events[i].Content)
	}
	c.name(ctx, t, r.Events)
	return r.Events, true
}

// uninstalled finds out whether a team has really removed the app: the event
// says that some token was revoked, which need not be ours.
func (c *Channel) uninstalled(ctx context.Context, t *team) {
	_, err := c.test(ctx, t.ref)
	switch {
	case channels.KindOf(err) != channels.Unauthorized:
	case c.cfg.many():
		c.forget(ctx, t.Team)
	default:
		_ = c.refused(err)
	}
}

// complete adds what the codec cannot know: the time, the end of a reply path,
// and whether the bot takes part in a thread.
func (c *Channel) complete(ctx context.Context, e *channels.Event) {
	codec.Complete(e, time.Now())
	if e.Addressed || e.Where.Thread == "" {
		return
	}
	in, err := c.threads.joined(ctx, e.Where)
	if err != nil {
		c.host.Log().WarnContext(ctx, "it is not known whether the bot takes part in a thread", "err", err)
	}
	e.Addressed = in
}

// offer has events accepted. Those of nobody are none.
func (c *Channel) offer(ctx context.Context, sink channels.Sink, events []channels.Event) ([]error, error) {
	if len(events) == 0 {
		return nil, ctx.Err()
	}
	return channels.Offer(ctx, sink, channels.Batch{Events: events})
}

// rejected leaves a trace of what the gateway never takes: it is acknowledged
// all the same, so that the platform does not bring it for ever.
func (c *Channel) rejected(ctx context.Context, all []error) {
	for _, err := range all {
		c.host.Log().ErrorContext(ctx, "an event cannot be kept and is passed over", "err", err)
	}
}

// expect notes what the bot is about to work on. It comes before the Accept,
// because the work may begin as soon as that is done.
func (c *Channel) expect(events []channels.Event) {
	for i := range events {
		c.unacked.Add(&events[i])
	}
}
