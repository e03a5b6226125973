package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// Times and sizes of a request.
const (
	callTimeout   = 30 * time.Second
	uploadTimeout = 5 * time.Minute
	maxAnswer     = 1 << 20 // bytes
)

// api sends calls to the Graph API. The token that it knows is the host's
// placeholder.
type api struct {
	host    channels.Host
	client  *http.Client
	root    string // with the version
	token   string // a reference
	refusal link.Refusal
}

func newAPI(h channels.Host, s settings) *api {
	return &api{host: h, client: link.Client(h, channels.AccountID(s.Number)), root: s.BaseURL + "/" + s.Version + "/", token: s.Token}
}

func (a *api) fail(op string, kind channels.Kind, err error) error {
	return &channels.Error{Op: op, Channel: a.host.ID(), Kind: kind, Err: err}
}

// refused is a refusal of the platform as an error.
func (a *api) refused(op string, n codec.Answer) error {
	err := &channels.Error{Op: op, Channel: a.host.ID(), Kind: n.Kind, RetryAfter: n.RetryAfter, Err: errors.New(n.Reason)}
	if n.Kind == channels.Unauthorized {
		a.refusal.Note(err)
	}
	return err
}

// auth says whose call it is; the zero auth is the channel's own token.
type auth struct{ app, secret string }

func (a *api) authorize(ctx context.Context, r *http.Request, by auth) error {
	ref, before := a.token, ""
	if by.app != "" {
		ref, before = by.secret, by.app+"|"
	}
	s, err := a.host.Secret(ctx, ref)
	if err != nil {
		return a.fail("token", channels.Other, fmt.Errorf("a secret cannot be read: %w", err))
	}
	r.Header.Set("Authorization", "Bearer "+before+s.Reveal())
	return nil
}

// call is a request: what goes out and how it is classified.
type call struct {
	op, method, url string
	kind            string // of the content
	content         io.Reader
	by              auth
	again           bool // it may be made twice without harm
	timeout         time.Duration
	form            *attempt.Form // that the content is; nil: it is none
}

// do makes a call. The error is that of the way there and back; what the
// platform said is in the answer.
func (a *api) do(ctx context.Context, c call) (codec.Answer, error) {
	if err := ctx.Err(); err != nil {
		return codec.Answer{}, a.fail(c.op, channels.Transient, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var sent attempt.Trace
	r, err := http.NewRequestWithContext(sent.Follow(ctx), c.method, c.url, c.content)
	if err != nil {
		return codec.Answer{}, a.fail(c.op, channels.Rejected, errors.New("the address is not a URL"))
	}
	if err := a.authorize(ctx, r, c.by); err != nil {
		return codec.Answer{}, err
	}
	if c.kind != "" {
		r.Header.Set("Content-Type", c.kind)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return codec.Answer{}, a.lost(c, err, &sent)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return codec.Answer{}, a.lost(c, err, &sent)
	}
	return codec.Classify(resp.StatusCode, codec.RetryAfter(resp.Header.Get("Retry-After")), body, c.again), nil
}

// lost classifies a request whose answer did not come.
func (a *api) lost(c call, err error, sent *attempt.Trace) error {
	e := sent.Lost(err, c.form, c.again)
	e.Op, e.Channel = c.op, a.host.ID()
	return e
}

// get reads something.
func (a *api) get(ctx context.Context, path string, out any) error {
	n, err := a.do(ctx, call{op: "read", method: http.MethodGet, url: a.root + path, content: http.NoBody, again: true, timeout: callTimeout})
	if err != nil {
		return err
	}
	if !n.OK {
		return a.refused("read", n)
	}
	if err := json.Unmarshal(n.Result, out); err != nil {
		return a.fail("read", channels.Transient, errors.New("the answer has an unexpected form"))
	}
	return nil
}

// post makes a call that may be repeated.
func (a *api) post(ctx context.Context, path string, in any, by auth) error {
	b, err := json.Marshal(in)
	if err != nil {
		return a.fail("register", channels.Rejected, err)
	}
	n, err := a.do(ctx, call{
		op: "register", method: http.MethodPost, url: a.root + path, kind: "application/json", content: bytes.NewReader(b),
		by: by, again: true, timeout: callTimeout,
	})
	if err == nil && !n.OK {
		err = a.refused("register", n)
	}
	return err
}
