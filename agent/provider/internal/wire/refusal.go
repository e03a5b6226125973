package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// maxRetryAfter bounds what a provider may ask us to wait.
const maxRetryAfter = 24 * time.Hour

// refusal is a response that says no.
type refusal struct {
	status int
	header http.Header
	body   []byte
}

// said is what the platforms agree on, more or less: {"error": {...}},
// {"error": "..."}, the same in a list (Gemini), or the fields at the top (vLLM,
// Mistral).
type said struct {
	Message string          `json:"message"`
	Type    string          `json:"type"`
	Status  string          `json:"status"`
	Code    json.RawMessage `json:"code"`
	Error   json.RawMessage `json:"error"`
	Detail  json.RawMessage `json:"detail"`
}

func (r refusal) read() said {
	b := bytes.TrimSpace(r.body)
	if len(b) > 0 && b[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(b, &list) == nil && len(list) > 0 {
			b = list[0]
		}
	}
	var top, in said
	_ = json.Unmarshal(b, &top)
	if len(top.Error) > 0 && json.Unmarshal(top.Error, &in) == nil {
		in.Error = top.Error
		return in
	}
	return top
}

func (r refusal) saysError() bool {
	s := r.read()
	return len(s.Error) > 0 && !bytes.Equal(s.Error, []byte("null"))
}

// err says what the refusal means. The platform's words are looked at and not
// passed on: they may quote the key or the conversation.
func (r refusal) err(provider, model string) *agent.Error {
	s := r.read()
	e := &agent.Error{
		Kind: r.kind(s), Provider: provider, Model: model, Status: r.status,
		RetryAfter: RetryAfter(r.header, time.Now()),
	}
	if e.RetryAfter == 0 {
		e.RetryAfter = delayInBody(r.body)
	}
	why := "http " + strconv.Itoa(r.status)
	if r.status == http.StatusOK {
		e.Status, why = 0, "error in the stream"
	}
	if c := codeWord(s); c != "" {
		why += " " + c
	}
	e.Err = errors.New(why)
	return e
}

func (r refusal) kind(s said) agent.ErrorKind {
	text := strings.ToLower(string(r.body))
	code := strings.ToLower(strings.Trim(string(s.Code), `"`) + " " + s.Type + " " + s.Status)
	switch {
	case r.status == http.StatusUnauthorized, has(code, "authentication_error", "invalid_api_key"),
		has(text, "api key not valid", "api_key_invalid", "incorrect api key"):
		return agent.Unauthorized
	case r.status == http.StatusPaymentRequired, has(code, "insufficient_quota", "billing"),
		has(text, "insufficient_quota", "credit balance is too low", "perday"):
		return agent.Quota
	case r.status == http.StatusRequestEntityTooLarge, has(code, "context_length_exceeded", "request_too_large"), tooLong(text):
		return agent.TooLong
	case r.status == http.StatusTooManyRequests, has(code, "rate_limit", "resource_exhausted"):
		return agent.RateLimited
	case r.status == http.StatusNotFound, has(code, "model_not_found", "not_found_error", "invalid_model"), noSuchModel(text):
		return agent.UnknownModel
	case r.status == http.StatusForbidden, has(code, "permission"):
		return agent.Unauthorized
	case r.status >= http.StatusInternalServerError, r.status == http.StatusRequestTimeout, r.status == http.StatusConflict,
		r.status == http.StatusTooEarly, has(code, "overloaded", "server_error", "api_error", "timeout", "unavailable"):
		return agent.Overloaded
	case r.status == http.StatusOK:
		// An error event that names no cause we know: the answer is lost, and
		// asking again may well succeed.
		return agent.Overloaded
	}
	return agent.BadRequest
}

func tooLong(text string) bool {
	return has(text, "context_length_exceeded", "maximum context length", "context length exceeded", "prompt is too long",
		"exceeds the context window", "exceeds the available context", "input token count", "exceed context limit",
		"too large for model with", "model_context_window_exceeded")
}

func noSuchModel(text string) bool {
	return has(text, "model_not_found", "is not a valid model", "invalid model", "unknown model", "no such model")
}

func has(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// codeWord is the platform's code if it is a plain word: lower-case letters
// and underscores, nothing that could be a key or a sentence.
func codeWord(s said) string {
	for _, c := range []string{strings.Trim(string(s.Code), `"`), s.Type, strings.ToLower(s.Status)} {
		if c != "" && len(c) <= 40 && strings.Trim(c, "abcdefghijklmnopqrstuvwxyz_") == "" {
			return c
		}
	}
	return ""
}

// RetryAfter reads retry-after-ms, and Retry-After in seconds or as a date. A
// date is taken relative to the response's own Date, so that a wrong clock
// here does no harm. 0 means that nothing usable was said.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return bound(ms * float64(time.Millisecond))
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		return bound(s * float64(time.Second))
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if d, err := http.ParseTime(h.Get("Date")); err == nil {
		now = d
	}
	return bound(float64(at.Sub(now)))
}

// delayInBody reads Gemini's "retryDelay": "34s".
func delayInBody(b []byte) time.Duration {
	_, rest, ok := bytes.Cut(b, []byte(`"retryDelay"`))
	if !ok {
		return 0
	}
	rest = bytes.TrimLeft(rest, " :\n\t")
	if len(rest) == 0 || rest[0] != '"' {
		return 0
	}
	v, _, _ := bytes.Cut(rest[1:], []byte(`"`))
	d, err := time.ParseDuration(string(v))
	if err != nil {
		return 0
	}
	return bound(float64(d))
}

func bound(d float64) time.Duration {
	switch {
	case math.IsNaN(d) || d <= 0:
		return 0
	case d > float64(maxRetryAfter):
		return maxRetryAfter
	}
	return time.Duration(d)
}
