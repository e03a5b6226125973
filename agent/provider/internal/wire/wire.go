// Package wire is what the providers share on the HTTP side: it watches one
// exchange for silence and for size, and says what a failure means.
//
// It makes the request itself (Send), or sits inside of an SDK's client as a
// middleware, so that failures are classified from the raw response, before an
// SDK makes an error of it that might quote the request or the key.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// Limits bound one call. Zero values take the defaults.
type Limits struct {
	First   time.Duration // longest silence before the answer begins; 3 min, since models think and local ones load
	Stall   time.Duration // longest silence once it has begun; 60 s
	MaxBody int64         // bytes of one response; 16 MiB
}

// maxRefusal is how much of an error response is read, in bytes.
const maxRefusal = 64 << 10

func (l Limits) withDefaults() Limits {
	if l.First <= 0 {
		l.First = 3 * time.Minute
	}
	if l.Stall <= 0 {
		l.Stall = time.Minute
	}
	if l.MaxBody <= 0 {
		l.MaxBody = 16 << 20
	}
	return l
}

var (
	errStalled = errors.New("nothing came for too long")
	errTooBig  = errors.New("the response is larger than allowed")
	errEnded   = errors.New("the call has ended")
	errNoEnd   = errors.New("the stream ended without a finish")
)

// Call is one exchange with a provider. It is used by one goroutine.
type Call struct {
	provider, model string
	limits          Limits
	parent          context.Context //nolint:containedctx // a Call lives inside one function call
	ctx             context.Context //nolint:containedctx // the same
	cancel          context.CancelCauseFunc
	silence         time.Duration
	timer           *time.Timer
	streams         bool
	refused         refusal
}

// Begin starts the watchdog. The context it returns is what the request must
// use; End must be called.
func Begin(ctx context.Context, provider, model string, l Limits, streams bool) (context.Context, *Call) {
	c := &Call{provider: provider, model: model, limits: l.withDefaults(), parent: ctx, streams: streams}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.silence = c.limits.First
	c.timer = time.AfterFunc(c.silence, func() { c.cancel(errStalled) })
	return c.ctx, c
}

// End stops the watchdog and ends the exchange if it is still open.
func (c *Call) End() {
	c.timer.Stop()
	c.cancel(errEnded)
}

// Speaking says that the answer has begun: from now on the shorter limit holds.
func (c *Call) Speaking() {
	if c.silence != c.limits.Stall {
		c.silence = c.limits.Stall
		c.timer.Reset(c.silence)
	}
}

// Middleware bounds the response, and turns a refusal into an *agent.Error.
func (c *Call) Middleware(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	res, err := next(req)
	if err != nil {
		return nil, c.unreached(err)
	}
	c.timer.Reset(c.silence)
	res.Body = &watched{ReadCloser: res.Body, call: c, left: c.limits.MaxBody}
	switch {
	case res.StatusCode >= http.StatusBadRequest:
		return nil, c.refuse(res)
	case c.streams && !streamType(res.Header):
		return nil, c.notAStream(res)
	}
	return res, nil
}

// streamType is lenient: only what cannot be a stream of events is told apart,
// because some endpoints give no type, or plain text.
func streamType(h http.Header) bool {
	t := strings.ToLower(h.Get("Content-Type"))
	return !strings.Contains(t, "json") && !strings.Contains(t, "html")
}

// RefusedFor reports whether the provider's refusal mentions a word of the request.
func (c *Call) RefusedFor(word string) bool { return bytes.Contains(c.refused.body, []byte(word)) }

func (c *Call) refuse(res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	_ = res.Body.Close()
	c.refused = refusal{status: res.StatusCode, header: res.Header, body: body}
	return c.refused.err(c.provider, c.model)
}

// notAStream reads a whole document that came with status 200 where a stream
// was asked for. Some proxies put their errors there.
func (c *Call) notAStream(res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	_ = res.Body.Close()
	r := refusal{status: res.StatusCode, header: res.Header, body: body}
	if r.saysError() {
		return r.err(c.provider, c.model)
	}
	return c.fail(agent.Garbled, errors.New("a whole document came instead of a stream: is the base URL right?"))
}

// Event classifies an error that came inside a stream.
func (c *Call) Event(body []byte) *agent.Error {
	r := refusal{status: http.StatusOK, body: body}
	return r.err(c.provider, c.model)
}

// Garbled is the failure of an answer that cannot be read. The reason must not
// quote the answer.
func (c *Call) Garbled(why string) *agent.Error { return c.fail(agent.Garbled, errors.New(why)) }

// Failed classifies an error of an exchange. nil means that the stream ended
// without a finish.
func (c *Call) Failed(err error) *agent.Error {
	var known *agent.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(context.Cause(c.ctx), errStalled):
		return c.fail(agent.Stalled, errStalled)
	case c.parent.Err() != nil:
		return c.fail(agent.Interrupted, context.Cause(c.parent))
	case err == nil:
		return c.fail(agent.Interrupted, errNoEnd)
	case errors.Is(err, errTooBig), errors.Is(err, bufio.ErrTooLong):
		return c.fail(agent.Garbled, errTooBig)
	}
	return c.fail(agent.Interrupted, plain(err))
}

func (c *Call) unreached(err error) error {
	var known *agent.Error
	if c.ctx.Err() != nil || errors.As(err, &known) { // the client knows better, as when there is no key
		return c.Failed(err)
	}
	return c.fail(agent.Unreachable, plain(err))
}

func (c *Call) fail(k agent.ErrorKind, err error) *agent.Error {
	return &agent.Error{Kind: k, Provider: c.provider, Model: c.model, Err: err}
}

// plain takes the request's URL out of an error: it may hold a key.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if o, ok := errors.AsType[*net.OpError](err); ok {
		return o
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// watched feeds the watchdog and counts the bytes of a response.
type watched struct {
	io.ReadCloser
	call *Call
	left int64
}

func (w *watched) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errTooBig
	}
	if int64(len(p)) > w.left {
		p = p[:w.left]
	}
	n, err := w.ReadCloser.Read(p)
	w.left -= int64(n)
	if n > 0 && err == nil {
		w.call.timer.Reset(w.call.silence)
	}
	return n, err
}
