package telegram

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// Send implements channels.Channel. A refusal that names what is in the way, a
// topic that is gone, a message that can no longer be answered, a group that
// has moved, is met at once with the same part without it.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	o := codec.Options{Chat: c.moves.to(p.To.Conversation)}
	for {
		call, err := codec.Encode(p, o)
		if err != nil {
			return channels.Receipt{}, c.api.fail("send", channels.Rejected, err)
		}
		n, err := c.api.do(ctx, call)
		if err != nil {
			return channels.Receipt{}, err
		}
		if n.OK {
			return receipt(p, n), nil
		}
		next := o
		if n.Again == codec.AgainMoved {
			next.Chat = c.moved(ctx, p.To.Conversation, n.MovedTo)
		} else {
			next = changed(o, n.Again)
		}
		if next == o {
			return channels.Receipt{}, c.api.refused(call.Method, n)
		}
		o = next
	}
}

// changed is o with the change that a refusal asks for. Each change happens
// once, so that Send ends.
func changed(o codec.Options, a codec.Again) codec.Options {
	switch a {
	case codec.AgainNoThread:
		o.NoThread = true
	case codec.AgainNoReply:
		o.NoReply = true
	case codec.AgainCaption:
		o.Caption = true
	case codec.AgainAsDocument:
		o.AsDocument = true
	case codec.AgainNot, codec.AgainMoved:
	}
	return o
}

// receipt reads what was sent: a message, an album's messages, or true.
func receipt(p channels.Part, n codec.Answer) channels.Receipt {
	type sent struct {
		ID   int64 `json:"message_id"`
		Date int64 `json:"date"`
	}
	var one sent
	if json.Unmarshal(n.Result, &one) != nil {
		var album []sent
		if json.Unmarshal(n.Result, &album) == nil && len(album) > 0 {
			one = album[0]
		}
	}
	r := channels.Receipt{ID: p.Replaces, At: time.Now()}
	if one.ID != 0 {
		r.ID = channels.MessageID(strconv.FormatInt(one.ID, 10))
	}
	if one.Date != 0 && p.Replaces == "" {
		r.At = time.Unix(one.Date, 0)
	}
	return r
}

// moved notes that a group has a new id, and returns it; the same one means
// that it is not news.
func (c *Channel) moved(ctx context.Context, from channels.ConversationID, to int64) channels.ConversationID {
	id := channels.ConversationID(strconv.FormatInt(to, 10))
	if err := c.moves.note(ctx, from, id); err != nil {
		c.host.Log().WarnContext(ctx, "a group's new id is not stored; the next send finds it again", "err", err)
	}
	return id
}

// now is where a place is now, if its group has moved.
func (c *Channel) now(at channels.Address) channels.Address {
	if to := c.moves.to(at.Conversation); to != "" {
		at.Conversation = to
	}
	return at
}

// Edit implements channels.Editor.
func (c *Channel) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces = at, id
	_, err := c.Send(ctx, p)
	return err
}

// Delete implements channels.Deleter.
func (c *Channel) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	call, err := codec.Delete(c.now(at), id)
	return c.small(ctx, call, err)
}

// React implements channels.Reactor.
func (c *Channel) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	call, err := codec.React(c.now(at), id, emoji)
	return c.small(ctx, call, err)
}

// Type implements channels.Typer. The first time for a message it also sets
// the reaction that the configuration asks for: by then the gateway has let
// the sender in and works on the message.
func (c *Channel) Type(ctx context.Context, at channels.Address) error {
	id, first := c.unacked.Take(at)
	if emoji := *c.ack.Load(); first && emoji != "" {
		if err := c.React(ctx, at, id, emoji); err != nil {
			c.host.Log().DebugContext(ctx, "the reaction was refused", "err", err)
		}
	}
	call, err := codec.Typing(c.now(at))
	return c.small(ctx, call, err)
}

// small sends a call that was made with err.
func (c *Channel) small(ctx context.Context, call codec.Call, err error) error {
	if err != nil {
		return c.api.fail("send", channels.Rejected, err)
	}
	n, err := c.api.do(ctx, call)
	if err != nil {
		return err
	}
	if !n.OK {
		return c.api.refused(call.Method, n)
	}
	return nil
}

// Answer implements channels.Answerer. A press that is too old to be answered
// has no spinner any more and is no failure.
func (c *Channel) Answer(ctx context.Context, p channels.Press, text string) error {
	const longest = 200 // characters
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest-1]) + "…"
	}
	in := struct {
		ID   string `json:"callback_query_id"`
		Text string `json:"text,omitempty"`
	}{p.Query, text}
	err := c.api.invoke(ctx, "answerCallbackQuery", in, nil)
	if channels.KindOf(err) == channels.Gone {
		return nil
	}
	return err
}
