// Package webhooktest plays the program on the other side of a webhook channel,
// in the manner of httptest: it sends signed requests, in order within a
// conversation and again until they are taken, and it is the callback to which
// answers come. It differs from real programs in that it comes again within
// milliseconds.
package webhooktest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// Secret is what requests and callbacks are signed with.
var Secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("not secret: for tests only"))

// Message is what the program says; its JSON is the payload.
type Message struct {
	ID           string `json:"-"`
	Conversation string `json:"conversation"`
	Sender       string `json:"sender"`
	Text         string `json:"text"`
}

// Fault is what the next callback meets with. The zero Fault is none.
type Fault struct {
	Status     int           // instead of 200; nothing is taken
	RetryAfter time.Duration // with Status
	Lose       bool          // it is taken, and the connection ends without an answer
}

// Server is one program. Its methods may be called concurrently.
type Server struct {
	signer *standardwebhooks.Webhook
	client *http.Client
	web    *porttest.Server
	ctx    context.Context //nolint:containedctx // the server's own life
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	to      string
	next    int
	queues  map[string]chan Message
	taken   map[string]bool // by id of the message
	shown   []codec.Reply
	known   map[string]bool // ids of callbacks
	faults  []Fault
	deny    bool
	hold    chan struct{}
	refused int // callbacks whose signature did not hold
}

// New starts a program that sends to a webhook's URL.
func New(to string) *Server {
	signer, err := standardwebhooks.NewWebhook(Secret)
	if err != nil {
		panic(err) // a constant of ours
	}
	s := &Server{
		signer: signer, to: to, client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
		queues: map[string]chan Message{}, taken: map[string]bool{}, known: map[string]bool{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.web, err = porttest.Serve(http.HandlerFunc(s.callback)); err != nil {
		panic(err) // loopback
	}
	return s
}

// Down refuses every callback until up is called.
func (s *Server) Down() (up func()) {
	s.web.Down()
	return sync.OnceFunc(func() {
		if err := s.web.Up(); err != nil {
			panic(err) // loopback
		}
	})
}

// Close ends the program.
func (s *Server) Close() {
	s.cancel()
	s.all.Wait()
	s.web.Close()
	s.client.CloseIdleConnections()
}

// URL is the callback.
func (s *Server) URL() string { return "http://" + s.web.Addr() + "/answers" }

// Say sends a message behind those of its conversation, and returns its id.
func (s *Server) Say(m Message) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.ID == "" {
		s.next++
		m.ID = fmt.Sprintf("msg_%d", s.next)
	}
	q := s.queues[m.Conversation]
	if q == nil {
		q = make(chan Message, 1024)
		s.queues[m.Conversation] = q
		s.all.Go(func() { s.work(q) })
	}
	delete(s.taken, m.ID)
	q <- m
	return m.ID
}

// work sends the messages of one conversation.
func (s *Server) work(q <-chan Message) {
	for {
		select {
		case m := <-q:
			s.deliver(m)
		case <-s.ctx.Done():
			return
		}
	}
}

// deliver sends a message until it is taken, or refused for ever.
func (s *Server) deliver(m Message) {
	for {
		r, err := s.Request(s.ctx, m, "")
		if err != nil {
			return
		}
		resp, err := s.client.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode/100 == 2 || resp.StatusCode/100 == 4 {
				s.mu.Lock()
				s.taken[m.ID] = true
				s.mu.Unlock()
				return
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.ctx.Done():
			return
		}
	}
}

// Request is a signed request; query goes behind the URL.
func (s *Server) Request(ctx context.Context, m Message, query string) (*http.Request, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	sum, err := s.signer.Sign(m.ID, now, body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to+query, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, fmt.Sprint(now.Unix()))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, sum)
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// Taken reports whether the program holds a message to be received.
func (s *Server) Taken(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[id]
}

// Shown are the answers of a conversation, oldest first, each once.
func (s *Server) Shown(conversation string) []codec.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []codec.Reply
	for _, r := range s.shown {
		if r.Conversation == conversation {
			out = append(out, r)
		}
	}
	return out
}

// Refused counts the callbacks whose signature did not hold.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Fail lets the next callbacks meet with faults, one each.
func (s *Server) Fail(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f...)
}

// Deny refuses every callback as one of a stranger.
func (s *Server) Deny() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deny = true
}

// Stall takes the next callback and answers it when release is called.
func (s *Server) Stall() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

func (s *Server) callback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return
	}
	f, hold, ok := s.admit(body, r.Header)
	switch {
	case !ok:
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	case f.Status != 0:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())))
		}
		http.Error(w, http.StatusText(f.Status), f.Status)
		return
	}
	s.show(r.Header.Get(standardwebhooks.HeaderWebhookID), body)
	if f.Lose {
		panic(http.ErrAbortHandler)
	}
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// admit checks a callback's signature and takes the next fault.
func (s *Server) admit(body []byte, h http.Header) (f Fault, hold chan struct{}, ok bool) {
	good := s.signer.Verify(body, h) == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if !good {
		s.refused++
	}
	if !good || s.deny {
		return f, nil, false
	}
	if len(s.faults) > 0 {
		f, s.faults = s.faults[0], s.faults[1:]
	}
	if f.Status == 0 {
		hold, s.hold = s.hold, nil
	}
	return f, hold, true
}

// show keeps an answer, unless its id is known.
func (s *Server) show(id string, body []byte) {
	var r codec.Reply
	if json.Unmarshal(body, &r) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known[id] {
		s.known[id] = true
		s.shown = append(s.shown, r)
	}
}
