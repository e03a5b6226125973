package egress

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Proxy is where all connections go first. What the operator's own
// configuration names is connected to directly when it lies inside: a private
// address, or a name such as ollama, nas.lan or localhost. The zero Proxy is none.
//
// The proxy looks names up, so that it decides about the addresses behind them;
// which names may be asked for is still decided here, and a literal address
// must be a public one.
type Proxy struct {
	Scheme string // http (CONNECT) or socks5
	Addr   string // host:port; may be private: the operator names it
	// Login lends "user:password"; nil: none is sent.
	Login func(ctx context.Context) (Lease, error)
}

// ParseProxy reads "http://host:port" or "socks5://host:port".
func ParseProxy(s string) (Proxy, error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "socks5" {
		return Proxy{}, errors.New("a proxy is http://host:port or socks5://host:port; its login is a secret of its own")
	}
	host, port, err := splitHost(u.Host)
	if err != nil || port == 0 {
		return Proxy{}, errors.New("a proxy is http://host:port or socks5://host:port")
	}
	return Proxy{Scheme: u.Scheme, Addr: Destination{Host: host, Port: port}.addr()}, nil
}

// inside reports hosts that no proxy to the outside would know.
func inside(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return classify(a) != public
	}
	i := strings.LastIndexByte(host, '.')
	return i < 0 || slices.Contains([]string{"lan", "local", "localhost", "internal", "home", "corp", "intranet"}, host[i+1:])
}

var errProxy = errors.New("the proxy did not connect")

// through connects to host:port by way of the proxy.
func (r *rules) through(ctx context.Context, p Proxy, host string, port uint16) (net.Conn, error) {
	if a, err := netip.ParseAddr(host); err == nil && classify(a) != public {
		return nil, r.refuse(ctx, "", host, errPrivate)
	}
	_, proxyPort, err := splitHost(p.Addr)
	if err != nil {
		return nil, err
	}
	control := func(_, address string, _ syscall.RawConn) error { return checkAddress(address, proxyPort, true, nil) }
	conn, err := r.gate.o.Dialer(control, r.Timeouts.Dial)(ctx, "tcp", p.Addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	_ = conn.SetDeadline(time.Now().Add(r.Timeouts.Dial))
	err = p.open(ctx, conn, host, port)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	return metered{conn, r, r.meter()}, conn.SetDeadline(time.Time{})
}

// open asks the proxy for a connection.
func (p Proxy) open(ctx context.Context, conn net.Conn, host string, port uint16) error {
	ask := func(login string) error {
		if p.Scheme == "socks5" {
			return socks5(conn, host, port, login)
		}
		return connect(conn, Destination{Host: host, Port: port}.addr(), login)
	}
	if p.Login == nil {
		return ask("")
	}
	lease, err := p.Login(ctx)
	if err != nil {
		return err
	}
	return lease.Use(func(plain []byte) error { return ask(string(plain)) })
}

const maxProxyHeader = 16 << 10

// connect speaks HTTP's CONNECT. It reads no byte too many: what follows belongs
// to whoever is connected to.
func connect(conn net.Conn, addr, login string) error {
	text := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if login != "" {
		text += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login)) + "\r\n"
	}
	if _, err := conn.Write([]byte(text + "\r\n")); err != nil {
		return err
	}
	var head []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); {
		if len(head) == maxProxyHeader {
			return errors.New("its answer is too long")
		}
		if _, err := conn.Read(one); err != nil {
			return err
		}
		head = append(head, one[0])
	}
	status, _, _ := strings.Cut(string(head), "\r\n")
	if version, rest, _ := strings.Cut(status, " "); !strings.HasPrefix(version, "HTTP/1.") || !strings.HasPrefix(rest, "200") {
		code, _, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(code); err == nil {
			return fmt.Errorf("it answered with status %d", n)
		}
		return errors.New("its answer is no HTTP")
	}
	return nil
}
