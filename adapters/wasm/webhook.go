package wasm

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// How a platform can prove that a request is its own.
const (
	verifyHeader = "header"      // a header holds the secret
	verifyHMAC   = "hmac-sha256" // a header holds the body's HMAC in hexadecimal, with or without "sha256=" before it
)

const maxHook = 1 << 20 // bytes

// Receive implements channels.Receiver. The host verifies; the guest sees only
// what the platform sent. The platform is told so only after the commit.
func (l receiving) Receive(sink channels.Sink) http.Handler {
	p := &poller{channel: l.c, sink: sink}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, body := p.request(w, r); status/100 == 2 {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8") // a guest makes no pages
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(status)
			_, _ = w.Write(body) //nolint:gosec // as text
		} else {
			http.Error(w, http.StatusText(status), status)
		}
	})
}

func (p *poller) request(w http.ResponseWriter, r *http.Request) (status int, body []byte) {
	hook, path, ok := p.hook(r)
	if !ok {
		return http.StatusNotFound, nil
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge, nil
		}
		return http.StatusBadRequest, nil
	}
	switch {
	case !p.genuine(hook.Verify, r.Header, content):
		return http.StatusUnauthorized, nil
	case !slices.Contains(hook.Methods, r.Method):
		return http.StatusMethodNotAllowed, nil
	case p.session.Load() == nil:
		return later(w, 0), nil // Run has not started the guest yet
	case !p.webhook.Load():
		return http.StatusNotFound, nil
	}
	in := wire.In{Request: &wire.Request{Method: r.Method, Path: path, Query: r.URL.RawQuery, Headers: headers(r.Header, hook.Verify.Name)}}
	return p.take(w, r, in, content)
}

// take has the guest read a request, and what it says accepted.
func (p *poller) take(w http.ResponseWriter, r *http.Request, in wire.In, content []byte) (status int, body []byte) {
	h := &call{}
	defer h.end()
	out, result, err := p.invoke(r.Context(), sandbox.OpHTTPRequest, in, content, h)
	if channels.KindOf(err) == channels.Rejected {
		return http.StatusBadRequest, nil
	}
	var b channels.Batch
	if err == nil {
		b, err = p.batch(r.Context(), result.Effects)
	}
	if err != nil {
		p.h.Log().WarnContext(r.Context(), "the guest could not read a request; the platform sends it again", "err", err)
		return later(w, channels.RetryAfter(err)), nil
	}
	p.h.Heard()
	if len(b.Events)+len(b.State) > 0 {
		rejected, err := channels.Offer(r.Context(), p.sink, b)
		if err != nil {
			p.h.Log().WarnContext(r.Context(), "update not accepted; the platform sends it again", "err", err)
			return later(w, channels.RetryAfter(err)), nil
		}
		for _, err := range rejected {
			p.h.Log().ErrorContext(r.Context(), "an update cannot be kept and is passed over", "err", err)
		}
		if link.Sleep(r.Context(), p.ration.take(len(b.Events))) != nil {
			return later(w, 0), nil
		}
	}
	if out.Status == 0 {
		out.Status = http.StatusOK
	}
	if out.Status < 200 || out.Status > 599 {
		out.Status = http.StatusInternalServerError
	}
	return out.Status, result.Out.Body
}

// hook finds the entry of the manifest for a request, and the path below the
// channel's own.
func (p *poller) hook(r *http.Request) (module.Webhook, string, bool) {
	path := r.URL.Path
	if u, err := url.Parse(p.h.Public()); err == nil {
		path = strings.TrimPrefix(path, strings.TrimRight(u.Path, "/"))
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	for _, w := range p.g.pkg.Manifest.Webhooks {
		if w.Path == path {
			return w, path, true
		}
	}
	return module.Webhook{}, "", false
}

// genuine reports whether a request is the platform's.
func (p *poller) genuine(v module.Verify, h http.Header, body []byte) bool {
	secret, err := p.own(v.Secret)
	if err != nil {
		return false
	}
	shown := h.Get(v.Name)
	if v.Kind == verifyHeader {
		return subtle.ConstantTimeCompare([]byte(secret), []byte(shown)) == 1
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	got, err := hex.DecodeString(strings.TrimPrefix(shown, "sha256="))
	return err == nil && hmac.Equal(got, mac.Sum(nil))
}

// headers are those of a request, without the one that proves it.
func headers(h http.Header, proof string) map[string]string {
	out := map[string]string{}
	for name := range h {
		if name != http.CanonicalHeaderKey(proof) && name != "Authorization" && name != "Cookie" {
			out[strings.ToLower(name)] = h.Get(name)
		}
	}
	return out
}

// later asks the platform to try again.
func later(w http.ResponseWriter, wait time.Duration) int {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(wait.Seconds()))))
	return http.StatusServiceUnavailable
}
