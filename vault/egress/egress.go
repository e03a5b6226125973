// Package egress is the only way out of the process.
//
// Whatever sends requests (adapters, model providers, tools) gets its HTTP
// client or its dialer from a [Gate], under a [Policy] that names the
// destinations. Each request is matched in one canonical form, each connection
// is checked at the moment it is dialled, by the address that is really
// dialled, and secrets are put in the place of their placeholders only behind
// these checks. Nothing is taken from the environment: no proxy, no
// credentials.
//
// A caller never sees a value: requests, the headers of responses and errors
// that come back show the placeholder, the bodies of responses asterisks.
package egress

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// Errors on which a caller branches. All refusals match ErrDenied; nothing was
// sent when a request is refused.
var (
	ErrDenied   = errors.New("egress refuses it")
	ErrTooLarge = errors.New("the response is larger than allowed")
)

// Control is the check that a dialer makes on each address right before it
// connects, as net.Dialer.Control is.
type Control = func(network, address string, c syscall.RawConn) error

// DialFunc opens a connection.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Options of a gate. The zero value is ready to use.
type Options struct {
	Roots *x509.CertPool // who is trusted to sign certificates; nil: the system's
	Proxy Proxy          // the zero Proxy: connections are direct
	Log   *slog.Logger   // nil: nothing is logged
	// Leaks finds secrets in the requests and responses of policies that are
	// screened; nil: nothing is searched.
	Leaks *leak.Guard
	Now   func() time.Time // nil: time.Now; for signatures
	// Terms says what the configuration has on a policy of that name; nil: nothing.
	Terms func(policy string) Terms
	// Report is told of each refusal at once, and while Run runs each minute of
	// what was let out, for the audit log; nil: nobody is. It must not block.
	Report func(ctx context.Context, d Decision)
	// Dialer makes a dialer that calls control on every address before it
	// connects, resolved addresses included. nil: the network. Tests put a
	// dialer here that connects nowhere.
	Dialer func(control Control, timeout time.Duration) DialFunc
}

// Decision is one refusal, or some requests that were let out.
type Decision struct {
	Policy string
	By     scope.Principal // as the policy says
	Method string          // of the refused request; "" for a dial
	Host   string          // host:port, or "" when it could not be understood
	Count  int             // of the requests that were let out
	Err    error           // nil: they were let out
}

// Policy is what one channel, provider or tool may reach, and with which
// secrets. The zero Policy reaches nothing.
type Policy struct {
	Name string // who asks, for errors, the audit and the configuration: "channel support"
	// By is the member on whose behalf it is. Limits are for each, and the audit
	// says who it was. Zero: the gateway itself.
	By scope.Principal
	// Allow lists the destinations. Empty: none.
	Allow []Destination
	// Operator lists what the operator's own configuration names, as host:port
	// exactly as it stands there. Only these may lie at a private address, and
	// only at this port. They must be allowed as well.
	Operator []string
	// Inside are further hosts that may lie within some private networks, as the
	// operator's configuration says of a secret; see [Terms.Inside].
	Inside   []Inside
	Inject   []Injection
	Methods  []string // nil: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
	Timeouts Timeouts
	// MaxResponse bounds a response's body in bytes, as the caller reads it,
	// that is after decompression. 0: 64 MiB; negative: no limit, for streams
	// that never end.
	MaxResponse int64
	// Redirects is how many redirects of a GET or HEAD are followed, each one
	// authorised anew and without headers once it leaves the origin. 0: none,
	// the caller gets the redirecting response. Other methods never follow.
	Redirects int
	// Screen searches requests for secrets, and refuses those that hold one, and
	// hides secrets in the responses. It is for whatever a model or a guest
	// steers. What is injected is put in afterwards.
	Screen bool
	// Upgrade admits requests that turn the connection into a WebSocket.
	Upgrade bool
}

// Timeouts of a policy. A zero Dial, TLS or Header means its default; a zero
// Idle or Total means none, so that a long poll may last.
type Timeouts struct {
	Dial   time.Duration // name lookup and connection; 10 s
	TLS    time.Duration // 10 s
	Header time.Duration // from the end of the request to the response's header; 2 min
	Idle   time.Duration // between two reads of a response's body
	Total  time.Duration // from the request to the end of the response's body
}

const (
	defaultConnect     = 10 * time.Second
	defaultHeader      = 2 * time.Minute
	defaultMaxResponse = 64 << 20
	keepIdle           = 90 * time.Second
	maxConns           = 128       // kept open to a host, and in a policy
	maxHeader          = 256 << 10 // bytes of a response's header, interim responses included
)

func (t Timeouts) filled() Timeouts {
	t.Dial = cmpOr(t.Dial, defaultConnect)
	t.TLS = cmpOr(t.TLS, defaultConnect)
	t.Header = cmpOr(t.Header, defaultHeader)
	return t
}

func cmpOr(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Gate makes clients. It is safe for concurrent use and holds no connections:
// each client has a pool of its own, so that nothing is shared across
// policies.
type Gate struct {
	o      Options
	meters meters
}

// New makes a gate.
func New(o Options) *Gate {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dialer == nil {
		o.Dialer = network
	}
	if o.Terms == nil {
		o.Terms = func(string) Terms { return Terms{} }
	}
	return &Gate{o: o, meters: meters{all: map[string]*meter{}, sum: map[string]Total{}}}
}

// network dials for real.
func network(control Control, timeout time.Duration) DialFunc {
	d := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Control: control}
	return d.DialContext
}

// Client makes an HTTP client that is bound to the policy for good. Keep it:
// each has a connection pool of its own. CloseIdleConnections on it closes
// what is idle.
func (g *Gate) Client(p Policy) *http.Client {
	r := g.rules(p)
	t := &http.Transport{
		DialContext:            r.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.roots},
		TLSHandshakeTimeout:    r.Timeouts.TLS,
		ResponseHeaderTimeout:  r.Timeouts.Header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        keepIdle,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxResponseHeaderBytes: maxHeader,
		// An empty map keeps connections to HTTP/1.1, one request at a time.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return &http.Client{
		Transport:     &roundTripper{rules: r, next: t},
		CheckRedirect: r.redirect,
		Timeout:       r.Timeouts.Total,
	}
}

// Dial makes a dialer for libraries that open sockets themselves. It reaches
// the hosts and ports that the policy allows, whatever their scheme and path.
func (g *Gate) Dial(p Policy) DialFunc {
	r := g.rules(p)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		target, err := r.socket(network, addr)
		if err != nil {
			return nil, r.refuse(ctx, "", addr, err)
		}
		if err := r.admit(target); err != nil {
			return nil, r.refuse(ctx, "", target, err)
		}
		return r.dial(ctx, network, target)
	}
}

// placeholderLetters do not need escaping anywhere and survive lower-casing.
const placeholderLetters = "abcdefghijklmnopqrstuvwxyz"

// NewPlaceholder makes a random string to stand for a secret: "0:gh-" and 32
// letters, so that libraries that take a token apart accept it. It grants
// nothing to whoever reads it, outside the policy that injects for it.
func NewPlaceholder() string {
	out := make([]byte, 0, 32)
	for len(out) < cap(out) {
		var b [64]byte
		_, _ = rand.Read(b[:])
		for _, x := range b {
			// 234 is the largest multiple of 26 in a byte.
			if x < 234 && len(out) < cap(out) {
				out = append(out, placeholderLetters[x%26])
			}
		}
	}
	return "0:gh-" + string(out)
}

// defaultMethods are the methods of a policy that names none.
var defaultMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
	http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func (p Policy) allowsMethod(m string) bool {
	if m == "" {
		m = http.MethodGet
	}
	if p.Methods == nil {
		return slices.Contains(defaultMethods, m)
	}
	return slices.Contains(p.Methods, m)
}
