package discord

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// ready begins a session. When there was one before, what it missed is read
// from histories: the direct chats now, a guild's channels when the gateway has
// told of the guild.
func (in *intake) ready(ctx context.Context, w *wire, f codec.Frame) error {
	r, err := f.Ready()
	if err != nil {
		return err
	}
	p := in.at.Begun(r, f.Seq, time.Now())
	if err := in.keep(ctx, batch{Position: p}); err != nil {
		return err
	}
	w.seq.Store(p.Seq)
	in.connected()
	if p.Gap == "" {
		return nil
	}
	in.waiting = map[string]bool{}
	for _, id := range r.Guilds {
		in.waiting[id] = true
	}
	in.host.Log().InfoContext(ctx, "a new session has begun; reading what was said before it")
	const most = 1000 // direct chats, the one used last first
	for _, id := range in.world.Direct(most) {
		if err := in.catchUp(ctx, id, ""); err != nil {
			return err
		}
	}
	return in.closeGap(ctx)
}

// told reads what was said in a guild, now that its channels are known.
func (in *intake) told(ctx context.Context, f codec.Frame) error {
	guild, away := f.Guild()
	if away {
		return nil // it will be told of when it is back
	}
	if f.Type == "GUILD_CREATE" {
		for _, id := range in.world.Behind(in.at.Gap) {
			if err := in.catchUp(ctx, id, guild); err != nil {
				return err
			}
		}
	}
	delete(in.waiting, guild)
	return in.closeGap(ctx)
}

// closeGap notes that everything was read, once it was.
func (in *intake) closeGap(ctx context.Context) error {
	if len(in.waiting) > 0 || in.at.Gap == "" {
		return nil
	}
	p := in.at
	p.Gap = ""
	return in.keep(ctx, batch{Position: p})
}

// maxPages bounds what is read of one channel: 100 messages each.
const maxPages = 50

// catchUp reads a channel's history from the gap on, and one page before it for
// what was edited in the gap. A channel that may not be read is passed over.
func (in *intake) catchUp(ctx context.Context, channel, guild string) error {
	after := in.at.Gap
	edited := func(raw []byte) codec.Result { return in.world.Edited(in.self.Self, guild, in.at.Gap, raw) }
	said := func(raw []byte) codec.Result { return in.world.Message(in.self.Self, guild, raw) }
	if _, err := in.pageOf(ctx, channel, after, codec.Earlier, edited); err != nil {
		return err
	}
	for range maxPages {
		last, err := in.pageOf(ctx, channel, after, codec.History, said, edited)
		if last == "" || err != nil {
			return err
		}
		after = last
	}
	in.host.Log().WarnContext(ctx, "more was said in a channel than is read after a pause; the rest is left out", "conversation", channel)
	return nil
}

// pageOf keeps what readings make of one page of a history. last is where the
// next one begins; "" when there is none.
func (in *intake) pageOf(
	ctx context.Context, channel, from string, of func(channel, from string) (codec.Call, error), readings ...func([]byte) codec.Result,
) (last string, err error) {
	call, err := of(channel, from)
	if err != nil {
		return "", nil //nolint:nilerr // what is no channel has no history
	}
	list, last, err := in.page(ctx, channel, call)
	if err != nil {
		return "", ended(ctx, err)
	}
	b := batch{Position: in.at}
	for _, raw := range list {
		for _, read := range readings {
			b.add(in, in.decode(ctx, func() codec.Result { return read(raw) }))
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if len(b.events)+len(b.state) > 0 {
		err = in.keep(ctx, b)
	}
	return last, err
}

// page reads messages, however often that takes. What can never be read is
// empty.
func (in *intake) page(ctx context.Context, channel string, call codec.Call) (list []json.RawMessage, last string, err error) {
	const odd = 5 // answers that make no sense
	var pause link.Backoff
	for tries := 1; ; tries++ {
		body, err := in.api.invoke(ctx, call)
		if err == nil {
			if list, last, err = codec.Page(body); err == nil {
				return list, last, nil
			}
		}
		switch kind := channels.KindOf(err); {
		case kind == channels.Gone, kind == channels.Rejected, kind == channels.Other && tries >= odd:
			in.host.Log().DebugContext(ctx, "a channel's history cannot be read", "conversation", channel, "err", err)
			return nil, "", nil
		case kind == channels.Unauthorized:
			return nil, "", err
		}
		if err := pause.Wait(ctx, channels.RetryAfter(err)); err != nil {
			return nil, "", err
		}
	}
}

// decode decodes, and looks up the channels that it does not know.
func (in *intake) decode(ctx context.Context, f func() codec.Result) codec.Result {
	r := f()
	for n := 0; r.Missing != "" && n < 3 && ctx.Err() == nil; n++ {
		in.lookUp(ctx, r.Missing, r.Guess)
		r = f()
	}
	return r
}

// lookUp teaches the world a channel. When only its name is at stake it is tried
// once, for a short time; else until there is an answer, since without it nobody
// knows where a thread belongs.
func (in *intake) lookUp(ctx context.Context, id string, guess bool) {
	call, err := codec.Channel(id)
	if err != nil {
		in.world.Assume(id)
		return
	}
	if guess {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
	}
	var pause link.Backoff
	for {
		body, err := in.api.invoke(ctx, call)
		switch kind := channels.KindOf(err); {
		case err == nil && in.world.Learn(body):
			return
		case guess, kind == channels.Gone, kind == channels.Rejected, kind == channels.Unauthorized, ctx.Err() != nil:
			in.world.Assume(id)
			return
		}
		if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
			return
		}
	}
}
