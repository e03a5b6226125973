//go:build wasip1

// Package gatehouse is the kit for modules of Gatehouse that are written in Go.
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
//
// abi.go and bot.go are what speaks to the gateway. call.go has what a module can
// ask the gateway for, and types.go the headers of both as Go's types.
package gatehouse

import (
	"encoding/json"
	"errors"
)

// Bot is what a module can do. What is nil is refused as "rejected"; name in a
// channel's manifest, under abilities, what is there beside Start, Poll, Request
// and Send. A tool has Execute alone.
type Bot struct {
	Start, Request, Poll, Send, Edit, React, Typing, Delete, Fetch,
	Reconcile, Probe, Commands, Answer, StartLink, Shutdown,
	Execute, Open, Messages, Closed, Timer func(*Call) (Out, error)
}

func (b Bot) op(n uint32) func(*Call) (Out, error) {
	return map[uint32]func(*Call) (Out, error){
		1: b.Start, 2: b.Request, 3: b.Poll, 4: b.Send, 5: b.Edit, 6: b.React, 7: b.Typing, 8: b.Shutdown, 9: b.Delete,
		10: b.Fetch, 11: b.Reconcile, 12: b.Probe, 13: b.Commands, 14: b.Answer, 15: b.StartLink,
		32: b.Execute, 48: b.Open, 49: b.Messages, 50: b.Closed, 51: b.Timer,
	}[n]
}

// Handle carries out one operation. It is what gw1_handle returns.
func Handle(op, n uint32, b Bot) int32 {
	header, body := unframe(read(n))
	c := &Call{Body: body}
	answer, err := b.answer(op, header, c)
	code := int32(0)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = Failed("other", err.Error())
		}
		answer, _ = json.Marshal(e) // it is made of texts
		c.reply, code = nil, 1
	}
	write(frame(answer, c.reply))
	return code
}

func (b Bot) answer(op uint32, header []byte, c *Call) ([]byte, error) {
	f := b.op(op)
	if f == nil {
		return nil, Failed("rejected", "this module does not offer that")
	}
	if json.Unmarshal(header, c) != nil {
		return nil, Failed("rejected", "the input is not what belongs here")
	}
	out, err := f(c)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
