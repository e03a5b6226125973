package openai

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/wire"
)

type event struct {
	Choices []choice        `json:"choices"`
	Usage   *usage          `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type choice struct {
	Delta  delta  `json:"delta"`
	Finish string `json:"finish_reason"`
}

type delta struct {
	Content content     `json:"content"`
	Refusal string      `json:"refusal"`
	Calls   []callPiece `json:"tool_calls"`
}

// content is a string, or a list of parts of which only texts are shown: some
// endpoints list a model's thoughts beside them.
type content string

// UnmarshalJSON implements json.Unmarshaler.
func (c *content) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var parts []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal(b, &parts); err != nil {
			return err
		}
		for _, p := range parts {
			if p.Type == "text" {
				*c += content(p.Text)
			}
		}
		return nil
	}
	return json.Unmarshal(b, (*string)(c))
}

type callPiece struct {
	Index    int             `json:"index"`
	ID       string          `json:"id"`
	Function function        `json:"function"`
	Extra    json.RawMessage `json:"extra_content"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

const (
	maxCalls = 128     // of one answer
	maxArgs  = 1 << 20 // bytes of the arguments of one call
)

// answer implements wire.Answer.
type answer struct {
	provider, model string
	done            bool // [DONE] came
	begun           bool
	refusal         bool
	finish          string
	usage           *agent.Usage
	calls           []pending
}

var _ wire.Answer = (*answer)(nil)

// pending is a tool call whose arguments are still coming.
type pending struct {
	index    int
	id, name string
	args     []byte
	extra    json.RawMessage
}

// Take implements wire.Answer.
func (a *answer) Take(data []byte) (string, error) {
	if bytes.HasPrefix(data, []byte("[DONE]")) {
		a.done = true
		return "", nil
	}
	var e event
	if json.Unmarshal(data, &e) != nil {
		return "", wire.ErrNotJSON
	}
	if len(e.Error) > 0 && string(e.Error) != "null" {
		return "", wire.ErrInStream
	}
	if e.Usage != nil {
		a.usage = &agent.Usage{
			Provider: a.provider, Model: a.model,
			Input: e.Usage.Prompt, Cached: e.Usage.Details.Cached, Output: e.Usage.Completion,
		}
	}
	if len(e.Choices) == 0 {
		return "", nil
	}
	a.begun = true
	c := &e.Choices[0]
	if c.Finish != "" {
		a.finish = c.Finish
	}
	for i := range c.Delta.Calls {
		if err := a.addCall(&c.Delta.Calls[i]); err != nil {
			return "", err
		}
	}
	if c.Delta.Refusal != "" {
		a.refusal = true
	}
	return string(c.Delta.Content) + c.Delta.Refusal, nil
}

// addCall adds a piece to its call. A new id on a known index is a new call:
// some endpoints give every call the index 0.
func (a *answer) addCall(p *callPiece) error {
	var at *pending
	for i := len(a.calls) - 1; i >= 0; i-- {
		if a.calls[i].index == p.Index {
			at = &a.calls[i]
			break
		}
	}
	if at == nil || p.ID != "" && at.id != "" && p.ID != at.id {
		if len(a.calls) >= maxCalls {
			return wire.ErrCalls
		}
		a.calls = append(a.calls, pending{index: p.Index})
		at = &a.calls[len(a.calls)-1]
	}
	if p.ID != "" {
		at.id = p.ID
	}
	if at.name == "" {
		at.name = p.Function.Name
	}
	if len(p.Extra) > 0 {
		at.extra = p.Extra
	}
	if len(at.args)+len(p.Function.Args) > maxArgs {
		return wire.ErrCalls
	}
	at.args = append(at.args, p.Function.Args...)
	return nil
}

// Calling implements wire.Answer.
func (a *answer) Calling() bool { return len(a.calls) > 0 }

// Done implements wire.Answer.
func (a *answer) Done() bool { return a.done }

// Whole implements wire.Answer. A connection that breaks after a finish loses
// nothing but the usage.
func (a *answer) Whole() ([]agent.ToolCall, agent.Delta, bool) {
	if a.finish == "" && !(a.done && a.begun) {
		return nil, agent.Delta{}, false
	}
	return a.toolCalls(), agent.Delta{Finish: a.reason(), Usage: a.usage}, true
}

func (a *answer) toolCalls() []agent.ToolCall {
	out := make([]agent.ToolCall, 0, len(a.calls))
	for i := range a.calls {
		p := &a.calls[i]
		c := agent.ToolCall{ID: p.id, Name: p.name, Args: wire.Args(p.args)}
		if c.ID == "" {
			c.ID = "call_" + strconv.Itoa(i)
		}
		if len(p.extra) > 0 {
			c.Sealed = &agent.Sealed{Provider: a.provider, Data: p.extra}
		}
		out = append(out, c)
	}
	return out
}

func (a *answer) reason() agent.Finish {
	switch {
	case a.refusal, a.finish == "content_filter":
		return agent.Refused
	case a.finish == "length":
		return agent.CutOff
	case len(a.calls) > 0:
		return agent.CallTools
	}
	return agent.Complete
}
