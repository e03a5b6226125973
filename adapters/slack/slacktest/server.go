package slacktest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is the emulated platform. Its methods may be called concurrently.
type Server struct {
	http *httptest.Server
	opts options

	mu      sync.Mutex // guards everything below, and the teams
	changed chan struct{}
	root    string // of the addresses that the server names of itself
	now     int64  // of the last time stamp, in microseconds
	count   int    // of the last id
	teams   []*Team
	uploads map[string]*upload
	files   map[string]*File
	paths   map[string]*path // response_url
	codes   map[string]*grant
	log     Log
	faults  map[string][]*Hit
	calls   map[string]int
	latency map[string]time.Duration
	queue   []*delivery
	conns   []*conn
	opens   int  // sockets that were opened
	closed  bool // the test is over
	work    sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends with the server
	stop    context.CancelFunc
}

type options struct {
	pace       func(time.Duration) time.Duration
	ack        time.Duration
	ping       time.Duration
	signing    string
	appToken   string
	clientID   string
	client     string // secret
	grace      bool
	lasting    bool
	rotate     time.Duration
	scopes     []string
	requestURL string
	team       bool
}

// Option changes a new server.
type Option func(*options)

// WithPace shortens the pauses before something is sent again.
func WithPace(pace func(time.Duration) time.Duration) Option {
	return func(o *options) { o.pace = pace }
}

// WithAckDeadline sets how long an event may stay unacknowledged; without it,
// three seconds.
func WithAckDeadline(d time.Duration) Option { return func(o *options) { o.ack = d } }

// WithRequestURL has events sent to a URL and not by Socket Mode.
func WithRequestURL(url string) Option { return func(o *options) { o.requestURL = url } }

// WithScopes sets what the app was granted; without it, everything it needs.
func WithScopes(scopes ...string) Option { return func(o *options) { o.scopes = scopes } }

// WithRotation lets tokens expire after a time, as they do in an app that has
// token rotation.
func WithRotation(life time.Duration) Option { return func(o *options) { o.rotate = life } }

// WithGrace lets refresh tokens that were used renew once more, as Slack does for a
// short while, until EndGrace. Without it they count once.
func WithGrace() Option { return func(o *options) { o.grace = true } }

// WithLastingRefresh lets a refresh token renew again and again. The answer repeats
// it as asterisks, as a caller sees it whose way out hides what it has sent.
func WithLastingRefresh() Option { return func(o *options) { o.lasting = true } }

// WithoutTeam starts with no team: the app is installed later.
func WithoutTeam() Option { return func(o *options) { o.team = false } }

// Scopes are those that the adapter's manifest asks for.
func Scopes() []string {
	return []string{
		"app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write", "commands",
		"files:read", "files:write", "groups:history", "groups:read", "im:history", "im:read", "im:write",
		"mpim:history", "mpim:read", "reactions:read", "reactions:write", "users:read",
	}
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := Start(opts...)
	t.Cleanup(s.Close)
	return s
}

// Start starts a server with one team, T0MAIN000, in which the app is installed.
func Start(opts ...Option) *Server {
	o := options{
		pace: func(d time.Duration) time.Duration { return min(d, 50*time.Millisecond) },
		ack:  3 * time.Second, ping: 10 * time.Second, signing: "8f742231b10e8888abcd99yyyzzz85a5",
		appToken: "xapp-1-A0APP0000-1-" + strings.Repeat("a1", 16), clientID: "1234567890.1234567890", client: "client-secret-0a1b2c3d4e5f",
		scopes: Scopes(), team: true,
	}
	for _, f := range opts {
		f(&o)
	}
	s := &Server{
		opts: o, changed: make(chan struct{}), uploads: map[string]*upload{}, files: map[string]*File{},
		paths: map[string]*path{}, codes: map[string]*grant{}, faults: map[string][]*Hit{}, calls: map[string]int{},
		latency: map[string]time.Duration{}, now: time.Now().UnixMicro(),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.Start()
	s.root = s.http.URL
	if o.team {
		s.Team("T0MAIN000", "Main")
	}
	return s
}

// Close ends the server and every connection to it.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	conns := append([]*conn(nil), s.conns...)
	s.mu.Unlock()
	s.stop()
	for _, c := range conns {
		_ = c.ws.CloseNow()
	}
	s.http.CloseClientConnections()
	s.http.Close()
	s.work.Wait()
}

// URL is the server's root, below which everything is, the Web API too.
func (s *Server) URL() string { return s.http.URL }

// BaseURL is the root of the Web API as the platform has it, without a slash at
// its end.
func (s *Server) BaseURL() string { return s.http.URL + "/api" }

// SetRoot changes the root of the addresses that the server names of itself:
// something stands in front of it.
func (s *Server) SetRoot(root string) { s.change(func() { s.root = root }) }

// SigningSecret signs what is sent to the request URL.
func (s *Server) SigningSecret() string { return s.opts.signing }

// AppToken opens sockets.
func (s *Server) AppToken() string { return s.opts.appToken }

// ClientID and ClientSecret are those of the app's installation by OAuth.
func (s *Server) ClientID() string { return s.opts.clientID }

// ClientSecret is the secret that goes with ClientID.
func (s *Server) ClientSecret() string { return s.opts.client }

// SetRequestURL changes where events are sent.
func (s *Server) SetRequestURL(url string) {
	s.change(func() { s.opts.requestURL = url })
	s.deliver()
}

// SetScopes changes what the app was granted.
func (s *Server) SetScopes(scopes ...string) { s.change(func() { s.opts.scopes = scopes }) }

// change runs f under the lock and wakes everyone who waits.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wakeLocked()
}

func (s *Server) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Wait blocks until done, which must not call the server's own waiting methods,
// returns true. It is called again with each change.
func (s *Server) Wait(ctx context.Context, done func(Log) bool) error {
	for {
		s.mu.Lock()
		log, changed := append(Log(nil), s.log...), s.changed
		s.mu.Unlock()
		if done(log) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stampLocked is a time that no other message has.
func (s *Server) stampLocked() string {
	s.now = max(s.now+1, time.Now().UnixMicro())
	return fmt.Sprintf("%d.%06d", s.now/1e6, s.now%1e6)
}

// idLocked makes an id with a prefix.
func (s *Server) idLocked(prefix string) string {
	s.count++
	return fmt.Sprintf("%s%08X", prefix, 0xA0000000+s.count)
}

// Calls is how often a method of the Web API was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// SetLatency lets each call of the methods take a time.
func (s *Server) SetLatency(d time.Duration, methods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range methods {
		s.latency[m] = d
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	switch first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
	case "api":
		s.api(w, r, rest)
	case "socket":
		s.socket(w, r)
	case "upload":
		s.upload(w, r, rest)
	case "files-pri":
		s.download(w, r, rest)
	case "respond":
		s.respond(w, r, rest)
	case "oauth":
		s.authorize(w, r)
	default:
		if _, ok := methods[first]; ok { // without /api, for who wants one root for everything
			s.api(w, r, first)
			return
		}
		http.NotFound(w, r)
	}
}
