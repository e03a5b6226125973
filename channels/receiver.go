//go:build !wasip1

package channels

import "net/http"

// Receiver takes requests that a platform sends to the gateway's public
// listener, below /hooks/{channel}. The handler verifies before it believes.
type Receiver interface {
	Receive(sink Sink) http.Handler
}
