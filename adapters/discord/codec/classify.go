package codec

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Answer is what the REST API said of a call.
type Answer struct {
	OK     bool
	Result json.RawMessage // may be empty

	Code       int           // of a failure: the platform's own, 0 for none
	Kind       channels.Kind // of a failure
	Reason     string        // of a failure; from a closed set, nothing of the request
	RetryAfter time.Duration
	Global     bool // the limit holds for every call
}

// HTTP's status codes. The package does not import net/http for them: it has
// nothing else to do with a network.
const (
	badRequest      = 400
	unauthorized    = 401
	forbiddenThere  = 403
	missingThere    = 404
	tooLarge        = 413
	tooManyRequests = 429
)

// Codes that a caller tells apart.
const (
	CodeUnknownChannel     = 10003
	CodeUnknownMessage     = 10008
	CodeUnknownWebhook     = 10015
	CodeUnknownInteraction = 10062
	CodeAcknowledged       = 40060
	CodeWebhookToken       = 50027
)

// ReasonToken is the reason of a refused token.
const ReasonToken = "the token is not valid"

// Classify reads an answer. repeatable says that the call may be made twice
// without harm, so that a broken answer to it is Transient and not Ambiguous.
func Classify(status int, body []byte, repeatable bool) Answer {
	if status >= 200 && status < 300 {
		if len(body) > 0 && !json.Valid(body) {
			return broken(repeatable, "the answer is not the platform's JSON")
		}
		return Answer{OK: true, Result: body}
	}
	var r struct {
		Code       int     `json:"code"`
		RetryAfter float64 `json:"retry_after"`
		Global     bool    `json:"global"`
	}
	_ = json.Unmarshal(body, &r) // what is no JSON has no code
	a := refusal(status, r.Code, repeatable)
	a.Code = r.Code
	if a.Kind == channels.RateLimited {
		a.RetryAfter, a.Global = wait(r.RetryAfter), r.Global
	}
	return a
}

func refusal(status, code int, repeatable bool) Answer {
	switch {
	case status == tooManyRequests:
		return Answer{Kind: channels.RateLimited, Reason: "too many requests"}
	case status >= 500:
		return broken(repeatable, "the server failed with status "+strconv.Itoa(status))
	case code == CodeWebhookToken:
		return Answer{Kind: channels.Gone, Reason: "the interaction can no longer be answered"}
	case status == unauthorized:
		return Answer{Kind: channels.Unauthorized, Reason: ReasonToken}
	case status == forbiddenThere:
		return Answer{Kind: channels.Gone, Reason: forbidden(code)}
	case status == missingThere:
		return Answer{Kind: channels.Gone, Reason: absent(code)}
	case status == tooLarge, code == 40005:
		return Answer{Kind: channels.Rejected, Reason: "the files are too large"}
	case status == badRequest:
		return Answer{Kind: refused(code), Reason: reason(code)}
	}
	return Answer{Kind: channels.Other, Reason: "the server answered with status " + strconv.Itoa(status)}
}

// broken is an answer that does not say what became of the call.
func broken(repeatable bool, reason string) Answer {
	if repeatable {
		return Answer{Kind: channels.Transient, Reason: reason}
	}
	return Answer{Kind: channels.Ambiguous, Reason: reason}
}

// wait bounds what the platform asks for, so that a wrong number cannot silence
// a channel for years.
func wait(seconds float64) time.Duration {
	const usual, longest = 1, 24 * 60 * 60
	if seconds <= 0 || math.IsNaN(seconds) {
		seconds = usual
	}
	return time.Duration(min(seconds, longest) * float64(time.Second))
}

func forbidden(code int) string {
	switch code {
	case 50007:
		return "the person takes no direct messages from the bot"
	case 50001:
		return "the bot cannot see the channel"
	case 50013:
		return "the bot lacks a permission in the channel"
	case 160005:
		return "the thread is locked"
	}
	return "the bot may not do that there"
}

func absent(code int) string {
	switch code {
	case CodeUnknownChannel:
		return "the channel no longer exists for the bot"
	case CodeUnknownMessage:
		return "the message no longer exists"
	case CodeUnknownWebhook, CodeUnknownInteraction:
		return "the interaction can no longer be answered"
	}
	return "it no longer exists"
}

func refused(code int) channels.Kind {
	switch code {
	case 50083, 50024, 50033: // archived, not of this kind, not a recipient
		return channels.Gone
	}
	return channels.Rejected
}

func reason(code int) string {
	switch code {
	case 50006:
		return "the message is empty"
	case 50035:
		return "the form of the request was refused"
	case 50083:
		return "the thread is archived"
	case CodeAcknowledged:
		return "the interaction was acknowledged already"
	case 10014:
		return "the platform has no such reaction"
	}
	return "the request was refused"
}
