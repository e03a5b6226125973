//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// settle is how long a failed send waits to learn why the connection ended.
const settle = 2 * time.Second

// refused says what a failure of a send means.
func (c *Channel) refused(ctx context.Context, s *session, err error) error {
	const op = "send"
	kind, wait, text := classify(err)
	if kind == channels.Ambiguous || kind == channels.Transient {
		if o := s.reason(ctx); o != nil && o.gone {
			kind, text = channels.Unauthorized, o
		}
	}
	return &channels.Error{Op: op, Channel: c.host.ID(), Kind: kind, RetryAfter: wait, Err: text}
}

// reason is the outage that ended the connection, if one did.
func (s *session) reason(ctx context.Context) *outage {
	select {
	case <-s.wire.down():
	case <-s.ctx.Done():
	default:
		return nil
	}
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
	case <-ctx.Done():
	case <-t.C:
	}
	var o *outage
	errors.As(context.Cause(s.ctx), &o)
	return o
}

// classify reads whatsmeow's errors. Whether a message can have left decides: a
// question that comes before it, for somebody's devices or keys, cannot have
// carried it.
func classify(err error) (kind channels.Kind, wait time.Duration, text error) {
	var cut *whatsmeow.DisconnectedError
	switch {
	case errors.Is(err, whatsmeow.ErrServerReturnedError):
		return serverSaid(err)
	case errors.As(err, &cut) && removed(cut.Node), errors.Is(err, whatsmeow.ErrNotLoggedIn):
		return channels.Unauthorized, 0, errUnlinked
	case errors.Is(err, whatsmeow.ErrNotInGroup), errors.Is(err, whatsmeow.ErrGroupNotFound):
		return channels.Gone, 0, errors.New("the account is not in the group any more")
	case errors.Is(err, whatsmeow.ErrUnknownServer), errors.Is(err, whatsmeow.ErrRecipientADJID):
		return channels.Rejected, 0, errors.New("the conversation cannot be written to")
	case errors.As(err, &cut) && !strings.HasPrefix(cut.Action, sending), errors.Is(err, whatsmeow.ErrIQTimedOut), errors.Is(err, whatsmeow.ErrNotConnected):
		return channels.Transient, 0, plain(err)
	}
	return channels.Ambiguous, 0, plain(err)
}

// removed reports whether a node says that the device was logged out.
func removed(n *waBinary.Node) bool {
	if n == nil || n.Tag != "stream:error" {
		return false
	}
	conflict := n.GetChildByTag("conflict")
	return conflict.AttrGetter().OptionalString("type") == "device_removed"
}

// serverSaid reads the code with which the server refuses a message.
func serverSaid(err error) (kind channels.Kind, wait time.Duration, text error) {
	code := 0
	_, _ = fmt.Sscanf(strings.TrimPrefix(err.Error(), whatsmeow.ErrServerReturnedError.Error()), "%d", &code)
	text = fmt.Errorf("WhatsApp refused the message (%d)", code)
	switch {
	case code == 429:
		return channels.RateLimited, time.Minute, text
	case code >= 500 && code < 600, code == 408:
		return channels.Transient, 0, text
	case code == 401, code == 403, code == 404, code == 406:
		return channels.Gone, 0, text
	case code == 463:
		return channels.Rejected, 0, fmt.Errorf("WhatsApp does not let this account begin chats with strangers at the moment (%d)", code)
	}
	return channels.Rejected, 0, text
}

// plain is an error without whatever whatsmeow put around it: ids of people, and
// parts of what was sent.
func plain(err error) error {
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, whatsmeow.ErrMessageTimedOut, whatsmeow.ErrIQTimedOut, whatsmeow.ErrNotConnected,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	var cut *whatsmeow.DisconnectedError
	if errors.As(err, &cut) {
		return errors.New("the connection ended before WhatsApp had answered")
	}
	for last := err; ; {
		next := errors.Unwrap(last)
		if next == nil {
			return last
		}
		last = next
	}
}
