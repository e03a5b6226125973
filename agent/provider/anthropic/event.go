package anthropic

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/wire"
)

type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		Usage *usage `json:"usage"`
	} `json:"message"`
	Block block `json:"content_block"`
	Delta struct {
		Type      string `json:"type"`
		Text      string `json:"text"`
		JSON      string `json:"partial_json"`
		Thinking  string `json:"thinking"`
		Signature string `json:"signature"`
		Stop      string `json:"stop_reason"`
	} `json:"delta"`
	Usage *usage `json:"usage"`
}

type usage struct {
	Input   *int `json:"input_tokens"`
	Read    *int `json:"cache_read_input_tokens"`
	Created *int `json:"cache_creation_input_tokens"`
	Output  *int `json:"output_tokens"`
}

const (
	maxBlocks = 512     // of one answer
	maxArgs   = 1 << 20 // bytes of the arguments of one call
)

// answer implements wire.Answer.
type answer struct {
	done    bool // message_stop came
	thought bool
	stop    string
	counted bool
	in      struct{ fresh, read, created int }
	usage   agent.Usage
	blocks  []growing
	calls   int
}

var _ wire.Answer = (*answer)(nil)

// growing is a block of content that is still coming.
type growing struct {
	block
	index int
	args  []byte
}

// Take implements wire.Answer. Events of an unknown type are skipped, as the
// platform asks.
func (a *answer) Take(data []byte) (string, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return "", nil
	}
	var e event
	if json.Unmarshal(data, &e) != nil {
		return "", wire.ErrNotJSON
	}
	switch e.Type {
	case "error":
		return "", wire.ErrInStream
	case "message_start":
		a.count(e.Message.Usage)
	case "content_block_start":
		return a.begin(&e)
	case "content_block_delta":
		return a.delta(&e)
	case "message_delta":
		if e.Delta.Stop != "" {
			a.stop = e.Delta.Stop
		}
		a.count(e.Usage)
	case "message_stop":
		a.done = true
	}
	return "", nil
}

func (a *answer) begin(e *event) (string, error) {
	if len(a.blocks) >= maxBlocks {
		return "", wire.ErrCalls
	}
	switch e.Block.Type {
	case "tool_use":
		a.calls++
	case "thinking", "redacted_thinking":
		a.thought = true
	}
	a.blocks = append(a.blocks, growing{block: e.Block, index: e.Index})
	return e.Block.Text, nil
}

func (a *answer) delta(e *event) (string, error) {
	var to *growing
	for i := len(a.blocks) - 1; i >= 0 && to == nil; i-- {
		if a.blocks[i].index == e.Index {
			to = &a.blocks[i]
		}
	}
	if to == nil {
		return e.Delta.Text, nil
	}
	switch e.Delta.Type {
	case "text_delta":
		if a.thought { // only then the whole is kept, see seal
			to.args = append(to.args, e.Delta.Text...)
		}
		return e.Delta.Text, nil
	case "input_json_delta":
		if len(to.args)+len(e.Delta.JSON) > maxArgs {
			return "", wire.ErrCalls
		}
		to.args = append(to.args, e.Delta.JSON...)
	case "thinking_delta":
		to.args = append(to.args, e.Delta.Thinking...)
	case "signature_delta":
		to.Signature += e.Delta.Signature
	}
	return "", nil
}

// count keeps the latest figures: those at the end are totals, and may leave
// out what was said at the start.
func (a *answer) count(u *usage) {
	if u == nil {
		return
	}
	a.counted = true
	set := func(to *int, v *int) {
		if v != nil {
			*to = *v
		}
	}
	set(&a.in.fresh, u.Input)
	set(&a.in.read, u.Read)
	set(&a.in.created, u.Created)
	set(&a.usage.Output, u.Output)
	a.usage.Input = a.in.fresh + a.in.read + a.in.created
	a.usage.Cached = a.in.read
}

// Calling implements wire.Answer.
func (a *answer) Calling() bool { return a.calls > 0 }

// Done implements wire.Answer.
func (a *answer) Done() bool { return a.done }

// Whole implements wire.Answer.
func (a *answer) Whole() ([]agent.ToolCall, agent.Delta, bool) {
	if a.stop == "" && !a.done {
		return nil, agent.Delta{}, false
	}
	end := agent.Delta{Finish: a.reason()}
	if a.counted {
		end.Usage = &a.usage
	}
	return a.toolCalls(), end, true
}

func (a *answer) toolCalls() []agent.ToolCall {
	out := make([]agent.ToolCall, 0, a.calls)
	for i := range a.blocks {
		b := &a.blocks[i]
		if b.Type != "tool_use" {
			continue
		}
		if b.ID == "" {
			b.ID = "call_" + strconv.Itoa(i)
		}
		b.Input = wire.Args(b.args)
		out = append(out, agent.ToolCall{ID: b.ID, Name: b.Name, Args: b.Input})
	}
	if len(out) > 0 && a.thought {
		out[0].Sealed = a.seal()
	}
	return out
}

// sealed is an answer as it came. A model that thought before it asked for
// tools wants to see its thoughts again, unchanged and in their place, when it
// gets the results; no other model may see them.
type sealed struct {
	Model  string  `json:"model"`
	Blocks []block `json:"blocks"`
}

func (a *answer) seal() *agent.Sealed {
	s := sealed{Model: a.usage.Model}
	for i := range a.blocks {
		b := a.blocks[i].block
		switch b.Type {
		case "text":
			if b.Text += string(a.blocks[i].args); b.Text == "" {
				continue
			}
		case "thinking":
			thoughts := string(a.blocks[i].args)
			b.Thinking = &thoughts
		case "tool_use":
			b.Input = object(b.Input)
		}
		s.Blocks = append(s.Blocks, b)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return &agent.Sealed{Provider: a.usage.Provider, Data: data}
}

func (a *answer) reason() agent.Finish {
	switch {
	case a.stop == "refusal":
		return agent.Refused
	case a.stop == "max_tokens", a.stop == "model_context_window_exceeded":
		return agent.CutOff
	case a.calls > 0:
		return agent.CallTools
	}
	return agent.Complete
}
