package wasm

import (
	"errors"
	"net"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// failed notes why a request failed.
func (h *call) failed(cause error, r sandbox.Refusal) error {
	h.cause = cause
	return r
}

func refusalOf(err error) sandbox.Refusal {
	switch {
	case errors.Is(err, errTooLarge):
		return sandbox.TooLarge
	case errors.Is(err, errSecret):
		return sandbox.Auth
	}
	return sandbox.Invalid
}

// lost classifies a request whose answer did not come.
func (h *call) lost(r wire.Request, err error, sent *progress, form *upload) error {
	if broken := form.broken(); broken != nil {
		return h.failed(broken, sandbox.Invalid)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL
	}
	var hosts *channels.Error
	switch {
	case errors.Is(err, errTooLarge):
		if !r.Repeatable {
			h.risky = true
		}
		return h.failed(err, sandbox.TooLarge)
	case errors.As(err, &hosts):
		if hosts.Kind == channels.Unauthorized {
			return h.failed(err, sandbox.Auth)
		}
		return h.failed(err, sandbox.Unavailable)
	case r.Repeatable || dialing(err) || sent.nothing() || form.partial():
		return h.failed(err, sandbox.Unavailable)
	}
	h.risky = true
	return h.failed(err, sandbox.Timeout)
}

// dialing reports whether no connection was made at all.
func dialing(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// progress follows a request. A transport that tells nothing is not believed to
// have sent nothing.
type progress struct{ waiting, wrote atomic.Bool }

// nothing reports whether the request certainly did not leave.
func (p *progress) nothing() bool { return p.waiting.Load() && !p.wrote.Load() }

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { p.wrote.Store(false); p.waiting.Store(true) },
		WroteHeaders: func() { p.wrote.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { p.wrote.Store(true) },
	}
}
