package egress_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func TestParseProxy(t *testing.T) {
	for in, want := range map[string]string{
		"http://proxy.corp:3128": "http proxy.corp:3128", "socks5://127.0.0.1:1080/": "socks5 127.0.0.1:1080",
		"http://[::1]:80": "http [::1]:80",
		"":                "", "proxy:3128": "", "https://proxy:443": "", "http://proxy": "", "http://u:p@proxy:1": "", "http://proxy:1/x": "",
		"http://proxy:1?x": "", "http://pro xy:1": "", "socks4://proxy:1": "",
	} {
		got := ""
		if p, err := egress.ParseProxy(in); err == nil {
			got = p.Scheme + " " + p.Addr
		}
		if got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

// proxy accepts one connection after the other and lets speak answer each.
func proxy(t *testing.T, speak func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			speak(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestInvariant05HTTPProxy(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
	tests := []struct {
		name, says string
		want       bool
	}{
		{"connects", "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n", true},
		{"wants a login", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", false},
		{"speaks something else", "SSH-2.0\r\n\r\n", false},
		{"falls silent", "HTTP/1.1 200", false},
		{"talks too much", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20_000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked, login := "", ""
			addr := proxy(t, func(c net.Conn) {
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				asked, login = req.Method+" "+req.Host, req.Header.Get("Proxy-Authorization")
				_, _ = io.WriteString(c, tt.says)
				if tt.want {
					_, _ = http.ReadRequest(bufio.NewReader(c))
					_, _ = io.WriteString(c, answer)
				}
			})
			p, err := egress.ParseProxy("http://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			p.Login = func(context.Context) (egress.Lease, error) { return value("ann:pw"), nil }
			client := egress.New(egress.Options{Proxy: p}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://name.example")})
			body := ""
			res, err := client.Get("http://name.example/x")
			if err == nil {
				b, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				body = string(b)
			}
			client.CloseIdleConnections()
			if (err == nil) != tt.want || tt.want && body != "hi" {
				t.Errorf("got %q, %v", body, err)
			}
			if asked != "CONNECT name.example:80" || login != "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:pw")) {
				t.Errorf("the proxy was asked %q, %q", asked, login)
			}
			if err != nil && strings.Contains(err.Error(), "pw") {
				t.Errorf("the error shows the login: %v", err)
			}
		})
	}
}

func TestInvariant05SOCKSProxy(t *testing.T) {
	tests := []struct {
		name, url, login string
		steps            [][2]string // what is expected, and what is answered
		want             bool
	}{
		{"a name", "http://name.example/", "", [][2]string{
			{"\x05\x01\x00", "\x05\x00"}, {"\x05\x01\x00\x03\x0cname.example\x00\x50", "\x05\x00\x00\x01\x01\x02\x03\x04\x00\x50"},
		}, true},
		{"an address, with a login", "http://93.184.215.14/", "ann:pw", [][2]string{
			{"\x05\x01\x02", "\x05\x02"},
			{"\x01\x03ann\x02pw", "\x01\x00"},
			{"\x05\x01\x00\x01\x5d\xb8\xd7\x0e\x00\x50", "\x05\x00\x00\x03\x04host\x00\x50"},
		}, true},
		{"IPv6", "http://[2606:4700:4700::1111]/", "", [][2]string{
			{"\x05\x01\x00", "\x05\x00"},
			{"\x05\x01\x00\x04\x26\x06\x47\x00\x47\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11\x11\x00\x50", "\x05\x00\x00\x04" + strings.Repeat("x", 18)},
		}, true},
		{"no such login", "http://name.example/", "ann:pw", [][2]string{{"\x05\x01\x02", "\x05\x02"}, {"\x01\x03ann\x02pw", "\x01\x01"}}, false},
		{"another way to log in", "http://name.example/", "", [][2]string{{"\x05\x01\x00", "\x05\xff"}}, false},
		{"refused", "http://name.example/", "", [][2]string{
			{"\x05\x01\x00", "\x05\x00"}, {"\x05\x01\x00\x03\x0cname.example\x00\x50", "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"},
		}, false},
		{"a login without a name", "http://name.example/", ":pw", [][2]string{{"\x05\x01\x02", "\x05\x02"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := proxy(t, func(c net.Conn) {
				for _, s := range tt.steps {
					got := make([]byte, len(s[0]))
					if _, err := io.ReadFull(c, got); err != nil || string(got) != s[0] {
						t.Errorf("got %q, %v, want %q", got, err, s[0])
						return
					}
					_, _ = io.WriteString(c, s[1])
				}
				if tt.want {
					_, _ = http.ReadRequest(bufio.NewReader(c))
					_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				}
			})
			p, err := egress.ParseProxy("socks5://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			if tt.login != "" {
				p.Login = func(context.Context) (egress.Lease, error) { return value(tt.login), nil }
			}
			client := egress.New(egress.Options{Proxy: p}).Client(egress.Policy{Name: "test", Allow: allow(t, tt.url)})
			res, err := client.Get(tt.url)
			if err == nil {
				_ = res.Body.Close()
			}
			client.CloseIdleConnections()
			if (err == nil) != tt.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A proxy changes nothing about what may be asked for, and what the operator's
// own configuration names is not sent through it.
func TestInvariant05AProxyOpensNothing(t *testing.T) {
	var asked atomic.Int32
	addr := proxy(t, func(net.Conn) { asked.Add(1) })
	p, err := egress.ParseProxy("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	gate := egress.New(egress.Options{Proxy: p})
	direct := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(direct.Close)
	for _, u := range []string{"http://10.0.0.1/", "http://127.0.0.1/", "http://169.254.169.254/", "http://[::1]/"} {
		client := gate.Client(egress.Policy{Name: "test", Allow: allow(t, u)})
		if _, err := client.Get(u); !errors.Is(err, egress.ErrDenied) { //nolint:bodyclose // refused
			t.Errorf("%s: %v", u, err)
		}
	}
	client := gate.Client(egress.Policy{Name: "test", Allow: allow(t, direct.URL), Operator: []string{strings.TrimPrefix(direct.URL, "http://")}})
	res, err := client.Get(direct.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	client.CloseIdleConnections()
	if _, err := client.Get("http://evil.example/"); !errors.Is(err, egress.ErrDenied) { //nolint:bodyclose // refused
		t.Errorf("got %v", err)
	}
	if asked.Load() != 0 {
		t.Errorf("the proxy was asked %d times", asked.Load())
	}
	fake := &internet{names: map[string][]string{"nas.lan": {"192.168.0.2"}, "ollama": {"10.0.0.2"}, "proxy.corp": {"10.0.0.1"}}}
	for host, want := range map[string]string{"nas.lan": "192.168.0.2", "ollama": "10.0.0.2", "name.example": "10.0.0.1"} {
		fake.dialled = nil
		behind := egress.New(egress.Options{Dialer: fake.dialer, Proxy: egress.Proxy{Scheme: "http", Addr: "proxy.corp:3128"}}).Client(
			egress.Policy{Name: "test", Allow: allow(t, "http://"+host), Operator: []string{host + ":80"}})
		_, _ = behind.Get("http://" + host) //nolint:bodyclose // leads nowhere
		if got := fake.seen(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: dialled %v", host, got)
		}
	}
	p.Login = func(context.Context) (egress.Lease, error) { return nil, errNowhere }
	client = egress.New(egress.Options{Proxy: p}).Client(egress.Policy{Name: "test", Allow: allow(t, "http://name.example")})
	if _, err := client.Get("http://name.example/"); !errors.Is(err, errNowhere) { //nolint:bodyclose // fails
		t.Errorf("without its login: %v", err)
	}
}
