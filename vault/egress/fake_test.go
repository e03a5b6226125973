package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// internet is a network that leads nowhere, except where a test serves a name.
// It calls the gate's check exactly as a real dialer does: on each address that
// a name has, right before it would connect.
type internet struct {
	mu      sync.Mutex
	names   map[string][]string // host -> addresses; a later lookup may be given other ones
	serves  map[string]string   // host:port -> listener on loopback
	dialled []string            // addresses that passed the check
	refused []string            // addresses that did not
}

var errNowhere = errors.New("this network leads nowhere")

func (n *internet) dialer(control egress.Control, _ time.Duration) egress.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		addresses := n.names[host]
		target := n.serves[addr]
		n.mu.Unlock()
		if _, err := netip.ParseAddr(host); err == nil {
			addresses = []string{host}
		}
		last := error(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
		for _, a := range addresses {
			network, full := "tcp4", net.JoinHostPort(a, port)
			if strings.Contains(a, ":") {
				network = "tcp6"
			}
			if err := control(network, full, nil); err != nil {
				n.note(&n.refused, a)
				last = &net.OpError{Op: "dial", Net: network, Err: err}
				continue
			}
			n.note(&n.dialled, a)
			if target == "" {
				return nil, errNowhere
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", target)
		}
		return nil, last
	}
}

func (n *internet) note(list *[]string, a string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*list = append(*list, a)
}

func (n *internet) seen() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.dialled...)
}

// host lets a name lead to a server of the test, by way of a public address.
func (n *internet) host(name, address, listener string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		n.names = map[string][]string{}
	}
	if n.serves == nil {
		n.serves = map[string]string{}
	}
	host, _, _ := net.SplitHostPort(name)
	n.names[host] = []string{address}
	n.serves[name] = listener
}

const publicAddress = "93.184.215.14"

func destination(t testing.TB, s string) egress.Destination {
	t.Helper()
	d, err := egress.ParseDestination(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func allow(t testing.TB, all ...string) []egress.Destination {
	t.Helper()
	var out []egress.Destination
	for _, s := range all {
		out = append(out, destination(t, s))
	}
	return out
}

// value is a lease of a fixed value.
type value string

func (v value) Use(f func([]byte) error) error { return f([]byte(v)) }

func lend(v string) func(context.Context, string) (egress.Lease, error) {
	return func(context.Context, string) (egress.Lease, error) { return value(v), nil }
}

// local serves h on loopback and returns a client that may reach it as the
// operator's configuration lets it.
func local(t testing.TB, h http.Handler, p egress.Policy) (client *http.Client, base string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	p.Allow = append(p.Allow, destination(t, server.URL))
	p.Operator = append(p.Operator, strings.TrimPrefix(server.URL, "http://"))
	client = egress.New(egress.Options{}).Client(p)
	t.Cleanup(client.CloseIdleConnections)
	return client, server.URL
}
