package cloud

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// Send implements channels.Channel. Outside of the 24 hours it sends the
// configured template, or fails with Closed.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	closed, err := c.windows.closed(ctx, p.To.Conversation, time.Now())
	if err != nil {
		return channels.Receipt{}, c.api.fail(opSend, channels.Other, err)
	}
	if closed {
		return c.late(ctx, p)
	}
	n, err := c.parts(ctx, p)
	if err != nil {
		return channels.Receipt{}, err
	}
	if !n.OK && n.Kind == channels.Closed {
		return c.late(ctx, p)
	}
	return c.receipt(n)
}

const opSend = "send"

// parts sends a part, whose file is uploaded first.
func (c *Channel) parts(ctx context.Context, p channels.Part) (codec.Answer, error) {
	if len(p.Files) == 0 {
		call, err := codec.Encode(p, "")
		return c.message(ctx, call, err)
	}
	if len(p.Files) > 1 {
		return codec.Answer{}, c.api.fail(opSend, channels.Rejected, errors.New("a message has one file at most"))
	}
	media, err := c.upload(ctx, p.Files[0])
	if err != nil {
		return codec.Answer{}, err
	}
	call, err := codec.Encode(p, media)
	return c.message(ctx, call, err)
}

// message makes a call of /messages that was encoded with err.
func (c *Channel) message(ctx context.Context, body []byte, err error) (codec.Answer, error) {
	if err != nil {
		return codec.Answer{}, c.api.fail(opSend, channels.Rejected, err)
	}
	return c.api.do(ctx, call{
		op: opSend, method: http.MethodPost, url: c.api.root + c.cfg.Number + "/messages", kind: "application/json",
		content: bytes.NewReader(body), timeout: callTimeout,
	})
}

func (c *Channel) receipt(n codec.Answer) (channels.Receipt, error) {
	if !n.OK {
		return channels.Receipt{}, c.api.refused(opSend, n)
	}
	id := codec.Sent(n.Result)
	if id == "" {
		return channels.Receipt{}, c.api.fail(opSend, channels.Ambiguous, errors.New("the answer names no message"))
	}
	return channels.Receipt{ID: id, At: time.Now()}, nil
}

// late sends the template in the place of a part.
func (c *Channel) late(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if c.cfg.Template == "" {
		return channels.Receipt{}, c.api.fail(opSend, channels.Closed, errors.New(codec.WindowClosed))
	}
	words := ""
	if c.cfg.TemplateText == "yes" {
		p.Plain = true
		words = codec.Text(p)
	}
	call, err := codec.Template(p.To, c.cfg.Template, c.cfg.TemplateLanguage, words)
	n, err := c.message(ctx, call, err)
	if err != nil {
		return channels.Receipt{}, err
	}
	return c.receipt(n)
}

// React implements channels.Reactor.
func (c *Channel) React(ctx context.Context, at channels.Address, id channels.MessageID, emoji string) error {
	call, err := codec.React(at, id, emoji)
	return c.small(ctx, call, err)
}

// Type implements channels.Typer: it marks what the person wrote last as read,
// and shows that the bot writes. After a restart it does not know what that was,
// and shows nothing.
func (c *Channel) Type(ctx context.Context, at channels.Address) error {
	id := c.unread.last(at.Conversation)
	if id == "" {
		return nil
	}
	call, err := codec.Typing(id)
	return c.small(ctx, call, err)
}

// small makes a call whose message nobody needs to know.
func (c *Channel) small(ctx context.Context, body []byte, err error) error {
	n, err := c.message(ctx, body, err)
	if err != nil {
		return err
	}
	if !n.OK {
		return c.api.refused(opSend, n)
	}
	return nil
}
