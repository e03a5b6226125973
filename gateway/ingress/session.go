package ingress

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/login"
)

// An Authenticator says which member sent a request. The sessions that login
// links begin are the first, a proxy's signed token is the second.
type Authenticator interface {
	// Member returns a member's id, or login.ErrNobody when the request carries
	// no login that this authenticator knows. It must not have an effect that a
	// request of a stranger could bring about.
	Member(r *http.Request) (string, error)
}

// cookies carries the sessions of a login.Book in a browser.
type cookies struct {
	book   *login.Book
	name   string
	secure bool
}

var _ Authenticator = (*cookies)(nil)

// newCookies names the cookie after the console's port: browsers keep one jar
// for all ports of a host, and two gateways must not log each other out.
func newCookies(book *login.Book, base *url.URL) *cookies {
	c := &cookies{book: book, secure: base.Scheme == "https", name: "gatehouse"}
	if p := base.Port(); p != "" {
		c.name += "-" + p
	}
	if c.secure {
		c.name = "__Host-" + c.name
	}
	return c
}

// secret is what a browser shows; "" for nothing.
func (c *cookies) secret(r *http.Request) string {
	k, err := r.Cookie(c.name)
	if err != nil {
		return ""
	}
	return k.Value
}

// Member implements Authenticator.
func (c *cookies) Member(r *http.Request) (string, error) {
	secret := c.secret(r)
	if secret == "" {
		return "", login.ErrNobody
	}
	return c.book.Member(r.Context(), secret)
}

// set gives a browser its session; an empty secret takes it away.
func (c *cookies) set(w http.ResponseWriter, secret string) {
	k := &http.Cookie{ //nolint:gosec // Secure where the console is reached by https; on loopback it is not
		Name: c.name, Value: secret, Path: "/", MaxAge: int(login.SessionLife / time.Second),
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	}
	if secret == "" {
		k.MaxAge = -1
	}
	http.SetCookie(w, k)
}

// visitor is what is noted of a browser that logs in.
func visitor(r *http.Request) login.Visitor {
	v := login.Visitor{Browser: browser(r.UserAgent())}
	if from := cameFrom(r); from.addr.IsValid() {
		v.Addr = from.addr.String()
	}
	return v
}

// browser names a program and its system as people do; the order matters, for
// browsers claim to be one another.
func browser(agent string) string {
	find := func(names [][2]string) string {
		for _, n := range names {
			if strings.Contains(agent, n[0]) {
				return n[1]
			}
		}
		return ""
	}
	program := find([][2]string{{"Edg", "Edge"}, {"Firefox", "Firefox"}, {"OPR", "Opera"}, {"Chrom", "Chrome"}, {"Safari", "Safari"}})
	system := find([][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}})
	if program == "" && system == "" {
		return "an unknown browser"
	}
	if system == "" {
		return program
	}
	return cmp.Or(program, "a browser") + " on " + system
}
