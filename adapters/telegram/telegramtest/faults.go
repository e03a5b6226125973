package telegramtest

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one way in which a call goes wrong. The zero value is none; make one
// with TooManyRequests, Status, Reset and their like and refine it with its
// methods, each of which returns a changed copy. Unrefined it meets the next
// call of its method, once, before the call takes effect.
type Fault struct {
	kind        faultKind
	code        int
	contentType string
	body        []byte
	retryAfter  int
	wait        time.Duration

	after bool // the call takes effect first
	times int  // -1: for ever
	skip  int
	odds  float64
	chat  int64
	where func(Call) bool
}

type faultKind int

const (
	faultNone faultKind = iota
	faultAnswer
	faultReset
	faultStall
	faultDelay
	faultShort
)

// Call is what a fault can choose by.
type Call struct {
	Method string // as the bot wrote it
	Chat   int64
	Thread int64
	Text   string // text or caption, as sent
}

// TooManyRequests answers 429 with retry_after, in whole seconds.
func TooManyRequests(retryAfter time.Duration) Fault {
	seconds := int((retryAfter + time.Second - 1) / time.Second)
	return fail(tooManyRequests(seconds))
}

// BadRequest answers 400 with that description, without its "Bad Request: ".
func BadRequest(description string) Fault {
	return fail(&apiError{code: http.StatusBadRequest, description: "Bad Request: " + description})
}

// Forbidden answers 403 with that description, without its "Forbidden: ".
func Forbidden(description string) Fault { return fail(forbidden(description)) }

// Unauthorized answers 401, as for a token that was revoked.
func Unauthorized() Fault {
	return fail(&apiError{code: http.StatusUnauthorized, description: "Unauthorized"})
}

// Status answers with any other status and a JSON error.
func Status(code int) Fault {
	return fail(&apiError{code: code, description: http.StatusText(code)})
}

// BadGateway answers 502 with the page of a proxy, which is no JSON.
func BadGateway() Fault {
	page := "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n" +
		"<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"
	return Answer(http.StatusBadGateway, "text/html", page)
}

// Answer answers with anything.
func Answer(code int, contentType, body string) Fault {
	return Fault{kind: faultAnswer, code: code, contentType: contentType, body: []byte(body), times: 1}
}

// Reset cuts the connection (TCP RST) without an answer.
func Reset() Fault { return Fault{kind: faultReset, times: 1} }

// Stall never answers: it holds the call until the bot gives up, the server
// closes or the injection is cleared.
func Stall() Fault { return Fault{kind: faultStall, times: 1} }

// Delay holds the call for d, then lets it through.
func Delay(d time.Duration) Fault { return Fault{kind: faultDelay, wait: d, times: 1} }

// ShortRead carries the call out and breaks off in the middle of the answer.
func ShortRead() Fault { return Fault{kind: faultShort, after: true, times: 1} }

func fail(err *apiError) Fault {
	body, _ := encodeAnswer(nil, err)
	return Fault{kind: faultAnswer, code: err.code, contentType: "application/json", body: body, retryAfter: err.retryAfter, times: 1}
}

// After lets the call take effect before it goes wrong: people see the message,
// the bot does not learn of it.
func (f Fault) After() Fault { f.after = true; return f }

// Times makes it meet n calls.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Always makes it meet every call until it is cleared.
func (f Fault) Always() Fault { f.times = -1; return f }

// Skip lets n calls pass first.
func (f Fault) Skip(n int) Fault { f.skip = n; return f }

// Odds makes it meet a call with probability p, see WithSeed.
func (f Fault) Odds(p float64) Fault { f.odds = p; return f }

// In makes it meet calls for that chat only.
func (f Fault) In(chat int64) Fault { f.chat = chat; return f }

// Where makes it meet the calls that match says yes to. match must not call the
// server.
func (f Fault) Where(match func(Call) bool) Fault { f.where = match; return f }

// Injection is a fault that was set.
type Injection struct {
	srv     *Server
	method  string
	fault   Fault
	hits    int
	cleared chan struct{}
}

// Fail sets a fault for a method, any method with "*". Of several that fit a
// call, the one set first meets it; delays come on top of others.
func (s *Server) Fail(method string, f Fault) *Injection {
	i := &Injection{srv: s, method: strings.ToLower(method), fault: f, cleared: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, i)
	return i
}

// Hits counts the calls it has met.
func (i *Injection) Hits() int {
	i.srv.mu.Lock()
	defer i.srv.mu.Unlock()
	return i.hits
}

// Clear takes the fault away and lets go of the calls that it stalls: they are
// cut off.
func (i *Injection) Clear() {
	i.srv.mu.Lock()
	defer i.srv.mu.Unlock()
	i.srv.faults = slices.DeleteFunc(i.srv.faults, func(o *Injection) bool { return o == i })
	i.end()
}

func (i *Injection) end() {
	select {
	case <-i.cleared:
	default:
		close(i.cleared)
	}
}

// ClearFaults takes all faults away.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.faults {
		i.end()
	}
	s.faults = nil
}

// latency is the time that each call takes on its way.
type latency struct {
	d       time.Duration
	methods []string // lower case; none: all
}

// SetLatency makes calls of the methods, or all calls when none is named, take
// d longer: half of it before the call takes effect and half after.
func (s *Server) SetLatency(d time.Duration, methods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency{d: d}
	for _, m := range methods {
		s.latency.methods = append(s.latency.methods, strings.ToLower(m))
	}
}

func (l latency) of(method string) time.Duration {
	if len(l.methods) == 0 || slices.Contains(l.methods, method) {
		return l.d
	}
	return 0
}

// plan is what is to happen to one call.
type plan struct {
	wait, waitAfter time.Duration
	before, after   *Injection
}

// plan chooses the faults that meet q and uses them up.
func (s *Server) plan(q *query) plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	half := s.latency.of(q.method) / 2
	p := plan{wait: half, waitAfter: half}
	for _, i := range slices.Clone(s.faults) {
		taken := p.before != nil || p.after != nil
		if taken && i.fault.kind != faultDelay || !i.meets(q) {
			continue
		}
		switch {
		case i.fault.kind == faultDelay && i.fault.after:
			p.waitAfter += i.fault.wait
		case i.fault.kind == faultDelay:
			p.wait += i.fault.wait
		case i.fault.after:
			p.after = i
			q.lost = true
		default:
			p.before = i
		}
	}
	return p
}

// meets says whether the fault meets q, and counts it. s.mu is held.
func (i *Injection) meets(q *query) bool {
	f := &i.fault
	c := q.call()
	if i.method != "*" && i.method != q.method || f.chat != 0 && f.chat != c.Chat || f.where != nil && !f.where(c) {
		return false
	}
	if f.odds > 0 && i.srv.random.Float64() >= f.odds {
		return false
	}
	if f.skip > 0 {
		f.skip--
		return false
	}
	if f.times == 0 {
		return false
	}
	if f.times > 0 {
		f.times--
	}
	i.hits++
	return true
}

func (q *query) call() Call {
	text := q.str("text")
	if text == "" {
		text = q.str("caption")
	}
	return Call{Method: q.name, Chat: q.int("chat_id"), Thread: q.int("message_thread_id"), Text: text}
}

// status is how the call is counted: 0 when it was cut off.
func (i *Injection) status() int { return i.fault.code }

// act answers, or does not answer, a call that the fault meets. body is the
// answer of a call that took effect.
func (i *Injection) act(s *Server, w http.ResponseWriter, r *http.Request, body []byte) {
	switch i.fault.kind {
	case faultAnswer:
		h := w.Header()
		h.Set("Content-Type", i.fault.contentType)
		h.Set("Content-Length", strconv.Itoa(len(i.fault.body)))
		if i.fault.retryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(i.fault.retryAfter))
		}
		w.WriteHeader(i.fault.code)
		_, _ = w.Write(i.fault.body)
	case faultStall:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		case <-i.cleared:
		}
		cut(w, nil)
	case faultShort:
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		cut(w, append([]byte(head), body[:len(body)/2]...))
	case faultReset:
		cut(w, nil)
	}
}

// cut writes some bytes to the connection under w and ends it: with a reset
// when there are none. A call that merely returned would be answered with an
// empty 200.
func cut(w http.ResponseWriter, some []byte) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // it is cut on purpose
	if tcp, ok := conn.(*net.TCPConn); ok && len(some) == 0 {
		_ = tcp.SetLinger(0)
	}
	_, _ = conn.Write(some)
}
