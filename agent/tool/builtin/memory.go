package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/memory"
)

// Memory is what the model keeps and finds: a person's own in direct chats, the
// room's in rooms.
type Memory struct {
	Store memory.Store
	Now   func() time.Time
}

// Tools are the two that the model gets.
func (m Memory) Tools() []agent.Tool { return []agent.Tool{recall{m}, remember{m}} }

type recall struct{ Memory }

var _ agent.Tool = recall{}

// Spec implements agent.Tool.
func (recall) Spec() agent.Spec {
	return agent.Spec{
		Name: "recall", Effect: agent.ReadLocal,
		Description: "Searches what is remembered here: facts, notes, documents and what was said before, on this channel or another. " +
			"What it finds is numbered; an answer that uses an entry names its number, such as [10].",
		Schema: json.RawMessage(`{"type":"object","properties":{"query":{"type":"string"},` +
			`"kinds":{"type":"array","items":{"enum":["fact","note","document","digest"]}},` +
			`"limit":{"type":"integer","minimum":1,"maximum":20}},"required":["query"],"additionalProperties":false}`),
	}
}

var (
	errMemory = errors.New("memory cannot be reached at the moment")
	errQuery  = errors.New("the query is empty")
)

// mostRecalled bounds the hits of one call.
const mostRecalled = 20

// Call implements agent.Tool.
func (r recall) Call(ctx context.Context, t *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	a, err := read[struct {
		Query string
		Kinds []memory.Kind
		Limit int
	}](args)
	if err != nil {
		return fault(err)
	}
	if strings.TrimSpace(a.Query) == "" {
		return fault(errQuery)
	}
	hits, err := r.Store.Recall(ctx, t.Scope, memory.Query{Text: a.Query, Kinds: a.Kinds, Limit: min(a.Limit, mostRecalled)})
	if err != nil {
		return fault(errMemory)
	}
	if len(hits) == 0 {
		return here("Nothing is remembered about this."), nil
	}
	out := agent.ToolResult{Label: agent.Trusted}
	var text []string
	for i := range hits {
		h := &hits[i]
		mark := t.FirstToolMark() + i
		label := agent.LabelOfHit(h, t.Scope.Member())
		if label == agent.Untrusted || out.Label == agent.Trusted {
			out.Label = label
		}
		text = append(text, agent.TellHit(mark, h, label))
		out.Sources = append(out.Sources, agent.Source{Mark: mark, Item: h.ID, Chunk: h.Chunk.Index})
	}
	out.Text = strings.Join(text, "\n")
	return out, nil
}

type remember struct{ Memory }

var _ agent.Tool = remember{}

// Spec implements agent.Tool.
func (remember) Spec() agent.Spec {
	return agent.Spec{
		Name: "remember", Effect: agent.Reversible,
		Description: "Keeps something for later: in a direct chat for this person, wherever they ask; in a room for the room. " +
			"Use it when the person asks for it or states something lasting. Write one self-contained text.",
		Schema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"},"title":{"type":"string"},` +
			`"kind":{"enum":["fact","note"]},"days":{"type":"integer","minimum":1,"description":"after which it is forgotten"},` +
			`"tags":{"type":"array","items":{"type":"string"}}},"required":["text"],"additionalProperties":false}`),
	}
}

// Call implements agent.Tool.
func (r remember) Call(ctx context.Context, t *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	a, err := read[struct {
		Text, Title string
		Kind        memory.Kind
		Days        int
		Tags        []string
	}](args)
	if err != nil {
		return fault(err)
	}
	it := memory.Item{
		ID: idOfCall(t.ID, args), Reach: memory.Conversation, Kind: memory.Fact, Title: a.Title, Text: a.Text,
		Label: memory.Label(t.Seen), Tags: a.Tags, At: r.Now(),
	}
	if t.Scope.Direct() {
		it.Reach = memory.Private
	}
	if len(t.Events) > 0 {
		it.Source = t.Events[0].Key
	}
	if a.Kind != "" {
		it.Kind = a.Kind
	}
	if a.Days > 0 {
		it.Until = r.Now().Add(time.Duration(a.Days) * 24 * time.Hour)
	}
	ids, err := r.Store.Remember(ctx, t.Scope, it)
	switch {
	case errors.Is(err, memory.ErrItem), errors.Is(err, memory.ErrDenied):
		return fault(err)
	case err != nil:
		return fault(errMemory)
	}
	return here("Kept as %s. The person takes it back with /forget %s.", ids[0], ids[0]), nil
}

// idOfCall is the same when a turn runs again, so that nothing is kept twice.
func idOfCall(turn string, args json.RawMessage) string {
	sum := sha256.Sum256(append([]byte(turn+"\x00"), agent.Canonical(args)...))
	return "t" + hex.EncodeToString(sum[:6])
}
