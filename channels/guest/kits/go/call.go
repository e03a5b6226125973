//go:build wasip1

package gatehouse

import (
	"encoding/json"
	"time"
)

// What the gateway can be asked for.
const callHTTP, callGet, callPut, callEmit, callLog, callSocket, callTimer, callLink = 1, 2, 3, 4, 5, 11, 13, 16

// Call is one operation that the gateway asks for, with what belongs to it.
type Call struct {
	In
	Body  []byte `json:"-"` // of the request or response that the operation is about
	reply []byte
}

// Reply sets the body that goes with the answer: that of the poll's request, or
// what the platform is answered.
func (c *Call) Reply(body []byte) { c.reply = body }

// Settings reads the channel's configuration, with its defaults and without secrets.
func (c *Call) Settings(into any) error { return json.Unmarshal(c.Config, into) }

// Do makes a request. A Refusal is why there is no response.
func (c *Call) Do(r Request, body []byte) (Response, []byte, error) {
	var resp Response
	out, err := ask(callHTTP, r, body, &resp)
	return resp, out, err
}

// Emit hands in what happened on the platform. It counts only if the call
// succeeds, together with everything else that the call emits and puts.
func (c *Call) Emit(e Event) error {
	e.V, e.Where.Channel = 1, c.Channel
	_, err := ask(callEmit, e, nil, nil)
	return err
}

type key struct {
	Key    string `json:"key"`
	Delete bool   `json:"delete,omitempty"`
	File   string `json:"file,omitempty"`
}

// Get reads what Put kept; nil when there is no such key.
func (c *Call) Get(name string) ([]byte, error) {
	v, err := ask(callGet, key{Key: name}, nil, nil)
	if err == NotFound {
		return nil, nil
	}
	return v, err
}

// Put keeps a value, if the call succeeds; nil removes it.
func (c *Call) Put(name string, value []byte) error {
	_, err := ask(callPut, key{Key: name, Delete: value == nil}, value, nil)
	return err
}

// Keep keeps a file of this call under a name, if the call succeeds. From then on
// its handle is "kept:" and the name; Put with nil gives it up.
func (c *Call) Keep(name, handle string) error {
	_, err := ask(callPut, key{Key: name, File: handle}, nil, nil)
	return err
}

// FileLink is where the platform can fetch a file that goes out, by the handle of
// the part's file, and until when. The manifest needs links; the refusal is
// Unavailable where the gateway has no public address.
func (c *Call) FileLink(handle string) (url string, until time.Time, err error) {
	var out struct {
		URL   string    `json:"url"`
		Until time.Time `json:"until"`
	}
	_, err = ask(callLink, map[string]any{"handle": handle}, nil, &out)
	return out.URL, out.Until, err
}

// SetTimer has Timer called with the name, once, if the call succeeds.
func (c *Call) SetTimer(name string, after time.Duration) error {
	_, err := ask(callTimer, map[string]any{"name": name, "after_ms": max(1, after.Milliseconds())}, nil, nil)
	return err
}

// Said are the messages of the socket that Messages is called with.
func (c *Call) Said() (all [][]byte) {
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
func (c *Call) Say(s SocketSend, message []byte) error {
	_, err := ask(callSocket, s, message, nil)
	return err
}

// Log writes a line for you and the operator.
func (c *Call) Log(text string) {
	_, _ = ask(callLog, json.RawMessage(`{"level":"INFO"}`), []byte(text), nil)
}
