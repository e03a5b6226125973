package wire

import (
	"bytes"
	"encoding/json"
)

// Args makes the arguments of a tool call valid JSON. None become an empty
// object; what is not JSON is kept as a JSON string, so that it can be stored,
// shown to the model as wrong, and sent back.
func Args(b []byte) json.RawMessage {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return json.RawMessage("{}")
	case json.Valid(b):
		return json.RawMessage(b)
	}
	s, _ := json.Marshal(string(b))
	return s
}
