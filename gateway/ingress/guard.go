package ingress

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// guard refuses what no page of the console sends, before anybody is asked who
// they are.
type guard struct {
	hosts map[string]bool // names under which the console may be asked for, without port
	next  http.Handler
}

var _ http.Handler = (*guard)(nil)

// newGuard admits the console's own host and loopback names. A name that an
// attacker's DNS points here is none of them.
func newGuard(base *url.URL, hosts []string, next http.Handler) *guard {
	g := &guard{hosts: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}, next: next}
	for _, h := range append([]string{base.Hostname()}, hosts...) {
		g.hosts[strings.ToLower(h)] = true
	}
	return g
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", web.Policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	switch {
	case !g.hosts[hostOf(r.Host)]:
		say(w, http.StatusMisdirectedRequest, "This console is not known under this name. "+
			"If it should be, set the address under which you reach it in the configuration.")
	case !sameOrigin(r):
		say(w, http.StatusForbidden, "This request comes from another site.")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// hostOf is the name in a Host header, in lower case and without its port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// sameOrigin reports whether a request may act. One that changes something must
// say that it comes from the console's own pages; one that only reads may come
// by a link from elsewhere, but a stream or a script's request may not.
//
// Sec-Fetch-Site decides where it is sent: no page can forge it, and the Origin
// of our own forms is "null", because they send no referrer.
func sameOrigin(r *http.Request) bool {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case site == "same-origin":
		return true
	case site == "none":
		return reads
	case site != "":
		return reads && r.Header.Get("Sec-Fetch-Mode") == "navigate"
	case origin != "":
		return originHost(origin) == strings.ToLower(r.Host)
	}
	return reads
}

// originHost is the host of an Origin, with its port; "" for "null".
func originHost(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// local reports whether a request was made on this machine, by somebody who
// asked for it by a loopback name. A proxy on this machine asks on behalf of
// others, and says so.
func local(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host := hostOf(r.Host)
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
