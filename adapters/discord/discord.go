// Package discord is the channel for Discord: a bot on its gateway and REST API.
//
// It owns its gateway connection. An event counts as received only after
// Sink.Accept has returned nil: the position in the session is kept in the same
// commit, heartbeats name that position and no later one, and a process that
// starts again resumes behind it. What was said while there was no session to
// resume is read from the channels' histories. What a dispatch means and how a
// part is written is in the package codec, which is pure.
package discord

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/ack"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// Driver opens Discord channels. The zero Driver is ready.
type Driver struct {
	// Answer is how long the gateway may take to say hello, or to answer an
	// identification or a resumption; 0 means 20 seconds.
	Answer time.Duration
	// Settle is the longest pause before a new session after one was declared
	// invalid; 0 means 5 seconds, which the platform asks for.
	Settle time.Duration
}

var _ channels.Driver = Driver{}

// Name implements channels.Driver.
func (Driver) Name() string { return "discord" }

// Schema implements channels.Driver.
func (Driver) Schema() []byte { return []byte(schema) }

// Check implements channels.Driver.
func (Driver) Check(cfg json.RawMessage) []channels.Fault {
	_, faults := parse(cfg)
	return faults
}

// Reaches lists where a channel goes besides its base_url: the gateway, whose
// host changes with each session (the token goes there as well), and the file
// server.
func (Driver) Reaches() []string {
	return []string{"https://gateway.discord.gg", "https://*.discord.gg", "https://cdn.discordapp.com"}
}

// Open implements channels.Driver.
func (d Driver) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	s, faults := parse(cfg)
	var errs []error
	sockets, ok := h.(channels.Socketer)
	if !ok {
		errs = append(errs, errors.New("this host opens no sockets, and Discord's gateway is one"))
	}
	if err := section.Refusal("discord", h.ID(), faults, errs...); err != nil {
		return nil, err
	}
	c := newChannel(h, s)
	c.sockets, c.answer, c.settle = sockets, cmp.Or(d.Answer, 20*time.Second), cmp.Or(d.Settle, 5*time.Second)
	return c, nil
}

// Channel is one bot. Its methods may be called concurrently.
type Channel struct {
	host    channels.Host
	sockets channels.Socketer
	api     *api
	cfg     settings

	answer, settle time.Duration

	ack      atomic.Pointer[string] // the reaction for Type; may be reloaded
	unacked  ack.Waiting            // messages that wait for their reaction
	deferred deferrals
	health   link.Reporter

	mu sync.Mutex // guards me
	me *account
}

// account is who the bot is.
type account struct {
	codec.Self
	app codec.Application
}

var (
	_ channels.Channel    = (*Channel)(nil)
	_ channels.Idempotent = (*Channel)(nil)
	_ channels.Editor     = (*Channel)(nil)
	_ channels.Deleter    = (*Channel)(nil)
	_ channels.Reactor    = (*Channel)(nil)
	_ channels.Typer      = (*Channel)(nil)
	_ channels.Fetcher    = (*Channel)(nil)
	_ channels.Receiver   = (*Channel)(nil)
	_ channels.Sole       = (*Channel)(nil)
	_ channels.Commander  = (*Channel)(nil)
	_ channels.Prober     = (*Channel)(nil)
	_ channels.Reloader   = (*Channel)(nil)
)

func newChannel(h channels.Host, s settings) *Channel {
	c := &Channel{
		host: h, cfg: s,
		api:    &api{root: s.BaseURL, client: link.Client(h, ""), channel: h.ID(), secret: h.Secret, ref: s.Token},
		health: link.Reporter{Host: h},
	}
	c.ack.Store(&s.AckReaction)
	return c
}

// Features implements channels.Channel.
func (c *Channel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.DiscordMarkdown, MaxText: codec.MaxText, MaxCaption: codec.MaxText,
		MaxFile: codec.MaxFile, MaxAlbum: codec.MaxAlbum, MaxFetch: codec.MaxFetch,
		MaxButtons: codec.MaxButtons, MaxButtonData: codec.MaxButtonData,
		Commands: true, Threads: true, ReplyTo: true,
		Drafts: true, DraftEvery: 1200 * time.Millisecond, TypingFor: 10 * time.Second,
		Rate: channels.Rate{
			Token:   channels.PerSecond{N: 50, Burst: 50},
			Direct:  channels.PerSecond{N: 1, Burst: 5},
			Room:    channels.PerSecond{N: 1, Burst: 5},
			Reserve: 2,
		},
	}
}

// Sole implements channels.Sole: each gateway connection is told everything.
func (c *Channel) Sole() bool { return true }

// Run implements channels.Channel.
func (c *Channel) Run(ctx context.Context, sink channels.Sink) error {
	return c.api.refusal.Run(ctx, &c.health, func(ctx context.Context) error { return c.receiving(ctx, sink) }, func(error) string { return codec.FixToken })
}

// identify asks who the bot is, until there is an answer.
func (c *Channel) identify(ctx context.Context) (account, error) {
	return link.Ask(ctx, &c.health, c.ask, unreachable)
}

// self is the bot, asked for when it is not known.
func (c *Channel) self(ctx context.Context) (account, error) {
	c.mu.Lock()
	me := c.me
	c.mu.Unlock()
	if me != nil {
		return *me, nil
	}
	return c.ask(ctx)
}

// ask asks the platform who the bot is, and remembers it. Each Run does, since
// the token behind the reference may be another bot's by then.
func (c *Channel) ask(ctx context.Context) (account, error) {
	var u struct {
		ID   string `json:"id"`
		Name string `json:"username"`
	}
	var app codec.Application
	if err := c.api.get(ctx, "/users/@me", &u); err != nil {
		return account{}, err
	}
	if err := c.api.get(ctx, "/applications/@me", &app); err != nil {
		return account{}, err
	}
	if u.ID == "" || app.ID == "" {
		return account{}, c.api.fail("GET users/@me", channels.Transient, errors.New("the answer names no bot"))
	}
	who := account{
		Self: codec.Self{Channel: c.host.ID(), ID: u.ID, App: app.ID, Name: u.Name},
		app:  app,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.me = &who
	return who, nil
}
