package discord

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// Send implements channels.Channel. A new message bears a nonce, so that the
// same part sent again within some minutes is not shown twice.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if p.Via != nil && !p.Via.Token.Empty() && p.Replaces == "" {
		if r, done, err := c.reply(ctx, p); done {
			return r, err
		}
	}
	call, err := codec.Encode(p, c.options())
	if err != nil {
		return channels.Receipt{}, c.api.fail("send", channels.Rejected, err)
	}
	b, err := c.api.invoke(ctx, call)
	if err != nil {
		return channels.Receipt{}, err
	}
	return codec.Sent(p, b, time.Now()), nil
}

// Idempotent implements channels.Idempotent. The platform remembers nonces for
// "a few minutes".
func (c *Channel) Idempotent() time.Duration { return 2 * time.Minute }

func (c *Channel) options() codec.Options { return codec.Options{Pings: c.cfg.Pings} }

// reply answers a command where its person waits for it. done is false when the
// part goes the ordinary way: another one has taken the place, or it is gone.
func (c *Channel) reply(ctx context.Context, p channels.Part) (r channels.Receipt, done bool, err error) {
	self, err := c.self(ctx)
	if err != nil {
		return r, true, err
	}
	key := codec.Short(p.Via.Token.Reveal())
	ours, err := c.claim(ctx, key, p.Key)
	if err != nil {
		return r, true, c.api.fail("send", channels.Transient, err)
	}
	if !ours {
		return r, false, nil
	}
	if over := c.deferred.over(key); over != nil {
		select {
		case <-over:
		case <-ctx.Done():
			return r, true, c.api.fail("send", channels.Transient, ctx.Err())
		}
	}
	call, err := codec.EncodeReply(p, c.options(), self.App)
	if err != nil {
		return r, true, c.api.fail("send", channels.Rejected, err)
	}
	n, err := c.api.do(ctx, call)
	switch {
	case err != nil:
		return r, true, err
	case n.OK:
		return codec.Sent(p, n.Result, time.Now()), true, nil
	case n.Kind == channels.Gone:
		return r, false, nil
	}
	return r, true, c.api.refused(call.Route, n)
}

// claim takes the place for a part, or says that another part has it.
func (c *Channel) claim(ctx context.Context, key, part string) (ours bool, err error) {
	state := c.host.State()
	b, err := state.Get(ctx, codec.KeepClaims+key)
	if err != nil {
		return false, err
	}
	var old codec.Claim
	if b != nil && json.Unmarshal(b, &old) == nil {
		return old.Key == part, nil
	}
	b, err = json.Marshal(codec.Claim{Key: part, At: time.Now().UTC()})
	if err != nil {
		return false, err
	}
	return true, state.Put(ctx, channels.Write{Key: codec.KeepClaims + key, Value: b})
}

// tidy forgets the claims whose interactions have ended.
func (c *Channel) tidy(ctx context.Context) error {
	for after := ""; ; {
		kept, err := c.host.State().List(ctx, codec.KeepClaims, after, 0)
		if err != nil || len(kept) == 0 {
			return err
		}
		var gone []channels.Write
		for _, w := range kept {
			if codec.Ended(w.Value, time.Now()) {
				gone = append(gone, channels.Write{Key: w.Key})
			}
			after = w.Key
		}
		if len(gone) > 0 {
			if err := c.host.State().Put(ctx, gone...); err != nil {
				return err
			}
		}
	}
}

// Edit implements channels.Editor.
func (c *Channel) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces = at, id
	_, err := c.Send(ctx, p)
	return err
}

// Delete implements channels.Deleter.
func (c *Channel) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	call, err := codec.Delete(at, id)
	return c.small(ctx, call, err)
}

// React implements channels.Reactor. The platform lets a bot set several; here
// it has one.
func (c *Channel) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	call, err := codec.Message(at, id)
	if err != nil {
		return c.api.fail("react", channels.Rejected, err)
	}
	b, err := c.api.invoke(ctx, call)
	if err != nil {
		return err
	}
	has := false
	for _, e := range codec.Mine(b) {
		if e == emoji {
			has = true
			continue
		}
		call, err := codec.React(at, id, e, false)
		if err := c.small(ctx, call, err); err != nil {
			return err
		}
	}
	if has || emoji == "" {
		return nil
	}
	call, err = codec.React(at, id, emoji, true)
	return c.small(ctx, call, err)
}

// Type implements channels.Typer. The first time for a message it also sets
// the reaction that the configuration asks for: by then the gateway has let
// the sender in and works on the message.
func (c *Channel) Type(ctx context.Context, at channels.Address) error {
	id, first := c.unacked.Take(at)
	if emoji := *c.ack.Load(); first && emoji != "" {
		call, err := codec.React(at, id, emoji, true)
		if err := c.small(ctx, call, err); err != nil {
			c.host.Log().DebugContext(ctx, "the reaction was refused", "err", err)
		}
	}
	call, err := codec.Typing(at)
	return c.small(ctx, call, err)
}

// small sends a call that was made with err.
func (c *Channel) small(ctx context.Context, call codec.Call, err error) error {
	if err != nil {
		return c.api.fail("send", channels.Rejected, err)
	}
	_, err = c.api.invoke(ctx, call)
	return err
}

// acknowledge tells a person in time that their command or press has arrived. A
// failure to reach the platform is tried again as long as the person waits.
func (c *Channel) acknowledge(ctx context.Context, d *codec.Defer) {
	const patience = 2800 * time.Millisecond // the platform waits 3 seconds
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := c.api.invoke(ctx, d.Acknowledge())
		if err == nil {
			return
		}
		var e *channels.Error
		if !errors.As(err, &e) || (e.Kind != channels.Transient && e.Kind != channels.RateLimited) || ctx.Err() != nil {
			c.host.Log().WarnContext(ctx, "an interaction was not acknowledged in time; its person reads that the application did not respond", "err", err)
			return
		}
		pause := time.NewTimer(max(100*time.Millisecond, e.RetryAfter))
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}
