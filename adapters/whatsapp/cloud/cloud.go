// Package cloud is the channel for the official WhatsApp Cloud API.
//
// Meta calls the gateway, and a call is answered with 200 only after
// Sink.Accept has returned nil; every other answer lets Meta call again, for
// days. What a call means and how a part is written is in the package codec,
// which is pure.
package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/order"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// Driver opens channels of the WhatsApp Cloud API. The zero Driver is ready.
type Driver struct {
	// Watch is how often the number and the registration are looked at; 0 means
	// once a minute.
	Watch time.Duration
}

var (
	_ channels.Driver = Driver{}
	_ channels.Guided = Driver{}
)

// Name implements channels.Driver.
func (Driver) Name() string { return "whatsapp-cloud" }

// Schema implements channels.Driver.
func (Driver) Schema() []byte { return []byte(schema) }

// Check implements channels.Driver.
func (Driver) Check(cfg json.RawMessage) []channels.Fault {
	_, faults := parse(cfg)
	return faults
}

// tokenHeader carries the token of Meta's check to where it is compared.
const tokenHeader = "X-Hub-Verify-Token"

// Open implements channels.Driver.
func (d Driver) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	s, faults := parse(cfg)
	var errs []error
	if h.Public() == "" {
		errs = append(errs, errors.New("it needs a public_url under which Meta can reach the gateway"))
	}
	judge, ok := h.(proof.Verifier)
	if !ok {
		errs = append(errs, errors.New("this host checks no requests"))
	}
	if err := section.Refusal("whatsapp-cloud", h.ID(), faults, errs...); err != nil {
		return nil, err
	}
	c := &Channel{
		host: h, cfg: s, api: newAPI(h, s), judge: judge, watch: cmp.Or(d.Watch, time.Minute), health: link.Reporter{Host: h},
		windows: windows{state: h.State()}, people: people{state: h.State()}, unread: unread{at: map[channels.ConversationID]channels.MessageID{}},
	}
	var err error
	if c.signed, err = proof.New(proof.Spec{Kind: proof.Meta, Secret: s.AppSecret}, nil); err == nil && s.VerifyToken != "" {
		c.token, err = proof.New(proof.Spec{Kind: proof.Header, Secret: s.VerifyToken, Header: tokenHeader}, nil)
	}
	return c, err
}

// Channel is one phone number. Its methods may be called concurrently.
type Channel struct {
	host   channels.Host
	cfg    settings
	api    *api
	judge  proof.Verifier
	signed *proof.Checker
	token  *proof.Checker // of the check by hand; nil: the derived one holds
	watch  time.Duration
	health link.Reporter

	windows windows
	people  people
	unread  unread
	line    order.Line // of Meta's requests
}

var (
	_ channels.Channel  = (*Channel)(nil)
	_ channels.Receiver = (*Channel)(nil)
	_ channels.Fetcher  = (*Channel)(nil)
	_ channels.Reactor  = (*Channel)(nil)
	_ channels.Typer    = (*Channel)(nil)
	_ channels.Prober   = (*Channel)(nil)
)

// Features implements channels.Channel.
func (c *Channel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.WhatsApp, MaxText: codec.MaxText, MaxCaption: codec.MaxCaption,
		MaxFile: codec.MaxFile, MaxAlbum: 1, MaxFetch: codec.MaxFetch,
		MaxButtons: codec.MaxButtons, MaxButtonData: codec.MaxButtonData,
		ReplyTo: true, TypingFor: 25 * time.Second,
		Rate: channels.Rate{
			Token:  channels.PerSecond{N: 80, Burst: 80},
			Direct: channels.PerSecond{N: 1.0 / 6, Burst: 30},
		},
	}
}

// Run implements channels.Channel.
func (c *Channel) Run(ctx context.Context, _ channels.Sink) error {
	return c.api.refusal.Run(ctx, &c.health, c.watching, func(error) string { return fixToken })
}

// watching registers the webhook, and looks after number and token until ctx
// ends or only a person can help.
func (c *Channel) watching(ctx context.Context) error {
	var pause link.Backoff
	registered := false
	for ctx.Err() == nil {
		as, err := c.look(ctx, &registered)
		wait := c.watch
		switch kind := channels.KindOf(err); {
		case err == nil:
			pause.Reset()
			c.health.Report(channels.Health{Phase: channels.Connected, As: as})
			if link.Sleep(ctx, wait) != nil {
				return nil
			}
			continue
		case kind == channels.Unauthorized:
			return err
		case kind == channels.Rejected || kind == channels.Gone:
			c.health.Report(channels.Health{Phase: channels.Broken, Err: err, Fix: fixPublic, As: as})
			return err
		}
		c.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fixReach, As: as})
		if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
			return nil
		}
	}
	return nil
}

// look asks for the number, which needs a valid token, and registers the
// webhook once.
func (c *Channel) look(ctx context.Context, registered *bool) (as string, err error) {
	n, err := c.number(ctx)
	if err != nil {
		return "", err
	}
	c.host.Heard()
	if !*registered {
		if err := c.register(ctx); err != nil {
			return n.Display, err
		}
		*registered = true
	}
	return n.Display, nil
}

func (c *Channel) number(ctx context.Context) (codec.Number, error) {
	var n codec.Number
	err := c.api.get(ctx, codec.NumberPath(c.cfg.Number), &n)
	if err == nil && n.ID != c.cfg.Number {
		err = c.api.fail("phone number", channels.Transient, errors.New("the answer names another number"))
	}
	return n, err
}

// register subscribes the account to the app, and the app to messages, as far
// as the configuration names them. Meta calls the webhook before it answers.
func (c *Channel) register(ctx context.Context) error {
	if c.cfg.Business != "" {
		if err := c.api.post(ctx, c.cfg.Business+"/subscribed_apps", struct{}{}, auth{}); err != nil {
			return err
		}
	}
	if c.cfg.App == "" {
		return nil
	}
	body := codec.Subscription(c.host.Public())
	body["verify_token"] = c.derived()
	return c.api.post(ctx, c.cfg.App+"/subscriptions", body, auth{app: c.cfg.App, secret: c.cfg.AppSecret})
}

// derived is the token that the adapter itself has Meta show.
func (c *Channel) derived() string { return c.host.Derive("webhook").Reveal() }

// Probe implements channels.Prober.
func (c *Channel) Probe(ctx context.Context) (channels.Identity, error) {
	n, err := c.number(ctx)
	if err != nil {
		return channels.Identity{}, err
	}
	return n.Identity(codec.Setup{Public: c.host.Public(), App: c.cfg.App, Business: c.cfg.Business, Template: c.cfg.Template}), nil
}

// What a person can do about a failure.
const (
	fixReach  = "Check that this machine reaches the Graph API at base_url; https://metastatus.com says whether it works."
	fixToken  = "Make a token of a system user with whatsapp_business_messaging and whatsapp_business_management, store it anew, and check phone_number_id."
	fixPublic = "Check public_url (https with a valid certificate, reachable from the internet), app_id and app_secret."
)
