//go:build !wasip1

package channels

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Driver opens channels of one platform.
type Driver interface {
	// Name is what a configuration says in "adapter:".
	Name() string
	// Schema is the JSON schema of the adapter's own keys in a channel's section.
	Schema() []byte
	// Check lists everything wrong with a section, without I/O.
	Check(cfg json.RawMessage) []Fault
	// Open makes a channel. It does no I/O; the channel works once Run is called.
	Open(ctx context.Context, h Host, cfg json.RawMessage) (Channel, error)
}

// Admitting is a [Driver] whose channels let in others, where their section does
// not say, than strangers who are asked about: DM is the value of the key "dm".
type Admitting interface {
	DM() string
}

// Fault is a mistake in a configuration.
type Fault struct {
	Path string // within the section, dotted: "send_rate"
	Text string // what is wrong and what would be right
}

// Host is everything a channel may use from outside.
type Host interface {
	// ID is the configured channel's name.
	ID() ID
	// Client sends HTTP requests for an account. Destinations are checked;
	// the gateway puts credentials in at the boundary, in the place of the
	// placeholder that Secret gives out, so that the adapter never holds them.
	Client(a AccountID) *http.Client
	// Dial is for SDKs that open sockets themselves, under the same rules.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	// Secret resolves a reference of the section, such as "secret://bot", to a
	// placeholder ("0:gh-" and random letters, so that SDKs that parse a token
	// accept it). Wherever the placeholder stands in the path, a query parameter
	// or a header of a request through Client, and the destination is one that
	// the section names, the value is put in on the way out. Bodies, which hold
	// what people and models wrote, are never searched.
	Secret(ctx context.Context, ref string) (Secret, error)
	// Derive returns a secret of the channel's own that is the same after every
	// restart and known to nobody else, such as the token a platform must show
	// on its webhooks. Different purposes give unrelated secrets.
	Derive(purpose string) Secret
	// Rotate replaces a stored secret with what f makes of it, once at a time,
	// and stores the result before it returns.
	Rotate(ctx context.Context, ref string, f func([]byte) ([]byte, error)) error
	// State is the channel's own durable state.
	State() State
	// Report replaces the channel's health.
	Report(h Health)
	// Heard notes that the platform was heard from: an update, or an empty but
	// successful poll.
	Heard()
	// Public is the URL under which the platform can reach this channel's
	// webhook, or "" when none is configured.
	Public() string
	Log() *slog.Logger
}

// State is an adapter's own durable state, apart from every other channel's.
type State interface {
	// Get returns nil when there is no such key.
	Get(ctx context.Context, key string) ([]byte, error)
	// List returns up to limit pairs whose key begins with prefix and is
	// greater than after, in byte order; limit 0 means 1000.
	List(ctx context.Context, prefix, after string, limit int) ([]Write, error)
	// Put stores values in one commit of their own. What belongs to events
	// goes through Sink.Accept instead.
	Put(ctx context.Context, w ...Write) error
}

// Health is how a channel is. The zero Health is a channel that has not
// connected yet.
type Health struct {
	Phase Phase
	Err   error     // why; nil when connected
	Fix   string    // what a person can do about it, one sentence
	Since time.Time // set by the host
	As    string    // the account as the platform names it, such as "@bot"
}

// Phase is the state of a connection. The set is closed.
type Phase string

// The phases.
const (
	Connecting Phase = "connecting"
	Connected  Phase = "connected"
	Retrying   Phase = "retrying"
	Broken     Phase = "broken"  // needs a person
	Standby    Phase = "standby" // set by the host: another gateway receives for the channel, and this one sends
)
