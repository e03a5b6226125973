package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// TLS is the certificate that the gateway itself shows.
type TLS struct {
	Cert     string `yaml:"cert" doc:"File with the certificate chain in PEM. A renewed file is taken up by itself."`
	Key      string `yaml:"key" doc:"File with the certificate's private key in PEM."`
	Webhooks bool   `yaml:"webhooks" doc:"Speak TLS on 'listen' as well, when no proxy does it for the webhooks."`
}

// ProxyLogin says whose signed tokens log in to the console, and whom.
type ProxyLogin struct {
	Header   string       `yaml:"header" doc:"Header in which the proxy sends its token."`
	Issuer   string       `yaml:"issuer" doc:"Issuer that a token must name, such as https://team.cloudflareaccess.com."`
	Audience string       `yaml:"audience" doc:"Audience that a token must name: the application's AUD tag."`
	KeysURL  string       `yaml:"keys_url" doc:"Where the proxy publishes its keys, such as https://team.cloudflareaccess.com/cdn-cgi/access/certs."`
	People   []LoginEmail `yaml:"people" doc:"Who is who. An address that is not here logs nobody in."`
}

// LoginEmail says to which member an address belongs.
type LoginEmail struct {
	Email  string `yaml:"email" doc:"Address that the proxy vouches for."`
	Member string `yaml:"member" doc:"Id of a member, such as owner."`
}

// On reports whether a proxy may log people in.
func (p ProxyLogin) On() bool {
	return p.Issuer != "" || p.Audience != "" || p.KeysURL != "" || len(p.People) > 0
}

// Member is whose an address is; "" for nobody's. Case does not matter.
func (p ProxyLogin) Member(email string) string {
	for _, x := range p.People {
		if strings.EqualFold(x.Email, email) {
			return x.Member
		}
	}
	return ""
}

// On reports whether the gateway speaks TLS itself.
func (t TLS) On() bool { return t.Cert != "" }

// ConsoleURL is where people open the console: what the configuration says, or
// the address that it is bound to.
func (c Config) ConsoleURL(bound string) string {
	if c.AdminURL != "" {
		return strings.TrimSuffix(c.AdminURL, "/")
	}
	if c.TLS.On() {
		return "https://" + bound
	}
	return "http://" + bound
}

// Proxies are the trusted networks. It skips what is none; a configuration
// without faults has no such entry.
func (c Config) Proxies() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range c.TrustedProxies {
		if n, err := netip.ParsePrefix(p); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// reach checks how the console can be reached from elsewhere: only encrypted,
// only under a name that somebody chose, and only through who is trusted.
func (r *reader) reach(c *Config) {
	r.proxies(c)
	r.proxyLogin(c.ProxyLogin)
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		r.plain("tls", "needs both 'cert' and 'key'")
	}
	if c.TLS.Webhooks && !c.TLS.On() {
		r.plain("tls.webhooks", "needs 'cert' and 'key' beside it")
	}
	guarded := c.TLS.On() || len(c.TrustedProxies) > 0
	if _, _, err := net.SplitHostPort(c.Admin); err == nil && !loopback(c.Admin) && !guarded { // what is no address is faulted as such
		r.plain("admin", fmt.Sprintf("%q is not on loopback, and nothing encrypts it; give the gateway a certificate under 'tls', "+
			"or name the reverse proxy in front of it under 'trusted_proxies', or keep it on 127.0.0.1", c.Admin))
	}
	if c.AdminURL == "" {
		r.nameless(c, guarded)
		return
	}
	u, ok := r.consoleURL(c.AdminURL)
	switch {
	case !ok:
	case u.Scheme == "http" && c.TLS.On():
		r.plain("admin_url", "must begin with https://, for 'tls' is set")
	case u.Scheme == "http" && !loopbackName(u.Hostname()):
		r.plain("admin_url", "must begin with https://: over http everybody on the way can read the login")
	case u.Scheme == "https" && !guarded:
		r.plain("admin_url", "begins with https://, but nothing here speaks it; give the gateway a certificate under 'tls', "+
			"or name the reverse proxy under 'trusted_proxies' (127.0.0.1/32 when it runs on this machine)")
	}
}

// nameless faults a console that others can reach under a name that nobody has
// chosen: an attacker's DNS could lend it one.
func (r *reader) nameless(c *Config, guarded bool) {
	host, _, err := net.SplitHostPort(c.Admin)
	if err != nil || loopback(c.Admin) || !guarded {
		return // it stays on this machine, or something worse is said already
	}
	ip, err := netip.ParseAddr(host)
	if host == "" || err == nil && ip.IsUnspecified() || !c.TLS.On() {
		r.plain("admin_url", "is missing: say under which URL people open the console, such as https://gate.example.org")
	}
}

func (r *reader) consoleURL(raw string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		r.plain("admin_url", fmt.Sprintf("%q is not a URL such as https://gate.example.org", raw))
		return nil, false
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		r.plain("admin_url", fmt.Sprintf("the console needs a host of its own, without a path; %q would do", u.Scheme+"://"+u.Host))
		return nil, false
	}
	return u, true
}

func (r *reader) proxies(c *Config) {
	for i, p := range c.TrustedProxies {
		at := fmt.Sprintf("trusted_proxies[%d]", i)
		n, err := netip.ParsePrefix(p)
		switch {
		case err != nil:
			r.plain(at, fmt.Sprintf("%q is not a network such as 10.0.0.0/8; a single address is 10.0.0.7/32", p))
		case n.Bits() == 0:
			r.plain(at, fmt.Sprintf("%q is the whole internet; name the proxy's own address", p))
		}
	}
}

// loopback reports whether an address can be reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopbackName(host)
}

func loopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// proxyLogin faults a login that would admit nobody, or anybody.
func (r *reader) proxyLogin(p ProxyLogin) {
	if !p.On() {
		return
	}
	const at = "proxy_login."
	for _, f := range []struct{ key, value, like string }{
		{"header", p.Header, "Cf-Access-Jwt-Assertion"},
		{"issuer", p.Issuer, "https://team.cloudflareaccess.com"},
		{"audience", p.Audience, "the application's AUD tag"},
		{"keys_url", p.KeysURL, "https://team.cloudflareaccess.com/cdn-cgi/access/certs"},
	} {
		if strings.TrimSpace(f.value) == "" {
			r.plain(at+f.key, "is missing, such as "+f.like)
		}
	}
	u, err := url.Parse(p.KeysURL)
	if p.KeysURL != "" && (err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopbackName(u.Hostname()))) {
		r.plain(at+"keys_url", "is not an https:// URL; over http anybody on the way could put in keys of their own")
	}
	if len(p.People) == 0 {
		r.plain(at+"people", "is missing: say whose addresses log in, such as [{email: you@example.org, member: owner}]")
	}
	seen := map[string]bool{}
	for i, x := range p.People {
		here := fmt.Sprintf("%speople[%d]", at, i)
		email := strings.ToLower(x.Email)
		switch {
		case !strings.Contains(email, "@") || strings.ContainsAny(email, "* "):
			r.plain(here+".email", fmt.Sprintf("%q is not one person's address", x.Email))
		case seen[email]:
			r.plain(here+".email", fmt.Sprintf("%q stands twice", x.Email))
		case x.Member == "":
			r.plain(here+".member", "is missing: the id of a member, such as owner")
		}
		seen[email] = true
	}
}
