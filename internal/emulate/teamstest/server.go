// Package teamstest is an emulated Microsoft Teams on loopback, as a bot sees it:
// the Bot Connector with its tokens and their keys, the login that exchanges an
// application's secret, cards, and OneDrive, where files lie, in the manner of
// httptest. It was made from the public documentation; where it differs is written
// down in docs/examples.md.
package teamstest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// What the bot is registered as.
const (
	App    = "b0b0b0b0-0000-4000-8000-000000000001"
	Tenant = "7e7e7e7e-0000-4000-8000-000000000001"
	Secret = "client~secret.of-the/tests+"
	Scope  = "https://api.botframework.com/.default"
)

// Server is Teams with one bot in one organisation. Its methods may be called
// concurrently.
type Server struct {
	http, files *httptest.Server
	key         *rsa.PrivateKey
	endpoint    string
	lifetime    time.Duration // of the tokens that the bot gets

	mu       sync.Mutex
	last     int64
	tokens   map[string]time.Time // until when
	rooms    map[string]*Chat
	messages []*Message
	content  map[string][]byte // of files, by id
	typed    int
	limit    int // activities that may still be sent; negative: any number
}

// NewServer starts a Teams whose bot is called at endpoint, and ends with the test.
// The bot's tokens hold for lifetime.
func NewServer(t testing.TB, endpoint string, lifetime time.Duration) *Server {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		key: key, endpoint: endpoint, lifetime: lifetime, tokens: map[string]time.Time{}, rooms: map[string]*Chat{},
		content: map[string][]byte{}, limit: -1,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+Tenant+"/oauth2/v2.0/token", s.token)
	mux.HandleFunc("GET /v1/.well-known/keys", s.keys)
	mux.HandleFunc("GET /emea/v3/conversations", s.known(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"conversations": []any{}})
	}))
	mux.HandleFunc("POST /emea/v3/conversations/{id}/activities", s.known(s.send))
	mux.HandleFunc("POST /emea/v3/conversations/{id}/activities/{activity}", s.known(s.send)) // a reply
	mux.HandleFunc("PUT /emea/v3/conversations/{id}/activities/{activity}", s.known(s.update))
	mux.HandleFunc("DELETE /emea/v3/conversations/{id}/activities/{activity}", s.known(s.remove))
	s.http = httptest.NewServer(mux)
	t.Cleanup(s.http.Close)
	drive := http.NewServeMux()
	drive.HandleFunc("GET /download/{id}", s.download)
	drive.HandleFunc("PUT /upload/{id}", s.upload)
	s.files = httptest.NewServer(drive)
	t.Cleanup(s.files.Close)
	return s
}

// Service is what activities name as their service URL.
func (s *Server) Service() string { return s.http.URL + "/emea" }

// KeysURL is where the Bot Framework publishes its keys.
func (s *Server) KeysURL() string { return s.http.URL + "/v1/.well-known/keys" }

// TokenURL is where the application's secret is exchanged.
func (s *Server) TokenURL() string { return s.http.URL + "/" + Tenant + "/oauth2/v2.0/token" }

// FilesURL is the organisation's OneDrive.
func (s *Server) FilesURL() string { return s.files.URL }

// Tokens is how many the bot has been given.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens)
}

// Typed is how often the bot has shown that it writes.
func (s *Server) Typed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typed
}

// Limit lets n more activities through; those after them are answered with 429
// until Limit is called again. A negative n is no limit.
func (s *Server) Limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": "It was refused."}})
}

// next is an id that rises with time. The caller holds the lock.
func (s *Server) next() string {
	s.last = max(s.last+1, time.Now().UnixMilli())
	return strconv.FormatInt(s.last, 10)
}

// token exchanges the application's secret, in the header as RFC 6749 has it or in
// the form.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if ok {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	switch {
	case r.FormValue("grant_type") != "client_credentials":
		answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
	case id != App || secret != Secret:
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
	case r.FormValue("scope") != Scope:
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_scope"})
	default:
		value := rand.Text()
		s.mu.Lock()
		s.tokens[value] = time.Now().Add(s.lifetime)
		s.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": int(s.lifetime.Seconds()), "access_token": value})
	}
}

// known wants a token that holds.
func (s *Server) known(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value := r.Header.Get("Authorization")
		s.mu.Lock()
		until, ok := s.tokens[trim(value, "Bearer ")]
		s.mu.Unlock()
		if !ok || time.Now().After(until) {
			refuse(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		f(w, r)
	}
}

func trim(s, prefix string) string {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return ""
	}
	return s[len(prefix):]
}

func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	e := base64.RawURLEncoding
	answer(w, http.StatusOK, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "kid": "emulated", "n": e.EncodeToString(s.key.N.Bytes()), "e": "AQAB",
		"endorsements": []string{"msteams"},
	}}})
}

// sizeOf reads a range such as "bytes 0-6/7" that holds a whole file.
func sizeOf(header string) (n int, ok bool) {
	var from, to int
	if c, err := fmt.Sscanf(header, "bytes %d-%d/%d", &from, &to, &n); err != nil || c != 3 {
		return 0, false
	}
	return n, from == 0 && to == n-1
}
