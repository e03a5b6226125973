package codec

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Answer is what the sender of a request is told, as JSON.
type Answer struct {
	Status  string  `json:"status"` // accepted, answered, pending, ignored or refused
	ID      string  `json:"id,omitempty"`
	Why     string  `json:"why,omitempty"`
	Replies []Reply `json:"replies,omitempty"`

	Code int `json:"-"` // HTTP's
}

// Statuses of HTTP, which a guest does without the package for it: that would be
// a quarter of its size.
const (
	statusOK              = 200
	statusAccepted        = 202
	StatusBadRequest      = 400
	statusUnauthorized    = 401
	statusForbidden       = 403
	statusRequestTimeout  = 408
	statusGone            = 410
	StatusTooLarge        = 413
	StatusUnprocessable   = 422
	statusTooEarly        = 425
	statusTooManyRequests = 429
)

// The states of a request.
const (
	accepted = "accepted" // it is kept and will be worked on
	answered = "answered" // here is what there is to say
	pending  = "pending"  // it is kept; whoever asks again with the same key gets the answer
	ignored  = "ignored"  // it was understood and is not meant for the bot
	refused  = "refused"
)

// Refuse says why a request is not taken.
func Refuse(code int, why string) Answer { return Answer{Status: refused, Why: why, Code: code} }

// Ignore says why nothing becomes of a request.
func Ignore(why string) Answer { return Answer{Status: ignored, Why: why, Code: statusOK} }

// Take says that an event is kept.
func Take(key string) Answer {
	return Answer{Status: accepted, ID: key, Code: statusAccepted}
}

// Answered has what was said to an event, and whether that is all of it.
func Answered(key string, replies []Reply, whole bool) Answer {
	a := Answer{Status: answered, ID: key, Replies: replies, Code: statusOK}
	if !whole {
		a.Status, a.Code = pending, statusAccepted
	}
	return a
}

// longestWait is how long a request may wait for its answer.
const longestWait = 2 * time.Minute

var errWait = errors.New("wait must be a time of at most 2m, such as 30s")

// Patience is how long a request waits: ?wait=30s, or ?wait=30.
func Patience(query url.Values) (time.Duration, error) {
	text := strings.TrimSpace(query.Get("wait"))
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if n, bad := strconv.Atoi(text); bad == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 || d > longestWait {
		return 0, errWait
	}
	return d, nil
}

// Refusal is what a callback's status means; false for one that took the answer.
func Refusal(status int, retryAfter string) (kind channels.Kind, wait time.Duration, is bool) {
	if n, err := strconv.Atoi(retryAfter); err == nil && n > 0 && n < 24*60*60 {
		wait = time.Duration(n) * time.Second
	}
	switch {
	case status/100 == 2:
		return "", 0, false
	case status == statusTooManyRequests:
		return channels.RateLimited, wait, true
	case status/100 == 5, status == statusRequestTimeout, status == statusTooEarly:
		return channels.Transient, wait, true
	case status == statusUnauthorized, status == statusForbidden:
		return channels.Unauthorized, 0, true
	case status == statusGone:
		return channels.Gone, 0, true
	}
	return channels.Rejected, 0, true
}
