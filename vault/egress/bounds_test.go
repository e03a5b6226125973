package egress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// Every bound of a destination's spelling, right at it and right behind it.
func TestDestinationsAtTheirBounds(t *testing.T) {
	label := strings.Repeat("a", 63)
	host253 := strings.Join([]string{label, label, label, strings.Repeat("b", 61)}, ".")
	tests := []struct {
		in   string
		want bool
	}{
		{"https://" + label + ".example", true},
		{"https://a" + label + ".example", false},
		{"https://" + host253, true},
		{"https://" + host253 + "b", false},
		{"https://az09_-z.example", true},
		{"https://example.0", false},
		{"https://example.9", false},
		{"https://10.0.0.9", true},
		{"https://h/a%41", true},
		{"https://h/a%4", false},
		{"https://h/a%", false},
		{"https://h/a b", true},
		{"https://h/!~", true},
		{"https://h/a\x7f", false},
		{"https://h/%20", true},
		{"https://h/%1f", false},
		{"https://h/%7f", false},
		{"https://h/%7e", true},
		{"https://h:1", true},
		{"https://h:65535", true},
		{"https://h:0", false},
		{"https://h:65536", false},
		{"https://h:+1", false},
		{"https://h:01", false},
		{"https://[::1", false},
		{"https://[fe80::1%25eth0]", false},
		{"https://[::ffff:10.0.0.1]", false},
		{"https://[10.0.0.1]", false},
		{"https://*.10.0.0.0", false},
		{"https://*.10.0.0.9", false},
		{"https://*.[::1]", false},
	}
	for _, tt := range tests {
		if _, err := egress.ParseDestination(tt.in); (err == nil) != tt.want {
			t.Errorf("%q: %v", tt.in, err)
		}
	}
}

// TestHostHeaders: the Host header may say the port or leave out the usual one,
// and nothing else.
func TestHostHeaders(t *testing.T) {
	tests := []struct {
		to, host string
		want     bool
	}{
		{"http://api.example.com/", "api.example.com:80", true},
		{"http://api.example.com:80/", "api.example.com", true},
		{"http://api.example.com/", "api.example.com:443", false},
		{"http://api.example.com/", "api.example.com:8080", false},
		{"http://api.example.com:8080/", "api.example.com", false},
		{"http://api.example.com:8080/", "API.example.com:8080", true},
		{"http://api.example.com/", "evil.example:80", false},
		{"http://api.example.com/", "evil.example", false},
		{"http://api.example.com/", "api.example.com:", false},
	}
	for _, tt := range tests {
		fake := &internet{names: map[string][]string{"api.example.com": {publicAddress}}}
		client := egress.New(egress.Options{Dialer: fake.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://api.example.com", "http://api.example.com:8080")})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		_, err = client.Do(req) //nolint:bodyclose // leads nowhere
		if passed := errors.Is(err, errNowhere); passed != tt.want {
			t.Errorf("Host %s to %s: %v", tt.host, tt.to, err)
		}
	}
	for coding, want := range map[string]bool{"chunked": true, "identity": true, "gzip": false, "": false} {
		fake := &internet{names: map[string][]string{"api.example.com": {publicAddress}}}
		client := egress.New(egress.Options{Dialer: fake.dialer}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://api.example.com")})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.example.com/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.TransferEncoding = []string{coding}
		_, err = client.Do(req) //nolint:bodyclose // leads nowhere
		if passed := errors.Is(err, errNowhere); passed != want {
			t.Errorf("Transfer-Encoding %q: %v", coding, err)
		}
	}
}

// TestSigV4Escapes: in the canonical request each byte but the unreserved ones
// is escaped, so that the signature of a query is that of its escaped form.
func TestSigV4Escapes(t *testing.T) {
	sign := func(service string, u *url.URL, host string) string {
		got := ""
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
		defer server.Close()
		fake := &internet{}
		fake.host("example.amazonaws.com:80", publicAddress, server.Listener.Addr().String())
		client := egress.New(egress.Options{Dialer: fake.dialer, Now: bornIn2015}).Client(egress.Policy{
			Name: "test", Allow: allow(t, "http://example.amazonaws.com"), Inject: []egress.Injection{formatted(
				vault.Format{Kind: vault.SigV4, AccessKey: "AKIDEXAMPLE", Region: "us-east-1", Service: service},
				"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")},
		})
		defer client.CloseIdleConnections()
		req := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}, Host: host}).WithContext(t.Context())
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		_, signature, _ := strings.Cut(got, "Signature=")
		return signature
	}
	at := func(path, query string) *url.URL {
		return &url.URL{Scheme: "http", Host: "example.amazonaws.com", Path: path, RawQuery: query}
	}
	seen := map[string]string{}
	// The first and the last byte of each class, and their neighbours.
	for in, want := range sigV4Signatures {
		service, rest, _ := strings.Cut(in, " ")
		path, query, _ := strings.Cut(rest, "?")
		if got := sign(service, at(path, query), ""); got != want {
			t.Errorf("%s: got %s", in, got)
		}
		seen[want] = in
	}
	if len(seen) != len(sigV4Signatures) {
		t.Errorf("%d different signatures", len(seen))
	}
	if a, b := sign("service", at("/", ""), ""), sign("service", at("/", ""), "example.amazonaws.com"); a != b {
		t.Error("the same host, said twice, gives another signature")
	}
	if a, b := sign("service", at("/", ""), ""), sign("service", at("/", ""), "example.amazonaws.com:80"); a == b {
		t.Error("another Host header gives the same signature")
	}
	if a, b := sign("service", at("", ""), ""), sign("service", at("/", ""), ""); a != b {
		t.Error("no path and / give different signatures")
	}
}

// Answers that are as long as allowed, or say how long they are.
func TestResponsesAtTheirBounds(t *testing.T) {
	for _, n := range []int{999, 1000, 1001} {
		client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write(make([]byte, n))
		}), egress.Policy{Name: "test", MaxResponse: 1000})
		got, err := get(t, client, base)
		if (err == nil) != (n <= 1000) || n <= 1000 && len(got) != n {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
	client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = w.Write(make([]byte, 1000))
	}), egress.Policy{Name: "test", MaxResponse: 1000})
	res, err := client.Get(base)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	// A buffer of exactly what is left, and of one byte more.
	if n, err := io.ReadFull(res.Body, make([]byte, 400)); n != 400 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := io.ReadFull(res.Body, make([]byte, 600)); n != 600 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := res.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// The value is replaced in the headers of every response, and one that is short
// enough to stand there by chance only where a server redirects.
func TestHeadersShowThePlaceholder(t *testing.T) {
	const holder = "0:gh-abcdefghijklmnopqrstuvwxyz"
	for _, tt := range []struct {
		secret string
		code   int
		hidden bool
	}{
		{"eight-8.", 299, true},
		{"seven7.", 299, false},
		{"seven7.", 300, true},
		{"seven7.", 399, true},
		{"seven7.", 400, false},
		{"eight-8.", 400, true},
	} {
		code, secret, hidden := tt.code, tt.secret, tt.hidden
		client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Said", r.Header.Get("Authorization"))
			w.WriteHeader(code)
		}), egress.Policy{Name: "test", Inject: []egress.Injection{{Placeholder: holder, In: egress.InHeader, Lease: lend(secret)}}})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+holder)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := strings.Contains(res.Header.Get("X-Said"), holder); got != hidden {
			t.Errorf("%d: X-Said is %q for %q", code, res.Header.Get("X-Said"), secret)
		}
	}
}

// TestSOCKSAtItsBounds: what its protocol can say in one byte, and no more.
func TestSOCKSAtItsBounds(t *testing.T) {
	long := strings.Repeat("u", 255)
	tests := []struct {
		name, login, refuse string
		want                bool
	}{
		{"as long as can be said", long + ":" + long, "", true},
		{"a user that is too long", "u" + long + ":p", "", false},
		{"a password that is too long", "u:p" + long, "", false},
		{"no password", "u", "", true},
		{"cut off in the login's answer", "u:p", "login", false},
		{"another version", "u:p", "version", false},
		{"a code of refusal", "u:p", "code", false},
		{"a login that is refused", "u:p", "password", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := proxy(t, func(c net.Conn) { serveSOCKS(c, tt.login, tt.refuse) })
			p, err := egress.ParseProxy("socks5://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			p.Login = func(context.Context) (egress.Lease, error) { return value(tt.login), nil }
			client := egress.New(egress.Options{Proxy: p}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://name.example")})
			defer client.CloseIdleConnections()
			res, err := client.Get("http://name.example/")
			if err == nil {
				_ = res.Body.Close()
			}
			if (err == nil) != tt.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// serveSOCKS lets in whoever logs in so, except where refuse says otherwise.
func serveSOCKS(c net.Conn, login, refuse string) {
	user, password, _ := strings.Cut(login, ":")
	hello := make([]byte, 3)
	if _, err := io.ReadFull(c, hello); err != nil {
		return
	}
	_, _ = c.Write([]byte{5, 2})
	want := append([]byte{1, byte(len(user))}, user...)
	want = append(append(want, byte(len(password))), password...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(want) {
		return
	}
	if refuse == "login" {
		_, _ = c.Write([]byte{1})
		return
	}
	if refuse == "password" {
		_, _ = c.Write([]byte{1, 1})
	} else {
		_, _ = c.Write([]byte{1, 0})
	}
	ask := make([]byte, 4+1+len("name.example")+2)
	if _, err := io.ReadFull(c, ask); err != nil {
		return
	}
	switch refuse {
	case "version":
		_, _ = c.Write([]byte{4, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	case "code":
		_, _ = c.Write([]byte{5, 1, 0, 1, 0, 0, 0, 0, 0, 0})
	default:
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	}
	_, _ = http.ReadRequest(bufio.NewReader(c))
	_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
}

// TestOnlyTheScreenedAreSearched: what a native adapter or a provider sends is
// its own business, whatever it looks like; and nothing is searched without
// something to search for.
func TestOnlyTheScreenedAreSearched(t *testing.T) {
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	leaks.Learn([]byte(apiKey))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RawQuery) }))
	t.Cleanup(server.Close)
	for name, tt := range map[string]struct {
		leaks  *leak.Guard
		screen bool
		want   bool
	}{"screened": {leaks, true, false}, "not screened": {leaks, false, true}, "nothing to search for": {nil, true, true}} {
		client := egress.New(egress.Options{Leaks: tt.leaks}).Client(egress.Policy{
			Name: "test", Screen: tt.screen, Allow: allow(t, server.URL), Operator: []string{strings.TrimPrefix(server.URL, "http://")},
		})
		got, err := get(t, client, server.URL+"/?q="+apiKey)
		client.CloseIdleConnections()
		if (err == nil) != tt.want || tt.want && got != "q="+apiKey {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestRefusalsAreCounted, by policy, apart from those for a limit.
func TestRefusalsAreCounted(t *testing.T) {
	gate := limited(&clock{}, egress.Limits{RequestsPerMinute: 1})
	client := gate.Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com")})
	for _, to := range []string{"https://evil.example/", "https://evil.example/", "https://api.example.com/", "https://api.example.com/"} {
		_, _ = client.Get(to) //nolint:bodyclose // leads nowhere
	}
	if got := gate.Totals()["test"]; got.Requests != 1 || got.Limited != 1 || got.Refused != 2 {
		t.Errorf("%+v", got)
	}
}

// TestHostsBeyondManyAreReportedTogether, and those before them by name.
func TestHostsBeyondManyAreReportedTogether(t *testing.T) {
	got := map[string]int{}
	names := map[string][]string{}
	var to []egress.Destination
	for i := range 70 {
		host := fmt.Sprintf("h%d.example", i)
		names[host], to = []string{publicAddress}, append(to, destination(t, "https://"+host))
	}
	fake := &internet{names: names}
	gate := egress.New(egress.Options{Dialer: fake.dialer, Report: func(_ context.Context, d egress.Decision) { got[d.Host] += d.Count }})
	client := gate.Client(egress.Policy{Name: "test", By: scope.Principal{Workspace: "w", Member: "m"}, Allow: to})
	for range 2 {
		for i := range 70 {
			_, _ = client.Get(fmt.Sprintf("https://h%d.example/", i)) //nolint:bodyclose // leads nowhere
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gate.Run(ctx, nothing{}); err != nil {
		t.Fatal(err)
	}
	if got["h0.example:443"] != 2 || got["h63.example:443"] != 2 || got["other hosts"] != 12 || len(got) != 65 {
		t.Errorf("%d hosts: %v", len(got), got)
	}
}

// nothing is a ledger that keeps nothing.
type nothing struct{}

func (nothing) Add(context.Context, string, map[string]egress.Usage) (map[string]egress.Usage, error) {
	return map[string]egress.Usage{}, nil
}

// sigV4Signatures are by service, path and query, computed from the published
// description of the algorithm apart from this code.
var sigV4Signatures = map[string]string{
	"service /?a=azAZ09": "e695acf92d17f2377dedba79537ddcb0b0c9a375d9e1ee407d55a720deebc20a",
	"service /?a=%60%7B": "6cddb45bb4c51a00854581203d5bc2e66da09d642aa524f3f087db8680164ca9",
	"service /?a=%40%5B": "07a0df4ac76bf424efa3a0c5d966b71558231ae0e27e10eed48b1698a54ea87b",
	"service /?a=%2F%3A": "3605617812f67d5d5adeab0c00f327b1bee024e067d62d7a456156ac156946a1",
	"service /?a=-._~":   "3fb0a066f256ffad2b3aeabf9444b37ca80c9fff87e62cc7edaee146d7c75ecf",
	"service /az AZ/09?": "3b48f91a665fa922331ff6c4574cbf702760b68db7f34d5b7c434fc82b88338e",
	"s3 /az AZ/09?":      "045b28d33b51936a758086b062f62331d0b0d5c4e4abd1dbf5818f4dac8f5dd7",
}
