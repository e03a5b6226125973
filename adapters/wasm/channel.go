package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/order"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// perChannel is how many calls of one channel may be under way at once.
const perChannel = 32

// channel is one account whose logic is a guest. Its methods may be called
// concurrently.
type channel struct {
	d      *Driver
	g      *guest
	h      channels.Host
	s      section
	client *http.Client
	proofs []*proof.Checker // of the manifest's webhooks, in their order

	health  link.Reporter
	strikes *strikes
	ration  *ration
	store   store

	oversteps oversteps
	room      chan struct{}
	begins    atomic.Pointer[beginning] // of its headers; nil: not written yet
	lines     requestLines

	session atomic.Pointer[json.RawMessage] // what start returned
	name    atomic.Pointer[string]          // the account, for people
	webhook atomic.Bool                     // the guest wants requests
	refusal atomic.Pointer[context.CancelCauseFunc]
	socket  atomic.Pointer[connection] // nil: there is none
	timers  *timers
	beside  sync.WaitGroup // requests that follow a commit
	line    order.Line     // of the platform's requests
}

var (
	_ channels.Channel = (*channel)(nil)
	_ channels.Sole    = (*channel)(nil)
	_ channels.Tied    = (*channel)(nil)
)

// Sole implements channels.Sole: two polls, or two connections, would take each
// other's updates.
func (c *channel) Sole() bool { return c.g.terms.every > 0 || len(c.s.sockets) > 0 }

// Tied implements channels.Tied: a guest may send over its socket, and nobody
// can tell beforehand whether it will.
func (c *channel) Tied() bool { return len(c.s.sockets) > 0 }

// Features implements channels.Channel.
func (c *channel) Features(where channels.Address) channels.Features { return c.s.at(where) }

func (c *channel) as() string {
	if s := c.name.Load(); s != nil {
		return *s
	}
	return ""
}

// Run implements channels.Channel.
func (c *channel) Run(ctx context.Context, sink channels.Sink) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c.refusal.Store(&stop)
	defer c.refusal.CompareAndSwap(&stop, nil)
	if c.g.barred != "" {
		c.health.Report(channels.Health{Phase: channels.Broken, Err: barredError(c.g.barred), Fix: fixBarred})
		<-ctx.Done() // what is to be sent waits
		return nil
	}
	c.health.Report(channels.Health{Phase: channels.Connecting})
	err := c.receiving(running, sink)
	if ctx.Err() != nil {
		return nil
	}
	if cause := context.Cause(running); cause != nil {
		err = cause
	}
	fix := fixLoad
	if channels.KindOf(err) == channels.Unauthorized {
		fix = fixSecret
	}
	c.health.Report(channels.Health{Phase: channels.Broken, Err: err, Fix: fix, As: c.as()})
	return err
}

func (c *channel) receiving(ctx context.Context, sink channels.Sink) error {
	release, err := c.d.hold(ctx, c.g.pkg)
	if err != nil {
		return c.fail(sandbox.OpStart, channels.Other, err)
	}
	defer release()
	if _, err := c.d.load(ctx, c.g.pkg); err != nil {
		c.d.started(c.g.pkg.Sum, err)
		return c.fail(sandbox.OpStart, channels.Other, err)
	}
	p := &poller{channel: c, sink: sink}
	p.quick.Store(true)
	if err := p.start(ctx); err != nil {
		return err
	}
	defer p.beside.Wait()
	defer p.timers.clear()
	defer p.shutdown(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beside.Go(func() { p.timers.run(ctx, p.ring) })
	if len(c.s.sockets) > 0 && !p.alone {
		return p.connected(ctx)
	}
	if c.g.terms.every == 0 {
		c.h.Heard()
		c.health.Report(channels.Health{Phase: channels.Connected, As: c.as()})
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		if err := p.turn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Send implements channels.Channel.
func (c *channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	return c.send(ctx, sandbox.OpSend, p)
}

var errReceipt = errors.New("the guest gave no receipt, or one that no platform gives")

// maxReceipt is how long the id of a message may be, in bytes. A guest may claim
// any: it counts within its own channel alone, but it is kept.
const maxReceipt = 1024

// sound reports whether a guest's receipt can be kept. Whether it is true nobody
// can tell but the platform.
func sound(r *channels.Receipt) bool { return r != nil && r.ID != "" && len(r.ID) <= maxReceipt }

func (c *channel) send(ctx context.Context, op sandbox.Op, p channels.Part) (channels.Receipt, error) {
	h := &call{sending: &p}
	part := c.part(p, h)
	out, err := c.do(ctx, op, wire.In{Part: &part}, h)
	if err != nil {
		return channels.Receipt{}, err
	}
	if !sound(out.Receipt) {
		return channels.Receipt{}, c.fail(op, channels.Ambiguous, errReceipt)
	}
	if out.Receipt.At.IsZero() {
		out.Receipt.At = time.Now().UTC()
	}
	return *out.Receipt, nil
}

// do runs an operation that hands in no events.
func (c *channel) do(ctx context.Context, op sandbox.Op, in wire.In, h *call) (wire.Out, error) {
	if err := ctx.Err(); err != nil {
		return wire.Out{}, c.fail(op, channels.Transient, err)
	}
	out, r, err := c.invoke(ctx, op, in, nil, h)
	defer h.end()
	if err != nil {
		return out, err
	}
	h.keep(ctx, r.Effects)
	return out, nil
}

// part is a part as the guest gets it. Its files stay with the call.
func (c *channel) part(p channels.Part, h *call) wire.Part {
	w := wire.Part{
		Key: p.Key, To: p.To, Via: p.Via, Only: p.Audience.Only, ReplyTo: p.ReplyTo, Replaces: p.Replaces,
		Plain: p.Plain, Buttons: p.Buttons, Silent: p.Silent, Mentions: mentions(nil, p.Body),
	}
	if f := c.g.terms; f.wire.Tree {
		w.Body = &p.Body
	} else {
		w.Text, w.Alternative = f.texts(p)
	}
	h.files = map[string]channels.File{}
	for i, f := range p.Files {
		handle := "file" + strconv.Itoa(i)
		if f.Open != nil {
			h.files[handle] = f
		}
		w.Files = append(w.Files, wire.File{File: f, Handle: handle})
	}
	return w
}
