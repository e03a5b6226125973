//go:build wasip1

package guest

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// What a guest needs that is made of a native adapter's codec: the codec speaks
// of parts, kinds of failure and receipts, the host of headers.

// Settings are the channel's section, as T has its keys.
func Settings[T any](c *Call) (s T, err error) {
	return s, json.Unmarshal(c.Config, &s)
}

// Known is the session that Start returned; false when there is none yet, as
// before the channel has run.
func Known[T any](c *Call) (s T, ok bool) {
	if len(c.Session) == 0 || string(c.Session) == "null" {
		return s, false
	}
	return s, json.Unmarshal(c.Session, &s) == nil
}

// Began is the answer of Start: what is known from now on, and as whom people
// know the account.
func Began(session any, as string) (wire.Out, error) {
	raw, err := json.Marshal(session)
	return wire.Out{Session: raw, As: as}, err
}

// PartOf is the part that a codec writes. The handle of a file travels in its
// Blob.
func PartOf(w *wire.Part) channels.Part {
	p := channels.Part{
		Key: w.Key, To: w.To, Via: w.Via, Audience: channels.Audience{Only: w.Only}, ReplyTo: w.ReplyTo,
		Replaces: w.Replaces, Plain: w.Plain, Buttons: w.Buttons, Silent: w.Silent,
	}
	if w.Body != nil {
		p.Body = *w.Body
	}
	for _, f := range w.Files {
		f.File.Blob = f.Handle
		p.Files = append(p.Files, f.File)
	}
	return p
}

// Sent is the answer of Send.
func Sent(r channels.Receipt) wire.Out { return wire.Out{Receipt: &r} }

// Lost says what a request that got no answer means: the error that Do
// returned.
func Lost(err error) error {
	var r Refusal
	if !errors.As(err, &r) {
		return Errorf(channels.Other, err.Error())
	}
	switch r {
	case Unavailable:
		return Errorf(channels.Transient, "the platform was not reached")
	case Timeout:
		return Errorf(channels.Ambiguous, "the platform did not answer")
	case Denied:
		return Errorf(channels.Rejected, "the request was refused")
	case Auth:
		return Errorf(channels.Other, "a secret cannot be read")
	}
	return Errorf(channels.Other, r.Error())
}

// Refused is what a codec makes of a platform's refusal.
func Refused(kind channels.Kind, reason string, retryAfter time.Duration) error {
	return &Error{Code: string(kind), Message: reason, RetryAfterMS: retryAfter.Milliseconds()}
}

// KindOf is the kind of an error that this package made; [channels.Other] of any
// other.
func KindOf(err error) channels.Kind {
	var e *Error
	if errors.As(err, &e) {
		return channels.Kind(e.Code)
	}
	return channels.Other
}
