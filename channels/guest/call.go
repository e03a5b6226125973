//go:build wasip1

package guest

import (
	"encoding/json"
	"errors"
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
	header, body := unframe(read(n))
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
	b, err := e.MarshalJSON() // json.Marshal would read it once more, byte by byte
	if err == nil {
		_, err = ask(hostEmit, json.RawMessage(b), nil, nil)
	}
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

// Keep keeps a file of this call under a key, if the call succeeds. Later its
// handle is "kept:" and the key; Put with a nil value gives it up.
func (c *Call) Keep(key, handle string) error {
	_, err := ask(hostKVPut, wire.Key{Key: key, File: handle}, nil, nil)
	return err
}

// PutNow keeps a value at once, whatever becomes of the call: for what must be
// known before the platform does what the call asks of it.
func (c *Call) PutNow(key string, value []byte) error {
	_, err := ask(hostKVPut, wire.Key{Key: key, Delete: value == nil, Now: true}, value, nil)
	return err
}

var errKept = errors.New("the host's list is cut short")

// List returns up to limit pairs of the guest's own state whose key begins with
// prefix and comes after after, in order; none is the end. What the call itself
// has put is not among them.
func (c *Call) List(prefix, after string, limit int) ([]channels.Write, error) {
	var kept wire.Kept
	values, err := ask(hostKVList, wire.KeyList{Prefix: prefix, After: after, Limit: limit}, nil, &kept)
	if err != nil {
		return nil, err
	}
	all := make([]channels.Write, 0, len(kept.Keys))
	for i, key := range kept.Keys {
		if i >= len(kept.Bytes) || kept.Bytes[i] > len(values) {
			return nil, errKept
		}
		all, values = append(all, channels.Write{Key: key, Value: values[:kept.Bytes[i]]}), values[kept.Bytes[i]:]
	}
	return all, nil
}

// Log writes a line for the guest's author and the operator.
func (c *Call) Log(level slog.Level, text string) {
	_, _ = ask(hostLog, struct {
		Level slog.Level `json:"level"`
	}{level}, []byte(text), nil)
}

// SocketMessages are the messages of a Bot's Messages, in order.
func (c *Call) SocketMessages() [][]byte {
	var all [][]byte
	rest := c.Body
	if c.Socket == nil {
		return nil
	}
	for _, n := range c.Socket.Messages {
		all, rest = append(all, rest[:n]), rest[n:]
	}
	return all
}

// Say sends a message over the connection that the host holds.
func (c *Call) Say(s wire.SocketSend, message []byte) error {
	_, err := ask(hostSocketSend, s, message, nil)
	return err
}

// HangUp ends the connection, if the call succeeds. The host makes another.
func (c *Call) HangUp() error {
	_, err := ask(hostSocketClose, struct{}{}, nil, nil)
	return err
}

// SetTimer sets a timer, if the call succeeds.
func (c *Call) SetTimer(t wire.TimerSet) error {
	_, err := ask(hostTimerSet, t, nil, nil)
	return err
}

// AddFile adds to a file that the host holds until the end of the call, or begins
// one if handle is "". It returns the handle.
func (c *Call) AddFile(handle string, part []byte) (string, error) {
	var a wire.Attachment
	_, err := ask(hostAttachmentPut, wire.AttachmentPut{Handle: handle}, part, &a)
	return a.File, err
}

// ReadFile returns the next part of a file that the host holds; nothing at its
// end.
func (c *Call) ReadFile(handle string, most int) ([]byte, error) {
	return ask(hostAttachmentRead, wire.AttachmentRead{Handle: handle, Bytes: most}, nil, nil)
}
