// Package practice is a small chat platform in memory: what the projects of
// authors of modules speak until they speak to a real one. One bot has an
// account there; people are whoever says that they are. Every method is a POST of
// JSON to /bot{token}/{method}:
//
//	poll {"offset", "wait"}            {"updates": [...]} from the offset on, held for up to wait seconds
//	send {"key", "chat", "text"}       {"message"}: its id
//	edit {"message", "chat", "text"}   {"message"}
package practice

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Update is something that a person wrote.
type Update struct {
	ID      int64     `json:"id"`
	Kind    string    `json:"kind"` // message
	At      time.Time `json:"at"`
	From    Person    `json:"from"`
	Chat    string    `json:"chat"`
	Direct  bool      `json:"direct"`
	Message string    `json:"message"` // its id
	Text    string    `json:"text"`
}

// Person is who writes.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Said is something that the bot wrote.
type Said struct {
	Chat, Text string
	Edited     bool // in the place of an earlier text
}

// Platform is a http.Handler. Its methods may be called concurrently.
type Platform struct {
	token string

	mu      sync.Mutex
	last    int64
	updates []Update
	said    []Said
	changed chan struct{} // closed at the next change
}

// New makes a platform whose bot has a token.
func New(token string) *Platform { return &Platform{token: token, changed: make(chan struct{})} }

// call is the body of every method.
type call struct {
	Offset  int64  `json:"offset"`
	Wait    int    `json:"wait"` // seconds
	Chat    string `json:"chat"`
	Message string `json:"message"`
	Text    string `json:"text"`
}

// ServeHTTP implements http.Handler.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, method, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bot"), "/")
	if subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) != 1 {
		http.Error(w, "the token is not the bot's", http.StatusUnauthorized)
		return
	}
	const most = 64 << 10
	var c call
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, most)).Decode(&c); err != nil || r.Method != http.MethodPost {
		http.Error(w, "a method is called with POST and JSON", http.StatusUnprocessableEntity)
		return
	}
	switch method {
	case "poll":
		answer(w, map[string]any{"updates": p.poll(r.Context(), c)})
	case "send", "edit":
		if c.Chat == "" || c.Text == "" || method == "edit" && c.Message == "" {
			http.Error(w, "a message has a chat and a text", http.StatusUnprocessableEntity)
			return
		}
		answer(w, map[string]any{"message": p.write(c, method == "edit")})
	default:
		http.Error(w, "there is no such method", http.StatusNotFound)
	}
}

func (p *Platform) write(c call, edit bool) (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, Said{Chat: c.Chat, Text: c.Text, Edited: edit})
	if id = c.Message; !edit {
		id = p.nextLocked()
	}
	p.wakeLocked()
	return id
}

func (p *Platform) nextLocked() string {
	p.last++
	return "m" + strconv.FormatInt(p.last, 10)
}

func (p *Platform) wakeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Say has a person write in a direct chat with the bot.
func (p *Platform) Say(who, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.updates = append(p.updates, Update{
		ID: int64(len(p.updates) + 1), Kind: "message", At: time.Now().UTC(), From: Person{ID: who, Name: who},
		Chat: "with-" + who, Direct: true, Message: p.nextLocked(), Text: text,
	})
	p.wakeLocked()
}

// Said returns what the bot wrote beyond the first n texts. It waits until there
// is something, or ctx ends.
func (p *Platform) Said(ctx context.Context, n int) ([]Said, error) {
	for {
		p.mu.Lock()
		all, changed := p.said, p.changed
		p.mu.Unlock()
		if len(all) > n {
			return append([]Said{}, all[n:]...), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// The most that one poll waits and gives.
const (
	longestWait = 30 // seconds
	batch       = 50
)

func (p *Platform) poll(ctx context.Context, c call) []Update {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(min(max(c.Wait, 0), longestWait))*time.Second)
	defer cancel()
	for {
		p.mu.Lock()
		some, changed := from(p.updates, c.Offset), p.changed
		p.mu.Unlock()
		if len(some) > 0 || ctx.Err() != nil {
			return some
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func from(all []Update, offset int64) []Update {
	some := []Update{}
	for _, u := range all {
		if u.ID >= offset && len(some) < batch {
			some = append(some, u)
		}
	}
	return some
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller is gone; there is nobody to tell
}
