package channels

import (
	"context"
	"errors"
	"io"
	"time"
)

// The optional capabilities. A channel implements those that its platform
// allows; the gateway finds them with [As]. Each may be called concurrently
// with Send, and fails with an *Error.

// Editor changes a message that the bot sent. Send with Part.Replaces does the
// same; a channel that implements Editor honours Replaces.
type Editor interface {
	Edit(ctx context.Context, at Address, id MessageID, p Part) error
}

// Deleter removes a message that the bot sent.
type Deleter interface {
	Delete(ctx context.Context, at Address, id MessageID) error
}

// Reactor sets the bot's reaction on a message; an empty emoji removes it.
type Reactor interface {
	React(ctx context.Context, at Address, id MessageID, emoji string) error
}

// Typer shows once that the bot is at work, for Features.TypingFor.
type Typer interface {
	Type(ctx context.Context, at Address) error
}

// Fetcher opens an attachment of an event. The caller closes it.
type Fetcher interface {
	Fetch(ctx context.Context, f File) (io.ReadCloser, error)
}

// Drafter shows an answer while it grows, other than by Edit: a page that is
// connected. It is lossy and never blocks for long.
type Drafter interface {
	Draft(ctx context.Context, p Part)
}

// Sole says whether Run may work in one process at a time only, because the
// platform gives what comes in to one connection. Of several gateways on one
// database, one runs such a channel; the others use everything but Run, which
// must work without it; of Send see [Tied]. The answer never changes.
type Sole interface {
	Sole() bool
}

// Tied says of a [Sole] channel whether Send, too, needs the connection that
// Run keeps. Of several gateways on one database, the one that runs the channel
// then also delivers for it; with the others, what they answer waits in the
// outbox for that one. The answer never changes.
type Tied interface {
	Tied() bool
}

// Answerer ends a button press on the platform's side, so that its spinner
// stops; text is shown for a moment where the platform can.
type Answerer interface {
	Answer(ctx context.Context, p Press, text string) error
}

// Commander shows the commands natively.
type Commander interface {
	Register(ctx context.Context, commands []CommandSpec) error
}

// CommandSpec describes a command.
type CommandSpec struct {
	Name string // lower case, without the slash
	Help string // one line
	Args string // such as "<name>"; empty for none
}

// Reconciler tells whether a part with this key was delivered; it was not sent
// before that time. ErrCannotTell says that nobody can know it of such a part.
type Reconciler interface {
	Sent(ctx context.Context, p Part, since time.Time) (Receipt, bool, error)
}

// ErrCannotTell is the answer of a Reconciler about a part of a kind that leaves
// no trace on its platform.
var ErrCannotTell = errors.New("the platform does not tell whether it was sent")

// Idempotent marks a channel whose platform recognises a part that comes again
// by its key, for so long after the first; 0 is for ever. A send whose end is
// unknown is then repeated like one that failed: nothing is doubled by it.
type Idempotent interface {
	Idempotent() time.Duration
}

// Prober asks the platform whether the channel works, right now.
type Prober interface {
	Probe(ctx context.Context) (Identity, error)
}

// Identity is who the channel is on its platform.
type Identity struct {
	Account AccountID `json:"account"`
	Name    string    `json:"name"`             // for people
	Handle  string    `json:"handle,omitempty"` // without @
	Link    string    `json:"link,omitempty"`   // opens a chat with the bot
	Notes   []string  `json:"notes,omitempty"`  // what is missing or unwise, with the fix
}

// Linker connects an account by a person's hand. It calls show with each new
// QR content or code until the account is linked or ctx ends.
type Linker interface {
	Link(ctx context.Context, show func(code string)) error
}

// PhoneLinker is a [Linker] that can also connect without a camera: the person
// gives the phone's number and types the code that show gets into the phone.
type PhoneLinker interface {
	LinkPhone(ctx context.Context, number string, show func(code string)) error
}

// Starter makes a link that opens a chat with the bot and hands it a code when
// the person taps Start.
type Starter interface {
	StartLink(ctx context.Context, code string) (string, error)
}

// Reloader takes a changed section without a restart; errors.ErrUnsupported
// says that the channel must be opened anew.
type Reloader interface {
	Reload(ctx context.Context, cfg []byte) error
}

// As finds a capability of a channel, looking through wrappers that have an
// Unwrap() Channel method.
func As[T any](c Channel) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		w, ok := c.(interface{ Unwrap() Channel })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	var zero T
	return zero, false
}
