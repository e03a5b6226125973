package codec

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Answer is what the platform said to a call.
type Answer struct {
	OK         bool
	Result     json.RawMessage
	Kind       channels.Kind // when it is not OK
	RetryAfter time.Duration
	Code       int
	Reason     string
}

// fault is the body of a refusal.
type fault struct {
	Error struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
		Data    struct {
			Details string `json:"details"`
		} `json:"error_data"`
	} `json:"error"`
}

// meanings are the platform's codes that say what comes next. Everything else
// of 4xx is refused for ever.
var meanings = map[int]struct {
	kind channels.Kind
	wait time.Duration
	fix  string
}{
	0:      {channels.Unauthorized, 0, "the token is not valid"},
	190:    {channels.Unauthorized, 0, "the token has ended or was revoked"},
	3:      {channels.Unauthorized, 0, "the token may not do this: it needs whatsapp_business_messaging"},
	10:     {channels.Unauthorized, 0, "the token may not do this: it needs whatsapp_business_messaging"},
	200:    {channels.Unauthorized, 0, "the token may not do this: it needs whatsapp_business_messaging"},
	33:     {channels.Unauthorized, 0, "there is no such phone number id"},
	368:    {channels.Unauthorized, 0, "the account is restricted for breaking a policy; see the WhatsApp Manager"},
	131031: {channels.Unauthorized, 0, "the account is locked; see the WhatsApp Manager"},
	131042: {channels.Unauthorized, 0, "the account has no way of paying; see the WhatsApp Manager"},
	131045: {channels.Unauthorized, 0, "the phone number is not registered for the Cloud API"},
	133010: {channels.Unauthorized, 0, "the phone number is not registered for the Cloud API"},

	4:      {channels.RateLimited, time.Minute, "too many calls of this app"},
	80007:  {channels.RateLimited, time.Minute, "too many calls of this account"},
	130429: {channels.RateLimited, 5 * time.Second, "too many messages a second"},
	131048: {channels.RateLimited, 10 * time.Minute, "too many messages were blocked or reported as spam"},
	131056: {channels.RateLimited, 6 * time.Second, "too many messages to this person"},
	131057: {channels.RateLimited, time.Minute, "the account is being maintained"},

	1:      {channels.Transient, 0, "the platform has a fault"},
	2:      {channels.Transient, 0, "the platform is not available"},
	131000: {channels.Transient, 0, "the platform has a fault"},
	131016: {channels.Transient, 0, "the platform is not available"},
	133004: {channels.Transient, 0, "the platform is not available"},

	131047: {channels.Closed, 0, WindowClosed},
	131026: {channels.Gone, 0, "it cannot be delivered: the number is not on WhatsApp, has blocked this one, or uses a version that is too old"},
	131030: {channels.Rejected, 0, "a test number may only write to the numbers on its list of recipients"},
}

// WindowClosed says why nothing can be sent, and what would help.
const WindowClosed = "more than 24 hours have passed since this person wrote: WhatsApp takes nothing but an approved template; " +
	"name one under 'template', or wait until they write"

// Classify reads the answer to a call. again says that the call may be made
// twice without harm.
func Classify(status int, retryAfter time.Duration, body []byte, again bool) Answer {
	if status/100 == 2 && json.Valid(body) {
		return Answer{OK: true, Result: body}
	}
	var f fault
	known := json.Unmarshal(body, &f) == nil && f.Error.Message != ""
	a := Answer{Code: f.Error.Code, RetryAfter: retryAfter, Kind: channels.Rejected}
	if known {
		a.Reason = fmt.Sprintf("error %d", f.Error.Code)
		if m, ok := meanings[f.Error.Code]; ok {
			a.Kind, a.Reason = m.kind, a.Reason+": "+m.fix
			a.RetryAfter = max(a.RetryAfter, m.wait)
			if retryAfter > 0 && m.kind == channels.RateLimited {
				a.RetryAfter = retryAfter
			}
			return a
		}
	} else {
		a.Reason = fmt.Sprintf("status %d", status)
	}
	switch {
	case status == 401 || status == 403:
		a.Kind = channels.Unauthorized
	case status == 429:
		a.Kind = channels.RateLimited
	case status == 404 && known:
		a.Kind = channels.Gone
	case status == 503 || known && status/100 == 5 || again && status/100 == 5:
		a.Kind = channels.Transient
	case status/100 == 5 || status/100 == 2: // nobody knows what came of it
		a.Kind = channels.Ambiguous
		if again {
			a.Kind = channels.Transient
		}
	}
	return a
}

// Sent is the id of a message that was taken.
func Sent(result []byte) channels.MessageID {
	var r struct {
		Messages []struct {
			ID string `json:"id"`
		} `json:"messages"`
	}
	if json.Unmarshal(result, &r) != nil || len(r.Messages) == 0 {
		return ""
	}
	return channels.MessageID(r.Messages[0].ID)
}
