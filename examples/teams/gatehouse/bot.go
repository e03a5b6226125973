//go:build wasip1

// Package gatehouse is the kit for channels of Gatehouse that are written in Go.
// The program that holds it is compiled to WebAssembly:
//
//	//go:wasmexport gw1_handle
//	func handle(op, n uint32) int32 { return gatehouse.Handle(op, n, bot) }
//
//	var bot = gatehouse.Bot{Start: start, Poll: poll, Send: send}
//
//	func main() {}
//
// Every call begins as the program was after its initialisation: what it learns
// it keeps with [Call.Put], or returns from Start as the session.
package gatehouse

import (
	"encoding/json"
	"errors"
	"time"
)

// Bot is what a channel can do. What is nil is refused as "rejected"; name in
// the manifest's abilities what is there beside Start, Poll, Request and Send.
type Bot struct {
	Start, Request, Poll, Send, Edit, React, Typing, Delete, Fetch,
	Reconcile, Probe, Commands, Answer, StartLink, Shutdown,
	Open, Messages, Closed, Timer func(*Call) (Out, error)
}

func (b Bot) op(n uint32) func(*Call) (Out, error) {
	all := []func(*Call) (Out, error){
		1: b.Start, 2: b.Request, 3: b.Poll, 4: b.Send, 5: b.Edit, 6: b.React, 7: b.Typing, 8: b.Shutdown, 9: b.Delete,
		10: b.Fetch, 11: b.Reconcile, 12: b.Probe, 13: b.Commands, 14: b.Answer, 15: b.StartLink,
		48: b.Open, 49: b.Messages, 50: b.Closed, 51: b.Timer,
	}
	if n >= uint32(len(all)) {
		return nil
	}
	return all[n]
}

// Handle carries out one operation. It is what gw1_handle returns.
func Handle(op, n uint32, b Bot) int32 {
	f := b.op(op)
	if f == nil {
		return fail(Failed("rejected", "this channel does not offer that"))
	}
	header, body, err := unframe(read(n))
	if err != nil {
		return fail(err)
	}
	c := &Call{Body: body}
	if err := json.Unmarshal(header, c); err != nil {
		return fail(Failed("rejected", "the input is not what belongs here"))
	}
	out, err := f(c)
	if err != nil {
		return fail(err)
	}
	answer, err := json.Marshal(out)
	if err != nil {
		return fail(err)
	}
	write(frame(answer, c.reply))
	return 0
}

// Error says what happens next. Code is transient, rate_limited, ambiguous,
// rejected, format, closed, unauthorized, gone or other.
type Error struct {
	Code         string `json:"code"`
	Message      string `json:"message"` // for people; no text of a message and no secret
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Failed makes an error.
func Failed(code, message string) *Error { return &Error{Code: code, Message: message} }

func fail(err error) int32 {
	var e *Error
	if !errors.As(err, &e) {
		e = Failed("other", err.Error())
	}
	header, err := json.Marshal(e)
	if err != nil {
		return 2
	}
	write(frame(header, nil))
	return 1
}

// Refusal is why the gateway did not do something.
type Refusal int32

// The refusals.
const (
	Denied      Refusal = -1 // the manifest does not list it
	Invalid     Refusal = -2
	Quota       Refusal = -3
	Timeout     Refusal = -4 // of a request: nobody knows whether it was carried out
	Unavailable Refusal = -5 // of a request: it certainly was not
	TooLarge    Refusal = -6
	NotFound    Refusal = -7
	Auth        Refusal = -8
)

// Error implements error.
func (r Refusal) Error() string {
	return map[Refusal]string{
		Denied: "the manifest does not list this", Quota: "the quota is used up", Timeout: "no answer came", Unavailable: "nothing could be sent",
		TooLarge: "it is too large", NotFound: "there is no such thing", Auth: "the credential was refused",
	}[r]
}

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
	if errors.Is(err, NotFound) {
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
func (c *Call) Log(text string) { _, _ = ask(callLog, json.RawMessage(logHeader), []byte(text), nil) }
