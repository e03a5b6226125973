package ingress

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// origin is where a request comes from, as far as it can be believed.
type origin struct {
	addr    netip.Addr // of whoever asks; of the last one who is known for certain
	host    string     // under which the console was asked for, with its port
	clear   bool       // a proxy says that it got the request unencrypted
	proxied bool       // a trusted proxy sent it, maybe for somebody else
	behalf  bool       // it says for whom
}

// originOf believes the X-Forwarded headers of a trusted proxy and of nobody
// else. Of several values the last counts: it is the one that this proxy wrote.
func (g *guard) originOf(r *http.Request) origin {
	o := origin{host: r.Host}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		o.addr = peer.Addr().Unmap()
	}
	if !g.trusts(o.addr) {
		return o
	}
	o.proxied = true
	if h := last(r, "X-Forwarded-Host"); h != "" {
		o.host = h
	}
	o.clear = strings.EqualFold(last(r, "X-Forwarded-Proto"), "http")
	for _, hop := range slices.Backward(values(r, "X-Forwarded-For")) {
		a, err := netip.ParseAddr(hop)
		if err != nil {
			break
		}
		o.addr, o.behalf = a.Unmap(), true
		if !g.trusts(o.addr) {
			break
		}
	}
	return o
}

func (g *guard) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(g.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// values are the elements of a header that may stand several times.
func values(r *http.Request, name string) []string {
	var all []string
	for _, line := range r.Header.Values(name) {
		for v := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

func last(r *http.Request, name string) string {
	all := values(r, name)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// hostOf is the name in a Host header, in lower case and without its port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// loopbackName reports whether a name or address, without port, is this machine.
func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// bare is scheme and host of a URL as a browser writes an Origin: in lower case,
// without the scheme's own port.
func bare(u *url.URL) string {
	host, port := strings.ToLower(u.Host), u.Port()
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}
