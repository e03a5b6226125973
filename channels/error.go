package channels

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what happens next after a failure. The set is closed.
type Kind string

// The kinds of failure.
const (
	Other        Kind = "other"        // retried with backoff, a few times
	Transient    Kind = "transient"    // certainly not delivered; retried with backoff
	RateLimited  Kind = "rate_limited" // retried after RetryAfter
	Ambiguous    Kind = "ambiguous"    // it may have been delivered: reconciled, or repeated once and marked
	Rejected     Kind = "rejected"     // never accepted in this form: a dead letter
	Format       Kind = "format"       // the markup was refused: sent again as plain text at once
	Closed       Kind = "closed"       // the platform's window is closed; nothing can be sent now
	Unauthorized Kind = "unauthorized" // the credentials are no longer valid: the channel needs its owner
	Gone         Kind = "gone"         // the conversation or message no longer exists, or the bot was shut out
)

// Error is the failure of a channel. It carries no secret and no message text.
type Error struct {
	Op         string
	Channel    ID
	Kind       Kind
	RetryAfter time.Duration // RateLimited, Transient: how long to wait at least
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %s", e.Channel, e.Op, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the Kind of the first *Error in err's chain; Other for any other
// error, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Other
}

// RetryAfter is the wait that the first *Error in err's chain asks for.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
