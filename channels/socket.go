//go:build !wasip1

package channels

import (
	"context"
	"fmt"
	"net/http"
)

// Socketer is a [Host] that opens WebSockets, found by a type assertion. An
// adapter that must send a credential inside of a message needs it: the frames
// of a connection that the adapter opens itself are masked, so that nothing can
// be filled in on their way, while here the gateway does the framing and puts
// secrets into text messages. It is also how a guest, which cannot hold a
// connection, is given one.
type Socketer interface {
	// Socket connects for an account, under the rules of Client. It blocks
	// until the handshake is over, which ctx bounds; the connection outlives
	// ctx. A refused handshake is an [*Error]: Unauthorized, RateLimited,
	// Transient or Rejected. No redirect is followed. Subprotocols stand in
	// the header Sec-WebSocket-Protocol.
	Socket(ctx context.Context, a AccountID, url string, header http.Header) (Socket, error)
}

// Socket is a WebSocket that carries text. One goroutine may read while another
// writes. A context that ends closes it.
type Socket interface {
	// Read returns the next message, of 8 MiB at most. Pings are answered while
	// it waits, and a platform that is silent for a minute is pinged, so that a
	// dead connection ends. One that the platform closed matches
	// [*SocketClosed].
	Read(ctx context.Context) ([]byte, error)
	// Write sends one message, of 1 MiB at most. A placeholder that Secret gave
	// out before the connection was made, and that is a whole JSON string in
	// it, is replaced by the value on the way out.
	Write(ctx context.Context, message []byte) error
	// Close ends the connection and every call on it at once, without telling
	// the platform, which may therefore let a session be resumed.
	Close() error
}

// SocketClosed says that the other side closed a [Socket], and why. Platforms
// say with the code what comes next: connect again, or never with these
// credentials.
type SocketClosed struct {
	Code   int    // of the close frame, as in RFC 6455
	Reason string // the other side's words; empty for none
}

// Error implements error. It does not repeat the reason, which may hold
// anything.
func (e *SocketClosed) Error() string {
	return fmt.Sprintf("the other side closed the connection with code %d", e.Code)
}

// Recorder is a [Host] that keeps a record of what a channel was refused, found
// by a type assertion. It does not block.
type Recorder interface {
	// Refused notes that the channel asked for a host that it may not reach.
	Refused(ctx context.Context, host, why string)
}
