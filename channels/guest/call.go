//go:build wasip1

package guest

import (
	"encoding/json"
	"log/slog"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// Call is one operation that the host asks for.
type Call struct {
	wire.In
	Body []byte // of the request or response that the operation is about

	body []byte // of the answer
}

func receive(n uint32) (*Call, error) {
	header, body, err := unframe(read(n))
	if err != nil {
		return nil, err
	}
	c := &Call{Body: body}
	return c, json.Unmarshal(header, &c.In)
}

// Reply sets the body that goes with the answer: that of the poll's request.
func (c *Call) Reply(body []byte) { c.body = body }

// Do sends a request and returns the response with its body. A Refusal is why
// there is none; see [Lost].
func (c *Call) Do(r wire.Request, body []byte) (wire.Response, []byte, error) {
	var resp wire.Response
	out, err := ask(hostHTTP, r, body, &resp)
	return resp, out, err
}

// Emit hands in an event. It counts only if the call succeeds, together with
// everything else that the call emits and puts.
func (c *Call) Emit(e channels.Event) error {
	_, err := ask(hostEmit, e, nil, nil)
	return err
}

// Get reads the guest's own state; nil when there is no such key.
func (c *Call) Get(key string) ([]byte, error) {
	v, err := ask(hostKVGet, wire.Key{Key: key}, nil, nil)
	if err == NotFound {
		return nil, nil
	}
	return v, err
}

// Put keeps a value, if the call succeeds. A nil value removes the key.
func (c *Call) Put(key string, value []byte) error {
	_, err := ask(hostKVPut, wire.Key{Key: key, Delete: value == nil}, value, nil)
	return err
}

// Log writes a line for the guest's author and the operator.
func (c *Call) Log(level slog.Level, text string) {
	_, _ = ask(hostLog, struct {
		Level slog.Level `json:"level"`
	}{level}, []byte(text), nil)
}
