package slacktest

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Fault is what a call meets with.
type Fault struct {
	after  bool // it is done all the same, and then the fault comes
	times  int  // 0: once; negative: always
	status int
	wait   time.Duration // Retry-After
	word   string
	body   string
	reset  bool
	hang   bool
}

// Hit is a fault that was set.
type Hit struct {
	Fault
	s    *Server
	over chan struct{}
}

// RateLimited is 429 with Retry-After.
func RateLimited(wait time.Duration) Fault {
	return Fault{status: 429, wait: wait, word: "ratelimited"}
}

// Status is a failure without Slack's JSON.
func Status(code int) Fault { return Fault{status: code, body: http.StatusText(code)} }

// Error is a refusal in Slack's words.
func Error(word string) Fault { return Fault{status: 200, word: word} }

// Reset ends the connection without an answer.
func Reset() Fault { return Fault{reset: true} }

// Hang gives no answer until the fault is lifted or the caller goes.
func Hang() Fault { return Fault{hang: true} }

// Garbage answers with something that is no JSON.
func Garbage() Fault { return Fault{status: 200, body: `{"ok":tru`} }

// After is the fault after the call was done.
func (f Fault) After() Fault { f.after = true; return f }

// Times has the fault met n times.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Always has the fault met until it is lifted.
func (f Fault) Always() Fault { f.times = -1; return f }

// Fail lets calls of a method, or of all for "*", meet with a fault. "upload",
// "download", "respond" and "socket" name what is no method.
func (s *Server) Fail(method string, f Fault) *Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.times == 0 {
		f.times = 1
	}
	h := &Hit{Fault: f, s: s, over: make(chan struct{})}
	s.faults[method] = append(s.faults[method], h)
	return h
}

// Lift ends a fault.
func (h *Hit) Lift() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.times != 0 {
		h.times = 0
	}
	select {
	case <-h.over:
	default:
		close(h.over)
	}
}

func (s *Server) faultLocked(method string) *Hit {
	for _, name := range []string{method, "*"} {
		for _, h := range s.faults[name] {
			if h.times == 0 {
				continue
			}
			if h.times > 0 {
				h.times--
			}
			return h
		}
	}
	return nil
}

// meet lets a request meet with the fault.
func (h *Hit) meet(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.hang:
		select {
		case <-h.over:
		case <-r.Context().Done():
		case <-h.s.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	case h.reset:
		panic(http.ErrAbortHandler)
	}
	if h.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(h.wait.Seconds())))
	}
	if h.body != "" {
		w.WriteHeader(h.status)
		_, _ = io.WriteString(w, h.body)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(h.status)
	_ = json.NewEncoder(w).Encode(object{"ok": false, "error": h.word})
}
