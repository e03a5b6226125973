package openai

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
)

type request struct {
	Model               string         `json:"model"`
	Messages            []message      `json:"messages"`
	Tools               []tool         `json:"tools,omitempty"`
	Stream              bool           `json:"stream"`
	StreamOptions       *streamOptions `json:"stream_options,omitempty"`
	MaxTokens           int            `json:"max_tokens,omitempty"`
	MaxCompletionTokens int            `json:"max_completion_tokens,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type message struct {
	Role      string `json:"role"`
	Content   any    `json:"content,omitempty"` // a *string, or []piece
	ToolCalls []call `json:"tool_calls,omitempty"`
	CallID    string `json:"tool_call_id,omitempty"`
}

// piece is one part of a message that is more than text.
type piece struct {
	Type  string    `json:"type"`
	Text  string    `json:"text,omitempty"`
	Image *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

type call struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Function function        `json:"function"`
	Extra    json.RawMessage `json:"extra_content,omitempty"` // Gemini's signature of its reasoning
}

type function struct {
	Name string `json:"name"`
	Args string `json:"arguments"`
}

type tool struct {
	Type     string   `json:"type"`
	Function toolSpec `json:"function"`
}

type toolSpec struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
}

func (p *Provider) body(r agent.ModelRequest, s spoken) ([]byte, error) {
	q := request{Model: r.Model, Stream: true, Messages: make([]message, 0, len(r.Messages)+1)}
	if s.usage {
		q.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	if p.cfg.MaxCompletionTokens {
		q.MaxCompletionTokens = r.MaxOutput
	} else {
		q.MaxTokens = r.MaxOutput
	}
	if r.System != "" {
		q.Messages = append(q.Messages, message{Role: "system", Content: &r.System})
	}
	for _, e := range r.Messages {
		q.Messages = append(q.Messages, p.message(e))
	}
	for _, t := range s.tools(r) {
		q.Tools = append(q.Tools, tool{"function", toolSpec{t.Name, t.Description, t.Schema}})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(q)
	return b.Bytes(), err
}

func (p *Provider) message(e *agent.Entry) message {
	switch e.Role {
	case agent.Assistant:
		m := message{Role: "assistant"}
		if e.Text != "" || len(e.Calls) == 0 {
			m.Content = &e.Text
		}
		for _, c := range e.Calls {
			m.ToolCalls = append(m.ToolCalls, p.call(c))
		}
		return m
	case agent.ToolRole:
		return message{Role: "tool", CallID: p.callID(e.CallID), Content: &e.Text}
	}
	if len(e.Images) > 0 {
		return message{Role: "user", Content: pieces(e)}
	}
	return message{Role: "user", Content: &e.Text}
}

func pieces(e *agent.Entry) []piece {
	var all []piece
	for _, img := range e.Images {
		all = append(all, piece{Type: "image_url", Image: &imageURL{
			URL: "data:" + img.MIME + ";base64," + base64.StdEncoding.EncodeToString(img.Data),
		}})
	}
	if e.Text != "" {
		all = append(all, piece{Type: "text", Text: e.Text})
	}
	return all
}

func (p *Provider) call(c agent.ToolCall) call {
	out := call{ID: p.callID(c.ID), Type: "function", Function: function{c.Name, arguments(c.Args)}}
	if c.Sealed != nil && c.Sealed.Provider == p.cfg.Name {
		out.Extra = c.Sealed.Data
	}
	return out
}

// arguments gives back what the model wrote: arguments that were not JSON are
// kept as a string.
func arguments(args json.RawMessage) string {
	if len(args) == 0 {
		return "{}"
	}
	var s string
	if args[0] == '"' && json.Unmarshal(args, &s) == nil {
		return s
	}
	return string(args)
}

func (p *Provider) callID(id string) string {
	const length = 9
	if !p.cfg.ShortCallIDs || len(id) == length && strings.Trim(id, alphanumeric) == "" {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.EncodeToString(sum[:])[:length]
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
