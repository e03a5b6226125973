package channels

import (
	"context"
	"errors"
	"time"
)

// ErrNoPublic: there is no address under which a platform could fetch a file.
var ErrNoPublic = errors.New("there is no public_url, under which the platform could fetch the file; set it to the https address at which the gateway is reached")

// Lender is a [Host] that lends files to platforms which fetch what they are to
// show instead of taking it, found by a type assertion.
type Lender interface {
	// Lend makes a link to a kept file that goes out with p. Whoever has the link
	// can fetch the file, for as long as keep says, and until the person whose
	// conversation it belongs to is erased. It blocks until the link is durable.
	// [ErrNoPublic] when no platform could follow it.
	Lend(ctx context.Context, p Part, f File, keep time.Duration) (Link, error)
}

// Link is where a file can be fetched, and until when.
type Link struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
}
