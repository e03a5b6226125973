package egress_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// egressCases are the ways in which filters of outgoing requests were fooled or
// worn out elsewhere. Each has to be refused, or survived.
var egressCases = []struct {
	name string
	try  func(t *testing.T)
}{
	// host
	{"user information a@evil", refused("https://api.example.com@evil.example/bot1")},
	{"user information a:443@evil", refused("https://api.example.com:443@evil.example/bot1")},
	{"backslash and at", refusedURL(https(`evil.example\@api.example.com`, "/bot1"))},
	{"trailing dot", refused("https://api.example.com./bot1", "https://evil.example./bot1")},
	{"upper case", upperCase},
	{"fullwidth dot", refusedURL(https("api。example.com", "/bot1"), https("evil。example", "/bot1"))},
	{"circled digits", refusedURL(https("①②⑦.⓪.⓪.①", "/bot1"), https("①⑥⑨.②⑤④.①⑥⑨.②⑤④", "/bot1"))},
	{"punycode look-alike", refused("https://xn--pi-7kc.example.com/bot1", "https://xn--80ak6aa92e.com/bot1")},
	{"decimal, hexadecimal, octal and short IPv4", refused(
		"https://2130706433/bot1", "https://0x7f000001/bot1", "https://0x7f.0.0.1/bot1",
		"https://0177.0.0.1/bot1", "https://017700000001/bot1", "https://127.1/bot1", "https://10.1/bot1")},
	{"IPv4-mapped IPv6", behindName("::ffff:127.0.0.1", "::ffff:169.254.169.254")},
	{"NAT64", behindName("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1")},
	{"6to4", behindName("2002:7f00:1::", "2002:a9fe:a9fe::1")},
	{"Teredo", behindName("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1")},
	{"zone", zone},
	{"escapes in the host", refusedURL(
		https("api%2eexample%2ecom", "/bot1"), https("api.example.com%00.evil.example", "/bot1"), https("api.example.com\x00.evil.example", "/bot1"))},
	{"empty host with an opaque part", refusedURL(
		&url.URL{Scheme: "https", Opaque: "//evil.example/bot1"},
		&url.URL{Scheme: "https", Host: "api.example.com", Path: "/bot1", Opaque: "//evil.example/bot1"})},
	{"scheme-relative", refused("//api.example.com/bot1", "//evil.example/bot1")},
	{"another scheme than http", refused("file:///bot1", "gopher://api.example.com/bot1", "ftp://api.example.com/bot1", "http://api.example.com:443/bot1")},
	{"wildcard against evilx.com", wildcard("evilx.com")},
	{"wildcard against x.com", wildcard("x.com")},
	{"wildcard against a.b.x.com", wildcard("a.b.x.com")},
	{"wildcard on a public suffix", publicSuffix},

	// DNS
	{"rebinding between check and dial", rebinding},
	{"mixed public and private answers", mixedAnswers},
	{"CNAME to something internal", aliasInside},
	{"AAAA alone, and private", behindName("fd12::1", "fe80::1", "::1")},
	{"TTL 0 flip on a kept connection", flipOnKeptConnection},
	{"the hosts file", behindName("127.0.0.1", "127.0.1.1", "0.0.0.0")},

	// path
	{"..", refused("https://api.example.com/bot1/../other", "https://api.example.com/bot1/..")},
	{"%2e%2e", refused("https://api.example.com/bot1/%2e%2e/other", "https://api.example.com/bot1/.%2E/other")},
	{"..%2f", refused("https://api.example.com/bot1/..%2fother", "https://api.example.com/bot1/..%5cother")},
	{"double encoding", refused("https://api.example.com/bot1/%252e%252e/other", "https://api.example.com/bot1/..%252fother")},
	{"prefix sibling", refused("https://api.example.com/bot1Evil", "https://api.example.com/bot1%20/x", "https://api.example.com/bot")},
	{";params", refused("https://api.example.com/bot1;x=1", "https://api.example.com/bot1/..;/other", "https://api.example.com/bot1/%3bx")},

	// HTTP
	{"redirect across hosts with a key in a header", redirectWithKey},
	{"https to http", TestRedirectFromHTTPSToHTTP},
	{"redirect loop", redirectLoop},
	{"CR and LF in a header", steering(
		func(r *http.Request) { r.Header.Set("X", "a\r\nHost: evil.example") },
		func(r *http.Request) { r.Header["X\r\nY"] = []string{"z"} },
		func(r *http.Request) { r.Header.Set("X", "a\nb") },
		func(r *http.Request) { r.Method = "GET /x HTTP/1.1\r\nHost: evil\r\n\r\nGET" })},
	{"override of Host, Transfer-Encoding and hop by hop", steering(
		func(r *http.Request) { r.Host = "evil.example" },
		func(r *http.Request) { r.Header["Host"] = []string{"evil.example"} },
		func(r *http.Request) { r.Header.Set("Transfer-Encoding", "chunked") },
		func(r *http.Request) { r.TransferEncoding = []string{"gzip", "chunked"} },
		func(r *http.Request) { r.Header.Set("Connection", "X-Forwarded-For") },
		func(r *http.Request) { r.Header.Set("Connection", "close, Authorization") },
		func(r *http.Request) { r.Header["te"] = []string{"trailers"} },
		func(r *http.Request) { r.Header.Set("Trailer", "X") },
		func(r *http.Request) { r.Header.Set("Keep-Alive", "1") })},
	{"huge, slow and gzip-bomb body", bodies},
	{"huge headers and a flood of 1xx", headers},
	{"coalescing of connections across scopes", coalescing},
	{"Proxy-* and proxies of the environment", proxies},
	{"upgrade and CONNECT", steering(
		func(r *http.Request) { r.Method = http.MethodConnect },
		func(r *http.Request) { r.Method = "connect" },
		func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "h2c")
			r.Header.Set("HTTP2-Settings", "AAMAAABkAAQAAP__")
		})},
}

func TestInvariant05Egress44Cases(t *testing.T) {
	if len(egressCases) != 44 {
		t.Errorf("%d cases", len(egressCases))
	}
	names := map[string]bool{}
	for _, c := range egressCases {
		if names[c.name] {
			t.Errorf("%q stands twice", c.name)
		}
		names[c.name] = true
		t.Run(c.name, c.try)
	}
}

// everywhere is a network on which every name leads to a public address.
func everywhere(hosts ...string) *internet {
	n := &internet{names: map[string][]string{}}
	for _, h := range append(hosts, "evil.example", "evil.example.", "api.example.com", "api.example.com.", "xn--pi-7kc.example.com", "xn--80ak6aa92e.com") {
		n.names[h] = []string{publicAddress}
	}
	return n
}

// refused tries URLs under a policy for https://api.example.com/bot1.
func refused(all ...string) func(*testing.T) {
	return func(t *testing.T) {
		for _, s := range all {
			u, err := url.Parse(s)
			if err != nil {
				continue // no program here can ask for it
			}
			mustRefuse(t, everywhere(u.Host), u)
		}
	}
}

// refusedURL is refused for URLs that no text gives.
func refusedURL(all ...*url.URL) func(*testing.T) {
	return func(t *testing.T) {
		for _, u := range all {
			mustRefuse(t, everywhere(u.Host), u)
		}
	}
}

func mustRefuse(t *testing.T, network *internet, u *url.URL) {
	t.Helper()
	gate := egress.New(egress.Options{Dialer: network.dialer})
	client := gate.Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com/bot1")})
	_, err := client.Transport.RoundTrip(request(u)) //nolint:bodyclose // refused
	if !errors.Is(err, egress.ErrDenied) || network.seen() != nil {
		t.Errorf("%v: %v, dialled %v", u, err, network.seen())
	}
}

// upperCase is the one case that is survived by being understood: it is the
// same host, and not another one that no rule knows.
func upperCase(t *testing.T) {
	for s, want := range map[string]bool{"https://API.Example.COM/bot1": true, "https://EVIL.example/bot1": false, "https://api.example.com/BOT1": false} {
		network := everywhere("API.Example.COM")
		client := egress.New(egress.Options{Dialer: network.dialer}).
			Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com/bot1")})
		_, err := get(t, client, s)
		if passed := errors.Is(err, errNowhere); passed != want || passed == errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// behindName tries addresses behind a name that is allowed, and, where a URL
// can say so, as they stand.
func behindName(all ...string) func(*testing.T) {
	return func(t *testing.T) {
		for _, a := range all {
			network := &internet{names: map[string][]string{"name.example": {a}}}
			p := egress.Policy{Name: "test", Allow: allow(t, "https://name.example")}
			literal, err := egress.ParseDestination("https://" + net.JoinHostPort(a, "443"))
			if err == nil {
				p.Allow = append(p.Allow, literal)
			}
			client := egress.New(egress.Options{Dialer: network.dialer}).Client(p)
			for _, host := range []string{"name.example", net.JoinHostPort(a, "443")} {
				_, err := client.Transport.RoundTrip(request(https(host, "/"))) //nolint:bodyclose // refused
				if !errors.Is(err, egress.ErrDenied) || network.seen() != nil {
					t.Errorf("%s as %s: %v, dialled %v", a, host, err, network.seen())
				}
			}
		}
	}
}

func zone(t *testing.T) {
	refusedURL(https("[fe80::1%eth0]", "/bot1"), https("[::1%25lo]:443", "/bot1"))(t)
	network := &internet{names: map[string][]string{"name.example": {"fe80::1%eth0", "2001:4860:4860::8888%eth0"}}}
	client := egress.New(egress.Options{Dialer: network.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
	if _, err := get(t, client, "https://name.example/"); !errors.Is(err, egress.ErrDenied) || network.seen() != nil {
		t.Errorf("%v, dialled %v", err, network.seen())
	}
}

func wildcard(host string) func(*testing.T) {
	return func(t *testing.T) {
		network := everywhere(host, "a.x.com")
		client := egress.New(egress.Options{Dialer: network.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "https://*.x.com")})
		if _, err := get(t, client, "https://a.x.com/"); !errors.Is(err, errNowhere) {
			t.Errorf("what it stands for: %v", err)
		}
		if _, err := get(t, client, "https://"+host+"/"); !errors.Is(err, egress.ErrDenied) || len(network.seen()) != 1 {
			t.Errorf("%v, dialled %v", err, network.seen())
		}
	}
}

func publicSuffix(t *testing.T) {
	for _, s := range []string{"https://*.com", "https://*.co.uk", "https://*.github.io", "https://*.herokuapp.com", "https://*.localhost", "https://*"} {
		if d, err := egress.ParseDestination(s); err == nil {
			t.Errorf("%s is taken for %v", s, d)
		}
	}
}

// rebinding: the name is looked up once for a connection, and what is checked is
// the address that is dialled, so that there is no time between the two.
func rebinding(t *testing.T) {
	network := &internet{names: map[string][]string{"name.example": {publicAddress}}}
	client := egress.New(egress.Options{Dialer: network.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
	for i, answer := range []string{publicAddress, "127.0.0.1", publicAddress, "169.254.169.254"} {
		network.host("name.example:443", answer, "")
		_, err := get(t, client, "https://name.example/")
		if denied := errors.Is(err, egress.ErrDenied); denied != (i%2 == 1) {
			t.Errorf("%s: %v", answer, err)
		}
	}
	if got := strings.Join(network.seen(), " "); got != publicAddress+" "+publicAddress {
		t.Errorf("dialled %s", got)
	}
}

func mixedAnswers(t *testing.T) {
	for _, answers := range [][]string{{"10.0.0.1", publicAddress}, {publicAddress, "10.0.0.1"}, {"fd12::1", "::1", publicAddress}} {
		network := &internet{names: map[string][]string{"name.example": answers}}
		client := egress.New(egress.Options{Dialer: network.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
		if _, err := get(t, client, "https://name.example/"); !errors.Is(err, errNowhere) {
			t.Errorf("%v: %v", answers, err)
		}
		if got := strings.Join(network.seen(), " "); got != publicAddress {
			t.Errorf("%v: dialled %s", answers, got)
		}
	}
}

// aliasInside: that a name is an alias shows in nothing but its addresses.
func aliasInside(t *testing.T) {
	for _, internal := range []string{"10.11.12.13", "192.168.0.1", "172.16.5.5", "100.64.0.7"} {
		network := &internet{names: map[string][]string{"alias.example": {internal}, "internal.corp": {internal}}}
		client := egress.New(egress.Options{Dialer: network.dialer}).
			Client(egress.Policy{Name: "test", Allow: allow(t, "https://alias.example"), Operator: []string{"internal.corp:443"}})
		if _, err := get(t, client, "https://alias.example/"); !errors.Is(err, egress.ErrDenied) || network.seen() != nil {
			t.Errorf("%s: %v, dialled %v", internal, err, network.seen())
		}
	}
}

// flipOnKeptConnection: a connection that is kept leads where it was checked,
// whatever the name says by now; the next one is checked anew.
func flipOnKeptConnection(t *testing.T) {
	peers := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { peers[r.RemoteAddr]++ }))
	t.Cleanup(server.Close)
	network := &internet{}
	network.host("name.example:80", publicAddress, server.Listener.Addr().String())
	client := egress.New(egress.Options{Dialer: network.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://name.example")})
	t.Cleanup(client.CloseIdleConnections)
	if _, err := get(t, client, "http://name.example/"); err != nil {
		t.Fatal(err)
	}
	network.host("name.example:80", "127.0.0.1", server.Listener.Addr().String())
	if _, err := get(t, client, "http://name.example/"); err != nil {
		t.Errorf("the kept connection: %v", err)
	}
	client.CloseIdleConnections()
	if _, err := get(t, client, "http://name.example/"); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("a new connection: %v", err)
	}
	if len(peers) != 1 || len(network.seen()) != 1 {
		t.Errorf("peers %v, dialled %v", peers, network.seen())
	}
}

func redirectWithKey(t *testing.T) {
	for _, to := range []string{"http://two.example/", "http://one.example:8080/"} {
		two := newTwoHosts(t, egress.Policy{Redirects: 3})
		two.to = to
		if status, err := two.do(t, http.MethodGet); err != nil || status != http.StatusOK || len(two.second) != 1 {
			t.Fatalf("%s: status %d, %v, %d requests", to, status, err, len(two.second))
		}
		if sent := fmt.Sprint(two.second[0]); strings.Contains(sent, "credential") {
			t.Errorf("%s got %s", to, sent)
		}
	}
}

func redirectLoop(t *testing.T) {
	two := newTwoHosts(t, egress.Policy{Redirects: 5})
	two.to = "loop"
	if _, err := two.do(t, http.MethodGet); !errors.Is(err, egress.ErrDenied) || len(two.first) != 6 {
		t.Errorf("%v after %d requests", err, len(two.first))
	}
}

// steering tries requests of which none may arrive.
func steering(all ...func(*http.Request)) func(*testing.T) {
	return func(t *testing.T) {
		arrived := 0
		client, base := local(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived++ }), egress.Policy{Name: "test"})
		for i, change := range all {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
			if err != nil {
				t.Fatal(err)
			}
			change(req)
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
				t.Errorf("request %d passed", i)
			}
		}
		if arrived != 0 {
			t.Errorf("%d requests arrived", arrived)
		}
		if _, err := get(t, client, base); err != nil {
			t.Errorf("a plain request: %v", err)
		}
	}
}

func bodies(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	_ = z.Close()
	const most = 64 << 10
	for name, h := range map[string]http.HandlerFunc{
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write(make([]byte, most))
			}
		},
		"announced": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000") },
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
	} {
		client, base := local(t, h, egress.Policy{Name: "test", MaxResponse: most})
		if text, err := get(t, client, base); !errors.Is(err, egress.ErrTooLarge) || len(text) > most {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for name, limit := range map[string]egress.Timeouts{"silence": {Idle: 30 * time.Millisecond}, "in all": {Total: 30 * time.Millisecond}} {
		client, base := local(t, slow, egress.Policy{Name: "test", Timeouts: limit})
		if _, err := get(t, client, base); !os.IsTimeout(err) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mute := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	client, base := local(t, mute, egress.Policy{Name: "test", Timeouts: egress.Timeouts{Header: 30 * time.Millisecond}})
	if _, err := get(t, client, base); err == nil {
		t.Error("a header that never comes: no error")
	}
}

func headers(t *testing.T) {
	for name, text := range map[string]string{
		"one header":         "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\nContent-Length: 0\r\n\r\n",
		"many headers":       "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 100)+"\r\n", 10_000) + "\r\n",
		"interim, with text": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("x", 1000)+">\r\n\r\n", 1000) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"interim, bare":      strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100_000) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		client, base := local(t, hijack(func(*http.Request) string { return text }), egress.Policy{Name: "test"})
		if _, err := get(t, client, base); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// coalescing: two names with one address and one certificate, and two policies
// for the same name, have no connection in common.
func coalescing(t *testing.T) {
	peers := map[string]string{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("it speaks %s", r.Proto)
		}
		peers[r.RemoteAddr] = r.Host
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	network := &internet{}
	network.host("example.com:443", publicAddress, server.Listener.Addr().String())
	network.host("www.example.com:443", publicAddress, server.Listener.Addr().String())
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	gate := egress.New(egress.Options{Dialer: network.dialer, Roots: roots})
	one := gate.Client(egress.Policy{Name: "one", Allow: allow(t, "https://example.com")})
	two := gate.Client(egress.Policy{Name: "two", Allow: allow(t, "https://example.com")})
	for _, client := range []*http.Client{one, two} {
		t.Cleanup(client.CloseIdleConnections)
		for range 2 {
			if _, err := get(t, client, "https://example.com/"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := get(t, client, "https://www.example.com/"); !errors.Is(err, egress.ErrDenied) {
			t.Errorf("the other name on the same connection: %v", err)
		}
	}
	if len(peers) != 2 {
		t.Errorf("%d connections for 2 policies: %v", len(peers), peers)
	}
}

func proxies(t *testing.T) {
	steering(
		func(r *http.Request) { r.Header.Set("Proxy-Authorization", "x") },
		func(r *http.Request) { r.Header.Set("Proxy-Connection", "keep-alive") },
		func(r *http.Request) { r.Header["proxy-anything"] = []string{"x"} },
	)(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://proxy.example:3128")
	}
	network := &internet{names: map[string][]string{"proxy.example": {"192.0.2.1"}, "api.example.com": {publicAddress}}}
	client := egress.New(egress.Options{Dialer: network.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com")})
	if _, err := get(t, client, "https://api.example.com/"); !errors.Is(err, errNowhere) || strings.Join(network.seen(), " ") != publicAddress {
		t.Errorf("%v, dialled %v", err, network.seen())
	}
}

// grid are addresses and what they are: 58 that nothing may reach, and 11 beside
// them that everything may.
var grid = []struct {
	address, what string
	legal         bool
}{
	{"0.0.0.0", "unspecified", false},
	{"0.1.2.3", "this network", false},
	{"10.0.0.1", "private", false},
	{"10.255.255.255", "private, the last", false},
	{"100.64.0.1", "shared address space", false},
	{"100.127.255.255", "shared address space, the last", false},
	{"100.100.100.200", "metadata of Alibaba", false},
	{"127.0.0.1", "loopback", false},
	{"127.255.255.254", "loopback, far away", false},
	{"169.254.0.1", "link-local", false},
	{"169.254.169.254", "metadata", false},
	{"169.254.170.2", "metadata of ECS", false},
	{"168.63.129.16", "metadata of Azure", false},
	{"172.16.0.1", "private", false},
	{"172.31.255.255", "private, the last", false},
	{"192.0.0.1", "protocol assignments", false},
	{"192.0.0.192", "metadata of Oracle", false},
	{"192.0.2.1", "documentation", false},
	{"192.31.196.1", "AS112", false},
	{"192.52.193.1", "AMT", false},
	{"192.88.99.1", "6to4 relay", false},
	{"192.168.0.1", "private", false},
	{"192.168.255.255", "private, the last", false},
	{"192.175.48.1", "AS112", false},
	{"198.18.0.1", "benchmarks", false},
	{"198.19.255.255", "benchmarks, the last", false},
	{"198.51.100.1", "documentation", false},
	{"203.0.113.1", "documentation", false},
	{"224.0.0.1", "multicast", false},
	{"239.255.255.255", "multicast, the last", false},
	{"240.0.0.1", "reserved", false},
	{"255.255.255.255", "broadcast", false},
	{"::", "unspecified", false},
	{"::1", "loopback", false},
	{"::127.0.0.1", "IPv4-compatible loopback", false},
	{"::ffff:127.0.0.1", "mapped loopback", false},
	{"::ffff:169.254.169.254", "mapped metadata", false},
	{"::ffff:10.0.0.1", "mapped private", false},
	{"64:ff9b::7f00:1", "NAT64 of loopback", false},
	{"64:ff9b::a9fe:a9fe", "NAT64 of metadata", false},
	{"64:ff9b::a00:1", "NAT64 of a private address", false},
	{"64:ff9b:1::808:808", "local NAT64", false},
	{"100::1", "discard", false},
	{"2001::1", "Teredo", false},
	{"2001:2::1", "benchmarks", false},
	{"2001:10::1", "ORCHID", false},
	{"2001:20::1", "ORCHIDv2", false},
	{"2001:db8::1", "documentation", false},
	{"2002:7f00:1::", "6to4 of loopback", false},
	{"2620:4f:8000::1", "AS112", false},
	{"3fff::1", "documentation", false},
	{"5f00::1", "segment routing", false},
	{"fc00::1", "unique local", false},
	{"fd00:ec2::254", "metadata of AWS", false},
	{"fd20:ce::254", "metadata of GCP", false},
	{"fe80::1", "link-local", false},
	{"fec0::1", "site-local", false},
	{"ff02::1", "multicast", false},

	{"8.8.8.8", "public", true},
	{"9.255.255.255", "before 10/8", true},
	{"11.0.0.0", "after 10/8", true},
	{"100.128.0.0", "after the shared address space", true},
	{"128.0.0.1", "after loopback", true},
	{"168.63.129.15", "before Azure's", true},
	{"172.32.0.0", "after 172.16/12", true},
	{"198.20.0.0", "after the benchmarks", true},
	{"2606:4700:4700::1111", "public", true},
	{"64:ff9b::808:808", "NAT64 of a public address", true},
	{"::ffff:8.8.8.8", "mapped public", true},
}

func TestInvariant05AddressGrid(t *testing.T) {
	counts := map[bool]int{}
	for _, g := range grid {
		counts[g.legal]++
		network := &internet{names: map[string][]string{"name.example": {g.address}}}
		dial := egress.New(egress.Options{Dialer: network.dialer}).Dial(egress.Policy{Name: "test", Allow: allow(t, "https://name.example")})
		_, err := dial(t.Context(), "tcp", "name.example:443")
		if passed := errors.Is(err, errNowhere); passed != g.legal || passed == errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s (%s): %v", g.address, g.what, err)
		}
	}
	if counts[false] != 58 || counts[true] != 11 {
		t.Errorf("%d forbidden and %d legal", counts[false], counts[true])
	}
}
