package agenttest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// Request is one call of the model as it arrived.
type Request struct {
	N      int // from 1, in order of arrival
	At     time.Time
	API    string // openai, anthropic, or "" in process
	Model  string
	Stream bool
	Header http.Header // over HTTP
	Body   []byte      // over HTTP

	req *agent.ModelRequest // in process
}

// Message is one message of a request. A role of the wire that has no
// counterpart is kept as it was.
type Message struct {
	Role   agent.Role
	Text   string
	Calls  []agent.ToolCall
	CallID string
}

// MaxOutput is how many tokens the answer may have; 0 when the request does not
// say.
func (r *Request) MaxOutput() int {
	if r.req != nil {
		return r.req.MaxOutput
	}
	var limit struct {
		Old int `json:"max_tokens"`
		New int `json:"max_completion_tokens"`
	}
	if json.Unmarshal(r.Body, &limit) != nil {
		return 0
	}
	return max(limit.Old, limit.New)
}

// Messages decodes the conversation, without the instructions.
func (r *Request) Messages() []Message {
	all := r.everything()
	return slices.DeleteFunc(all, func(m Message) bool { return m.Role == "system" || m.Role == "developer" })
}

// System is the instructions.
func (r *Request) System() string {
	if r.req != nil {
		return r.req.System
	}
	var b strings.Builder
	if v := field(r.Body, "system"); v != nil {
		for _, t := range texts(v) {
			b.WriteString(t)
		}
	}
	for _, m := range r.everything() {
		if m.Role == "system" || m.Role == "developer" {
			b.WriteString(m.Text)
		}
	}
	return b.String()
}

// Tools names the tools that were offered.
func (r *Request) Tools() []string {
	var out []string
	if r.req != nil {
		for _, t := range r.req.Tools {
			out = append(out, t.Name)
		}
		return out
	}
	elements(field(r.Body, "tools"), func(v []byte) bool {
		if f := field(v, "function"); f != nil {
			v = f
		}
		out = append(out, str(field(v, "name")))
		return true
	})
	return out
}

// Asked is what the user said since the model last spoke, without the context
// that nobody addressed to the model.
func (r *Request) Asked() []string {
	var out []string
	add := func(t string) {
		if !strings.HasPrefix(t, agent.ContextMark) {
			out = append(out, t)
		}
	}
	if r.req != nil {
		m := r.req.Messages
		for _, e := range m[afterAssistant(len(m), func(i int) bool { return m[i].Role == agent.Assistant }):] {
			if e.Role == agent.User {
				add(e.Text)
			}
		}
		return out
	}
	// The last assistant message is found first, so that nothing before it is decoded.
	var tail [][]byte
	elements(field(r.Body, "messages"), func(v []byte) bool {
		switch {
		case bytes.Equal(field(v, "role"), []byte(`"assistant"`)):
			tail = tail[:0]
		case bytes.Equal(field(v, "role"), []byte(`"user"`)):
			tail = append(tail, v)
		}
		return true
	})
	for _, v := range tail {
		for _, t := range texts(field(v, "content")) {
			add(t)
		}
	}
	return out
}

// Results are the tool results that came since the model last spoke.
func (r *Request) Results() []string {
	if r.req == nil && !bytes.Contains(r.Body, []byte(`tool_call_id`)) && !bytes.Contains(r.Body, []byte(`tool_use_id`)) {
		return nil
	}
	var out []string
	m := r.Messages()
	for _, e := range m[afterAssistant(len(m), func(i int) bool { return m[i].Role == agent.Assistant }):] {
		if e.Role == agent.ToolRole {
			out = append(out, e.Text)
		}
	}
	return out
}

func afterAssistant(n int, is func(int) bool) int {
	for i := n - 1; i >= 0; i-- {
		if is(i) {
			return i + 1
		}
	}
	return 0
}

func (r *Request) everything() []Message {
	var out []Message
	if r.req != nil {
		for _, e := range r.req.Messages {
			out = append(out, Message{Role: e.Role, Text: e.Text, Calls: e.Calls, CallID: e.CallID})
		}
		return out
	}
	elements(field(r.Body, "messages"), func(v []byte) bool {
		out = append(out, decodeMessage(v)...)
		return true
	})
	return out
}

// decodeMessage reads a message of either dialect. Anthropic's tool results
// stand inside a user message and become messages of their own.
func decodeMessage(v []byte) []Message {
	m := Message{Role: agent.Role(str(field(v, "role"))), CallID: str(field(v, "tool_call_id"))}
	var out []Message
	content := field(v, "content")
	if len(content) > 0 && content[0] == '[' {
		elements(content, func(b []byte) bool {
			switch str(field(b, "type")) {
			case "tool_result":
				out = append(out, Message{
					Role: agent.ToolRole, CallID: str(field(b, "tool_use_id")),
					Text: strings.Join(texts(field(b, "content")), ""),
				})
			case "tool_use":
				m.Calls = append(m.Calls, agent.ToolCall{
					ID: str(field(b, "id")), Name: str(field(b, "name")), Args: json.RawMessage(field(b, "input")),
				})
			case "text":
				if m.Text != "" {
					out = append(out, Message{Role: m.Role, Text: m.Text})
				}
				m.Text = str(field(b, "text"))
			}
			return true
		})
	} else {
		m.Text = str(content)
	}
	elements(field(v, "tool_calls"), func(b []byte) bool {
		f := field(b, "function")
		m.Calls = append(m.Calls, agent.ToolCall{
			ID: str(field(b, "id")), Name: str(field(f, "name")), Args: json.RawMessage(str(field(f, "arguments"))),
		})
		return true
	})
	if m.Text != "" || len(m.Calls) > 0 || len(out) == 0 {
		out = append(out, m)
	}
	return out
}
