package telegramtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is one emulated Bot API with one bot. Its methods may be called from
// any goroutine.
type Server struct {
	options  options
	methods  map[string]call
	listener net.Listener
	http     *http.Server
	served   chan struct{} // closed once the listener is done
	closed   chan struct{} // closed by Close
	once     sync.Once
	hooks    sync.WaitGroup // webhook senders

	mu        sync.Mutex
	bot       Profile
	token     string
	users     map[int64]*User
	chats     map[int64]*Chat
	lastID    int64 // message ids of private chats and basic groups
	lastAlbum int64
	files     fileStore
	commands  map[commandScope][]wireCommand
	callbacks map[string]time.Time
	feed      feed
	hook      webhook
	faults    []*Injection
	latency   latency
	limits    *limiter
	random    *rand.Rand
	log       Log
	logged    chan struct{} // closed at the next delivery; nil when nobody waits
	calls     map[callCount]int
	refused   []Refusal
}

type options struct {
	addr       string
	token      string
	name       string
	username   string
	readAll    bool
	strictHook bool
	noPenalty  bool
	maxUpload  int
	pace       func(time.Duration) time.Duration
	clock      func() time.Time
	seed       uint64
}

// Option changes how a server starts.
type Option func(*options)

// WithAddr listens there instead of on a free loopback port.
func WithAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// WithToken sets the bot's token; what stands before the colon is its user id.
func WithToken(token string) Option { return func(o *options) { o.token = token } }

// WithBot sets the bot's name and username.
func WithBot(name, username string) Option {
	return func(o *options) { o.name, o.username = name, username }
}

// WithoutPrivacy lets the bot see every message of its groups, as after
// BotFather's /setprivacy disable.
func WithoutPrivacy() Option { return func(o *options) { o.readAll = true } }

// WithStrictWebhooks refuses webhook addresses that api.telegram.org refuses:
// those without https or on other ports than 80, 88, 443 and 8443. Without it
// plain http is accepted, as by a Bot API server that runs in local mode.
func WithStrictWebhooks() Option { return func(o *options) { o.strictHook = true } }

// WithoutPollPenalty lets a bot ask with the same offset again and again: the
// platform makes such a bot wait up to 3 s and gives it one update at a time.
func WithoutPollPenalty() Option { return func(o *options) { o.noPenalty = true } }

// WithUploadLimit sets the largest file that the bot may send, in bytes: 50 MB
// without it, and 2 GB on a Bot API server of one's own.
func WithUploadLimit(n int) Option { return func(o *options) { o.maxUpload = n } }

// WithPace maps the pauses between webhook attempts, for tests that cannot
// wait; the platform's own are 0, 2, 4, 8, ... up to 120 s.
func WithPace(pace func(time.Duration) time.Duration) Option {
	return func(o *options) { o.pace = pace }
}

// WithClock sets the time of messages and of the expiry of updates.
func WithClock(now func() time.Time) Option { return func(o *options) { o.clock = now } }

// WithSeed makes faults with odds repeatable.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = seed } }

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(opts...)
	if err != nil {
		t.Fatalf("telegramtest: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server that runs until Close.
func Start(opts ...Option) (*Server, error) {
	o := options{
		addr:     "127.0.0.1:0",
		token:    "8765336106:AAEmulatedTokenForTestsOnly_0000000",
		name:     "Test Bot",
		username: "gatehouse_test_bot",
		pace:     func(d time.Duration) time.Duration { return d },
		clock:    time.Now,
		seed:     1,

		maxUpload: maxUpload,
	}
	for _, set := range opts {
		set(&o)
	}
	digits, _, _ := strings.Cut(o.token, ":")
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil, errors.New("the token must look like 123456:secret")
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := newServer(o, id)
	s.listener = listener
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // always http.ErrServerClosed
	}()
	return s, nil
}

func newServer(o options, id int64) *Server {
	s := &Server{
		options:   o,
		methods:   methods(),
		served:    make(chan struct{}),
		closed:    make(chan struct{}),
		token:     o.token,
		bot:       Profile{ID: id, IsBot: true, FirstName: o.name, Username: o.username},
		users:     map[int64]*User{},
		chats:     map[int64]*Chat{},
		commands:  map[commandScope][]wireCommand{},
		callbacks: map[string]time.Time{},
		feed:      newFeed(),
		calls:     map[callCount]int{},
		random:    rand.New(rand.NewPCG(o.seed, 0)),
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	return s
}

// Close ends the server, its open calls and its webhook attempts, and waits for
// them. It may be called more than once.
func (s *Server) Close() {
	s.once.Do(func() {
		s.mu.Lock()
		close(s.closed)
		s.hook.stop()
		s.mu.Unlock()
		_ = s.http.Close()
	})
	<-s.served
	s.hooks.Wait()
}

// URL is the base address, without a trailing slash: what a client takes in
// place of https://api.telegram.org.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Token is the bot's token.
func (s *Server) Token() string { return s.token }

// Bot is the account of the bot under test.
func (s *Server) Bot() Profile { return s.bot }

func (s *Server) now() time.Time { return s.options.clock() }
