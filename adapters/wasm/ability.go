package wasm

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// What a guest can do is in its manifest, and not in a type. Each ability is
// therefore a layer around the channel, put on when the manifest lists it, and
// found by channels.As.

// layer is what all of them are made of.
type layer struct {
	channels.Channel
	c *channel
}

// Unwrap lets channels.As look further.
func (l layer) Unwrap() channels.Channel { return l.Channel }

type (
	editing     struct{ layer }
	deleting    struct{ layer }
	reacting    struct{ layer }
	typing      struct{ layer }
	fetching    struct{ layer }
	answering   struct{ layer }
	commanding  struct{ layer }
	reconciling struct{ layer }
	probing     struct{ layer }
	starting    struct{ layer }
	receiving   struct{ layer }
	idempotent  struct{ layer }
)

var (
	_ channels.Editor     = editing{}
	_ channels.Deleter    = deleting{}
	_ channels.Reactor    = reacting{}
	_ channels.Typer      = typing{}
	_ channels.Fetcher    = fetching{}
	_ channels.Answerer   = answering{}
	_ channels.Commander  = commanding{}
	_ channels.Reconciler = reconciling{}
	_ channels.Prober     = probing{}
	_ channels.Starter    = starting{}
	_ channels.Receiver   = receiving{}
	_ channels.Idempotent = idempotent{}
)

// capable is the channel with the abilities of its manifest.
func (c *channel) capable() channels.Channel {
	c.room = make(chan struct{}, perChannel)
	var out channels.Channel = c
	put := func(ability string, on func(layer) channels.Channel) {
		if c.g.terms.can(ability) {
			out = on(layer{out, c})
		}
	}
	put(canDelete, func(l layer) channels.Channel { return deleting{l} })
	put(canReact, func(l layer) channels.Channel { return reacting{l} })
	put(canFetch, func(l layer) channels.Channel { return fetching{l} })
	put(canAnswer, func(l layer) channels.Channel { return answering{l} })
	put(canCommands, func(l layer) channels.Channel { return commanding{l} })
	put(canReconcile, func(l layer) channels.Channel { return reconciling{l} })
	put(canProbe, func(l layer) channels.Channel { return probing{l} })
	put(canStartLink, func(l layer) channels.Channel { return starting{l} })
	put(canEdit, func(l layer) channels.Channel { return editing{l} })
	put(isIdempotent, func(l layer) channels.Channel { return idempotent{l} })
	put(canType, func(l layer) channels.Channel { return typing{l} })
	if len(c.g.pkg.Manifest.Webhooks) > 0 {
		out = receiving{layer{out, c}}
	}
	return out
}

// small runs an operation whose answer holds nothing.
func (c *channel) small(ctx context.Context, op sandbox.Op, in wire.In) error {
	_, err := c.do(ctx, op, in, &call{})
	return err
}

// Edit implements channels.Editor.
func (l editing) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces = at, id
	_, err := l.c.send(ctx, sandbox.OpEdit, p)
	return err
}

// Idempotent implements channels.Idempotent.
func (l idempotent) Idempotent() time.Duration { return milliseconds(l.c.g.terms.wire.IdempotentMS) }

// Delete implements channels.Deleter.
func (l deleting) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	return l.c.small(ctx, sandbox.OpDelete, wire.In{At: &at, ID: id})
}

// React implements channels.Reactor.
func (l reacting) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	return l.c.small(ctx, sandbox.OpReact, wire.In{At: &at, ID: id, Emoji: emoji})
}

// Type implements channels.Typer.
func (l typing) Type(ctx context.Context, at channels.Address) error {
	return l.c.small(ctx, sandbox.OpTyping, wire.In{At: &at})
}

// Answer implements channels.Answerer.
func (l answering) Answer(ctx context.Context, p channels.Press, text string) error {
	return l.c.small(ctx, sandbox.OpAnswer, wire.In{Press: &p, Text: text})
}

// Register implements channels.Commander.
func (l commanding) Register(ctx context.Context, commands []channels.CommandSpec) error {
	in := wire.In{Commands: []wire.Command{}}
	for _, s := range commands {
		in.Commands = append(in.Commands, wire.Command{Name: s.Name, Help: s.Help, Args: s.Args})
	}
	return l.c.small(ctx, sandbox.OpCommands, in)
}

var errNoAnswer = errors.New("the guest's answer lacks what was asked for")

// Fetch implements channels.Fetcher. The file is streamed past the guest.
func (l fetching) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	f.Open, f.Blob = nil, ""
	h := &call{}
	defer h.end()
	out, r, err := l.c.invoke(ctx, sandbox.OpFetch, wire.In{File: &f}, nil, h)
	if err != nil {
		return nil, err
	}
	h.keep(ctx, r.Effects)
	body, err := h.content(ctx, out.File)
	if err != nil {
		return nil, l.c.fail(sandbox.OpFetch, channels.Other, errNoAnswer)
	}
	return body, nil
}

// Sent implements channels.Reconciler.
func (l reconciling) Sent(ctx context.Context, p channels.Part, since time.Time) (channels.Receipt, bool, error) {
	h := &call{}
	part := l.c.part(p, h)
	out, err := l.c.do(ctx, sandbox.OpReconcile, wire.In{Part: &part, Since: since.UTC()}, h)
	switch {
	case err != nil:
		return channels.Receipt{}, false, err
	case out.CannotTell:
		return channels.Receipt{}, false, channels.ErrCannotTell
	case out.Receipt == nil:
		return channels.Receipt{}, false, nil
	case !sound(out.Receipt):
		return channels.Receipt{}, false, l.c.fail(sandbox.OpReconcile, channels.Other, errReceipt)
	}
	return *out.Receipt, true, nil
}

// Probe implements channels.Prober.
func (l probing) Probe(ctx context.Context) (channels.Identity, error) {
	out, err := l.c.do(ctx, sandbox.OpProbe, wire.In{}, &call{})
	if err != nil {
		return channels.Identity{}, err
	}
	if out.Identity == nil {
		return channels.Identity{}, l.c.fail(sandbox.OpProbe, channels.Other, errNoAnswer)
	}
	return *out.Identity, nil
}

// StartLink implements channels.Starter.
func (l starting) StartLink(ctx context.Context, code string) (string, error) {
	out, err := l.c.do(ctx, sandbox.OpStartLink, wire.In{Code: code}, &call{})
	if err == nil && out.Link == "" {
		err = l.c.fail(sandbox.OpStartLink, channels.Other, errNoAnswer)
	}
	return out.Link, err
}
