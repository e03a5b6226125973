package telegram

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

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
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
	maxAnswer     = 1 << 20  // bytes
	maxUpdates    = 64 << 20 // bytes: a hundred updates, none of them ordinary
)

// api sends calls to a Bot API server. The token that it knows is the host's
// placeholder.
type api struct {
	root    string
	client  *http.Client
	channel channels.ID
	secret  func(context.Context, string) (channels.Secret, error)
	ref     string

	token   atomic.Pointer[channels.Secret]
	refusal link.Refusal
}

// url is the address of a method, or with file true of a file.
func (a *api) url(ctx context.Context, file bool, rest string) (string, error) {
	t := a.token.Load()
	if t == nil {
		s, err := a.secret(ctx, a.ref)
		if err != nil {
			return "", a.fail(opToken, channels.Other, fmt.Errorf("the token cannot be read: %w", err))
		}
		t = &s
		a.token.Store(t)
	}
	if file {
		return a.root + "/file/bot" + t.Reveal() + "/" + rest, nil
	}
	return a.root + "/bot" + t.Reveal() + "/" + rest, nil
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

// do sends one call. The error is that of the way there and back; what the
// platform itself said is in the answer.
func (a *api) do(ctx context.Context, c codec.Call) (codec.Answer, error) {
	timeout := callTimeout
	if len(c.Files) > 0 {
		timeout = uploadTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, body, err := a.post(ctx, c, maxAnswer)
	if err != nil {
		return codec.Answer{}, err
	}
	return codec.Classify(status, body, c.Repeatable), nil
}

// invoke sends a call that may be repeated, and reads its result into out,
// which may be nil.
func (a *api) invoke(ctx context.Context, method string, in, out any) error {
	params, err := json.Marshal(in)
	if err != nil {
		return a.fail(method, channels.Rejected, err)
	}
	n, err := a.do(ctx, codec.Call{Method: method, Params: params, Repeatable: true})
	if err != nil {
		return err
	}
	if !n.OK {
		return a.refused(method, n)
	}
	if out == nil || n.Unchanged {
		return nil
	}
	if err := json.Unmarshal(n.Result, out); err != nil {
		return a.fail(method, channels.Transient, errors.New("the result has an unexpected form"))
	}
	return nil
}

// poll asks for updates.
func (a *api) poll(ctx context.Context, params []byte) ([]json.RawMessage, codec.Answer, error) {
	status, body, err := a.post(ctx, codec.Call{Method: "getUpdates", Params: params, Repeatable: true}, maxUpdates)
	if err != nil {
		return nil, codec.Answer{}, err
	}
	updates, n := codec.Updates(status, body)
	return updates, n, nil
}

// post sends a request and reads the whole answer.
func (a *api) post(ctx context.Context, c codec.Call, limit int64) (status int, body []byte, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, a.fail(c.Method, channels.Transient, err)
	}
	to, err := a.url(ctx, false, c.Method)
	if err != nil {
		return 0, nil, err
	}
	content, kind, form, err := open(ctx, c)
	if err != nil {
		return 0, nil, a.fail(c.Method, channels.Other, err)
	}
	var sent attempt.Trace
	req, err := http.NewRequestWithContext(sent.Follow(ctx), http.MethodPost, to, content)
	if err != nil {
		return 0, nil, a.fail(c.Method, channels.Other, errors.Join(errors.New("the address of the Bot API is not a URL"), form.Close()))
	}
	req.Header.Set("Content-Type", kind)
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, nil, a.lost(c, err, &sent, form)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return 0, nil, a.lost(c, err, &sent, form)
	}
	return resp.StatusCode, body, nil
}

// open makes a request's body; form is nil for JSON. net/http sends a body that
// it can see is in memory together with the header, in one write: JSON stays
// a plain bytes.Reader.
func open(ctx context.Context, c codec.Call) (content io.Reader, kind string, form *attempt.Form, err error) {
	if len(c.Files) == 0 {
		return bytes.NewReader(c.Params), "application/json", nil, nil
	}
	form, err = newUpload(ctx, c)
	if err != nil {
		return nil, "", nil, err
	}
	return form, form.Type, form, nil
}

// lost classifies a request whose answer did not come.
func (a *api) lost(c codec.Call, err error, sent *attempt.Trace, form *attempt.Form) error {
	e := sent.Lost(err, form, c.Repeatable)
	e.Op, e.Channel = c.Method, a.channel
	return e
}
