package discordtest

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// Fault is what calls meet with.
type Fault struct {
	status int
	code   int
	text   string
	raw    string
	reset  bool
	after  bool // the call is done all the same
	hang   bool
	times  int // -1: always
}

// Status answers with a status and the platform's code.
func Status(status, code int) Fault {
	return Fault{status: status, code: code, text: "emulated", times: 1}
}

// Limited answers that there were too many requests.
func Limited(wait time.Duration, global bool) Fault {
	f := Fault{status: http.StatusTooManyRequests, text: strconv.FormatFloat(wait.Seconds(), 'f', 3, 64), times: 1}
	if global {
		f.code = 1
	}
	return f
}

// Answer answers with something of a proxy, or garbage.
func Answer(status int, body string) Fault { return Fault{status: status, raw: body, times: 1} }

// Reset ends the connection before anything is done.
func Reset() Fault { return Fault{reset: true, times: 1} }

// Hang never answers.
func Hang() Fault { return Fault{hang: true, times: 1} }

// After has the call done, and only its answer lost.
func (f Fault) After() Fault { f.after = true; return f }

// Times repeats the fault.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Always repeats it for ever.
func (f Fault) Always() Fault { return f.Times(-1) }

type fault struct {
	Fault
	kind string
	hits int
}

// Fail lets the next calls of a kind, such as "POST messages", or "*" for all
// and "gateway" for new connections, meet with a fault. heal ends it.
func (s *Server) Fail(kind string, f Fault) (heal func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &fault{Fault: f, kind: kind}
	s.faults = append(s.faults, x)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		x.times = 0
	}
}

// meets takes one hit of a fault for a call; nil for none.
func (s *Server) meets(kind string, after bool) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.times != 0 && f.after == after && (f.kind == "*" || f.kind == kind) {
			if f.times > 0 {
				f.times--
			}
			f.hits++
			return f
		}
	}
	return nil
}

// upset answers a call with a fault, if it meets one.
func (s *Server) upset(w http.ResponseWriter, r *http.Request, kind string) bool {
	f := s.meets(kind, false)
	if f == nil {
		return false
	}
	switch {
	case f.hang:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.reset:
		panic(http.ErrAbortHandler)
	case f.raw != "":
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, f.raw)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		reply(w, nil, fail(f.status, f.code, f.text))
	}
	return true
}

// after reports whether the answer to a call that was done is lost.
func (s *Server) after(kind string) bool { return s.meets(kind, true) != nil }

// Stall holds the answer to the next new message until release is called.
func (s *Server) Stall() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return func() {
		select {
		case <-hold:
		default:
			close(hold)
		}
	}
}

func (s *Server) stall(kind string, r *http.Request) {
	if kind != "POST messages" {
		return
	}
	s.mu.Lock()
	hold := s.hold
	s.hold = nil
	s.mu.Unlock()
	if hold == nil {
		return
	}
	select {
	case <-hold:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// each does something to every connection of the gateway.
func (s *Server) each(f func(c *conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}

// Drop cuts every connection.
func (s *Server) Drop() {
	s.each(func(c *conn) { _ = c.ws.UnderlyingConn().Close() })
	s.web.Drop()
}

// Down refuses every connection, and cuts those that stand, until Up is called.
func (s *Server) Down() {
	s.Drop()
	s.web.Down()
	s.pendingWG.Wait()
}

// Up ends what Down began.
func (s *Server) Up() error { return s.web.Up() }

// Revoke makes the token invalid, and ends the connections.
func (s *Server) Revoke() {
	s.mu.Lock()
	s.revoked = true
	s.mu.Unlock()
	s.CloseWith(4004, "Authentication failed.")
}

// CloseWith ends every connection of the gateway with a code.
func (s *Server) CloseWith(code int, reason string) {
	s.each(func(c *conn) { c.end(code, reason) })
}

// Reconnect asks every client to connect anew and resume.
func (s *Server) Reconnect() { s.each(func(c *conn) { c.send(7, nil) }) }

// Invalidate ends every session, or with resumable true only says so.
func (s *Server) Invalidate(resumable bool) {
	s.mu.Lock()
	if !resumable {
		clear(s.sessions)
	}
	s.mu.Unlock()
	s.each(func(c *conn) { c.send(9, resumable) })
}

// Forget ends every session without a word.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// Silence leaves the next n resumes without an answer.
func (s *Server) Silence(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = n
}

// Freeze leaves connections standing and carries nothing on them, until thaw is
// called. New ones are frozen as well.
func (s *Server) Freeze() (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
	return func() {
		s.mu.Lock()
		s.frozen = false
		s.mu.Unlock()
		s.each(func(c *conn) { c.poke() })
	}
}

// Garbage sends what is no message of the gateway to every client.
func (s *Server) Garbage(frame string) {
	s.each(func(c *conn) {
		c.queue = append(c.queue, []byte(frame))
		c.poke()
	})
}

// Starts sets how many sessions may still begin.
func (s *Server) Starts(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = n
}

// Shards sets how many connections the platform asks for. It takes one all the
// same.
func (s *Server) Shards(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards = n
}
