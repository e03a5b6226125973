// Package webhook is the channel for everything else: whatever can send an HTTP
// request can ask, and gets its answer in the same request, at a callback URL,
// or by asking again.
//
// A request is proved first (see channels/proof), then mapped to an event by the
// templates of the configuration, then accepted; only after that its sender is
// told. What a proved request says is still the word of others: it is marked as
// passed on, unless the configuration trusts it.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/order"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// account names the one installation of a channel.
const account channels.AccountID = "webhook"

// Driver opens webhook channels. The zero Driver is ready.
type Driver struct{}

var (
	_ channels.Driver    = Driver{}
	_ channels.Guided    = Driver{}
	_ channels.Admitting = Driver{}
)

// Name implements channels.Driver.
func (Driver) Name() string { return "webhook" }

// Schema implements channels.Driver.
func (Driver) Schema() []byte { return []byte(schema) }

// DM implements channels.Admitting: whoever has proved whose request it is, is
// let in, as a guest.
func (Driver) DM() string { return "open" }

// Check implements channels.Driver.
func (Driver) Check(cfg json.RawMessage) []channels.Fault {
	_, faults := parse(cfg)
	return faults
}

// Open implements channels.Driver.
func (Driver) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	s, faults := parse(cfg)
	var errs []error
	judge, ok := h.(proof.Verifier)
	if !ok {
		errs = append(errs, errors.New("this host checks no requests"))
	}
	if err := section.Refusal("webhook", h.ID(), faults, errs...); err != nil {
		return nil, err
	}
	c := &Channel{
		host: h, cfg: s, judge: judge, client: link.Client(h, account), health: link.Reporter{Host: h},
	}
	var err error
	if c.check, err = proof.New(s.Verify, h.Client(account)); err == nil && s.VerifyToken != "" {
		c.token, err = proof.New(proof.Spec{Kind: proof.Header, Secret: s.VerifyToken, Header: tokenHeader}, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("webhook channel %s: verify: %w", h.ID(), err)
	}
	return c, nil
}

// Channel is one address for requests. Its methods may be called concurrently.
type Channel struct {
	host   channels.Host
	cfg    settings
	judge  proof.Verifier
	check  *proof.Checker
	token  *proof.Checker // of Meta's check of the URL; nil: there is none
	client *http.Client
	health link.Reporter
	line   order.Line
}

var (
	_ channels.Channel    = (*Channel)(nil)
	_ channels.Receiver   = (*Channel)(nil)
	_ channels.Prober     = (*Channel)(nil)
	_ channels.Idempotent = (*Channel)(nil)
)

// maxBeside is the longest text beside a file, in characters: a longer one comes
// in a callback of its own.
const maxBeside = 64 << 10

// Features implements channels.Channel. A program needs no limits but those of
// files, of which a callback carries one.
func (c *Channel) Features(channels.Address) channels.Features {
	f := channels.Features{Dialect: markup.CommonMark, Threads: true}
	if c.cfg.CallbackURL != "" && c.cfg.CallbackFiles {
		f.MaxFile, f.MaxCaption = maxFile, maxBeside
	}
	return f
}

// Idempotent implements channels.Idempotent: a callback carries the part's key as
// its webhook-id, by which the receiver knows a repetition.
func (c *Channel) Idempotent() time.Duration { return 0 }

// Run implements channels.Channel. There is no connection to keep: requests come
// in whenever they come, and how callbacks go is reported as they do.
func (c *Channel) Run(ctx context.Context, _ channels.Sink) error {
	c.health.Report(channels.Health{Phase: channels.Connected, As: c.host.Public()})
	<-ctx.Done()
	return nil
}

// Probe implements channels.Prober.
func (c *Channel) Probe(context.Context) (channels.Identity, error) {
	setup := codec.Setup{Channel: c.host.ID(), Public: c.host.Public(), Callback: c.cfg.CallbackURL, Proof: c.cfg.Proof}
	return channels.Identity{Account: account, Name: "Webhook " + string(c.host.ID()), Link: setup.Public, Notes: setup.Notes()}, nil
}
