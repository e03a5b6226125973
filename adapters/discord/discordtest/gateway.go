package discordtest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Intents that the emulator knows.
const (
	intentGuilds          = 1 << 0
	intentMessages        = 1 << 9
	intentReactions       = 1 << 10
	intentDirect          = 1 << 12
	intentDirectReactions = 1 << 13
	intentContent         = 1 << 15
	intentsKnown          = 1<<26 - 1
)

// session is what the gateway keeps for a bot between its connections.
type session struct {
	id      string
	intents int
	log     []entry
	acked   int64 // the client has said that it has everything up to here
	on      *conn // its connection; nil for none
}

type entry struct {
	seq     int64
	message string // the id of the message that it tells of; "" for none
	frame   []byte
}

// conn is one connection. What it has to send waits in queue, what its session
// has to send in the session's log.
type conn struct {
	s    *Server
	ws   *websocket.Conn
	wake chan struct{}
	done chan struct{}

	// Under the server's lock:
	session *session
	next    int // index into the session's log
	queue   [][]byte
	code    int // the close code, once it is to end
	reason  string
	beats   []time.Time
	mute    bool
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func (s *Server) gateway(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &conn{s: s, ws: ws, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.mu.Lock()
	s.conns[c] = true
	c.send(10, map[string]any{"heartbeat_interval": float64(s.interval) / float64(time.Millisecond)})
	s.mu.Unlock()
	var writing sync.WaitGroup
	writing.Go(c.write)
	c.read()
	close(c.done)
	writing.Wait()
	_ = ws.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.session != nil && c.session.on == c {
		c.session.on = nil
	}
}

// send queues a message that is no dispatch. The caller holds the lock.
func (c *conn) send(op int, data any) {
	b, _ := json.Marshal(map[string]any{"op": op, "d": data, "s": nil, "t": nil})
	c.queue = append(c.queue, b)
	c.poke()
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end closes the connection with a code once everything queued is out. The
// caller holds the lock.
func (c *conn) end(code int, reason string) {
	c.code, c.reason = code, reason
	c.poke()
}

// write sends what there is to send until the connection ends.
func (c *conn) write() {
	for {
		frame, code, reason := c.pull()
		switch {
		case frame != nil:
			if c.ws.WriteMessage(websocket.TextMessage, frame) != nil {
				return
			}
		case code != 0:
			_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
			_ = c.ws.Close()
			return
		default:
			select {
			case <-c.wake:
			case <-c.done:
				return
			}
		}
	}
}

func (c *conn) pull() (frame []byte, code int, reason string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case c.s.frozen || c.mute:
		return nil, 0, ""
	case len(c.queue) > 0:
		frame, c.queue = c.queue[0], c.queue[1:]
	case c.code != 0:
		return nil, c.code, c.reason
	case c.session != nil && c.session.on == c && c.next < len(c.session.log):
		frame = c.session.log[c.next].frame
		c.next++
	}
	return frame, 0, ""
}

// read takes in what the client sends until it goes.
func (c *conn) read() {
	for {
		kind, b, err := c.ws.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if errors.As(err, &closed) && (closed.Code == websocket.CloseNormalClosure || closed.Code == websocket.CloseGoingAway) {
				c.s.mu.Lock()
				if c.code == 0 { // a proper goodbye ends the session, unless it is the echo of ours
					c.s.forget(c.session)
				}
				c.s.mu.Unlock()
			}
			return
		}
		var f struct {
			Op   *int            `json:"op"`
			Data json.RawMessage `json:"d"`
		}
		c.s.mu.Lock()
		if kind != websocket.TextMessage || len(b) > 4096 || json.Unmarshal(b, &f) != nil || f.Op == nil {
			c.end(4002, "Error while decoding payload.")
		} else {
			c.take(*f.Op, f.Data)
		}
		c.s.mu.Unlock()
	}
}

// take is one message of the client. The caller holds the lock.
func (c *conn) take(op int, data json.RawMessage) {
	now := time.Now()
	c.beats = append(c.beats, now)
	for len(c.beats) > 0 && now.Sub(c.beats[0]) > time.Minute {
		c.beats = c.beats[1:]
	}
	if len(c.beats) > 120 && c.s.interval > 10*time.Second {
		c.end(4008, "You are being rate limited.")
		return
	}
	switch op {
	case 1:
		var seq int64
		_ = json.Unmarshal(data, &seq)
		if c.session != nil {
			c.session.acked = max(c.session.acked, seq)
		}
		c.send(11, nil)
	case 2:
		c.identify(data)
	case 6:
		c.resume(data)
	case 3, 4, 8:
		if c.session == nil {
			c.end(4003, "Not authenticated.")
		}
	default:
		c.end(4001, "Unknown opcode.")
	}
}

func (c *conn) identify(data json.RawMessage) {
	var d struct {
		Token      string         `json:"token"`
		Intents    *int           `json:"intents"`
		Properties map[string]any `json:"properties"`
		Shard      []int          `json:"shard"`
	}
	switch {
	case json.Unmarshal(data, &d) != nil || d.Properties == nil:
		c.end(4002, "Error while decoding payload.")
	case c.session != nil:
		c.end(4005, "Already authenticated.")
	case !c.s.valid(d.Token):
		c.end(4004, "Authentication failed.")
	case d.Intents == nil || *d.Intents&^intentsKnown != 0:
		c.end(4013, "Invalid intent(s).")
	case *d.Intents&intentContent != 0 && c.s.flags&flagContent == 0:
		c.end(4014, "Disallowed intent(s).")
	default:
		c.s.starts--
		n := &session{id: strings.ToLower(rand.Text()), intents: *d.Intents, on: c}
		c.s.sessions[n.id], c.session = n, n
		c.begin(n)
	}
}

// begin tells a new session who it is and where.
func (c *conn) begin(n *session) {
	guilds := []any{}
	for _, g := range c.s.guilds {
		guilds = append(guilds, map[string]any{"id": g.ID, "unavailable": true})
	}
	n.add("READY", map[string]any{
		"v": 10, "user": c.s.bot.json(), "guilds": guilds, "session_id": n.id,
		"resume_gateway_url": "ws://" + c.s.web.Addr() + "/api/v10/resume", "application": map[string]any{"id": c.s.app, "flags": c.s.flags},
		"shard": []int{0, 1}, "private_channels": []any{},
	}, "")
	for _, g := range c.s.guilds {
		if n.intents&intentGuilds != 0 {
			n.add("GUILD_CREATE", g.full(), "")
		}
	}
}

// valid compares a token, with or without the scheme that some clients add.
func (s *Server) valid(token string) bool {
	return !s.revoked && strings.TrimPrefix(token, "Bot ") == s.token
}

func (c *conn) resume(data json.RawMessage) {
	var d struct {
		Token   string `json:"token"`
		Session string `json:"session_id"`
		Seq     int64  `json:"seq"`
	}
	if json.Unmarshal(data, &d) != nil {
		c.end(4002, "Error while decoding payload.")
		return
	}
	n := c.s.sessions[d.Session]
	switch {
	case !c.s.valid(d.Token):
		c.end(4004, "Authentication failed.")
	case c.s.silent > 0:
		c.s.silent--
		c.mute = true
	case n == nil:
		c.send(9, false)
	case d.Seq > int64(len(n.log)) || d.Seq < 0:
		c.s.forget(n)
		c.end(4007, "Invalid seq.")
	default:
		if n.on != nil {
			n.on.end(4000, "resumed elsewhere")
		}
		n.acked = max(n.acked, d.Seq)
		n.on, c.session, c.next = c, n, int(d.Seq)
		n.add("RESUMED", map[string]any{}, "")
	}
}

// add appends a dispatch. The caller holds the lock.
func (n *session) add(kind string, data any, message string) {
	seq := int64(len(n.log) + 1)
	b, _ := json.Marshal(map[string]any{"op": 0, "s": seq, "t": kind, "d": data})
	n.log = append(n.log, entry{seq: seq, message: message, frame: b})
	if n.on != nil {
		n.on.poke()
	}
}

// forget ends a session for good. The caller holds the lock.
func (s *Server) forget(n *session) {
	if n != nil {
		delete(s.sessions, n.id)
	}
}

// dispatch tells every session that wants to know. The caller holds the lock.
func (s *Server) dispatch(kind string, data any, to where) {
	for _, n := range s.sessions {
		if to.intent != 0 && n.intents&to.intent == 0 {
			continue
		}
		id := ""
		if to.message != nil {
			id = to.message.ID
		}
		n.add(kind, s.visible(n, data, to), id)
	}
}

// visible takes the content out of a message that the session may not read: one
// of a guild that neither is the bot's nor names it.
func (s *Server) visible(n *session, data any, to where) any {
	m := to.message
	if m == nil || to.guild == nil || n.intents&intentContent != 0 || m.Author == s.bot {
		return data
	}
	if strings.Contains(m.Content, "<@"+s.bot.ID+">") {
		return data
	}
	b, _ := json.Marshal(data)
	var d map[string]any
	_ = json.Unmarshal(b, &d)
	d["content"], d["attachments"], d["components"] = "", []any{}, []any{}
	return d
}

// Inject sends a dispatch as it stands.
func (s *Server) Inject(kind string, data json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch(kind, data, where{})
}

// Acked reports whether the client has said that it has the message.
func (s *Server) Acked(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sessions {
		for _, e := range n.log {
			if e.message == id {
				return e.seq <= n.acked
			}
		}
	}
	return false
}

// Again delivers the newest dispatch about a message once more.
func (s *Server) Again(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sessions {
		for _, e := range n.log {
			if e.message == id {
				var f struct {
					Kind string          `json:"t"`
					Data json.RawMessage `json:"d"`
				}
				_ = json.Unmarshal(e.frame, &f)
				n.add(f.Kind, f.Data, "")
				return
			}
		}
	}
}

// Sessions is how many sessions the gateway keeps, and Started how many began.
func (s *Server) Sessions() (kept, started int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), 1000 - s.starts
}

// Online reports whether a client is connected and has a session.
func (s *Server) Online() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.session != nil && c.session.on == c {
			return true
		}
	}
	return false
}
