package wasm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// poller is one run of a channel: its start, and then one poll after the other.
type poller struct {
	*channel
	sink     channels.Sink
	accept   sync.Mutex        // one batch at a time
	alone    bool              // without a connection
	quick    atomic.Bool       // the next poll does not wait: it finds out whether polling works
	greeting []sandbox.Payload // what the next connection carries first
	failures int
	pause    link.Backoff
}

// start calls the guest's start until it succeeds.
func (p *poller) start(ctx context.Context) error {
	for ctx.Err() == nil {
		out, _, err := p.receive(ctx, sandbox.OpStart, wire.In{}, nil)
		p.d.started(p.g.pkg.Sum, err)
		if err == nil {
			session := cmp.Or(string(out.Session), "null")
			raw := json.RawMessage(session)
			p.session.Store(&raw)
			p.name.Store(&out.As)
			p.webhook.Store(out.Webhook)
			p.alone = out.NoSocket
			p.pause.Reset()
			return nil
		}
		if err := p.failed(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// receive runs an operation that may hand in events, and returns when they are
// accepted together with the state that the guest put.
func (p *poller) receive(ctx context.Context, op sandbox.Op, in wire.In, body []byte) (wire.Out, sandbox.Result, error) {
	h := &call{}
	defer h.end()
	out, r, err := p.invoke(ctx, op, in, body, h)
	if err != nil {
		return out, r, err
	}
	if len(r.Effects) == 0 {
		p.after(h)
		return out, r, nil
	}
	b, err := h.batch(ctx, r.Effects)
	if err != nil {
		return out, r, p.fail(op, channels.Other, err)
	}
	if len(b.Events)+len(b.State) > 0 {
		err = p.persist(ctx, b.Batch)
	}
	if err == nil {
		p.requestAll(ctx, b.requests)
	}
	if op == sandbox.OpSocketOpen {
		p.greeting = b.messages // there is no connection yet
	} else if err == nil {
		err = p.sendAll(ctx, b.messages)
	}
	if err == nil {
		p.after(h)
	}
	return out, r, err
}

// persist offers a batch until it is accepted or ctx ends: what was received is
// held here, and nothing more is asked for.
func (p *poller) persist(ctx context.Context, b channels.Batch) error {
	p.accept.Lock()
	defer p.accept.Unlock()
	var pause link.Backoff
	for {
		rejected, err := channels.Offer(ctx, p.sink, b)
		if err == nil {
			for _, err := range rejected {
				p.h.Log().ErrorContext(ctx, "an update cannot be kept and is passed over", "err", err)
			}
			if link.Sleep(ctx, p.ration.take(len(b.Events))) != nil {
				return ctx.Err()
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.quick.Store(true) // so that the health is right again soon after
		p.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fixStore, As: p.as()})
		if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
			return ctx.Err()
		}
	}
}

// turn polls once. Its error ends Run.
func (p *poller) turn(ctx context.Context) error {
	began := time.Now()
	ask := &wire.Poll{Quick: p.quick.Load(), Failures: p.failures}
	out, r, err := p.receive(ctx, sandbox.OpPoll, wire.In{Poll: ask}, nil)
	if err == nil && out.Request != nil {
		out, r, err = p.wait(ctx, ask, *out.Request, r.Out.Body)
	}
	if err != nil {
		return p.failed(ctx, err)
	}
	p.quick.Store(false)
	p.failures = 0
	p.pause.Reset()
	p.h.Heard()
	p.health.Report(channels.Health{Phase: channels.Connected, As: p.as()})
	if len(r.Effects) == 0 {
		wait := max(milliseconds(out.WaitMS), p.g.terms.every-time.Since(began))
		if watch := p.d.o.Watch; watch > 0 {
			wait = min(wait, watch)
		}
		_ = link.Sleep(ctx, wait)
	}
	return nil
}

// wait makes the long poll for the guest and hands in what came.
func (p *poller) wait(ctx context.Context, ask *wire.Poll, req wire.Request, body []byte) (wire.Out, sandbox.Result, error) {
	h := &call{c: p.channel, outer: ctx}
	defer h.end()
	req.Save, req.Repeatable = false, true
	resp, content, err := h.exchange(ctx, req, body)
	if err != nil {
		if errors.Is(h.cause, context.DeadlineExceeded) {
			p.client.CloseIdleConnections() // dead for one request is dead for all
		}
		return wire.Out{}, sandbox.Result{}, p.fail(sandbox.OpPoll, pollKind(err), cmp.Or(h.cause, err))
	}
	if resp.Status/100 == 2 {
		p.h.Heard() // before what came is handed in: whoever waits for that may ask
	}
	ask.Response = &resp
	return p.receive(ctx, sandbox.OpPoll, wire.In{Poll: ask}, content)
}

// pollKind tells a request that can never be made from one that can be repeated.
func pollKind(err error) channels.Kind {
	if errors.Is(err, sandbox.Denied) {
		return channels.Rejected
	}
	return channels.Transient
}

// failed reports why something failed, and waits. Its error ends Run.
func (p *poller) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	p.quick.Store(true)
	p.failures++
	if channels.KindOf(err) == channels.Unauthorized {
		return err
	}
	if !errors.Is(err, errQuarantined) && p.strikes.pause() == 0 {
		fix := fixReach
		if errors.Is(err, errSecret) {
			fix = fixSecret
		}
		p.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fix, As: p.as()})
	}
	_ = p.pause.Wait(ctx, max(channels.RetryAfter(err), p.strikes.pause())) // its caller looks at ctx
	return nil
}
