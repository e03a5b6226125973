package anthropic

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// defaultMaxOutput is sent where the caller sets no limit: the platform
// demands one. In tokens; every current model can write as much.
const defaultMaxOutput = 8192

type request struct {
	Model     string    `json:"model"`
	MaxTokens int       `json:"max_tokens"`
	System    string    `json:"system,omitempty"`
	Messages  []message `json:"messages"`
	Tools     []tool    `json:"tools,omitempty"`
	Stream    bool      `json:"stream"`
}

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   string          `json:"content,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"` // may be empty beside a signature
	Signature string          `json:"signature,omitempty"`
	Data      string          `json:"data,omitempty"` // thoughts that the platform has encrypted
	Source    *source         `json:"source,omitempty"`
}

// source is a picture in the request itself.
type source struct {
	Type  string `json:"type"`
	Media string `json:"media_type"`
	Data  []byte `json:"data"` // as base64
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"input_schema"`
}

func encode(r agent.ModelRequest, provider string) ([]byte, error) {
	q := request{Model: r.Model, MaxTokens: r.MaxOutput, System: r.System, Stream: true}
	if q.MaxTokens <= 0 {
		q.MaxTokens = defaultMaxOutput
	}
	for _, e := range r.Messages {
		role, blocks := blocksOf(e)
		if own := unseal(e, provider, r.Model); own != nil {
			blocks = own
		}
		if n := len(q.Messages); n > 0 && q.Messages[n-1].Role == role {
			q.Messages[n-1].Content = append(q.Messages[n-1].Content, blocks...)
		} else if len(blocks) > 0 {
			q.Messages = append(q.Messages, message{role, blocks})
		}
	}
	if len(q.Messages) == 0 || q.Messages[0].Role != "user" {
		// The platform wants the user to speak first.
		opening := message{"user", []block{{Type: "text", Text: agent.ContextMark + "The conversation began earlier."}}}
		q.Messages = append([]message{opening}, q.Messages...)
	}
	for _, t := range r.Tools {
		schema := t.Schema
		if len(schema) == 0 {
			schema = json.RawMessage(`{"type":"object"}`)
		}
		q.Tools = append(q.Tools, tool{t.Name, t.Description, schema})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(q)
	return b.Bytes(), err
}

// blocksOf maps an entry. Tool results are the user's; texts that are empty or
// blank are left out, since the platform refuses them.
func blocksOf(e *agent.Entry) (role string, blocks []block) {
	role = "user"
	switch e.Role {
	case agent.ToolRole:
		return role, []block{{Type: "tool_result", ToolUseID: callID(e.CallID), Content: e.Text}}
	case agent.Assistant:
		role = "assistant"
	}
	for _, img := range e.Images {
		blocks = append(blocks, block{Type: "image", Source: &source{Type: "base64", Media: img.MIME, Data: img.Data}})
	}
	if strings.TrimSpace(e.Text) != "" {
		blocks = append(blocks, block{Type: "text", Text: e.Text})
	}
	for _, c := range e.Calls {
		blocks = append(blocks, block{Type: "tool_use", ID: callID(c.ID), Name: c.Name, Input: object(c.Args)})
	}
	return role, blocks
}

// unseal returns an answer as this model gave it, or nil.
func unseal(e *agent.Entry, provider, model string) []block {
	if len(e.Calls) == 0 || e.Calls[0].Sealed == nil || e.Calls[0].Sealed.Provider != provider {
		return nil
	}
	var s sealed
	if json.Unmarshal(e.Calls[0].Sealed.Data, &s) != nil || s.Model != model {
		return nil
	}
	return s.Blocks
}

// object makes arguments an object, as the platform demands.
func object(args json.RawMessage) json.RawMessage {
	switch b := bytes.TrimSpace(args); {
	case len(b) == 0:
		return json.RawMessage("{}")
	case b[0] != '{':
		return json.RawMessage(`{"not_an_object":` + string(b) + `}`)
	}
	return args
}

// callID maps ids of other providers into the alphabet that is allowed here.
func callID(id string) string {
	if id == "" {
		return "call"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, id)
}
