// Package cloudtest is an emulator of the WhatsApp Cloud API, in the manner of
// httptest: the Graph API's calls for one phone number, its media, the
// registration of webhooks with the check of their address, and people who write.
// docs/whatsapp-cloud-emulator.md says where it differs.
package cloudtest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// What the emulated account is called.
const (
	Number    = "100000000000001"
	Display   = "+1 555-000-1111"
	App       = "670843887433847"
	Business  = "102290129340398"
	Token     = "EAAtest-token-of-the-emulator"
	AppSecret = "0123456789abcdef-app-secret"
)

// Server is the platform. Its methods may be called concurrently.
type Server struct {
	client *http.Client
	ctx    context.Context //nolint:containedctx // the server's own life
	cancel context.CancelFunc
	all    sync.WaitGroup

	web *porttest.Server

	mu       sync.Mutex
	next     int
	hook     string
	checked  bool // the webhook was registered, and its address checked
	subbed   bool // the account is subscribed
	queues   map[string]chan change
	taken    map[string]bool
	wrote    map[string]time.Time // by person
	hidden   map[string]string    // usernames of people whose number is not told
	said     map[string]string    // who said a message
	sent     []*Message
	files    map[string]File
	reacted  map[string]string // the bot's reaction, by message
	typed    map[string]int    // by person
	faults   []Fault
	hold     chan struct{}
	revoked  bool
	calls    map[string]int
	problems []string
}

// File is a file as the platform holds it.
type File struct {
	Name, MIME string
	Body       []byte
}

func (f File) hash() string {
	h := sha256.Sum256(f.Body)
	return base64.StdEncoding.EncodeToString(h[:])
}

// Button is something to press, or a page.
type Button struct{ ID, Title, URL string }

// Message is one of the bot's.
type Message struct {
	ID, To, Type, Text, ReplyTo string
	Files                       []File
	Buttons                     []Button
	Template                    string
}

// Fault is what the next call of /messages meets with. The zero Fault is none.
type Fault struct {
	Status     int // of the answer; nothing is taken
	Code       int // of the error in it; 0: a page of a proxy
	RetryAfter time.Duration
	Lose       bool // it is taken, and the connection ends without an answer
	Garbage    bool // it is taken, and the answer is no JSON
}

// New starts the platform. hook is where webhooks go until one is registered;
// "" for none.
func New(hook string) *Server {
	s := &Server{
		client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, hook: hook,
		queues: map[string]chan change{}, taken: map[string]bool{}, wrote: map[string]time.Time{}, hidden: map[string]string{}, said: map[string]string{},
		files: map[string]File{}, reacted: map[string]string{}, typed: map[string]int{}, calls: map[string]int{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.web, err = porttest.Serve(http.HandlerFunc(s.serve)); err != nil {
		panic(err) // loopback
	}
	return s
}

// Close ends the platform.
func (s *Server) Close() {
	s.cancel()
	s.all.Wait()
	s.web.Close()
	s.client.CloseIdleConnections()
}

// Down refuses every connection until up is called.
func (s *Server) Down() (up func()) {
	s.web.Down()
	return sync.OnceFunc(func() {
		if err := s.web.Up(); err != nil {
			panic(err) // loopback
		}
	})
}

// URL is the base of the Graph API, and of the media.
func (s *Server) URL() string { return "http://" + s.web.Addr() }

// Fail lets the next calls of /messages meet with faults, one each.
func (s *Server) Fail(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f...)
}

// Revoke makes the token invalid.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
}

// Stall takes the next message and answers when release is called.
func (s *Server) Stall() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

// Registered reports whether the webhook was registered with the app, its
// address checked, and the account subscribed.
func (s *Server) Registered() (app, account bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked, s.subbed
}

// Calls counts the calls of an endpoint: "messages", "media", "number".
func (s *Server) Calls(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[name]
}

// Problems are the calls that the platform would refuse, in words.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.problems...)
}

// refuse answers as the Graph API does.
func (s *Server) refuse(w http.ResponseWriter, status, code int, message string) {
	s.mu.Lock()
	s.problems = append(s.problems, fmt.Sprintf("%d: %s", code, message))
	s.mu.Unlock()
	answer(w, status, map[string]any{"error": map[string]any{
		"message": fmt.Sprintf("(#%d) %s", code, message), "type": "OAuthException", "code": code, "fbtrace_id": "AbCdEf",
		"error_data": map[string]any{"messaging_product": "whatsapp", "details": message},
	}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) id(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return fmt.Sprintf("%s%d", kind, s.next)
}

func (s *Server) count(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[name]++
}

func (s *Server) authorized(r *http.Request, want string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.revoked && r.Header.Get("Authorization") == "Bearer "+want
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if id, ok := strings.CutPrefix(r.URL.Path, "/cdn/"); ok {
		s.download(w, r, id)
		return
	}
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !strings.HasPrefix(version, "v") {
		s.refuse(w, http.StatusBadRequest, 2500, "Unknown path components")
		return
	}
	if path == App+"/subscriptions" && r.Method == http.MethodPost {
		s.register(w, r)
		return
	}
	if path == "oauth/access_token" {
		s.appToken(w, r.URL.Query())
		return
	}
	if !s.authorized(r, Token) {
		s.refuse(w, http.StatusUnauthorized, 190, "Invalid OAuth access token.")
		return
	}
	switch {
	case path == Number && r.Method == http.MethodGet:
		s.count("number")
		answer(w, http.StatusOK, map[string]string{
			"id": Number, "display_phone_number": Display, "verified_name": "Test Shop", "quality_rating": "GREEN",
			"account_mode": "LIVE", "code_verification_status": "VERIFIED",
		})
	case path == Number+"/messages" && r.Method == http.MethodPost:
		s.count("messages")
		s.message(w, r)
	case path == Number+"/media" && r.Method == http.MethodPost:
		s.count("media")
		s.upload(w, r)
	case path == Business+"/subscribed_apps" && r.Method == http.MethodPost:
		s.mu.Lock()
		s.subbed = true
		s.mu.Unlock()
		answer(w, http.StatusOK, map[string]bool{"success": true})
	case r.Method == http.MethodGet:
		s.media(w, path)
	default:
		s.refuse(w, http.StatusBadRequest, 100, "Unsupported request")
	}
}

// appToken gives the app's own token to whoever has its secret.
func (s *Server) appToken(w http.ResponseWriter, q url.Values) {
	if q.Get("client_id") != App || q.Get("client_secret") != AppSecret || q.Get("grant_type") != "client_credentials" {
		s.refuse(w, http.StatusBadRequest, 1, "Error validating client secret.")
		return
	}
	answer(w, http.StatusOK, map[string]string{"access_token": App + "|" + AppSecret, "token_type": "bearer"})
}

// register checks a webhook's address as Meta does, and takes it.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query() // the Graph API takes what it is told there as well
	if token := q.Get("access_token"); token != App+"|"+AppSecret && (token != "" || r.Header.Get("Authorization") != "Bearer "+App+"|"+AppSecret) {
		s.refuse(w, http.StatusUnauthorized, 190, "Invalid OAuth access token signature.")
		return
	}
	in := map[string]string{}
	for k := range q {
		in[k] = q.Get(k)
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil && !errors.Is(err, io.EOF) || in["object"] != "whatsapp_business_account" || in["verify_token"] == "" {
		s.refuse(w, http.StatusBadRequest, 100, "Invalid parameter")
		return
	}
	if !s.Check(in["callback_url"], in["verify_token"]) {
		s.refuse(w, http.StatusBadRequest, 2200, "Callback verification failed")
		return
	}
	s.mu.Lock()
	s.hook, s.checked = in["callback_url"], true
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]bool{"success": true})
}

// Check asks a webhook to prove that it is the one that was entered.
func (s *Server) Check(callback, token string) bool {
	const challenge = "1158201444"
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, callback+"?hub.mode=subscribe&hub.challenge="+challenge+"&hub.verify_token="+token, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	return err == nil && resp.StatusCode == http.StatusOK && string(b) == challenge
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(codec.MaxFile); err != nil {
		s.refuse(w, http.StatusBadRequest, 100, "the form cannot be read")
		return
	}
	f, h, err := r.FormFile("file")
	if err != nil || r.FormValue("messaging_product") != "whatsapp" {
		s.refuse(w, http.StatusBadRequest, 100, "file and messaging_product are required")
		return
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(f)
	if err != nil {
		return
	}
	id := s.id("9")
	s.mu.Lock()
	s.files[id] = File{Name: h.Filename, MIME: h.Header.Get("Content-Type"), Body: b}
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]string{"id": id})
}

func (s *Server) file(id string) (File, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[id]
	return f, ok
}

func (s *Server) media(w http.ResponseWriter, id string) {
	f, ok := s.file(id)
	if !ok {
		s.refuse(w, http.StatusBadRequest, 100, "Unsupported get request. Object does not exist")
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"messaging_product": "whatsapp", "id": id, "url": s.URL() + "/cdn/" + id, "mime_type": f.MIME, "sha256": f.hash(), "file_size": len(f.Body),
	})
}

func (s *Server) download(w http.ResponseWriter, r *http.Request, id string) {
	f, ok := s.file(id)
	if !ok || !s.authorized(r, Token) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.MIME)
	_, _ = w.Write(f.Body)
}
