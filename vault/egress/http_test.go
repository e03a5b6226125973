package egress_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func get(t testing.TB, client *http.Client, url string) (string, error) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestResponsesAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 4<<20))
	_ = z.Close()
	tests := []struct {
		name string
		max  int64
		h    http.HandlerFunc
		want error
		read int
	}{
		{"as long as allowed", 1000, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) }, nil, 1000},
		{"announced", 999, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) }, egress.ErrTooLarge, 0},
		{"streamed", 999, func(w http.ResponseWriter, _ *http.Request) {
			for range 10 {
				_, _ = w.Write(make([]byte, 100))
				w.(http.Flusher).Flush()
			}
		}, egress.ErrTooLarge, 999},
		{"a bomb", 1 << 20, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, egress.ErrTooLarge, 1 << 20},
		{"unbounded if told so", -1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, nil, 4 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, base := local(t, tt.h, egress.Policy{Name: "test", MaxResponse: tt.max})
			got, err := get(t, client, base)
			if !errors.Is(err, tt.want) || len(got) != tt.read {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	flood := hijack(func(*http.Request) string {
		return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("x", 1000)+">\r\n\r\n", 1000) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	})
	huge := hijack(func(*http.Request) string {
		return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\nContent-Length: 0\r\n\r\n"
	})
	for name, h := range map[string]http.Handler{"interim responses": flood, "one header": huge} {
		client, base := local(t, h, egress.Policy{Name: "test"})
		if _, err := get(t, client, base); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSilenceEndsAResponse(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	client, base := local(t, h, egress.Policy{Name: "test", Timeouts: egress.Timeouts{Idle: 20 * time.Millisecond}})
	got, err := get(t, client, base)
	// On a slow machine the silence may be over before the beginning is read.
	const sent = "begin"
	if !strings.HasPrefix(sent, got) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTotalEndsAResponse(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "tick")
			w.(http.Flusher).Flush()
		}
	})
	client, base := local(t, h, egress.Policy{
		Name: "test", MaxResponse: -1, Timeouts: egress.Timeouts{Total: 30 * time.Millisecond},
	})
	if _, err := get(t, client, base); !errors.Is(err, context.DeadlineExceeded) && !os.IsTimeout(err) {
		t.Errorf("got %v", err)
	}
}

func TestRequestsThatSteerTheConnection(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *http.Request)
		up     bool
		want   bool
	}{
		{"nothing", func(*http.Request) {}, false, true},
		{"close", func(r *http.Request) { r.Header.Set("Connection", "close") }, false, true},
		{"keep-alive", func(r *http.Request) { r.Header.Set("Connection", "keep-alive") }, false, true},
		{"own Host", func(r *http.Request) { r.Host = r.URL.Host }, false, true},
		{"own Host in upper case", func(r *http.Request) { r.Host = strings.ToUpper(r.URL.Host) }, false, true},
		{"another Host", func(r *http.Request) { r.Host = "evil.example" }, false, false},
		{"another port in Host", func(r *http.Request) { r.Host = "127.0.0.1:1" }, false, false},
		{"Host as a header", func(r *http.Request) { r.Header.Set("Host", "evil.example") }, false, false},
		{"Transfer-Encoding as a header", func(r *http.Request) { r.Header.Set("Transfer-Encoding", "chunked") }, false, false},
		{"Transfer-Encoding as a field", func(r *http.Request) { r.TransferEncoding = []string{"gzip", "chunked"} }, false, false},
		{"TE", func(r *http.Request) { r.Header["te"] = []string{"trailers"} }, false, false},
		{"Trailer", func(r *http.Request) { r.Header.Set("Trailer", "X") }, false, false},
		{"Keep-Alive", func(r *http.Request) { r.Header.Set("Keep-Alive", "1") }, false, false},
		{"hop by hop", func(r *http.Request) { r.Header.Set("Connection", "X-Forwarded-For") }, false, false},
		{"Proxy-Authorization", func(r *http.Request) { r.Header.Set("Proxy-Authorization", "x") }, false, false},
		{"Proxy-Connection", func(r *http.Request) { r.Header.Set("Proxy-Connection", "x") }, false, false},
		{"upgrade to h2c", func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "h2c")
		}, true, false},
		{"upgrade to a WebSocket", func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		}, false, false},
		{"upgrade to a WebSocket, allowed", func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		}, true, true},
		{"CONNECT", func(r *http.Request) { r.Method = http.MethodConnect }, false, false},
		{"TRACE", func(r *http.Request) { r.Method = http.MethodTrace }, false, false},
		{"an unknown method", func(r *http.Request) { r.Method = "PROPFIND" }, false, false},
		{"no method", func(r *http.Request) { r.Method = "" }, false, true},
		{"new line in a header", func(r *http.Request) { r.Header.Set("X", "a\r\nb: c") }, false, false},
		{"new line in a header's name", func(r *http.Request) { r.Header["X\r\ny"] = []string{"z"} }, false, false},
		{"new line in the method", func(r *http.Request) { r.Method = "GET /x HTTP/1.1\r\nHost: evil\r\n\r\nGET" }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reached := false
			h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
			client, base := local(t, h, egress.Policy{Name: "test", Upgrade: tt.up})
			req, _ := http.NewRequest("GET", base, nil)
			tt.change(req)
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			if reached != tt.want || (err == nil) != tt.want {
				t.Errorf("reached %v, %v", reached, err)
			}
		})
	}
}

// two servers on two public-looking names, one of which redirects to what the
// test wants.
type twoHosts struct {
	client *http.Client
	net    *internet
	to     string // where https://one.example leads
	code   int
	first  []http.Header
	second []http.Header
}

func newTwoHosts(t *testing.T, p egress.Policy) *twoHosts {
	t.Helper()
	two := &twoHosts{net: &internet{}, code: http.StatusFound}
	one := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		two.first = append(two.first, r.Header.Clone())
		if r.URL.Path == "/start" || two.to == "loop" {
			to := two.to
			if to == "loop" {
				to = fmt.Sprintf("/start?%d", len(two.first))
			}
			w.Header().Set("Location", to)
			w.WriteHeader(two.code)
		}
	}))
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		two.second = append(two.second, r.Header.Clone())
	}))
	t.Cleanup(one.Close)
	t.Cleanup(other.Close)
	two.net.host("one.example:80", publicAddress, one.Listener.Addr().String())
	two.net.host("two.example:80", publicAddress, other.Listener.Addr().String())
	two.net.host("one.example:8080", publicAddress, other.Listener.Addr().String())
	p.Name, p.Allow = "test", allow(t, "http://one.example", "http://two.example", "http://one.example:8080")
	two.client = egress.New(egress.Options{Dialer: two.net.dialer}).Client(p)
	t.Cleanup(two.client.CloseIdleConnections)
	return two
}

func (two *twoHosts) do(t *testing.T, method string) (int, error) {
	t.Helper()
	req, _ := http.NewRequest(method, "http://one.example/start", nil)
	for _, h := range []string{"Authorization", "X-Api-Key", "Cookie", "X-Custom"} {
		req.Header.Set(h, "credential")
	}
	req.Header.Set("User-Agent", "Gatehouse")
	res, err := two.client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = res.Body.Close()
	return res.StatusCode, nil
}

func TestRedirects(t *testing.T) {
	tests := []struct {
		name, method, to string
		code, follow     int
		want             int // status; 0: refused
		first, second    int // requests that arrived
		credentials      bool
	}{
		{"not by default", "GET", "/x", 302, 0, 302, 1, 0, false},
		{"same origin", "GET", "/x", 302, 3, 200, 2, 0, true},
		{"never after POST", "POST", "/x", 302, 3, 302, 1, 0, false},
		{"never after POST, with 307", "POST", "http://two.example/", 307, 3, 307, 1, 0, false},
		{"another host", "GET", "http://two.example/", 302, 3, 200, 1, 1, false},
		{"another port", "GET", "http://one.example:8080/", 302, 3, 200, 1, 1, false},
		{"not allowed", "GET", "http://evil.example/", 302, 3, 0, 1, 0, false},
		{"to loopback", "GET", "http://127.0.0.1/", 302, 3, 0, 1, 0, false},
		{"to metadata", "GET", "http://169.254.169.254/", 302, 3, 0, 1, 0, false},
		{"to a file", "GET", "file:///etc/passwd", 302, 3, 0, 1, 0, false},
		{"user information", "GET", "http://one.example@two.example/", 302, 3, 0, 1, 0, false},
		{"loop", "GET", "loop", 302, 3, 0, 4, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			two := newTwoHosts(t, egress.Policy{Redirects: tt.follow})
			two.to, two.code = tt.to, tt.code
			got, err := two.do(t, tt.method)
			if got != tt.want || (err == nil) != (tt.want != 0) || err != nil && !errors.Is(err, egress.ErrDenied) {
				t.Errorf("status %d, %v", got, err)
			}
			if len(two.first) != tt.first || len(two.second) != tt.second {
				t.Errorf("%d and %d requests arrived", len(two.first), len(two.second))
			}
			for _, h := range append(two.first[1:], two.second...) {
				if sent := strings.Contains(fmt.Sprint(h), "credential"); sent != tt.credentials {
					t.Errorf("the redirected request has %v", h)
				}
				if h.Get("Referer") != "" && !tt.credentials {
					t.Errorf("the redirected request says where it comes from: %v", h)
				}
			}
		})
	}
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	plain := false
	insecure := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plain = true }))
	t.Cleanup(insecure.Close)
	secure := httptest.NewTLSServer(http.RedirectHandler("http://example.com/", http.StatusFound))
	t.Cleanup(secure.Close)
	fake := &internet{}
	fake.host("example.com:443", publicAddress, secure.Listener.Addr().String())
	fake.host("example.com:80", publicAddress, insecure.Listener.Addr().String())
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := egress.New(egress.Options{Dialer: fake.dialer, Roots: roots}).Client(egress.Policy{
		Name: "test", Redirects: 3, Allow: allow(t, "https://example.com", "http://example.com"),
	})
	t.Cleanup(client.CloseIdleConnections)
	if _, err := get(t, client, "https://example.com/"); !errors.Is(err, egress.ErrDenied) || plain {
		t.Errorf("got %v", err)
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	t.Cleanup(secure.Close)
	fake := &internet{}
	fake.host("example.com:443", publicAddress, secure.Listener.Addr().String())
	client := egress.New(egress.Options{Dialer: fake.dialer}).
		Client(egress.Policy{Name: "test", Allow: allow(t, "https://example.com")})
	if _, err := get(t, client, "https://example.com/"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://proxy.example:3128")
	}
	fake := &internet{names: map[string][]string{"proxy.example": {"192.0.2.1"}, "api.example.com": {publicAddress}}}
	client := egress.New(egress.Options{Dialer: fake.dialer}).
		Client(egress.Policy{Name: "test", Allow: allow(t, "http://api.example.com", "https://api.example.com", "http://proxy.example:3128")})
	for _, u := range []string{"http://api.example.com/", "https://api.example.com/"} {
		if _, err := get(t, client, u); !errors.Is(err, errNowhere) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if diff := cmp.Diff([]string{publicAddress, publicAddress}, fake.seen()); diff != "" {
		t.Error(diff)
	}
}

func TestConnectionsAreNotSharedAcrossPolicies(t *testing.T) {
	peers := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { peers[r.RemoteAddr] = true }))
	t.Cleanup(server.Close)
	gate := egress.New(egress.Options{})
	p := egress.Policy{Allow: allow(t, server.URL), Operator: []string{strings.TrimPrefix(server.URL, "http://")}}
	for range 2 {
		client := gate.Client(p)
		t.Cleanup(client.CloseIdleConnections)
		for range 3 {
			if _, err := get(t, client, server.URL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(peers) != 2 {
		t.Errorf("%d connections for 2 policies and 6 requests", len(peers))
	}
}

func TestThePolicyCannotBeChangedAfterwards(t *testing.T) {
	fake := &internet{names: map[string][]string{"evil.example": {publicAddress}}}
	p := egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com")}
	client := egress.New(egress.Options{Dialer: fake.dialer}).Client(p)
	p.Allow[0] = destination(t, "https://evil.example")
	if _, err := get(t, client, "https://evil.example/"); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedRequestsCloseTheirBody(t *testing.T) {
	client := egress.New(egress.Options{}).Client(egress.Policy{Name: "test"})
	b := &closed{Reader: strings.NewReader("x")}
	_, err := client.Post("https://api.example.com/", "text/plain", b) //nolint:bodyclose // refused
	if !errors.Is(err, egress.ErrDenied) || !b.closed {
		t.Errorf("%v, closed %v", err, b.closed)
	}
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }
