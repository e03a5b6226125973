package wasm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/attempt"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Sizes and times of requests, where the manifest says nothing.
const (
	maxBody        = 4 << 20 // bytes, both ways
	callTimeout    = 30 * time.Second
	longestRequest = 5 * time.Minute
	longestWait    = 5 * time.Second // before one
)

// exchange makes a request of the guest and reads the answer. Its error is a
// sandbox.Refusal: Timeout when the request may have been carried out,
// Unavailable when it was not, or when doing it again is harmless. The cause
// stays with the call, for people.
func (h *call) exchange(ctx context.Context, r wire.Request, body []byte) (wire.Response, []byte, error) {
	method := cmp.Or(r.Method, http.MethodGet)
	u, fit, err := h.c.lines.resolve(h.c.s.grants, method, r.URL)
	if err != nil {
		return wire.Response{}, nil, sandbox.Invalid
	}
	if len(fit) == 0 {
		h.denied(ctx, method, u)
		return wire.Response{}, nil, sandbox.Denied
	}
	if wait := min(milliseconds(r.WaitMS), longestWait); wait > 0 && link.Sleep(ctx, wait) != nil {
		return wire.Response{}, nil, sandbox.Unavailable
	}
	ctx, cancel := h.bounded(ctx, r)
	if signs(fit) && (r.File != "" || len(r.Form) > 0) {
		cancel()
		return wire.Response{}, nil, h.failed(errStreamed, sandbox.Invalid)
	}
	form, err := h.form(ctx, r)
	if err != nil {
		cancel()
		return wire.Response{}, nil, h.failed(err, sandbox.Invalid)
	}
	if body, err = h.inline(ctx, r.Inline, body); err != nil {
		cancel()
		return wire.Response{}, nil, h.failed(err, refusalOf(err))
	}
	var sent attempt.Trace
	req, err := h.request(sent.Follow(ctx), method, u, r, fit, form, body)
	if err != nil {
		cancel()
		return wire.Response{}, nil, h.failed(errors.Join(err, form.Close()), refusalOf(err))
	}
	resp, err := h.c.client.Do(req) //nolint:bodyclose // read closes it, or hands it on
	if err != nil {
		cancel()
		return wire.Response{}, nil, h.lost(r, err, &sent, form)
	}
	out, content, err := h.read(resp, r, fit[0], cancel)
	if err != nil {
		return wire.Response{}, nil, h.lost(r, err, &sent, form)
	}
	if !r.Repeatable && method != http.MethodGet {
		h.risky = true
	}
	return out, content, nil
}

// bounded is the context of a request. What is saved is read after the guest's
// call is over: once the answer has begun, it lives as long as the caller's
// context.
func (h *call) bounded(ctx context.Context, r wire.Request) (context.Context, context.CancelFunc) {
	timeout := min(cmp.Or(time.Duration(r.TimeoutMS)*time.Millisecond, callTimeout), longestRequest)
	if !r.Save {
		return context.WithTimeout(ctx, timeout)
	}
	outer, cancel := context.WithCancel(h.outer)
	h.release = context.AfterFunc(ctx, cancel)
	return outer, cancel
}

// form is a body of files that are streamed, or nil.
func (h *call) form(ctx context.Context, r wire.Request) (*attempt.Form, error) {
	most := cmp.Or(h.c.s.features.MaxFile, maxBody)
	switch {
	case len(r.Form) > 0:
		return h.newUpload(ctx, r.Form, most)
	case r.File != "":
		content, err := h.content(ctx, r.File)
		if err != nil {
			return nil, fmt.Errorf("a file cannot be opened: %w", err)
		}
		return attempt.OneFile(content, most), nil
	}
	return nil, nil //nolint:nilnil // a request without a form
}

var errStreamed = errors.New("a body that is streamed cannot be signed")

var errTooLarge = errors.New("it is larger than the manifest allows")

// request writes a request with its credentials.
func (h *call) request(ctx context.Context, method string, u *url.URL, r wire.Request, fit []grant, form *attempt.Form, body []byte) (*http.Request, error) {
	if most := cmp.Or(fit[0].MaxRequest, maxBody); int64(len(body)) > most {
		return nil, errTooLarge
	}
	to := *u
	header := make(http.Header, len(r.Headers)+2) // and the credential, and a type
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	for _, name := range []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Proxy-Authorization"} {
		header.Del(name)
	}
	body, err := h.c.credentials(ctx, fit, &to, header, body)
	if err != nil {
		return nil, err
	}
	var content io.Reader = http.NoBody
	switch {
	case form != nil:
		content = form
		if form.Type != "" {
			header.Set("Content-Type", form.Type)
		}
	case len(body) > 0:
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "", content)
	if err != nil {
		return nil, errors.New("it is no request that can be made")
	}
	req.URL, req.Host, req.Header = &to, strings.TrimSuffix(to.Host, ":"), header
	if r.File != "" {
		req.ContentLength = h.size(ctx, r.File)
	}
	return req, nil
}

// read takes the answer in, or keeps its body for later.
func (h *call) read(resp *http.Response, r wire.Request, g grant, cancel context.CancelFunc) (wire.Response, []byte, error) {
	out := wire.Response{Status: resp.StatusCode, Headers: make(map[string]string, len(resp.Header))}
	for name, all := range resp.Header {
		if name != "Set-Cookie" && len(all) > 0 {
			out.Headers[strings.ToLower(name)] = all[0]
		}
	}
	if r.Save && resp.StatusCode/100 == 2 && h.release() {
		out.File = h.save(&limited{ReadCloser: resp.Body, left: cmp.Or(h.c.s.features.MaxFetch, maxBody), cancel: cancel})
		return out, nil, nil
	}
	defer cancel()
	defer func() { _ = resp.Body.Close() }()
	most := cmp.Or(g.MaxResponse, maxBody-64<<10)
	b, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = errTooLarge
	}
	return out, b, err
}

// limited fails a download that is longer than the platform says it can be.
type limited struct {
	io.ReadCloser
	left   int64
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, errTooLarge
	}
	return n, err
}

// Close implements io.Closer.
func (l *limited) Close() error {
	defer l.cancel()
	return l.ReadCloser.Close()
}
