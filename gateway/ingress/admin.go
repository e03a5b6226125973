package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// Options make the admin side.
type Options struct {
	Gateway   *gateway.Gateway
	Operator  *operator.Operator
	Directory *identity.Directory
	Book      *login.Book // who is logged in
	// Base is the URL under which people open the console, such as
	// "http://127.0.0.1:8485". Links begin with it, and its host is one of the
	// names that are answered, beside the loopback names.
	Base      string
	Hosts     []string            // further names
	Proxies   []netip.Prefix      // whose word on a request's origin is believed
	Encrypted bool                // the listener speaks TLS: others than this machine and the proxies may come
	Console   channels.ID         // the channel behind /chat; "" means "console"
	Logins    []Authenticator     // asked after the console's own sessions
	Metrics   prometheus.Gatherer // nil: there is no /metrics
	Version   string
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger
}

// Admin is the console, the API and the metrics. It is an http.Handler for the
// admin listener, and makes the one for the admin socket.
type Admin struct {
	o       Options
	base    *url.URL
	cookies *cookies
	logins  []Authenticator
	handler http.Handler
}

var _ http.Handler = (*Admin)(nil)

// NewAdmin makes the admin side. It fails only when Base is no URL.
func NewAdmin(o Options) (*Admin, error) {
	base, err := url.Parse(o.Base)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("the console's address %q is no URL such as http://127.0.0.1:8485", o.Base)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Console == "" {
		o.Console = "console"
	}
	a := &Admin{o: o, base: base, cookies: newCookies(o.Book, base)}
	a.logins = append([]Authenticator{a.cookies}, o.Logins...)
	a.handler = newGuard(o, base, a.routes())
	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// NewLink makes a link that logs the owner in, once, within ten minutes. Its
// secret is in the fragment, which browsers do not send: no log, proxy or
// preview of the link ever sees it.
func (a *Admin) NewLink(ctx context.Context) (string, error) {
	if err := a.o.Book.Sweep(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, kv.ErrConflict) {
		a.o.Log.Warn("forget old logins", "err", err)
	}
	by, err := a.o.Directory.Machine(ctx)
	if err != nil {
		return "", fmt.Errorf("make a login link: %w", err)
	}
	token, err := a.o.Book.Invite(ctx, by.Member())
	if err != nil {
		return "", fmt.Errorf("make a login link: %w", err)
	}
	return strings.TrimSuffix(a.base.String(), "/") + "/login#" + token, nil
}

// Socket serves the API and the chat to whoever may open the admin socket, in
// the name that who gives. Nothing else is served there.
func (a *Admin) Socket(who api.Who) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", a.api(who))
	mux.HandleFunc("/chat/api/", func(w http.ResponseWriter, r *http.Request) {
		by, err := who(r)
		if err != nil {
			say(w, http.StatusUnauthorized, "log in first")
			return
		}
		a.chat(w, r, by)
	})
	return mux
}

func (a *Admin) api(who api.Who) http.Handler {
	return api.Handler(a.o.Operator, who, func(r *http.Request) (string, error) { return a.NewLink(r.Context()) })
}

// who finds the member behind a request and mints the scope anew, so that a
// member who was removed, or has another role, is so at once.
func (a *Admin) who(r *http.Request) (scope.Scope, error) {
	for _, l := range a.logins {
		member, err := l.Member(r)
		if errors.Is(err, login.ErrNobody) {
			continue
		}
		if err != nil {
			return scope.Scope{}, err
		}
		by, err := a.o.Directory.Anywhere(r.Context(), member)
		if errors.Is(err, identity.ErrUnknown) || err == nil && !by.Role().May(scope.Console) {
			return scope.Scope{}, login.ErrNobody
		}
		return by, err
	}
	return scope.Scope{}, login.ErrNobody
}

// page answers a request of somebody who is logged in.
type page func(w http.ResponseWriter, r *http.Request, by scope.Scope)

func (a *Admin) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", web.Static)
	mux.HandleFunc("GET /login", a.loginPage)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	mux.Handle("/api/", a.api(a.who))
	mux.Handle("GET /readyz", a.watched(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ready(w, r, a.o.Gateway.Ready())
	})))
	if a.o.Metrics != nil {
		mux.Handle("GET /metrics", a.watched(promhttp.HandlerFor(a.o.Metrics, promhttp.HandlerOpts{})))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.who(r); err != nil {
			a.turnAway(w, r, err)
			return
		}
		a.notFound(w, r)
	})
	for pattern, p := range a.pages() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			by, err := a.who(r)
			if err != nil {
				a.turnAway(w, r, err)
				return
			}
			p(w, r, by)
		})
	}
	return mux
}

// chat hands a request to the console's channel.
func (a *Admin) chat(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	h, err := visited(a.o.Gateway, a.o.Console)
	if err != nil {
		w.Header().Set("Retry-After", "2")
		say(w, http.StatusServiceUnavailable, "The chat is not running yet. Try again in a moment.")
		return
	}
	m, err := a.o.Directory.In(by.Workspace()).Member(r.Context(), by.Member())
	if err != nil {
		a.fault(w, r, err)
		return
	}
	r = as(r, channels.Visitor{ID: m.ID, Name: m.Name})
	if r.Method == http.MethodGet && r.URL.Path == "/chat" {
		f := a.frame(r.Context(), by, "/chat")
		if by.Role().Administers() {
			f.Notice = nextStep(a.o.Operator.Models(by))
			if p, err := a.o.Gateway.Pauses(r.Context()); err == nil && !p.Workspace.IsZero() {
				f.Notice = pausedNotice(p.Workspace, a.o.Now())
			}
		}
		r = r.WithContext(web.WithFrame(r.Context(), f))
	}
	h.ServeHTTP(w, r)
}

// watched is what a collector on the same machine may see, and members.
func (a *Admin) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r) {
			if by, err := a.who(r); err != nil || !by.Role().Administers() {
				say(w, http.StatusUnauthorized, "This is for collectors on the same machine, and for those who are logged in.")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
