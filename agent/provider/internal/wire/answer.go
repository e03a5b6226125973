package wire

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// How the events of a stream can fail. None quotes the event.
var (
	ErrInStream = errors.New("the provider reports an error in the stream")
	ErrNotJSON  = errors.New("an event of the stream is not JSON")
	ErrCalls    = errors.New("more tool calls, or longer ones, than allowed")
)

// Answer gathers what the events of one stream say, in a provider's own format.
type Answer interface {
	// Take reads one event and returns the text in it. ErrInStream says that the
	// event is the provider's error.
	Take(event []byte) (string, error)
	// Calling reports whether tools are asked for.
	Calling() bool
	// Done reports whether no more events are to be read.
	Done() bool
	// Whole is what remains to be said when there are no more events. It is false
	// when the stream did not say that the answer had ended.
	Whole() ([]agent.ToolCall, agent.Delta, bool)
}

// Stream is what an SDK's decoder of events offers.
type Stream interface {
	Next() bool
	Err() error
}

// Read yields what the events of a stream say; data is the current event. It
// returns nil when the answer was complete or the reader has lost interest.
func (c *Call) Read(s Stream, data func() []byte, a Answer, yield func(agent.Delta, error) bool) *agent.Error {
	for !a.Done() && s.Next() {
		event := data()
		text, err := a.Take(event)
		switch {
		case errors.Is(err, ErrInStream):
			return c.Event(event)
		case err != nil:
			return c.Garbled(err.Error())
		}
		if text != "" || a.Calling() {
			c.Speaking()
		}
		if text != "" && !yield(agent.Delta{Text: text}, nil) {
			return nil
		}
	}
	calls, end, ok := a.Whole()
	if !ok {
		return c.Failed(s.Err())
	}
	for _, call := range calls {
		if !yield(agent.Delta{Call: &call}, nil) {
			return nil
		}
	}
	yield(end, nil)
	return nil
}

// Names reads a list of models, in the provider's order.
func (c *Call) Names(body io.Reader) ([]string, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, c.Failed(err)
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, c.Garbled("the list of models cannot be read")
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
	}
	return names, nil
}
