// Package discordtest is an emulated Discord on loopback: its REST API, its
// gateway with sessions that resume, its file server and its interactions by
// HTTP, in the manner of httptest. People are played by the methods of
// [Channel], faults are switched on by [Server.Fail] and the methods of
// faults.go. Where it differs from the platform is written down in
// docs/discord-emulator.md.
package discordtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// Server is one platform with one bot on it. Its methods may be called
// concurrently.
type Server struct {
	web   *porttest.Server
	token string
	bot   *User
	app   string
	keys  ed25519.PrivateKey

	mu        sync.Mutex
	last      int64 // the last id that was given out
	users     map[string]*User
	guilds    []*Guild
	channels  map[string]*Channel
	sessions  map[string]*session
	gone      map[*session]bool
	conns     map[*conn]bool
	nonces    map[string]*Message // by channel and nonce
	asked     map[string]*pending // interactions, by token
	commands  []Command
	answered  int
	typed     map[string]int
	calls     map[string]int
	faults    []*fault
	hold      chan struct{} // the next new message's answer waits for its end
	endpoint  string        // where interactions go; "": to the gateway
	flags     int           // of the application
	revoked   bool
	interval  time.Duration // between heartbeats
	starts    int           // sessions that may still begin today
	shards    int           // connections that it asks for
	rates     bool
	windows   map[string][]time.Time
	silent    int  // RESUMEs that are not answered
	frozen    bool // connections stand and carry nothing
	pendingWG sync.WaitGroup
}

// Option changes a new server.
type Option func(*Server)

// WithHeartbeat sets the time between heartbeats; it is 100 ms otherwise, so that
// tests need not wait as long as the platform lets one.
func WithHeartbeat(d time.Duration) Option { return func(s *Server) { s.interval = d } }

// WithRates has the server hold to the platform's limits: 5 messages in 5
// seconds in a channel, 50 calls a second.
func WithRates() Option { return func(s *Server) { s.rates = true } }

// WithoutContent is an application that was not given the Message Content intent.
func WithoutContent() Option { return func(s *Server) { s.flags &^= flagContent } }

// WithBot gives the bot, and its application, an id.
func WithBot(id string) Option { return func(s *Server) { s.app = id } }

const flagContent = 1 << 19 // the intent, for applications in fewer than 100 servers

// NewServer starts a platform that ends with the test.
func NewServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a platform, which the caller closes.
func Start(opts ...Option) (*Server, error) {
	_, keys, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &Server{
		token: "MTQ1NzQ2." + rand.Text(), keys: keys,
		users: map[string]*User{}, channels: map[string]*Channel{}, sessions: map[string]*session{},
		gone: map[*session]bool{}, conns: map[*conn]bool{}, nonces: map[string]*Message{}, asked: map[string]*pending{},
		typed: map[string]int{}, calls: map[string]int{}, windows: map[string][]time.Time{},
		interval: 100 * time.Millisecond, starts: 1000, shards: 1, flags: flagContent,
	}
	for _, o := range opts {
		o(s)
	}
	if s.app == "" {
		s.app = s.newID()
	}
	s.bot = &User{s: s, ID: s.app, Name: "Helper", Bot: true}
	s.users[s.bot.ID] = s.bot
	if s.web, err = porttest.Serve(s); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the platform and every connection to it.
func (s *Server) Close() {
	s.Down()
	s.web.Close()
}

// URL is the root of the REST API.
func (s *Server) URL() string { return "http://" + s.web.Addr() + "/api/v10" }

// Token is the bot's token.
func (s *Server) Token() string { return s.token }

// Bot is the bot.
func (s *Server) Bot() *User { return s.bot }

// App is the application's id.
func (s *Server) App() string { return s.app }

// PublicKey is what signs interactions that are sent by HTTP, in hex.
func (s *Server) PublicKey() string {
	key, _ := s.keys.Public().(ed25519.PublicKey)
	return hex.EncodeToString(key)
}

// Calls is how often a kind of call was made, such as "POST messages".
func (s *Server) Calls(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[kind]
}

// newID makes the next id. The caller holds the lock, or nobody else is there.
func (s *Server) newID() string {
	const epoch = 1420070400000
	s.last = max(s.last+1, (time.Now().UnixMilli()-epoch)<<22)
	return strconv.FormatInt(s.last, 10)
}

// stamp is the moment of an id, as the platform writes it.
func stamp(id string) string {
	const epoch = 1420070400000
	n, _ := strconv.ParseInt(id, 10, 64)
	return time.UnixMilli(n>>22 + epoch).UTC().Add(time.Duration(n&0xfff) * time.Microsecond).Format("2006-01-02T15:04:05.000000-07:00")
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.route(w, r) }
