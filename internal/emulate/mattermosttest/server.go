// Package mattermosttest is an emulated Mattermost on loopback: the part of its
// REST API, version 4, that bots use, its WebSocket, its files, and presses of
// buttons in posts, in the manner of httptest. It was made from the public
// documentation; where it differs is written down in docs/examples.md.
package mattermosttest

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// Server is one Mattermost with one bot on it. Its methods may be called
// concurrently.
type Server struct {
	web   *porttest.Server
	token string
	bot   *User

	mu       sync.Mutex
	users    map[string]*User
	channels map[string]*Channel
	posts    map[string]*Post
	pending  map[string]string // posts by pending_post_id
	files    map[string]*File
	conns    map[*conn]bool
	typed    map[string]int
	faults   []fault
	last     int64
	limit    int // requests that may still be made; negative: any number
	skip     int // events that are lost on their way
}

// User is an account.
type User struct {
	ID, Name string
	Bot      bool
}

// Channel is a room or a direct chat.
type Channel struct {
	ID, Name, Type string // O or D
	s              *Server
	members        []*User
}

// File is what was uploaded.
type File struct {
	ID, Name, MIME string
	Bytes          []byte
	Channel        string
	attached       bool
}

// Post is what somebody wrote, as people see it.
type Post struct {
	ID, Root, Text, By                  string
	Files                               []*File
	Buttons                             []Button
	CreateAt, UpdateAt, EditAt, Deleted int64
	Reactions                           []string // "name by id"

	channel *Channel
	props   json.RawMessage
	fileIDs []string
}

// Button is something to press under a post.
type Button struct {
	ID, Label, URL string
	context        json.RawMessage
}

// fault is what a kind of request is answered with, once.
type fault struct {
	route  string // such as "POST /posts"
	status int
	header map[string]string
	after  bool // the request is carried out all the same
}

// NewServer starts a Mattermost that ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		token: newID(), users: map[string]*User{}, channels: map[string]*Channel{}, posts: map[string]*Post{},
		pending: map[string]string{}, files: map[string]*File{}, conns: map[*conn]bool{}, typed: map[string]int{}, limit: -1,
	}
	s.bot = &User{ID: newID(), Name: "helper", Bot: true}
	s.users[s.bot.ID] = s.bot
	var err error
	if s.web, err = porttest.Serve(s.routes()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Drop()
		s.web.Close()
	})
	return s
}

// Up opens the address again after Down.
func (s *Server) Up() error { return s.web.Up() }

// Down ends every connection and closes the address.
func (s *Server) Down() {
	s.Drop()
	s.web.Down()
}

// URL is where people open it.
func (s *Server) URL() string { return "http://" + s.web.Addr() }

// Token is the bot's.
func (s *Server) Token() string { return s.token }

// Bot is the bot's account.
func (s *Server) Bot() *User { return s.bot }

// User makes an account.
func (s *Server) User(name string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &User{ID: newID(), Name: name}
	s.users[u.ID] = u
	return u
}

// Direct is the chat of somebody with the bot.
func (s *Server) Direct(u *User) *Channel {
	name := u.ID + "__" + s.bot.ID
	s.mu.Lock()
	for _, c := range s.channels {
		if c.Name == name {
			s.mu.Unlock()
			return c
		}
	}
	s.mu.Unlock()
	return s.channel(name, "D", u)
}

// Room is a public channel with these people and the bot.
func (s *Server) Room(name string, people ...*User) *Channel { return s.channel(name, "O", people...) }

func (s *Server) channel(name, kind string, people ...*User) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Channel{ID: newID(), Name: name, Type: kind, s: s, members: append(people, s.bot)}
	s.channels[c.ID] = c
	return c
}

// Remove takes the bot out of a room.
func (c *Channel) Remove() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(u *User) bool { return u == c.s.bot })
}

// Fail answers the next request to a route, such as "POST /posts", with a status.
func (s *Server) Fail(route string, status int, header map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault{route: route, status: status, header: header})
}

// LoseAnswer carries the next request to a route out, and closes the connection
// instead of answering.
func (s *Server) LoseAnswer(route string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault{route: route, after: true})
}

// Limit lets n more requests through; those after them are answered with 429 until
// Limit is called again. A negative n is no limit.
func (s *Server) Limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}

// Typed is how often the bot showed that it writes in a channel.
func (s *Server) Typed(c *Channel) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typed[c.ID]
}

// Revoke makes the bot's token worthless.
func (s *Server) Revoke() {
	s.mu.Lock()
	s.token = newID()
	s.mu.Unlock()
	s.Drop()
}

// newID makes an id: 26 letters and digits, as Mattermost's are.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	e := base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding)
	return e.EncodeToString(b)
}

// tick is now in milliseconds, later than every tick before. The caller holds the
// lock.
func (s *Server) tick() int64 {
	s.last = max(s.last+1, time.Now().UnixMilli())
	return s.last
}

// mentioned are the ids of those that a text names. The caller holds the lock.
func (s *Server) mentioned(c *Channel, by *User, text string) []string {
	var all []string
	for _, u := range c.members {
		if u != by && (c.Type == "D" || strings.Contains(strings.ToLower(text), "@"+u.Name)) {
			all = append(all, u.ID)
		}
	}
	return all
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers as Mattermost does when it will not.
func refuse(w http.ResponseWriter, status int, id string) {
	answer(w, status, map[string]any{
		"id": id, "message": "It was refused.", "detailed_error": "", "request_id": newID(), "status_code": status,
	})
}
