package ingress

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// guard refuses what no page of the console sends, before anybody is asked who
// they are.
type guard struct {
	base    *url.URL
	hosts   map[string]bool // names under which the console may be asked for, without port
	proxies []netip.Prefix
	open    bool // whoever is no proxy may come from elsewhere, too
	next    http.Handler
}

var _ http.Handler = (*guard)(nil)

// newGuard admits the console's own host and loopback names. A name that an
// attacker's DNS points here is none of them.
func newGuard(o Options, base *url.URL, next http.Handler) *guard {
	g := &guard{
		base: base, hosts: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true},
		proxies: o.Proxies, open: o.Encrypted, next: next,
	}
	for _, h := range append([]string{base.Hostname()}, o.Hosts...) {
		g.hosts[strings.ToLower(h)] = true
	}
	return g
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := g.originOf(r)
	r = r.WithContext(context.WithValue(r.Context(), originKey{}, from))
	r.Host = from.host
	g.headers(w.Header(), from)
	switch {
	case !g.reachable(from):
		say(w, http.StatusForbidden, "This console is reached through its proxy only.")
	case from.behalf && loopbackName(hostOf(from.host)) && !loopbackName(g.base.Hostname()):
		say(w, http.StatusMisdirectedRequest, "The proxy does not say under which name it was asked. "+
			"It has to pass the Host header on (nginx: proxy_set_header Host $host).")
	case !g.hosts[hostOf(from.host)]:
		say(w, http.StatusMisdirectedRequest, "This console is not known under this name. "+
			"If it should be, set admin_url in the configuration to the URL under which you open it.")
	case from.clear && g.base.Scheme == "https":
		g.encrypt(w, r)
	case !g.sameOrigin(r):
		say(w, http.StatusForbidden, "This request comes from another site.")
	default:
		g.next.ServeHTTP(w, r)
	}
}

type originKey struct{}

// cameFrom is where a request comes from, as the guard found it.
func cameFrom(r *http.Request) origin {
	o, _ := r.Context().Value(originKey{}).(origin)
	return o
}

// reachable: without encryption of its own the console talks to this machine
// and to its proxies.
func (g *guard) reachable(from origin) bool {
	return g.open || from.proxied || from.addr.IsLoopback()
}

func (g *guard) headers(h http.Header, from origin) {
	h.Set("Content-Security-Policy", web.Policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	name := hostOf(from.host)
	// A loopback name is shared with every other program of the machine, and
	// they would all be held to https.
	if g.base.Scheme == "https" && name == strings.ToLower(g.base.Hostname()) && !loopbackName(name) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// encrypt sends somebody who came unencrypted to where it is not. What they
// wanted to change is not done: it travelled in the clear.
func (g *guard) encrypt(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		say(w, http.StatusForbidden, "This request came unencrypted. Open the console under "+g.base.String()+".")
		return
	}
	to := *g.base
	to.Path, to.RawPath, to.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	http.Redirect(w, r, to.String(), http.StatusPermanentRedirect) //nolint:gosec // the host is the configuration's
}

// sameOrigin reports whether a request may act. One that changes something must
// say that it comes from the console's own pages; one that only reads may come
// by a link from elsewhere, but a stream or a script's request may not.
//
// Sec-Fetch-Site decides where it is sent: no page can forge it, and the Origin
// of our own forms is "null", because they send no referrer.
func (g *guard) sameOrigin(r *http.Request) bool {
	site, from := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case site == "same-origin":
		return true
	case site == "none":
		return reads
	case site != "":
		return reads && r.Header.Get("Sec-Fetch-Mode") == "navigate"
	case from != "":
		return g.own(from, r.Host)
	}
	return reads
}

// own reports whether an Origin is the console's: the one that was configured,
// or the name that was asked for. A page of the same name over http is not the
// console where the console is encrypted.
func (g *guard) own(from, host string) bool {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return false
	}
	if bare(u) == bare(g.base) {
		return true
	}
	return strings.EqualFold(u.Host, host) && (u.Scheme == g.base.Scheme || loopbackName(hostOf(host)))
}

// local reports whether a request was made on this machine, by somebody who
// asked for it by a loopback name. A proxy on this machine asks on behalf of
// others; most say so, and one that was named as trusted is known.
func local(r *http.Request) bool {
	from := cameFrom(r)
	if from.proxied || !from.addr.IsLoopback() || !loopbackName(hostOf(r.Host)) {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return true
}
