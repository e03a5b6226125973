package telegramtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// webhook is where updates are pushed to, if anywhere.
type webhook struct {
	url     string
	secret  string
	max     int
	ip      string
	cert    []byte
	nextSet time.Time // one setWebhook a second

	lastError   string
	lastErrorAt time.Time
	goneSince   time.Time // first of an unbroken run of 410s

	ctx    context.Context // of the senders; ends with this webhook
	end    context.CancelFunc
	client *http.Client
	slots  chan struct{} // one for each connection
	queues map[int64][]*update
}

const (
	defaultConnections = 40
	maxConnections     = 100
)

func (h *webhook) active() bool { return h.url != "" }

// stop ends the senders and forgets the address. s.mu is held.
func (h *webhook) stop() {
	if h.end != nil {
		h.end()
	}
	*h = webhook{nextSet: h.nextSet}
}

var secretPattern = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

// setWebhook is also deleteWebhook, which has no address.
func (s *Server) setWebhook(q *query) (any, error) {
	address := q.str("url")
	if q.method == "deletewebhook" || address == "" {
		return s.deleteWebhook(q), nil
	}
	now := time.Now()
	if now.Before(s.hook.nextSet) {
		return nil, tooManyRequests(1)
	}
	s.hook.nextSet = now.Add(time.Second)
	next := webhook{
		url:     address,
		secret:  q.str("secret_token"),
		max:     int(q.clamped("max_connections", defaultConnections, 1, maxConnections)),
		ip:      q.str("ip_address"),
		cert:    q.files["certificate"].bytes,
		nextSet: s.hook.nextSet,
	}
	if err := s.checkHook(&next); err != nil {
		return nil, err
	}
	drop := q.flag("drop_pending_updates")
	s.feed.allow(q.str("allowed_updates"))
	if !drop && s.hook.same(next) {
		return described{true, "Webhook is already set"}, nil
	}
	s.abortPoll(conflictSetter)
	if drop {
		s.feed.pending = nil
	}
	s.hook.stop()
	s.startHook(next)
	return described{true, "Webhook was set"}, nil
}

func (h *webhook) same(o webhook) bool {
	return h.url == o.url && h.secret == o.secret && h.max == o.max && h.ip == o.ip && h.cert == nil && o.cert == nil
}

func (s *Server) deleteWebhook(q *query) any {
	if q.flag("drop_pending_updates") {
		s.feed.pending = nil
	}
	if !s.hook.active() {
		return described{true, "Webhook is already deleted"}
	}
	s.hook.stop()
	return described{true, "Webhook was deleted"}
}

// checkHook refuses what the platform refuses.
func (s *Server) checkHook(h *webhook) error {
	u, err := url.Parse(h.url)
	if err == nil && u.Scheme == "" {
		u, err = url.Parse("https://" + h.url)
	}
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return badRequest("invalid webhook URL specified")
	}
	switch {
	case len(h.secret) > 256:
		return badRequest("secret token is too long")
	case !secretPattern.MatchString(h.secret):
		return badRequest("secret token contains unallowed characters")
	case !s.options.strictHook:
		return nil
	case u.Scheme != "https":
		return badRequest("bad webhook: An HTTPS URL must be provided for webhook")
	case !slices.Contains([]string{"", "80", "88", "443", "8443"}, u.Port()):
		return badRequest("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && (ip.IsLoopback() || ip.IsPrivate()) {
		return badRequest("bad webhook: IP address %s is reserved", ip)
	}
	return nil
}

// startHook begins to push what is pending. s.mu is held.
func (s *Server) startHook(h webhook) {
	select {
	case <-s.closed:
		return
	default:
	}
	transport := &http.Transport{MaxIdleConnsPerHost: h.max, MaxConnsPerHost: h.max}
	if h.cert != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(h.cert)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if h.ip != "" {
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(h.ip, port))
		}
	}
	h.client = &http.Client{
		Transport:     transport,
		Timeout:       hookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.ctx = ctx
	h.end = func() {
		cancel()
		transport.CloseIdleConnections()
	}
	h.slots = make(chan struct{}, h.max)
	h.queues = map[int64][]*update{}
	s.hook = h
	for _, u := range s.feed.pending {
		s.dispatch(u)
	}
}

func (s *Server) getWebhookInfo(*query) (any, error) {
	s.feed.expire(s.now())
	w := wireWebhook{
		URL:              s.hook.url,
		HasCertificate:   s.hook.cert != nil,
		Pending:          len(s.feed.pending),
		IPAddress:        s.hook.ip,
		LastErrorMessage: s.hook.lastError,
		MaxConnections:   s.hook.max,
		AllowedUpdates:   s.feed.allowed,
	}
	if !s.hook.lastErrorAt.IsZero() {
		w.LastErrorDate = s.hook.lastErrorAt.Unix()
	}
	return w, nil
}
