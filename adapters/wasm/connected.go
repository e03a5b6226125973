package wasm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// connected keeps a connection until ctx ends. Its error needs a person.
func (p *poller) connected(ctx context.Context) error {
	for ctx.Err() == nil {
		err := p.connection(ctx)
		p.timers.clear()
		if ctx.Err() != nil {
			return nil
		}
		var end *ended
		if errors.As(err, &end) {
			return end.err
		}
		if err := p.failed(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// ended is the end of a connection after which another one is of no use.
type ended struct{ err error }

// Error implements error.
func (e *ended) Error() string { return e.err.Error() }

// connection is the life of one: messages are handed to the guest one batch
// after the other, each durable before the next, while others come in and timers
// ring. It returns why it ended.
func (p *poller) connection(ctx context.Context) error {
	c, how, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	p.socket.Store(c)
	defer p.socket.Store(nil)
	if err := p.sendAll(ctx, p.greeting); err != nil {
		return p.fail(sandbox.OpSocketOpen, channels.Transient, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	in := &inbox{some: make(chan struct{}, 1), most: cmp.Or(c.grant.Batch, aheadMessages)}
	reader.Go(func() { in.fill(ctx, c) })
	if how.Ready {
		p.works()
	}
	for {
		messages, err := in.take(ctx)
		if err != nil {
			return p.hungUp(ctx, err)
		}
		p.h.Heard()
		works, err := p.messages(ctx, messages)
		if err != nil {
			return err // the platform gives it again when the session is resumed
		}
		if works {
			p.works()
		}
	}
}

// works notes that the connection does what it is for.
func (p *poller) works() {
	p.failures = 0
	p.pause.Reset()
	p.h.Heard()
	p.health.Report(channels.Health{Phase: channels.Connected, As: p.as()})
}

// messages has the guest read what came, and tells whether that shows that the
// connection works.
func (p *poller) messages(ctx context.Context, all [][]byte) (works bool, err error) {
	in, body := &wire.Socket{}, slices.Concat(all...)
	for _, m := range all {
		in.Messages = append(in.Messages, len(m))
	}
	for {
		out, _, err := p.receive(ctx, sandbox.OpSocketMessage, wire.In{Socket: in}, body)
		if err != nil || !out.Again {
			return !out.Unready, err
		}
		in, body = &wire.Socket{Again: true}, nil
	}
}

// hungUp tells the guest that the connection has ended, and waits as long as it
// says. An error of the guest is why: one that is "unauthorized" or "rejected"
// stops the channel.
func (p *poller) hungUp(ctx context.Context, cause error) error {
	in := &wire.Socket{Failures: p.failures}
	var closed *channels.SocketClosed
	if errors.As(cause, &closed) {
		in.Code, in.Reason = closed.Code, closed.Reason
	}
	p.socket.Store(nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	out, _, err := p.receive(ctx, sandbox.OpSocketClosed, wire.In{Socket: in}, nil)
	if channels.KindOf(err) == channels.Rejected {
		return &ended{err}
	}
	if err != nil {
		return err
	}
	_ = link.Sleep(ctx, milliseconds(out.WaitMS)) // its caller looks at ctx
	return cause
}
