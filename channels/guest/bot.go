//go:build wasip1

package guest

import (
	"encoding/json"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// The operations of gw1 that a channel's guest is asked for.
const (
	opStart     = 1
	opRequest   = 2
	opPoll      = 3
	opSend      = 4
	opEdit      = 5
	opReact     = 6
	opTyping    = 7
	opShutdown  = 8
	opDelete    = 9
	opFetch     = 10
	opReconcile = 11
	opProbe     = 12
	opCommands  = 13
	opAnswer    = 14
	opStartLink = 15
	opExecute   = 32
	opOpen      = 48
	opMessages  = 49
	opClosed    = 50
	opTimer     = 51
)

// Bot is what a guest can do. Each function gets the call and returns the
// answer's header; those that are nil are refused as "rejected". An error that is
// no *Error reaches the host as "other".
type Bot struct {
	Start, Request, Poll, Send, Edit, React, Typing, Delete,
	Fetch, Reconcile, Probe, Commands, Answer, StartLink, Shutdown,
	Open, Messages, Closed, Timer,
	Execute func(c *Call) (wire.Out, error)
}

func (b Bot) op(n uint32) func(*Call) (wire.Out, error) {
	return map[uint32]func(*Call) (wire.Out, error){
		opStart: b.Start, opRequest: b.Request, opPoll: b.Poll, opSend: b.Send, opEdit: b.Edit, opReact: b.React,
		opTyping: b.Typing, opDelete: b.Delete, opFetch: b.Fetch, opReconcile: b.Reconcile, opProbe: b.Probe,
		opCommands: b.Commands, opAnswer: b.Answer, opStartLink: b.StartLink, opShutdown: b.Shutdown,
		opOpen: b.Open, opMessages: b.Messages, opClosed: b.Closed, opTimer: b.Timer,
		opExecute: b.Execute,
	}[n]
}

// Handle runs one operation. It is what gw1_handle returns.
func Handle(op, n uint32, b Bot) int32 {
	f := b.op(op)
	if f == nil {
		return fail(Errorf(channels.Rejected, "the guest does not offer this operation"))
	}
	c, err := receive(n)
	if err != nil {
		return fail(err)
	}
	if !c.complete(op) {
		return fail(Errorf(channels.Rejected, "the host did not say what the operation is about"))
	}
	out, err := f(c)
	if err != nil {
		return fail(err)
	}
	header, err := json.Marshal(out)
	if err != nil {
		return fail(err)
	}
	write(frame(header, c.body))
	return 0
}

// complete reports whether the header has what the operation is about, so that
// no guest has to look.
func (c *Call) complete(op uint32) bool {
	switch op {
	case opPoll:
		return c.In.Poll != nil
	case opRequest:
		return c.In.Request != nil
	case opSend, opEdit, opReconcile:
		return c.Part != nil
	case opReact, opTyping, opDelete:
		return c.At != nil
	case opAnswer:
		return c.Press != nil
	case opFetch:
		return c.File != nil
	case opOpen, opMessages, opClosed:
		return c.In.Socket != nil && c.whole()
	}
	return true
}

// whole reports whether the messages of a socket are in the payload's body.
func (c *Call) whole() bool {
	rest := len(c.Body)
	for _, n := range c.In.Socket.Messages {
		if n < 0 || n > rest {
			return false
		}
		rest -= n
	}
	return true
}

// Error is how a guest says that it failed. Code is one of the kinds of
// [channels.Kind]; any other is "other".
type Error struct {
	Code         string `json:"code"`
	Message      string `json:"message"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf is a failure with the kind that says what happens next.
func Errorf(k channels.Kind, text string) *Error {
	return &Error{Code: string(k), Message: text}
}

func fail(err error) int32 {
	e, ok := err.(*Error)
	if !ok {
		e = Errorf(channels.Other, err.Error())
	}
	header, err := json.Marshal(e)
	if err != nil {
		return 2
	}
	write(frame(header, nil))
	return 1
}
