package agent

import (
	"fmt"
	"time"
)

// ErrorKind says what a failure of a model means for the next step. The set is closed.
type ErrorKind string

// The kinds of failure.
const (
	NoModel      ErrorKind = "no_model"     // none is configured
	NoKey        ErrorKind = "no_key"       // the secret that should hold the key is not there
	Unauthorized ErrorKind = "unauthorized" // the key is wrong, or lacks the right
	UnknownModel ErrorKind = "unknown_model"
	RateLimited  ErrorKind = "rate_limited" // again after RetryAfter
	Quota        ErrorKind = "quota"        // the provider's account is out of credit
	Overloaded   ErrorKind = "overloaded"   // 5xx, overloaded: again with backoff, or another provider
	Unreachable  ErrorKind = "unreachable"  // no connection
	Interrupted  ErrorKind = "interrupted"  // the stream ended half-way
	Stalled      ErrorKind = "stalled"      // nothing came for too long
	Garbled      ErrorKind = "garbled"      // an answer that cannot be read
	TooLong      ErrorKind = "too_long"     // the context does not fit
	BadRequest   ErrorKind = "bad_request"  // the provider refuses the request itself
	OverBudget   ErrorKind = "over_budget"  // the daily cap is reached
)

// Error is the failure of a model call. It carries no secret and no message text.
type Error struct {
	Kind       ErrorKind
	Provider   string
	Model      string
	Status     int // of HTTP; 0 when there was no answer
	RetryAfter time.Duration
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("model %s/%s: %s", e.Provider, e.Model, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same call may succeed later.
func (e *Error) Temporary() bool {
	switch e.Kind {
	case RateLimited, Overloaded, Unreachable, Interrupted, Stalled, Garbled:
		return true
	}
	return false
}
