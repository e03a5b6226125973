package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// Send implements channels.Channel.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if r, ok := codec.ReplyPath(p.Via); ok && len(p.Files) == 0 {
		return c.respond(ctx, p, r)
	}
	t, err := c.at(ctx, p.To.Account)
	if err != nil {
		return channels.Receipt{}, err
	}
	if len(p.Files) > 0 {
		return c.share(ctx, t, p)
	}
	call, err := codec.Encode(p)
	if err != nil {
		return channels.Receipt{}, c.api.fail("send", channels.Rejected, err)
	}
	if p.Audience.Only == "" {
		c.joins(ctx, p.To)
	}
	n, err := c.api.do(ctx, t.ref, call)
	if err != nil {
		return channels.Receipt{}, err
	}
	if !n.OK {
		return channels.Receipt{}, c.refused(c.api.refused(call.Method, n))
	}
	return codec.Sent(p, n.Result, time.Now()), nil
}

// maxSearch is how many pages of a conversation are read for one message.
const maxSearch = 10

// Sent implements channels.Reconciler: a message bears the key of its part.
func (c *Channel) Sent(ctx context.Context, p channels.Part, since time.Time) (channels.Receipt, bool, error) {
	var none channels.Receipt
	if !codec.Traced(p) {
		return none, false, channels.ErrCannotTell
	}
	t, err := c.at(ctx, p.To.Account)
	if err != nil {
		return none, false, err
	}
	cursor := ""
	for range maxSearch {
		method, in, err := codec.Search(p.To, since, cursor)
		if err != nil {
			return none, false, c.api.fail("reconcile", channels.Rejected, err)
		}
		var page json.RawMessage
		if _, err := c.api.ask(ctx, t.ref, method, in, &page); err != nil {
			if kind := channels.KindOf(err); kind == channels.Rejected || kind == channels.Gone {
				return none, false, channels.ErrCannotTell // the app may not read there
			}
			return none, false, c.refused(err)
		}
		r, found, next := codec.Find(page, t.User, p)
		if found || next == "" {
			return r, found, nil
		}
		cursor = next
	}
	return none, false, channels.ErrCannotTell
}

// joins notes that the bot speaks in a thread, before it does: whoever reads
// its message may answer at once. What goes wrong is no failure of the send.
func (c *Channel) joins(ctx context.Context, at channels.Address) {
	if err := c.threads.join(context.WithoutCancel(ctx), at, time.Now()); err != nil {
		c.host.Log().WarnContext(ctx, "who answers in this thread may have to name the bot", "err", err)
	}
}

// respond answers by a response_url.
func (c *Channel) respond(ctx context.Context, p channels.Part, path codec.Reply) (channels.Receipt, error) {
	const op = "response_url"
	if !c.ours(path.URL) {
		return channels.Receipt{}, c.api.fail(op, channels.Rejected, errors.New("the reply path does not lead to the platform"))
	}
	body, err := codec.EncodeReply(p, path)
	if err != nil {
		return channels.Receipt{}, c.api.fail(op, channels.Rejected, err)
	}
	r, err := c.api.send(ctx, request{
		op: op, url: path.URL, kind: "application/json; charset=utf-8", length: int64(len(body)), timeout: callTimeout,
		body: func() (io.Reader, error) { return bytes.NewReader(body), nil },
	})
	if err != nil {
		return channels.Receipt{}, err
	}
	if n := codec.ClassifyReply(r.status, r.header.Get("Retry-After"), r.body); !n.OK {
		return channels.Receipt{}, c.api.refused(op, n)
	}
	return codec.Replied(p, time.Now()), nil
}

// ours reports whether an address is one of the platform's.
func (c *Channel) ours(address string) bool { return codec.Ours(address, c.cfg.BaseURL) }

// Edit implements channels.Editor.
func (c *Channel) Edit(ctx context.Context, at channels.Address, id channels.MessageID, p channels.Part) error {
	p.To, p.Replaces = at, id
	_, err := c.Send(ctx, p)
	return err
}

// Delete implements channels.Deleter. A message with a file that has no id of
// its own yet goes with its file.
func (c *Channel) Delete(ctx context.Context, at channels.Address, id channels.MessageID) error {
	t, err := c.at(ctx, at.Account)
	if err != nil {
		return err
	}
	if file, ok := strings.CutPrefix(string(id), codec.FileMessage); ok {
		_, err := c.api.ask(ctx, t.ref, "files.delete", url.Values{"file": {file}}, nil)
		return c.refused(err)
	}
	call, err := codec.Delete(at, id)
	return c.small(ctx, t, call, err)
}

// small sends a call that was made with err.
func (c *Channel) small(ctx context.Context, t *team, call codec.Call, err error) error {
	if err != nil {
		return c.api.fail("send", channels.Rejected, err)
	}
	n, err := c.api.do(ctx, t.ref, call)
	if err != nil {
		return err
	}
	if !n.OK {
		return c.refused(c.api.refused(call.Method, n))
	}
	return nil
}
