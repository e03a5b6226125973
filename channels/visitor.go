//go:build !wasip1

package channels

import (
	"context"
	"net/http"
)

// Visitor is a member who has come to the gateway itself, and whom the gateway
// has logged in.
type Visitor struct {
	ID   string // the member's id
	Name string // for show
}

// Visited is the capability of a channel whose people use the gateway's own
// console. The handler answers the paths below /chat. Every request that it
// gets carries a visitor in its context ([WithVisitor]); it refuses those that
// do not, so that a mistake in the wiring shows nothing to anybody. It is never
// reachable from the public listener.
type Visited interface {
	Visit(sink Sink) http.Handler
}

type visitorKey struct{}

// WithVisitor puts a visitor into a context. Only what has checked a login may
// do so.
func WithVisitor(ctx context.Context, v Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// VisitorFrom returns the visitor of a request; false when nobody is logged in.
func VisitorFrom(ctx context.Context) (Visitor, bool) {
	v, ok := ctx.Value(visitorKey{}).(Visitor)
	return v, ok && v.ID != ""
}
