package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// opToken is the Op of a failure to read a token, before any request.
const opToken = "token"

// Times and sizes of a request.
const (
	callTimeout   = 30 * time.Second
	uploadTimeout = 5 * time.Minute
	maxAnswer     = 4 << 20 // bytes
)

// api sends calls to the Web API. The tokens that it knows are the host's
// placeholders.
type api struct {
	root    string
	client  *http.Client
	channel channels.ID
	secret  func(context.Context, string) (channels.Secret, error)
}

// request is one request of the Web API or to a place that it named.
type request struct {
	op         string // for errors
	url        string
	ref        string // of the token; "": none
	kind       string // of the body
	body       func() (io.Reader, error)
	length     int64 // of the body; 0: unknown
	repeatable bool
	timeout    time.Duration
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (a *api) fail(op string, kind channels.Kind, err error) error {
	return &channels.Error{Op: op, Channel: a.channel, Kind: kind, Err: err}
}

// refused is a refusal of the platform as an error.
func (a *api) refused(op string, n codec.Answer) error {
	return &channels.Error{Op: op, Channel: a.channel, Kind: n.Kind, RetryAfter: n.RetryAfter, Err: &refusal{n.Reason, n.Code}}
}

// refusal is why the platform refused a call.
type refusal struct{ reason, code string }

// Error implements error.
func (r *refusal) Error() string {
	if r.code == "" {
		return r.reason
	}
	return r.reason + " (" + r.code + ")"
}

// codeOf is Slack's word for a refusal, or "".
func codeOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.code
	}
	return ""
}

// do sends one call with a token. The error is that of the way there and back;
// what the platform itself said is in the answer.
func (a *api) do(ctx context.Context, ref string, c codec.Call) (codec.Answer, error) {
	r, err := a.send(ctx, request{
		op: c.Method, url: a.root + "/" + c.Method, ref: ref, kind: "application/json; charset=utf-8",
		body:   func() (io.Reader, error) { return bytes.NewReader(c.Params), nil },
		length: int64(len(c.Params)), repeatable: c.Repeatable, timeout: callTimeout,
	})
	if err != nil {
		return codec.Answer{}, err
	}
	return codec.Classify(r.status, r.header.Get("Retry-After"), r.body, c.Repeatable), nil
}

// ask sends a call that may be repeated, with its arguments as a form, which
// every method takes, and reads its answer into out.
func (a *api) ask(ctx context.Context, ref, method string, in url.Values, out any) (http.Header, error) {
	text := in.Encode()
	op, _, _ := strings.Cut(method, "?") // what stands behind it is filled in on the way
	r, err := a.send(ctx, request{
		op: op, url: a.root + "/" + method, ref: ref, kind: "application/x-www-form-urlencoded",
		body:   func() (io.Reader, error) { return bytes.NewReader([]byte(text)), nil },
		length: int64(len(text)), repeatable: true, timeout: callTimeout,
	})
	if err != nil {
		return nil, err
	}
	n := codec.Classify(r.status, r.header.Get("Retry-After"), r.body, true)
	switch {
	case !n.OK:
		return r.header, a.refused(op, n)
	case out == nil || n.Unchanged:
		return r.header, nil
	case json.Unmarshal(n.Result, out) != nil:
		return r.header, a.fail(op, channels.Transient, errors.New("the answer has an unexpected form"))
	}
	return r.header, nil
}

// send sends a request and reads the whole answer.
func (a *api) send(ctx context.Context, q request) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, a.fail(q.op, channels.Transient, err)
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	var sent attempt.Trace
	req, err := a.request(sent.Follow(ctx), q)
	if err != nil {
		return reply{}, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return reply{}, a.lost(q, err, &sent)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return reply{}, a.lost(q, err, &sent)
	}
	return reply{resp.StatusCode, resp.Header, body}, nil
}

// request makes the request. net/http sends a body that it can see is in memory
// together with the header, in one write: it stays a plain bytes.Reader.
func (a *api) request(ctx context.Context, q request) (*http.Request, error) {
	body, err := q.body()
	if err != nil {
		return nil, a.fail(q.op, channels.Other, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, body)
	if err != nil {
		return nil, a.fail(q.op, channels.Other, errors.New("the address is not a URL"))
	}
	if q.length > 0 {
		req.ContentLength = q.length
	}
	req.Header.Set("Content-Type", q.kind)
	if q.ref == "" {
		return req, nil
	}
	token, err := a.secret(ctx, q.ref)
	if err != nil {
		return nil, a.fail(opToken, channels.Other, fmt.Errorf("the token cannot be read: %w", err))
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	return req, nil
}

// lost classifies a request whose answer did not come.
func (a *api) lost(q request, err error, sent *attempt.Trace) error {
	var file *fileError
	if errors.As(err, &file) {
		return a.fail(q.op, channels.Other, file)
	}
	e := sent.Lost(err, nil, q.repeatable)
	e.Op, e.Channel = q.op, a.channel
	return e
}
