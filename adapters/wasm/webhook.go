package wasm

import (
	"context"
	"encoding/json"
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
	"github.com/gatehouse-chat/gatehouse/channels/order"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

const maxHook = 1 << 20 // bytes

// hooksPath is where the gateway has the webhooks of its channels.
const hooksPath = "/hooks/"

// Receive implements channels.Receiver. The host verifies; the guest sees only
// what the platform sent. The platform is told so only after the commit.
func (l receiving) Receive(sink channels.Sink) http.Handler {
	p := &poller{channel: l.c, sink: sink}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, body := p.request(w, r); status/100 == 2 || len(body) > 0 {
			w.Header().Set("Content-Type", contentType(body))
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			_, _ = w.Write(body) //nolint:gosec // as text or JSON
		} else {
			http.Error(w, http.StatusText(status), status)
		}
	})
}

// contentType is how a guest's answer is labelled: a guest makes no pages.
func contentType(body []byte) string {
	if len(body) > 0 && json.Valid(body) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

func (p *poller) request(w http.ResponseWriter, r *http.Request) (status int, body []byte) {
	path, hooks := p.hooks(r)
	if len(hooks) == 0 {
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
	query := r.URL.Query()
	at, err := p.proved(r, hooks, content, query)
	if err != nil {
		if !errors.Is(err, proof.ErrRefused) {
			p.h.Log().WarnContext(r.Context(), "nobody can tell whether a request is the platform's; it has to come again", "err", err)
			return later(w, 0), nil
		}
		p.h.Log().DebugContext(r.Context(), "a request is not the platform's", "err", err)
		return http.StatusUnauthorized, nil
	}
	hook := p.g.pkg.Manifest.Webhooks[at]
	switch {
	case !slices.Contains(hook.Methods, r.Method):
		return http.StatusMethodNotAllowed, nil
	case p.session.Load() == nil:
		return later(w, 0), nil // Run has not started the guest yet
	case !p.webhook.Load():
		return http.StatusNotFound, nil
	}
	if hook.Verify.Kind == proofQuery {
		query.Del(hook.Verify.Name)
	}
	place := p.line.Arrive()
	defer place.Leave()
	in := wire.In{Request: &wire.Request{Method: r.Method, Path: path, Query: query.Encode(), Headers: headers(r.Header, p.proofs[at].Headers())}}
	return p.take(w, r, place, in, p.proofs[at].Conceal(content))
}

// take has the guest read a request, and what it says accepted: that of one
// conversation in the order in which the requests arrived, however long the guest
// takes for each.
func (p *poller) take(w http.ResponseWriter, r *http.Request, place *order.Place, in wire.In, content []byte) (status int, body []byte) {
	h := &call{}
	defer h.end()
	out, result, err := p.invoke(r.Context(), sandbox.OpHTTPRequest, in, content, h)
	if channels.KindOf(err) == channels.Rejected {
		return http.StatusBadRequest, nil
	}
	var b wanted
	if err == nil {
		b, err = h.batch(r.Context(), result.Effects)
	}
	var awaited *channels.Event
	if err == nil && out.Await != nil {
		awaited, err = b.event(out.Await.Key)
	}
	if err != nil {
		p.h.Log().WarnContext(r.Context(), "the guest could not read a request; the platform sends it again", "err", err)
		return later(w, channels.RetryAfter(err)), nil
	}
	p.h.Heard()
	if err := place.Enter(r.Context(), b.Events); err != nil {
		return later(w, 0), nil
	}
	lost, err := p.offer(r.Context(), b)
	place.Leave()
	if err == nil {
		err = link.Sleep(r.Context(), p.ration.take(len(b.Events)))
	}
	switch {
	case err != nil:
		return later(w, channels.RetryAfter(err)), nil
	case lost && out.Refused != 0:
		return possible(out.Refused), nil
	}
	p.after(h)
	p.requestAll(r.Context(), b.requests)
	if err := p.sendAll(r.Context(), b.messages); err != nil {
		p.h.Log().WarnContext(r.Context(), "a message of the guest could not be sent over its socket", "err", err)
	}
	if awaited != nil {
		return p.await(w, r, in, *awaited, milliseconds(out.Await.WaitMS))
	}
	return possible(out.Status), result.Out.Body
}

// offer has what a request brought accepted. lost: all of it can never be kept.
func (p *poller) offer(ctx context.Context, b wanted) (lost bool, err error) {
	if len(b.Events)+len(b.State) == 0 {
		return false, nil
	}
	rejected, err := channels.Offer(ctx, p.sink, b.Batch)
	if err != nil {
		p.h.Log().WarnContext(ctx, "update not accepted; the platform sends it again", "err", err)
		return false, err
	}
	for _, err := range rejected {
		p.h.Log().ErrorContext(ctx, "an update cannot be kept and is passed over", "err", err)
	}
	return len(rejected) > 0 && len(rejected) == len(b.Events), nil
}

// possible is a status that a guest says, if it is one; 0 is 200.
func possible(status int) int {
	switch {
	case status == 0:
		return http.StatusOK
	case status < 200 || status > 599:
		return http.StatusInternalServerError
	}
	return status
}

// proved is the first of some entries whose proof holds, and else why the last
// one's does not.
func (p *poller) proved(r *http.Request, hooks []int, content []byte, query url.Values) (at int, err error) {
	for _, at = range hooks {
		err = p.genuine(r.Context(), at, proof.Request{Header: r.Header, Body: content, At: time.Now()}, query)
		if err == nil {
			return at, nil
		}
	}
	return at, err
}

// hooks finds the entries of the manifest for a request, those for its method or
// else those for others, and the path below the channel's own.
func (p *poller) hooks(r *http.Request) (path string, at []int) {
	path = r.URL.Path
	if u, err := url.Parse(p.h.Public()); err == nil && u.Path != "" {
		path = strings.TrimPrefix(path, strings.TrimRight(u.Path, "/"))
	}
	path = strings.TrimPrefix(path, hooksPath+string(p.h.ID())) // without a public_url, or behind a proxy that takes part of it away
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	var others []int
	for i, w := range p.g.pkg.Manifest.Webhooks {
		switch {
		case w.Path != path || p.s.proofs[i].Kind == "":
		case slices.Contains(w.Methods, r.Method):
			at = append(at, i)
		default:
			others = append(others, i)
		}
	}
	if len(at) > 0 {
		return path, at
	}
	return path, others
}

// headers are those of a request, without those that prove it.
func headers(h http.Header, proofs []string) map[string]string {
	out := map[string]string{}
	for name := range h {
		if !slices.Contains(proofs, name) && name != "Authorization" && name != "Cookie" {
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
