package wasm

import (
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
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
	case errors.Is(err, errTooLarge), errors.Is(err, attempt.ErrTooLarge):
		return sandbox.TooLarge
	case errors.Is(err, errSecret):
		return sandbox.Auth
	}
	return sandbox.Invalid
}

// lost classifies a request whose answer did not come.
func (h *call) lost(r wire.Request, err error, sent *attempt.Trace, form *attempt.Form) error {
	if broken := form.Broken(); broken != nil {
		return h.failed(broken, sandbox.Invalid)
	}
	unsent := sent.Unsent(err, form)
	err = attempt.Cause(err)
	var hosts *channels.Error
	switch {
	case errors.Is(err, errTooLarge), errors.Is(err, attempt.ErrTooLarge):
		if !r.Repeatable {
			h.risky = true
		}
		return h.failed(err, sandbox.TooLarge)
	case errors.As(err, &hosts):
		if hosts.Kind == channels.Unauthorized {
			return h.failed(err, sandbox.Auth)
		}
		return h.failed(err, sandbox.Unavailable)
	case r.Repeatable || unsent:
		return h.failed(err, sandbox.Unavailable)
	}
	h.risky = true
	return h.failed(err, sandbox.Timeout)
}
