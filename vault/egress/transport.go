package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"time"
)

var _ http.RoundTripper = (*roundTripper)(nil)

// roundTripper carries out the policy for each request, redirected ones
// included.
type roundTripper struct {
	*rules
	next *http.Transport
}

// CloseIdleConnections lets http.Client close the pool.
func (t *roundTripper) CloseIdleConnections() { t.next.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper. Neither the request nor the response
// nor the error that the caller sees ever holds a secret.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := t.authorise(req)
	if err != nil {
		closeBody(req)
		return nil, t.refuse(req.Context(), req.Method, hostOf(to), err)
	}
	if err := t.admit(to.addr()); err != nil {
		closeBody(req)
		return nil, t.refuse(req.Context(), req.Method, hostOf(to), err)
	}
	out, err := t.screen(req)
	if err != nil {
		closeBody(req)
		return nil, t.refuse(req.Context(), req.Method, hostOf(to), err)
	}
	out, secrets, err := t.inject(out, to)
	if err != nil {
		closeBody(req)
		return nil, t.refuse(req.Context(), req.Method, hostOf(to), err)
	}
	out, cancel := t.own(out, len(secrets) > 0)
	res, err := t.next.RoundTrip(out)
	if err != nil {
		cancel(nil)
		return nil, t.failed(to, err, secrets)
	}
	return t.receive(req, res, to, secrets, cancel)
}

func hostOf(to Destination) string {
	if to.Host == "" {
		return ""
	}
	return to.addr()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// own gives the request a context that a silent response body can be ended by,
// and one whose trace is not shown the header's values.
func (t *roundTripper) own(req *http.Request, secret bool) (*http.Request, context.CancelCauseFunc) {
	ctx, cancel := req.Context(), context.CancelCauseFunc(func(error) {})
	if t.Timeouts.Idle > 0 {
		ctx, cancel = context.WithCancelCause(ctx)
	}
	if trace := httptrace.ContextClientTrace(ctx); secret && trace != nil {
		// What tells a request that never left from one that was lost.
		ctx = httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{
			GetConn: trace.GetConn, WroteHeaders: trace.WroteHeaders, WroteRequest: trace.WroteRequest,
		})
	}
	if ctx == req.Context() {
		return req, cancel
	}
	return req.WithContext(ctx), cancel
}

// untraced is a context without its trace. It has the other values: without
// them, a goroutine would watch for its end beside each request.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	v := c.Context.Value(key)
	if _, trace := v.(*httptrace.ClientTrace); trace {
		return nil
	}
	return v
}

// receive makes the response fit to be seen.
func (t *roundTripper) receive(req *http.Request, res *http.Response, to Destination, secrets []used, cancel context.CancelCauseFunc) (*http.Response, error) {
	res.Request = req // the transport's own holds the values
	t.unecho(res, secrets)
	res, err := t.clean(res)
	if err != nil {
		_ = res.Body.Close()
		cancel(nil)
		return nil, t.failed(to, err, nil)
	}
	if t.MaxResponse > 0 && res.ContentLength > t.MaxResponse {
		_ = res.Body.Close()
		cancel(nil)
		return nil, t.failed(to, ErrTooLarge, nil)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, nil // the body is the connection, and its frames have limits of their own
	}
	if t.MaxResponse > 0 || t.Timeouts.Idle > 0 {
		res.Body = newBody(res.Body, t.MaxResponse, t.Timeouts.Idle, cancel)
	}
	return res, nil
}

// failed wraps an error of the transport. Some of them quote what the server
// sent, which may be the value.
func (t *roundTripper) failed(to Destination, err error, secrets []used) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	text := err.Error()
	for _, s := range secrets {
		if hide(text, s.value, "") != text {
			err = errWithheld
		}
	}
	return &Error{Policy: t.Name, Host: to.addr(), Err: err}
}

var (
	errWithheld = errors.New("the connection failed; the reason is withheld: its text contains the secret")
	errSilent   = fmt.Errorf("the response fell silent: %w", os.ErrDeadlineExceeded)
)

// body bounds a response's body in size and silence.
type body struct {
	io.ReadCloser
	left   int64 // bytes; negative: no limit
	limit  bool
	idle   time.Duration
	timer  *time.Timer // nil: may be silent
	cancel context.CancelCauseFunc
}

func newBody(rc io.ReadCloser, limit int64, idle time.Duration, cancel context.CancelCauseFunc) *body {
	b := &body{ReadCloser: rc, left: limit, limit: limit > 0, idle: idle, cancel: cancel}
	if idle > 0 {
		b.timer = time.AfterFunc(idle, func() { cancel(errSilent) })
	}
	return b
}

// Read implements io.Reader. It fails with ErrTooLarge at the first byte that
// is too many.
func (b *body) Read(p []byte) (int, error) {
	if b.limit && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.limit && int64(n) > b.left {
		n, err = int(b.left), ErrTooLarge
	}
	b.left -= int64(n)
	if b.timer != nil {
		b.timer.Reset(b.idle)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.timer != nil {
		b.timer.Stop()
	}
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
