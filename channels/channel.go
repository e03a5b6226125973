// Package channels is the contract between the gateway and a platform.
//
// An adapter implements [Channel] and, where its platform allows, some of the
// optional capabilities (see capability.go), which the gateway finds with [As].
// It receives a [Sink] for what comes in, and a [Host] for everything it needs
// from outside: its HTTP client, its secrets, its durable state. It sees neither
// the gateway, nor the vault, nor another adapter.
//
// The rule that all others serve: a platform is told that a message was
// received only after [Sink.Accept] has returned nil, because only then is the
// message durable. channeltest is the suite that holds an adapter to this.
package channels

import (
	"context"
	"iter"
	"strings"
)

// ID is the name of a configured channel, such as "support".
type ID string

// AccountID names an installation within a channel, such as a Slack team. A
// channel that has only one account uses the platform's id of the bot.
type AccountID string

// ConversationID is the platform's immutable id of a room or a direct chat.
// Only the adapter looks inside.
type ConversationID string

// ThreadID is a sub-conversation: a forum topic, a thread. Empty for none.
type ThreadID string

// MessageID names a message within its conversation. Only the adapter looks inside.
type MessageID string

// Channel is one configured account on a platform.
type Channel interface {
	// Features says what the place can carry. It is data: no I/O, no blocking,
	// and safe before Run.
	Features(where Address) Features

	// Run receives until ctx ends and then returns nil; by then every goroutine
	// it started has ended. It reconnects by itself, reports what it sees with
	// Host.Report and Host.Heard, and returns an error only when it can never
	// work as configured (a revoked token, a bad configuration): the gateway
	// shows the error and retries slowly.
	Run(ctx context.Context, sink Sink) error

	// Send delivers one part and blocks until the platform has answered. It may
	// be called concurrently for different conversations, before and during
	// Run. A failure is an *Error, whose Kind says what happens next.
	Send(ctx context.Context, p Part) (Receipt, error)
}

// Sink takes in what a channel received. Its methods may be called concurrently.
type Sink interface {
	// Accept publishes the events and the adapter's own state in one commit.
	// nil means durable: acknowledge now. An error means that nothing of the
	// batch was kept, and its Kind what comes next:
	//   - Rejected: an event of the batch can never be kept as it is. Trying
	//     again is of no use. Accept the others without it, and acknowledge it
	//     too (see Offer); where somebody waits for an answer, refuse it. What is
	//     rejected by itself is logged, counted and made a dead letter.
	//   - every other: do not acknowledge, wait at least RetryAfter, and more
	//     with each failure, and try again, or let the platform deliver again.
	// Events of one conversation must be accepted in the platform's order.
	Accept(ctx context.Context, b Batch) error

	// Replies reads what was sent, or is to be sent, in answer to the event
	// with this account and key, and follows until the turn has ended. It can be
	// called again after a disconnect or a restart and yields the same parts. For
	// an event that was never accepted it waits until one is, or ctx ends.
	Replies(ctx context.Context, account AccountID, key string) iter.Seq2[Part, error]
}

// Batch is accepted in one commit. Events whose key is known already are
// skipped, and the state is written all the same.
type Batch struct {
	Events []Event
	State  []Write
}

// Write stores a value of the adapter's own state, such as an offset. A nil
// Value deletes the key.
type Write struct {
	Key   string
	Value []byte
	Files []File // what the value names of a [Keeper]: they are kept as long as the key is
}

// Address is a place where messages are.
type Address struct {
	Channel      ID             `json:"channel"`
	Account      AccountID      `json:"account,omitempty"`
	Conversation ConversationID `json:"conversation"`
	Thread       ThreadID       `json:"thread,omitempty"`
}

// Order is the key under which events of one place are worked off one after
// the other. Different addresses never share one, whatever their ids hold.
func (a Address) Order() string {
	return orderEscape(string(a.Channel)) + "/" + orderEscape(string(a.Account)) + "/" +
		orderEscape(string(a.Conversation)) + "/" + orderEscape(string(a.Thread))
}

// orderEscape keeps the separator, and the mark of the urgent lane, out of ids.
func orderEscape(s string) string {
	if !strings.ContainsAny(s, "%/!") {
		return s
	}
	return orderEscaper.Replace(s)
}

var orderEscaper = strings.NewReplacer("%", "%25", "/", "%2F", "!", "%21")
