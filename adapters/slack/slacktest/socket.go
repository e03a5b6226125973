package slacktest

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// conn is a socket of Socket Mode.
type conn struct {
	s      *Server
	ws     *websocket.Conn
	out    chan []byte
	ending bool // it gets nothing new
	frozen atomic.Bool
	done   chan struct{}
}

func (s *Server) openSocket(q *request) (object, *failure) {
	if q.token != s.opts.appToken {
		if strings.HasPrefix(q.token, "xoxb-") {
			return nil, fail("not_allowed_token_type")
		}
		return nil, fail("invalid_auth")
	}
	at := "ws" + strings.TrimPrefix(s.http.URL, "http") // not by what stands in front: it would have to carry an upgraded connection
	return object{"url": at + "/socket?" + url.Values{"ticket": {strings.ToLower(s.idLocked("ticket"))}, "app_id": {AppID}}.Encode()}, nil
}

// socket serves one connection.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hit := s.faultLocked("socket")
	s.mu.Unlock()
	if hit != nil {
		hit.meet(w, r)
		return
	}
	c := &conn{s: s, out: make(chan []byte, 4096), done: make(chan struct{})}
	var err error
	if c.ws, err = websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // SDKs name an origin of their own
		OnPingReceived:     func(context.Context, []byte) bool { return !c.frozen.Load() },
	}); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.change(func() { s.conns = append(s.conns, c); s.opens++ })
	c.push(object{
		"type": "hello", "num_connections": s.Sockets(), "connection_info": object{"app_id": AppID},
		"debug_info": object{"host": "applink-1", "started": "2026-01-01 00:00:00.000", "build_number": 1, "approximate_connection_time": 18060},
	})
	s.work.Go(func() { c.write(ctx) })
	s.deliver()
	c.read(ctx)
	cancel()
	s.gone(c)
}

// gone takes a connection away. What it did not acknowledge is sent again.
func (s *Server) gone(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(c.done)
	s.conns = slices.DeleteFunc(s.conns, func(x *conn) bool { return x == c })
	for _, d := range s.queue {
		if d.on == c {
			d.on, d.attempt = nil, d.attempt+1
		}
	}
	s.wakeLocked()
	s.deliverLocked()
}

// connLocked is the connection for a conversation: the same one as long as
// there are the same.
func (s *Server) connLocked(order string) *conn {
	var open []*conn
	for _, c := range s.conns {
		if !c.ending {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return nil
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(order))
	return open[int(h.Sum32()%uint32(len(open)))] //nolint:gosec // a handful
}

func (c *conn) push(o object) {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	select {
	case c.out <- b:
	case <-c.s.ctx.Done():
	}
}

// sendLocked sends a delivery, which is due again when no acknowledgement comes.
func (c *conn) sendLocked(d *delivery) {
	s := c.s
	d.on, d.env = c, strings.ToLower(s.idLocked("env"))
	o := object{"envelope_id": d.env, "type": d.kind, "payload": d.payload, "accepts_response_payload": d.kind != "events_api"}
	if d.kind == "events_api" {
		o["retry_attempt"], o["retry_reason"] = d.attempt, ""
		if d.attempt > 0 {
			o["retry_reason"] = "timeout"
		}
	}
	c.push(o)
	env := d.env
	s.work.Go(func() {
		sleep(s.ctx, s.opts.ack)
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.env == env && !d.acked && d.on == c {
			d.on, d.attempt = nil, d.attempt+1
			s.deliverLocked()
		}
	})
}

func (c *conn) write(ctx context.Context) {
	beat := time.NewTicker(c.s.opts.ping)
	defer beat.Stop()
	for {
		select {
		case b := <-c.out:
			if !c.frozen.Load() && c.ws.Write(ctx, websocket.MessageText, b) != nil {
				return
			}
		case <-beat.C:
			if c.frozen.Load() {
				continue
			}
			ping, cancel := context.WithTimeout(ctx, c.s.opts.ping)
			err := c.ws.Ping(ping)
			cancel()
			if err != nil {
				_ = c.ws.CloseNow()
				return
			}
		case <-c.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *conn) read(ctx context.Context) {
	for {
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			return
		}
		var ack struct {
			ID string `json:"envelope_id"`
		}
		if c.frozen.Load() || json.Unmarshal(b, &ack) != nil {
			continue
		}
		c.s.mu.Lock()
		for _, d := range c.s.queue {
			if d.env == ack.ID && ack.ID != "" {
				c.s.doneLocked(d)
				break
			}
		}
		c.s.mu.Unlock()
	}
}

// Sockets is how many are open.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Opened is how many sockets were opened so far.
func (s *Server) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	list := append([]*conn(nil), s.conns...)
	s.mu.Unlock()
	for _, c := range list {
		f(c)
	}
}

// Disconnect tells every socket that it will end, for a reason such as
// "warning", "refresh_requested" or "link_disabled", and ends it after grace.
func (s *Server) Disconnect(reason string, grace time.Duration) {
	s.each(func(c *conn) {
		s.mu.Lock()
		c.ending = reason != "warning"
		s.mu.Unlock()
		c.push(object{"type": "disconnect", "reason": reason, "debug_info": object{"host": "applink-1"}})
		s.work.Go(func() {
			select {
			case <-c.done:
				return
			default:
			}
			sleep(s.ctx, grace)
			_ = c.ws.CloseNow()
		})
	})
}

// Drop cuts every socket without a word.
func (s *Server) Drop() { s.each(func(c *conn) { _ = c.ws.CloseNow() }) }

// Freeze leaves the sockets that are open standing, and carries nothing on them
// any more, in either direction. New ones are as always.
func (s *Server) Freeze() { s.each(func(c *conn) { c.frozen.Store(true) }) }

// Frame sends something of the test's own through every socket.
func (s *Server) Frame(b []byte) {
	s.each(func(c *conn) { c.out <- b })
}
