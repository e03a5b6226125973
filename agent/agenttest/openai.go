package agenttest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// openAI writes Chat Completions.
type openAI struct{}

func (openAI) name() string             { return "openai" }
func (openAI) key(h http.Header) string { return bearer(h) }

func (openAI) refusal(status int, code string) []byte {
	type body struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    string `json:"code,omitempty"`
	}
	b, _ := json.Marshal(map[string]body{"error": {"scripted refusal: " + code, kindOf(status), code}})
	return b
}

func kindOf(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusTooManyRequests:
		return "requests"
	case status >= http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request_error"
}

const chunkHead = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1735689600,"model":`

func chunk(b []byte, r *Request) []byte {
	b = append(b, chunkHead...)
	return appendString(b, r.Model)
}

func (openAI) begin(b []byte, _ *Request, _ Tokens) []byte { return b }

func (openAI) piece(b []byte, r *Request, text string) []byte {
	b = chunk(b, r)
	b = append(b, `,"choices":[{"index":0,"delta":{"role":"assistant","content":`...)
	b = appendString(b, text)
	return append(b, "},\"finish_reason\":null}]}\n\n"...)
}

func (openAI) end(b []byte, r *Request, a *Answer, t Tokens) []byte {
	for i, c := range a.Calls {
		b = callChunks(b, r, i, c)
	}
	b = chunk(b, r)
	b = append(b, `,"choices":[{"index":0,"delta":{},"finish_reason":"`...)
	b = append(b, openAIFinish(a.finish())...)
	b = append(b, "\"}]}\n\n"...)
	if !a.NoUsage && field(r.Body, "stream_options") != nil {
		b = chunk(b, r)
		b = append(b, `,"choices":[],"usage":`...)
		b = appendUsage(b, t)
		b = append(b, "}\n\n"...)
	}
	return append(b, "data: [DONE]\n\n"...)
}

// callChunks streams the arguments in two halves, as the platform does.
func callChunks(b []byte, r *Request, i int, c agent.ToolCall) []byte {
	half := len(c.Args) / 2
	for n, part := range []string{string(c.Args[:half]), string(c.Args[half:])} {
		b = chunk(b, r)
		b = append(b, `,"choices":[{"index":0,"delta":{"tool_calls":[{"index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		if n == 0 {
			b = append(b, `,"type":"function","id":`...)
			b = appendString(b, c.ID)
			b = append(b, `,"function":{"name":`...)
			b = appendString(b, c.Name)
			b = append(b, `,"arguments":`...)
		} else {
			b = append(b, `,"function":{"arguments":`...)
		}
		b = appendString(b, part)
		b = append(b, "}}]},\"finish_reason\":null}]}\n\n"...)
	}
	return b
}

func openAIFinish(f agent.Finish) string {
	switch f {
	case agent.CallTools:
		return "tool_calls"
	case agent.CutOff:
		return "length"
	case agent.Refused:
		return "content_filter"
	}
	return "stop"
}

func appendUsage(b []byte, t Tokens) []byte {
	b = append(b, `{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(t.Input), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(t.Output), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(t.Input+t.Output), 10)
	b = append(b, `,"prompt_tokens_details":{"cached_tokens":`...)
	b = strconv.AppendInt(b, int64(t.Cached), 10)
	return append(b, "}}"...)
}

func (o openAI) failure(b []byte, code string) []byte {
	b = append(b, "data: "...)
	b = append(b, o.refusal(http.StatusInternalServerError, code)...)
	return append(b, "\n\n"...)
}

func (openAI) whole(r *Request, a *Answer, t Tokens) any {
	type function struct {
		Name string `json:"name"`
		Args string `json:"arguments"`
	}
	type call struct {
		ID       string   `json:"id"`
		Type     string   `json:"type"`
		Function function `json:"function"`
	}
	var calls []call
	for _, c := range a.Calls {
		calls = append(calls, call{c.ID, "function", function{c.Name, string(c.Args)}})
	}
	message := map[string]any{"role": "assistant", "content": a.Text}
	if calls != nil {
		message["tool_calls"] = calls
	}
	out := map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion", "created": 1735689600, "model": r.Model,
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": openAIFinish(a.finish())}},
	}
	if !a.NoUsage {
		out["usage"] = json.RawMessage(appendUsage(nil, t))
	}
	return out
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			q, _ := json.Marshal(s)
			return append(b, q...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
