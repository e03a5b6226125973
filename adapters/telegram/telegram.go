// Package telegram is the channel for the Telegram Bot API.
//
// It owns its poll loop and its webhook: an update is acknowledged, by the
// offset of the next poll or by status 200, only after Sink.Accept has returned
// nil. What an update means and how a part is written is in the package codec,
// which is pure. The requests go out as JSON through the host's client, because
// the platform's answer, and whether a request can have reached it at all,
// decide what happens next.
package telegram

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/ack"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// Driver opens Telegram channels. The zero Driver is ready.
type Driver struct {
	// Watch is how often a webhook's registration is looked at; 0 means once a
	// minute.
	Watch time.Duration
}

var _ channels.Driver = Driver{}

// Name implements channels.Driver.
func (Driver) Name() string { return "telegram" }

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
	if s.Mode == modeWebhook && h.Public() == "" {
		errs = append(errs, errors.New("mode webhook needs a public_url under which Telegram can reach the gateway"))
	}
	if err := section.Refusal("telegram", h.ID(), faults, errs...); err != nil {
		return nil, err
	}
	c := newChannel(h, s)
	c.watch = cmp.Or(d.Watch, time.Minute)
	return c, nil
}

// Channel is one bot. Its methods may be called concurrently.
type Channel struct {
	host channels.Host
	api  *api
	cfg  settings

	watch time.Duration // between looks at the webhook

	ack     atomic.Pointer[string] // the reaction for Type; may be reloaded
	unacked ack.Waiting            // messages that wait for their reaction
	moves   moves
	health  link.Reporter

	mu sync.Mutex // guards me
	me *codec.Self
}

var (
	_ channels.Channel   = (*Channel)(nil)
	_ channels.Editor    = (*Channel)(nil)
	_ channels.Deleter   = (*Channel)(nil)
	_ channels.Reactor   = (*Channel)(nil)
	_ channels.Typer     = (*Channel)(nil)
	_ channels.Fetcher   = (*Channel)(nil)
	_ channels.Receiver  = (*Channel)(nil)
	_ channels.Sole      = (*Channel)(nil)
	_ channels.Answerer  = (*Channel)(nil)
	_ channels.Commander = (*Channel)(nil)
	_ channels.Prober    = (*Channel)(nil)
	_ channels.Starter   = (*Channel)(nil)
	_ channels.Reloader  = (*Channel)(nil)
)

func newChannel(h channels.Host, s settings) *Channel {
	c := &Channel{
		host: h, cfg: s,
		api:    &api{root: s.BaseURL, client: link.Client(h, ""), channel: h.ID(), secret: h.Secret, ref: s.Token},
		moves:  moves{state: h.State()},
		health: link.Reporter{Host: h},
	}
	c.ack.Store(&s.AckReaction)
	return c
}

// Features implements channels.Channel.
func (c *Channel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.TelegramHTML, MaxText: codec.MaxText, MaxCaption: codec.MaxCaption,
		MaxFile: codec.MaxFile, MaxAlbum: codec.MaxAlbum, MaxFetch: codec.MaxFetch,
		MaxButtons: codec.MaxButtons, MaxButtonData: codec.MaxButtonData,
		Commands: true, Threads: true, ReplyTo: true,
		Drafts: true, DraftEvery: time.Second, TypingFor: 5 * time.Second,
		Rate: channels.Rate{
			Token:   channels.PerSecond{N: 30, Burst: 30},
			Direct:  channels.PerSecond{N: 1, Burst: 3},
			Room:    channels.PerSecond{N: 20.0 / 60, Burst: 5},
			Reserve: 5,
		},
	}
}

// Run implements channels.Channel.
func (c *Channel) Run(ctx context.Context, sink channels.Sink) error {
	return c.api.refusal.Run(ctx, &c.health, func(ctx context.Context) error { return c.receiving(ctx, sink) }, func(error) string { return fixToken })
}

// receiving is Run without its end.
func (c *Channel) receiving(ctx context.Context, sink channels.Sink) error {
	self, err := c.identify(ctx)
	if err != nil {
		return err
	}
	if err := c.moves.load(ctx); err != nil {
		return err
	}
	if c.cfg.Mode == modeWebhook {
		return c.runWebhook(ctx, self, sink)
	}
	return c.runPoll(ctx, self, sink)
}

// identify asks who the bot is, until there is an answer.
func (c *Channel) identify(ctx context.Context) (codec.Self, error) {
	return link.Ask(ctx, &c.health, c.ask, unreachable)
}

// self is the bot, asked for when it is not known.
func (c *Channel) self(ctx context.Context) (codec.Self, error) {
	if s, ok := c.known(); ok {
		return s, nil
	}
	return c.ask(ctx)
}

// ask asks the platform who the bot is, and remembers it. Each Run does, since
// the token behind the reference may be another bot's by then.
func (c *Channel) ask(ctx context.Context) (codec.Self, error) {
	u, err := c.getMe(ctx)
	if err != nil {
		return codec.Self{}, err
	}
	s := codec.Self{Channel: c.host.ID(), ID: u.ID, Username: u.Username}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.me = &s
	return s, nil
}

// known is the bot if it was asked for before; no I/O.
func (c *Channel) known() (codec.Self, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.me == nil {
		return codec.Self{}, false
	}
	return *c.me, true
}
