// Package matrixtest emulates a Matrix homeserver, made from the client-server
// API of https://spec.matrix.org: as much of it as an account of a bot uses.
package matrixtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Limits of the homeserver: those of the specification, and Synapse's default.
const (
	maxEvent  = 65_536   // bytes
	maxUpload = 50 << 20 // bytes
)

// Bot is the account whose token the server knows.
const Bot = "@bot:example.org"

// Server is a homeserver with one bot and the people who talk to it. Its methods
// may be called concurrently.
type Server struct {
	srv   *httptest.Server
	token string
	ended chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed when something happens
	stream   int           // position of the last event
	rooms    map[string]*Room
	media    map[string]File
	txns     map[string]string // what was sent under which path: its event
	faults   []*Fault
	problems []string
}

// File is a content with its name.
type File struct {
	Name, MIME string
	Bytes      []byte
}

// NewServer starts a homeserver on loopback. It ends with the test.
func NewServer(t testing.TB) *Server {
	s := &Server{
		token: "syt_bot_token", ended: make(chan struct{}), changed: make(chan struct{}), rooms: map[string]*Room{},
		media: map[string]File{}, txns: map[string]string{},
	}
	s.srv = httptest.NewServer(s.handler())
	t.Cleanup(func() {
		close(s.ended)
		s.srv.Close()
	})
	return s
}

// URL is the homeserver's.
func (s *Server) URL() string { return s.srv.URL }

// Token is the bot's access token.
func (s *Server) Token() string { return s.token }

// Problems are the requests that no homeserver would have taken.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Fault is how one request fails. A fault without Status breaks the connection.
type Fault struct {
	Path   string // what the path contains
	Status int
	Code   string // errcode
	Wait   time.Duration
	After  bool // it is carried out all the same
	Times  int  // 0: once

	hits int
}

// Fail lets requests fail.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// fault takes the one that is meant for a request.
func (s *Server) fault(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if strings.Contains(path, f.Path) && f.hits < max(f.Times, 1) {
			f.hits++
			return f
		}
	}
	return nil
}

// failure is an error of the API.
type failure struct {
	status int
	code   string
	text   string
	wait   time.Duration
}

func (f *failure) write(w http.ResponseWriter) {
	body := map[string]any{"errcode": f.code, "error": f.text}
	if f.wait > 0 {
		body["retry_after_ms"] = f.wait.Milliseconds()
		w.Header().Set("Retry-After", fmt.Sprint(max(1, int(f.wait.Seconds()))))
	}
	reply(w, f.status, body)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked may be gone
}

// endpoint answers one kind of request with a JSON value; nil: it has answered
// itself.
type endpoint func(w http.ResponseWriter, r *http.Request) (any, *failure)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]endpoint{
		"GET /_matrix/client/v3/account/whoami": func(http.ResponseWriter, *http.Request) (any, *failure) {
			return map[string]any{"user_id": Bot, "device_id": "DEVICE", "is_guest": false}, nil
		},
		"GET /_matrix/client/v3/profile/{user}/displayname": func(http.ResponseWriter, *http.Request) (any, *failure) {
			return map[string]any{"displayname": "Bot"}, nil
		},
		"GET /_matrix/client/v3/sync":                                 s.sync,
		"POST /_matrix/client/v3/rooms/{room}/join":                   s.join,
		"GET /_matrix/client/v3/rooms/{room}/joined_members":          s.joinedMembers,
		"GET /_matrix/client/v3/rooms/{room}/state/{type}/{key...}":   s.state,
		"GET /_matrix/client/v3/rooms/{room}/event/{event}":           s.event,
		"GET /_matrix/client/v3/rooms/{room}/messages":                s.messages,
		"PUT /_matrix/client/v3/rooms/{room}/send/{type}/{txn}":       s.send,
		"PUT /_matrix/client/v3/rooms/{room}/redact/{event}/{txn}":    s.redact,
		"PUT /_matrix/client/v3/rooms/{room}/typing/{user}":           s.typing,
		"POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{event}": s.receipt,
		"POST /_matrix/media/v3/upload":                               s.upload,
		"GET /_matrix/client/v1/media/download/{server}/{media}":      s.download,
	} {
		mux.HandleFunc(pattern, s.guarded(f))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem("%s %s is nothing that there is", r.Method, r.URL.Path)
		(&failure{404, "M_UNRECOGNIZED", "Unrecognized request", 0}).write(w)
	})
	return mux
}

// guarded checks whose a request is, and lets it fail if it is to.
func (s *Server) guarded(f endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer " + s.token:
		case "":
			(&failure{401, "M_MISSING_TOKEN", "Missing access token", 0}).write(w)
			return
		default:
			(&failure{401, "M_UNKNOWN_TOKEN", "Invalid access token passed.", 0}).write(w)
			return
		}
		fault := s.fault(r.URL.Path)
		if fault != nil && !fault.After {
			fault.strike(w)
			return
		}
		if fault != nil {
			_, _ = f(httptest.NewRecorder(), r)
			fault.strike(w)
			return
		}
		body, failed := f(w, r)
		switch {
		case failed != nil:
			failed.write(w)
		case body != nil:
			reply(w, http.StatusOK, body)
		}
	}
}

func (f *Fault) strike(w http.ResponseWriter) {
	if f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	(&failure{f.Status, cmp.Or(f.Code, "M_UNKNOWN"), "Internal server error", f.Wait}).write(w)
}

func (s *Server) problem(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// happened tells those who wait. The caller holds the lock.
func (s *Server) happened() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Until blocks until ok holds, or the time is up, and reports which.
func (s *Server) Until(within time.Duration, ok func() bool) bool {
	end := time.After(within)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return true
		}
		select {
		case <-changed:
		case <-end:
			return ok()
		}
	}
}

// place is the room of a request in which the bot is.
func (s *Server) place(r *http.Request) (*Room, *failure) {
	room := s.rooms[r.PathValue("room")]
	if room == nil || room.members[Bot] != "join" {
		return nil, &failure{403, "M_FORBIDDEN", "User " + Bot + " not in room", 0}
	}
	return room, nil
}

func (s *Server) roomIDs() []string { return slices.Sorted(maps.Keys(s.rooms)) }
