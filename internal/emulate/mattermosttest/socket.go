package mattermosttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/gorilla/websocket"
)

// conn is one connection of a client.
type conn struct {
	s  *Server
	ws *websocket.Conn

	write sync.Mutex
	seq   int64 // of the next event; the server's lock guards it
	ready bool  // it has said who it is
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

// socket is GET /api/v4/websocket. Nothing is said before the client has answered
// the challenge.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &conn{s: s, ws: ws}
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	defer func() {
		_ = ws.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	for {
		var m struct {
			Seq    int64  `json:"seq"`
			Action string `json:"action"`
			Data   struct {
				Token string `json:"token"`
			} `json:"data"`
		}
		if ws.ReadJSON(&m) != nil {
			return
		}
		c.take(m.Seq, m.Action, m.Data.Token)
	}
}

func (c *conn) take(seq int64, action, token string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	fail := func(status int, id string) {
		c.send(map[string]any{"status": "FAIL", "seq_reply": seq, "error": map[string]any{"id": id, "status_code": status, "message": "It was refused."}})
	}
	switch {
	case seq <= 0:
		fail(http.StatusBadRequest, "api.websocket_handler.invalid_param.app_error")
	case action == "authentication_challenge":
		if token != c.s.token {
			fail(http.StatusUnauthorized, "api.web_socket.authentication.app_error")
			_ = c.ws.Close()
			return
		}
		c.ready = true
		c.event("hello", map[string]any{"server_version": "10.5.0", "connection_id": newID()}, map[string]any{"user_id": c.s.bot.ID})
		c.send(map[string]any{"status": "OK", "seq_reply": seq})
	case !c.ready:
		fail(http.StatusUnauthorized, "api.web_socket_router.not_authenticated.app_error")
	case action == "ping":
		c.send(map[string]any{"status": "OK", "seq_reply": seq, "data": map[string]any{"text": "pong", "version": "10.5.0", "server_time": c.s.tick(), "node_id": ""}})
	default:
		fail(http.StatusNotImplemented, "api.web_socket_router.bad_action.app_error")
	}
}

// send writes a message.
func (c *conn) send(v any) {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.ws.WriteJSON(v)
}

// event tells of something, with the connection's own number. The caller holds the
// lock.
func (c *conn) event(name string, data, broadcast map[string]any) {
	c.send(map[string]any{"event": name, "data": data, "broadcast": broadcast, "seq": c.seq})
	c.seq++
}

// tell sends an event about a channel to everybody who is connected. The caller
// holds the lock.
func (s *Server) tell(c *Channel, name string, data map[string]any) {
	if !slices.Contains(c.members, s.bot) {
		return
	}
	for to := range s.conns {
		if !to.ready {
			continue
		}
		if s.skip > 0 {
			s.skip--
			to.seq++
			continue
		}
		to.event(name, data, map[string]any{"channel_id": c.ID, "user_id": "", "team_id": "", "omit_users": nil})
	}
}

// Online reports whether the bot is connected and has said who it is.
func (s *Server) Online() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.ready {
			return true
		}
	}
	return false
}

// Drop breaks every connection.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.ws.Close()
	}
}

// Skip loses the next n events on their way: their numbers are missing.
func (s *Server) Skip(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skip = n
}

// inner is JSON within a text, as events carry posts.
func inner(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
