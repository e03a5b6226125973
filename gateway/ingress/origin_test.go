package ingress_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
)

// remote is a console that people open under https://gate.example.org.
func remote(t *testing.T, h *house, encrypted bool, proxies ...string) *ingress.Admin {
	t.Helper()
	o := ingress.Options{
		Gateway: h.gw, Directory: h.dir, Book: login.NewBook(h.bus, h.now), Base: "https://gate.example.org", Encrypted: encrypted, Log: slog.New(slog.DiscardHandler),
	}
	for _, p := range proxies {
		o.Proxies = append(o.Proxies, netip.MustParsePrefix(p))
	}
	a, err := ingress.NewAdmin(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBehindAProxy(t *testing.T) {
	h := newHouse(t, echo)
	proxied := remote(t, h, false, "10.0.0.7/32", "127.0.0.1/32")
	direct := remote(t, h, true)
	type header map[string]string
	const own = "gate.example.org"
	tests := []struct {
		name         string
		admin        *ingress.Admin
		method, peer string
		host         string
		header       header
		status       int
	}{
		{"the proxy passes the name on", proxied, "GET", "10.0.0.7:1", own, header{"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"}, 200},
		{"the proxy tells the name", proxied, "GET", "10.0.0.7:1", "backend:8485", header{"X-Forwarded-Host": own}, 200},
		{"the proxy was asked for another name", proxied, "GET", "10.0.0.7:1", own, header{"X-Forwarded-Host": "evil.example"}, 421},
		{"a name in front of the proxy's", proxied, "GET", "10.0.0.7:1", own, header{"X-Forwarded-Host": own + ", evil.example"}, 421},
		{"the proxy hides the name", proxied, "GET", "127.0.0.1:1", "127.0.0.1:8485", header{"X-Forwarded-For": "192.0.2.9"}, 421},
		{"a person on this machine", proxied, "GET", "127.0.0.1:1", "127.0.0.1:8485", nil, 200},
		{"somebody goes round the proxy", proxied, "GET", "192.0.2.9:1", own, header{"X-Forwarded-For": "10.0.0.7"}, 403},
		{"somebody pretends to be a proxy", direct, "GET", "192.0.2.9:1", "evil.example", header{"X-Forwarded-Host": own}, 421},
		{"nobody is a proxy", direct, "GET", "192.0.2.9:1", own, header{"X-Forwarded-Proto": "http"}, 200},
		{"a port behind the name", direct, "GET", "192.0.2.9:1", own + ":443", nil, 200},
		{"a rebound name", direct, "GET", "192.0.2.9:1", "evil.example", nil, 421},
		{"unencrypted to the proxy", proxied, "GET", "10.0.0.7:1", own, header{"X-Forwarded-Proto": "http"}, 308},
		{"a form sent unencrypted", proxied, "POST", "10.0.0.7:1", own, header{"X-Forwarded-Proto": "http", "Sec-Fetch-Site": "same-origin"}, 403},
		{"an old browser's form", proxied, "POST", "10.0.0.7:1", own, header{"Origin": "https://" + own}, 401},
		{"the origin's port is written out", proxied, "POST", "10.0.0.7:1", own, header{"Origin": "https://" + own + ":443"}, 401},
		{"a page of this name over http", proxied, "POST", "10.0.0.7:1", own, header{"Origin": "http://" + own}, 403},
		{"another site's form", proxied, "POST", "10.0.0.7:1", own, header{"Origin": "https://evil.example"}, 403},
		{"another port of this name", proxied, "POST", "10.0.0.7:1", own, header{"Origin": "https://" + own + ":8443"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/login", nil)
			r.RemoteAddr, r.Host = tt.peer, tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			tt.admin.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("answered with %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if to := w.Header().Get("Location"); w.Code == 308 && to != "https://gate.example.org/login" {
				t.Errorf("sent to %q", to)
			}
		})
	}
}

func TestStrictTransportIsForTheConsolesOwnName(t *testing.T) {
	h := newHouse(t, echo)
	a := remote(t, h, true)
	for host, want := range map[string]bool{"gate.example.org": true, "localhost": false, "127.0.0.1": false, "evil.example": false} {
		r := httptest.NewRequest(http.MethodGet, "/login", nil)
		r.Host = host
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security") != ""; got != want {
			t.Errorf("%s: sent %v, want %v", host, got, want)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/login", nil)
	r.Host = "localhost"
	if h.admin.ServeHTTP(w, r); w.Header().Get("Strict-Transport-Security") != "" {
		t.Error("sent over http")
	}
}

// TestMetricsAreNotForAProxy: nginx says nothing of whom it asks for, unless it
// is told to, and asks by the address that stands in its configuration.
func TestMetricsAreNotForAProxy(t *testing.T) {
	h := newHouse(t, echo)
	h.stop()
	h.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	h.start()
	if resp := h.get(h.browser(), "/metrics"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered with %s", resp.Status)
	}
	if resp := h.get(h.loggedIn(), "/metrics"); resp.StatusCode != http.StatusOK {
		t.Errorf("logged in: answered with %s", resp.Status)
	}
}
