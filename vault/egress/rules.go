package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// rules is a policy made ready for use. It is never changed.
type rules struct {
	Policy
	gate     *Gate
	operator map[string]bool           // canonical host:port
	inside   map[string][]netip.Prefix // canonical host:port
	roots    *x509.CertPool
	proxy    Proxy
	limits   Limits
}

func (g *Gate) rules(p Policy) *rules {
	terms := g.o.Terms(p.Name)
	r := &rules{Policy: p, gate: g, operator: map[string]bool{}, roots: g.o.Roots, proxy: g.o.Proxy}
	if terms.Roots != nil {
		r.roots = terms.Roots
	}
	if terms.Proxy != nil {
		r.proxy = *terms.Proxy
	}
	r.inside, r.limits = g.insideOf(p.Name, slices.Concat(terms.Inside, p.Inside)), terms.Limits
	r.Allow, r.Inject = slices.Clone(p.Allow), slices.Clone(p.Inject)
	r.Operator, r.Methods = slices.Clone(p.Operator), slices.Clone(p.Methods)
	r.Timeouts = p.Timeouts.filled()
	if r.MaxResponse == 0 {
		r.MaxResponse = defaultMaxResponse
	}
	for _, o := range p.Operator {
		host, port, err := splitHost(o)
		if err != nil || port == 0 {
			g.o.Log.Warn("an exception of the configuration is not host:port and has no effect", "policy", p.Name)
			continue
		}
		r.operator[Destination{Host: host, Port: port}.addr()] = true
	}
	return r
}

// Error is a request that failed or was refused. Its text never holds a secret.
type Error struct {
	Policy string
	Host   string // host:port, or "" when it could not be understood
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Host == "" {
		return fmt.Sprintf("%s: %v", e.Policy, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Policy, e.Host, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout implements net.Error, which net/http asks by itself.
func (e *Error) Timeout() bool {
	var cause net.Error
	return errors.As(e.Err, &cause) && cause.Timeout()
}

// Temporary implements net.Error.
func (e *Error) Temporary() bool { return e.Timeout() }

var _ net.Error = (*Error)(nil)

// refuse makes and reports a refusal.
func (r *rules) refuse(ctx context.Context, method, host string, err error) error {
	e := &Error{Policy: r.Name, Host: host, Err: fmt.Errorf("%w: %w", ErrDenied, err)}
	outcome := Total{Refused: 1}
	if limited := (*Limited)(nil); errors.As(err, &limited) {
		outcome = Total{Limited: 1}
	}
	r.gate.meters.count(r.Name, outcome)
	r.gate.o.Log.WarnContext(ctx, "egress refused", "policy", r.Name, "host", host, "err", err)
	if r.gate.o.Report != nil {
		r.gate.o.Report(ctx, Decision{Policy: r.Name, By: r.By, Method: method, Host: host, Err: e})
	}
	return e
}

var (
	errDestination = errors.New("no rule allows this destination")
	errMethod      = errors.New("the method is not allowed")
	errNetwork     = errors.New("only TCP is allowed")
)

// authorise finds out where a request goes and whether it may.
func (r *rules) authorise(req *http.Request) (Destination, error) {
	to, err := canonical(req.URL)
	if err != nil {
		return Destination{}, err
	}
	if !slices.ContainsFunc(r.Allow, func(d Destination) bool { return d.covers(to) }) {
		return to, errDestination
	}
	if !r.allowsMethod(req.Method) {
		return to, errMethod
	}
	return to, r.checkHeader(req, to)
}

// socket finds out where a raw connection goes and whether it may.
func (r *rules) socket(network, addr string) (target string, err error) {
	if !strings.HasPrefix(network, "tcp") {
		return "", errNetwork
	}
	host, port, err := splitHost(addr)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(r.Allow, func(d Destination) bool { return d.names(host) && d.Port == port && port != 0 }) {
		return "", errDestination
	}
	return Destination{Host: host, Port: port}.addr(), nil
}

// dial connects to host:port, which was authorised before, and checks the
// address that its name led to.
func (r *rules) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := splitHost(addr)
	if err != nil {
		return nil, r.refuse(ctx, "", "", err)
	}
	at := Destination{Host: host, Port: port}.addr()
	named, networks := r.operator[at], r.inside[at]
	if r.proxy.Addr != "" && networks == nil && !(named && inside(host)) {
		return r.through(ctx, r.proxy, host, port)
	}
	control := func(network, address string, _ syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return errNetwork
		}
		return checkAddress(address, port, named, networks)
	}
	conn, err := r.gate.o.Dialer(control, r.Timeouts.Dial)(ctx, network, addr)
	if err != nil {
		if errors.Is(err, errPrivate) || errors.Is(err, errNever) || errors.Is(err, errAddress) {
			return nil, r.refuse(ctx, "", addr, err)
		}
		return nil, err
	}
	return metered{conn, r, r.meter()}, nil
}
