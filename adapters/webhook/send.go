package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

const (
	callTimeout = 30 * time.Second
	maxAnswer   = 64 << 10 // bytes
)

const (
	fixCallback = "Check that the program at callback_url runs and answers with 2xx."
	fixSigned   = "The program at callback_url refuses the signature: give it the same secret as callback_secret."
)

// Send implements channels.Channel: a POST to the callback, signed in the manner
// of Standard Webhooks. Without a callback the answer waits in the outbox for
// whoever asks for it.
func (c *Channel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	now := time.Now()
	receipt := channels.Receipt{ID: channels.MessageID(p.Key), At: now}
	if c.cfg.CallbackURL == "" {
		return receipt, nil
	}
	err := c.call(ctx, p, now)
	if err != nil {
		fix, phase := fixCallback, channels.Retrying
		if channels.KindOf(err) == channels.Unauthorized {
			fix, phase = fixSigned, channels.Broken
		}
		if ctx.Err() == nil {
			c.health.Report(channels.Health{Phase: phase, Err: err, Fix: fix, As: c.host.Public()})
		}
		return channels.Receipt{}, err
	}
	c.health.Report(channels.Health{Phase: channels.Connected, As: c.host.Public()})
	return receipt, nil
}

func (c *Channel) fail(kind channels.Kind, wait time.Duration, err error) error {
	return &channels.Error{Op: "callback", Channel: c.host.ID(), Kind: kind, RetryAfter: wait, Err: err}
}

func (c *Channel) call(ctx context.Context, p channels.Part, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return c.fail(channels.Transient, 0, err)
	}
	files, err := c.files(ctx, p.Files)
	if err != nil {
		return err
	}
	body, err := codec.Encode(p, files, now)
	if err != nil {
		return c.fail(channels.Rejected, 0, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var sent attempt.Trace
	req, err := http.NewRequestWithContext(sent.Follow(ctx), http.MethodPost, c.cfg.CallbackURL, bytes.NewReader(body))
	if err != nil {
		return c.fail(channels.Rejected, 0, errors.New("callback_url is not a URL"))
	}
	signed, err := c.judge.Sign(ctx, c.cfg.CallbackSecret, req.URL.Host, p.Key, now, body)
	if err != nil {
		return c.fail(channels.Other, 0, err)
	}
	for name, v := range signed {
		req.Header[name] = v
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return c.lost(err, &sent)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // so that the connection can be used again
	return c.classify(resp)
}

// maxFile is the largest file that a callback carries, in bytes. It is held in
// memory, as the signature is over all of it.
const maxFile = 5 << 20

var errTooBig = errors.New("the file is larger than 5 MB")

// files reads what a callback carries.
func (c *Channel) files(ctx context.Context, all []channels.File) (out []codec.File, err error) {
	for _, f := range all {
		b, err := content(ctx, f)
		if err != nil {
			return nil, c.fail(channels.Other, 0, err)
		}
		if len(b) > maxFile {
			return nil, c.fail(channels.Rejected, 0, errTooBig)
		}
		out = append(out, codec.File{Kind: string(f.Kind), Name: f.Name, MIME: f.MIME, Data: b})
	}
	return out, nil
}

// content reads a file, but not much more than may be sent of it.
func content(ctx context.Context, f channels.File) ([]byte, error) {
	r, err := f.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(io.LimitReader(r, maxFile+1))
}

// lost classifies a callback without an answer. Who repeats it does no harm, as
// it carries its id; but that it may have arrived is for the gateway to know.
func (c *Channel) lost(err error, sent *attempt.Trace) error {
	e := sent.Lost(err, nil, false)
	return c.fail(e.Kind, e.RetryAfter, e.Err)
}

// classify reads a callback's status.
func (c *Channel) classify(resp *http.Response) error {
	kind, wait, is := codec.Refusal(resp.StatusCode, resp.Header.Get("Retry-After"))
	if !is {
		return nil
	}
	return c.fail(kind, wait, errors.New("the callback answers "+strconv.Itoa(resp.StatusCode)))
}
