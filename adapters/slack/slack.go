package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/ack"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// Driver opens Slack channels. The zero Driver is ready.
type Driver struct {
	// Watch is how often a channel in mode events looks whether its token still
	// counts; 0 means once a minute.
	Watch time.Duration
}

var _ channels.Driver = Driver{}

// Name implements channels.Driver.
func (Driver) Name() string { return "slack" }

// Schema implements channels.Driver.
func (Driver) Schema() []byte { return []byte(schema) }

// Check implements channels.Driver.
func (Driver) Check(cfg json.RawMessage) []channels.Fault {
	_, faults := parse(cfg)
	return faults
}

// Open implements channels.Driver.
func (d Driver) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	s, faults := parse(cfg)
	var errs []error
	if s.Mode == modeEvents && h.Public() == "" {
		errs = append(errs, errors.New("mode events needs a public_url under which Slack can reach the gateway"))
	}
	if s.many() && h.Public() == "" {
		errs = append(errs, errors.New("an app that several teams install needs a public_url, to which their browsers are sent"))
	}
	if err := section.Refusal("slack", h.ID(), faults, errs...); err != nil {
		return nil, err
	}
	return newChannel(h, s, cmp.Or(d.Watch, time.Minute))
}

// Channel is one app. Its methods may be called concurrently.
type Channel struct {
	host  channels.Host
	api   *api
	cfg   settings
	watch time.Duration
	check *proof.Checker // of requests; nil in mode socket

	ack     atomic.Pointer[string] // the reaction for Type; may be reloaded
	unacked ack.Waiting            // messages that wait for their reaction
	health  link.Reporter
	refusal link.Refusal
	teams   teams
	threads threads
	names   names
	marks   reactions
	quiet   quiet
	renew   sync.Mutex // one token is renewed at a time
}

var (
	_ channels.Channel  = (*Channel)(nil)
	_ channels.Editor   = (*Channel)(nil)
	_ channels.Deleter  = (*Channel)(nil)
	_ channels.Reactor  = (*Channel)(nil)
	_ channels.Typer    = (*Channel)(nil)
	_ channels.Fetcher  = (*Channel)(nil)
	_ channels.Receiver = (*Channel)(nil)
	_ channels.Sole     = (*Channel)(nil)
	_ channels.Prober   = (*Channel)(nil)
	_ channels.Reloader = (*Channel)(nil)

	_ channels.Reconciler = (*Channel)(nil)
)

// firstLook asks who the bot is, or where the app is installed.
func (c *Channel) firstLook(ctx context.Context) (*team, error) {
	switch {
	case c.cfg.many():
		return c.installed(ctx)
	case c.cfg.renews():
		return c.rotating(ctx)
	}
	return c.learn(ctx)
}

func newChannel(h channels.Host, s settings, watch time.Duration) (*Channel, error) {
	// Slack redirects only those who show no valid token, to a page for people.
	client := link.Client(h, "")
	c := &Channel{
		host: h, cfg: s, watch: watch,
		api:     &api{root: s.BaseURL, client: client, channel: h.ID(), secret: h.Secret},
		health:  link.Reporter{Host: h},
		threads: threads{state: h.State()},
	}
	if s.Mode == modeEvents {
		var err error
		if c.check, err = proof.New(proof.Spec{Kind: proof.Slack, Secret: s.SigningSecret}, client); err != nil {
			return nil, fmt.Errorf("slack channel %s: %w", h.ID(), err)
		}
	}
	c.ack.Store(&s.AckReaction)
	return c, nil
}

// Features implements channels.Channel.
func (c *Channel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.Mrkdwn, MaxText: codec.MaxText, MaxCaption: codec.MaxCaption,
		MaxFile: codec.MaxFile, MaxAlbum: codec.MaxAlbum, MaxFetch: codec.MaxFetch,
		MaxButtons: codec.MaxButtons, MaxButtonData: codec.MaxButtonData,
		Threads: true, Drafts: true, DraftEvery: 1200 * time.Millisecond, TypingFor: 90 * time.Second,
		Rate: channels.Rate{
			Token:   channels.PerSecond{N: 5, Burst: 20},
			Direct:  channels.PerSecond{N: 1, Burst: 3},
			Room:    channels.PerSecond{N: 1, Burst: 3},
			Reserve: 5,
		},
	}
}

// Sole implements channels.Sole: Slack deals events out to all sockets of an
// app, so that those of one conversation would come to several gateways in no
// order. A webhook may be received anywhere.
func (c *Channel) Sole() bool { return c.cfg.Mode == modeSocket }

// Run implements channels.Channel.
func (c *Channel) Run(ctx context.Context, sink channels.Sink) error {
	return c.refusal.Run(ctx, &c.health, func(ctx context.Context) error { return c.receiving(ctx, sink) }, fixFor)
}

// fixFor is the advice for a token that no longer counts.
func fixFor(err error) string {
	var e *channels.Error
	if errors.As(err, &e) && e.Op == opOpen {
		return fixAppToken
	}
	if errors.As(err, &e) && e.Op == opRenew {
		return fixRefresh
	}
	return fixToken
}

// receiving is Run without its end.
func (c *Channel) receiving(ctx context.Context, sink channels.Sink) error {
	t, err := c.identify(ctx)
	if err != nil {
		return err
	}
	if c.cfg.renews() {
		var renewing sync.WaitGroup
		defer renewing.Wait()
		renewing.Go(func() { c.renewing(ctx) })
	}
	if err := c.threads.prune(ctx, time.Now()); err != nil {
		return err
	}
	if c.cfg.Mode == modeEvents {
		return c.runEvents(ctx, t)
	}
	return c.runSockets(ctx, t, sink)
}

// identify asks who the bot is, until there is an answer.
func (c *Channel) identify(ctx context.Context) (*team, error) {
	return link.Ask(ctx, &c.health, c.firstLook, unreachable)
}

// runEvents watches over the token while Slack calls.
func (c *Channel) runEvents(ctx context.Context, t *team) error {
	var pause link.Backoff
	for {
		c.health.Report(channels.Health{Phase: channels.Connected, As: t.as()})
		if link.Sleep(ctx, c.watch) != nil {
			return nil
		}
		for {
			_, err := c.firstLook(ctx)
			if err == nil {
				c.host.Heard()
				pause.Reset()
				break
			}
			if channels.KindOf(err) == channels.Unauthorized {
				return err
			}
			c.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: unreachable(err), As: t.as()})
			if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
				return nil
			}
		}
	}
}
