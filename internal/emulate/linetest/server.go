// Package linetest emulates the LINE Platform for one Messaging API channel, made
// from https://developers.line.biz/en/reference/messaging-api/ and LINE's OpenAPI
// description of it.
package linetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The channel's own.
const (
	Token  = "line-channel-access-token"
	Secret = "line-channel-secret"
	Bot    = "U00000000000000000000000000000b07"
	Handle = "@123abcde"
)

// replyFor is how long a reply token counts.
const replyFor = time.Minute

// Server is the platform. Its methods may be called concurrently.
type Server struct {
	srv *httptest.Server

	mu       sync.Mutex
	endpoint string // where the bot said that it is called
	n        int    // ids that were given out
	people   map[string]string
	groups   map[string]string
	shown    map[string][]Shown
	contents map[string][]byte
	tokens   map[string]token    // reply tokens
	accepted map[string][]string // retry keys: the ids of what was sent
	faults   []Fault
	problems []string
	loading  map[string]int
	undue    []object // webhooks that were not taken, to be sent again
}

type token struct {
	to string
	at time.Time
}

// Shown is a message that a chat shows.
type Shown struct {
	ID      string
	Type    string // text, image, video, audio or template
	Text    string // of a template, what stands above its button
	URL     string // of a file: where it is; see Open
	Preview string // of a picture or a film
	Buttons []Button
	Replied bool // by a reply token

	Milliseconds int // of a recording
}

// Button is a quick reply.
type Button struct{ Label, Data, URL string }

// Fault is how one request to the API fails.
type Fault struct {
	Path    string // what the path contains
	Status  int
	Message string
	After   bool // it is carried out all the same, and the connection breaks
}

// NewServer starts the platform on loopback. It ends with the test.
func NewServer(t testing.TB) *Server {
	s := &Server{
		people: map[string]string{}, groups: map[string]string{}, shown: map[string][]Shown{},
		contents: map[string][]byte{}, tokens: map[string]token{}, accepted: map[string][]string{}, loading: map[string]int{},
	}
	s.srv = httptest.NewServer(s.handler())
	t.Cleanup(s.srv.Close)
	return s
}

// URL is where the API is, and the one for files.
func (s *Server) URL() string { return s.srv.URL }

// Fail lets the next request to a path fail.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// Problems are the requests that the platform would not have taken.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Endpoint is where the bot said that it is called.
func (s *Server) Endpoint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoint
}

// Shown are the bot's messages in a chat.
func (s *Server) Shown(chat string) []Shown {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shown[chat])
}

// Loading is how often a person was shown that the bot is at work.
func (s *Server) Loading(chat string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loading[chat]
}

// id gives out a new one. The caller holds the lock.
func (s *Server) id() string {
	s.n++
	return fmt.Sprintf("46123096684206%04d", s.n)
}

// refusal is an error of the API.
type refusal struct {
	status int
	text   string
	ids    []string // of what was sent with this retry key before
}

func (f *refusal) write(w http.ResponseWriter) {
	body := map[string]any{"message": f.text}
	if f.ids != nil {
		body["sentMessages"] = sent(f.ids)
	}
	reply(w, f.status, body)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked may be gone
}

type endpoint func(w http.ResponseWriter, r *http.Request) (any, *refusal)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]endpoint{
		"GET /v2/bot/info": func(http.ResponseWriter, *http.Request) (any, *refusal) {
			return map[string]any{"userId": Bot, "basicId": Handle, "displayName": "Bot", "chatMode": "bot", "markAsReadMode": "auto"}, nil
		},
		"GET /v2/bot/channel/webhook/endpoint":         s.getEndpoint,
		"PUT /v2/bot/channel/webhook/endpoint":         s.setEndpoint,
		"GET /v2/bot/profile/{user}":                   s.profile,
		"GET /v2/bot/group/{group}/member/{user}":      s.profile,
		"GET /v2/bot/group/{group}/summary":            s.summary,
		"POST /v2/bot/message/reply":                   s.reply,
		"POST /v2/bot/message/push":                    s.push,
		"POST /v2/bot/chat/loading/start":              s.load,
		"GET /v2/bot/message/{id}/content":             s.content,
		"GET /v2/bot/message/{id}/content/transcoding": s.transcoding,
	} {
		mux.HandleFunc(pattern, s.guarded(f))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem("%s %s is nothing that there is", r.Method, r.URL.Path)
		(&refusal{404, "Not found", nil}).write(w)
	})
	return mux
}

func (s *Server) guarded(f endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			(&refusal{401, "Authentication failed. Confirm that the access token in the authorization header is valid.", nil}).write(w)
			return
		}
		switch fault := s.fault(r.URL.Path); {
		case fault != nil && fault.After:
			_, _ = f(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case fault != nil:
			(&refusal{fault.Status, fault.Message, nil}).write(w)
			return
		}
		body, refused := f(w, r)
		switch {
		case refused != nil:
			refused.write(w)
		case body != nil:
			reply(w, http.StatusOK, body)
		}
	}
}

func (s *Server) fault(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.faults, func(f Fault) bool { return strings.Contains(path, f.Path) })
	if at < 0 {
		return nil
	}
	f := s.faults[at]
	s.faults = slices.Delete(s.faults, at, at+1)
	return &f
}

func (s *Server) problem(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// bad refuses a request, and notes it.
func (s *Server) bad(text string) *refusal {
	s.problem("%s", text)
	return &refusal{400, text, nil}
}
