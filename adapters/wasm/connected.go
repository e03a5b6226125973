package wasm

import (
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
		if err := p.failed(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

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
	in := &inbox{some: make(chan struct{}, 1)}
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
		if err := p.messages(ctx, messages); err != nil {
			return err // the platform gives it again when the session is resumed
		}
		p.works()
	}
}

// works notes that the connection does what it is for.
func (p *poller) works() {
	p.failures = 0
	p.pause.Reset()
	p.h.Heard()
	p.health.Report(channels.Health{Phase: channels.Connected, As: p.as()})
}

// messages has the guest read what came.
func (p *poller) messages(ctx context.Context, all [][]byte) error {
	in := &wire.Socket{}
	for _, m := range all {
		in.Messages = append(in.Messages, len(m))
	}
	_, _, err := p.receive(ctx, sandbox.OpSocketMessage, wire.In{Socket: in}, slices.Concat(all...))
	return err
}

// hungUp tells the guest that the connection has ended, and waits as long as it
// says. An error of the guest is why: one that is "unauthorized" stops the
// channel.
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
	if err != nil {
		return err
	}
	_ = link.Sleep(ctx, milliseconds(out.WaitMS)) // its caller looks at ctx
	return cause
}
