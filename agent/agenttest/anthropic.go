package agenttest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// anthropic writes Messages.
type anthropic struct{}

func (anthropic) name() string { return "anthropic" }

func (anthropic) key(h http.Header) string {
	if k := h.Get("X-Api-Key"); k != "" {
		return k
	}
	return bearer(h)
}

func (anthropic) refusal(status int, code string) []byte {
	kind := anthropicKind(status)
	message := "scripted refusal: " + code
	switch code {
	case "overloaded_error", "rate_limit_error", "api_error":
		kind = code
	case "context_length_exceeded":
		kind, message = "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"
	case "insufficient_quota":
		kind, message = "invalid_request_error", "Your credit balance is too low to access the API."
	}
	b, _ := json.Marshal(map[string]any{"type": "error", "error": map[string]string{"type": kind, "message": message}})
	return b
}

func anthropicKind(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case 529:
		return "overloaded_error"
	case http.StatusBadRequest:
		return "invalid_request_error"
	}
	return "api_error"
}

func (anthropic) begin(b []byte, r *Request, t Tokens) []byte {
	b = append(b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":"...)
	b = appendString(b, r.Model)
	b = append(b, `,"stop_reason":null,"stop_sequence":null,"usage":`...)
	b = anthropicUsage(b, t, 1)
	b = append(b, "}}\n\n"...)
	return append(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"...)
}

func anthropicUsage(b []byte, t Tokens, out int) []byte {
	b = append(b, `{"input_tokens":`...)
	b = strconv.AppendInt(b, int64(t.Input-t.Cached), 10)
	b = append(b, `,"cache_read_input_tokens":`...)
	b = strconv.AppendInt(b, int64(t.Cached), 10)
	b = append(b, `,"output_tokens":`...)
	b = strconv.AppendInt(b, int64(out), 10)
	return append(b, '}')
}

func (anthropic) piece(b []byte, _ *Request, text string) []byte {
	b = append(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"...)
	b = appendString(b, text)
	return append(b, "}}\n\n"...)
}

func (anthropic) end(b []byte, _ *Request, a *Answer, t Tokens) []byte {
	b = append(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"...)
	for i, c := range a.Calls {
		b = append(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":"...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, `,"content_block":{"type":"tool_use","input":{},"id":`...)
		b = appendString(b, c.ID)
		b = append(b, `,"name":`...)
		b = appendString(b, c.Name)
		b = append(b, "}}\n\n"...)
		half := len(c.Args) / 2
		for _, part := range []string{string(c.Args[:half]), string(c.Args[half:])} {
			b = append(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"...)
			b = strconv.AppendInt(b, int64(i+1), 10)
			b = append(b, `,"delta":{"type":"input_json_delta","partial_json":`...)
			b = appendString(b, part)
			b = append(b, "}}\n\n"...)
		}
		b = append(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, "}\n\n"...)
	}
	b = append(b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_sequence\":null,\"stop_reason\":\""...)
	b = append(b, anthropicFinish(a.finish())...)
	b = append(b, `"},"usage":`...)
	b = anthropicUsage(b, t, t.Output)
	b = append(b, "}\n\n"...)
	return append(b, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"...)
}

func anthropicFinish(f agent.Finish) string {
	switch f {
	case agent.CallTools:
		return "tool_use"
	case agent.CutOff:
		return "max_tokens"
	case agent.Refused:
		return "refusal"
	}
	return "end_turn"
}

func (d anthropic) failure(b []byte, code string) []byte {
	if code == "" {
		code = "overloaded_error"
	}
	b = append(b, "event: error\ndata: "...)
	b = append(b, d.refusal(http.StatusOK, code)...)
	return append(b, "\n\n"...)
}

func (anthropic) whole(r *Request, a *Answer, t Tokens) any {
	content := []any{}
	if a.Text != "" {
		content = append(content, map[string]any{"type": "text", "text": a.Text})
	}
	for _, c := range a.Calls {
		content = append(content, map[string]any{"type": "tool_use", "id": c.ID, "name": c.Name, "input": c.Args})
	}
	return map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": r.Model, "content": content,
		"stop_reason": anthropicFinish(a.finish()), "stop_sequence": nil,
		"usage": json.RawMessage(anthropicUsage(nil, t, t.Output)),
	}
}
