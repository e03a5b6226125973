package discord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// opToken is the Op of a failure to read the token, before any request.
const opToken = "token"

// Times and sizes of a request.
const (
	callTimeout   = 30 * time.Second
	uploadTimeout = 5 * time.Minute
	maxAnswer     = 8 << 20 // bytes: a page of messages, none of them ordinary
	agent         = "DiscordBot (https://github.com/gatehouse-chat/gatehouse, 1)"
)

// api sends calls to the REST API. The token that it knows is the host's
// placeholder.
type api struct {
	root    string
	client  *http.Client
	channel channels.ID
	secret  func(context.Context, string) (channels.Secret, error)
	ref     string
	rates   buckets

	token   atomic.Pointer[channels.Secret]
	refusal link.Refusal
}

// placeholder stands for the token until the host puts it in.
func (a *api) placeholder(ctx context.Context) (string, error) {
	t := a.token.Load()
	if t == nil {
		s, err := a.secret(ctx, a.ref)
		if err != nil {
			return "", a.fail(opToken, channels.Other, fmt.Errorf("the token cannot be read: %w", err))
		}
		t = &s
		a.token.Store(t)
	}
	return t.Reveal(), nil
}

func (a *api) fail(op string, kind channels.Kind, err error) error {
	return &channels.Error{Op: op, Channel: a.channel, Kind: kind, Err: err}
}

// refused is a refusal of the platform as an error.
func (a *api) refused(op string, n codec.Answer) error {
	err := &channels.Error{Op: op, Channel: a.channel, Kind: n.Kind, RetryAfter: n.RetryAfter, Err: errors.New(n.Reason)}
	if n.Kind == channels.Unauthorized {
		a.token.Store(nil) // it may be replaced meanwhile
		a.refusal.Note(err)
	}
	return err
}

// do sends one call, if its bucket has one left. The error is that of the way
// there and back; what the platform itself said is in the answer.
func (a *api) do(ctx context.Context, c codec.Call) (codec.Answer, error) {
	if wait := a.rates.take(c.Route, time.Now()); wait > 0 {
		return codec.Answer{Kind: channels.RateLimited, Reason: "the platform's limit is used up", RetryAfter: wait}, nil
	}
	timeout := callTimeout
	if len(c.Files) > 0 {
		timeout = uploadTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, body, err := a.send(ctx, c) //nolint:bodyclose // it is read and closed there
	if err != nil {
		return codec.Answer{}, err
	}
	n := codec.Classify(resp.StatusCode, body, c.Repeatable)
	if n.Kind == channels.RateLimited {
		n = n.Limited(resp.Header.Get("Retry-After"), resp.Header.Get("X-Ratelimit-Global"))
		if n.Global {
			a.rates.halt(n.RetryAfter, time.Now())
		}
	} else {
		a.rates.learn(c.Route, resp.Header, time.Now())
	}
	return n, nil
}

// invoke sends a call and makes an error of a refusal.
func (a *api) invoke(ctx context.Context, c codec.Call) (json.RawMessage, error) {
	n, err := a.do(ctx, c)
	if err != nil {
		return nil, err
	}
	if !n.OK {
		return nil, a.refused(c.Route, n)
	}
	return n.Result, nil
}

// get reads what is at a path.
func (a *api) get(ctx context.Context, path string, out any) error {
	c := codec.Call{Method: http.MethodGet, Path: path, Route: "GET " + path[1:], Repeatable: true}
	b, err := a.invoke(ctx, c)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return a.fail(c.Route, channels.Transient, errors.New("the result has an unexpected form"))
	}
	return nil
}

// send sends a request and reads the whole answer.
func (a *api) send(ctx context.Context, c codec.Call) (*http.Response, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, a.fail(c.Route, channels.Transient, err)
	}
	token, err := a.placeholder(ctx)
	if err != nil {
		return nil, nil, err
	}
	content, kind, form, err := open(ctx, c)
	if err != nil {
		return nil, nil, a.fail(c.Route, channels.Other, err)
	}
	var sent attempt.Trace
	req, err := http.NewRequestWithContext(sent.Follow(ctx), c.Method, a.root+c.Path, content)
	if err != nil {
		return nil, nil, a.fail(c.Route, channels.Other, errors.Join(errors.New("the address of the API is not a URL"), form.Close()))
	}
	req.Header.Set("Authorization", "Bot "+token)
	req.Header.Set("User-Agent", agent)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, nil, a.lost(c, err, &sent, form)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return nil, nil, a.lost(c, err, &sent, form)
	}
	return resp, body, nil
}

// open makes a request's body; form is nil for JSON. net/http sends a body that
// it can see is in memory together with the header, in one write: JSON stays
// a plain bytes.Reader.
func open(ctx context.Context, c codec.Call) (content io.Reader, kind string, form *attempt.Form, err error) {
	switch {
	case len(c.Files) > 0:
		form, err = newUpload(ctx, c)
		if err != nil {
			return nil, "", nil, err
		}
		return form, form.Type, form, nil
	case c.Body == nil:
		return http.NoBody, "", nil, nil
	}
	return bytes.NewReader(c.Body), "application/json", nil, nil
}

// lost classifies a request whose answer did not come.
func (a *api) lost(c codec.Call, err error, sent *attempt.Trace, form *attempt.Form) error {
	e := sent.Lost(err, form, c.Repeatable)
	e.Op, e.Channel = c.Route, a.channel
	return e
}
