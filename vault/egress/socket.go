package egress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// What a socket is held to. A platform that beats by itself, as most do every
// 30 to 45 seconds, is never pinged. One that vanishes right after a beat is
// noticed within two quiet times and the wait for an answer: two minutes.
const (
	maxMessage    = 8 << 20 // bytes of a message that is received
	maxOwn        = maxBody // bytes of a message that is sent: all of it is searched
	shakeWithin   = 30 * time.Second
	quietFor      = 50 * time.Second // without a message or a ping, until the other side is pinged
	answersWithin = 20 * time.Second
)

// Errors of a socket on which a caller branches: the message would be refused
// again.
var (
	ErrText = errors.New("only messages of text are carried")
	ErrLong = fmt.Errorf("the message is larger than %d bytes", maxOwn)
)

var (
	errQuiet = errors.New("the other side does not answer any more")
	errShake = errors.New("the server did not agree to a WebSocket")
)

// Handshake is the error of a connection that the server did not turn into a
// WebSocket.
type Handshake struct {
	Status     int
	RetryAfter string // as its header had it
}

// Error implements error.
func (h *Handshake) Error() string {
	return fmt.Sprintf("the server answered with status %d in the place of a WebSocket", h.Status)
}

// Closed is the error of a socket that the other side closed.
type Closed struct {
	Code   int
	Reason string // as the other side says; secrets are hidden in it
}

// Error implements error. It leaves the reason out, which is the other side's.
func (c *Closed) Error() string {
	return fmt.Sprintf("the other side closed the connection with code %d", c.Code)
}

// Socket opens a WebSocket under the policy. The handshake is a request like any
// other, except that no redirect is followed; ctx bounds it, and half a minute.
// What the headers name as Sec-WebSocket-Protocol is negotiated; compression
// never is.
//
// Each message that is sent counts as a request to the limits and the report,
// is searched as a body is if the policy says so, and has the placeholders of
// injections with InMessage replaced that are a whole JSON string in it.
func (g *Gate) Socket(ctx context.Context, p Policy, url string, header http.Header) (*Socket, error) {
	p.Upgrade, p.Redirects, p.Timeouts.Idle, p.Timeouts.Total = true, 0, 0, 0
	client := g.Client(p)
	defer client.CloseIdleConnections() // an upgraded connection is no longer the pool's
	s := &Socket{}
	s.rules = client.Transport.(*roundTripper).rules //nolint:forcetypeassert // made by Client
	header = header.Clone()
	o := &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: header,
		OnPingReceived: func(context.Context, []byte) bool { s.heard.Add(1); return true },
	}
	if asked := header.Values("Sec-Websocket-Protocol"); len(asked) > 0 {
		o.Subprotocols = strings.FieldsFunc(strings.Join(asked, ","), func(r rune) bool { return r == ',' || r == ' ' })
		header.Del("Sec-Websocket-Protocol")
	}
	ctx, cancel := context.WithTimeout(ctx, shakeWithin)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, url, o) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, s.unopened(res, err)
	}
	if s.to, err = canonical(res.Request.URL); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	s.conn = conn
	return s, nil
}

// unopened says why there is no connection. The library's own text holds the
// URL, and in it perhaps a ticket.
func (s *Socket) unopened(res *http.Response, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	e := &Error{Policy: s.rules.Name, Err: errShake}
	if res == nil {
		return e
	}
	if to, err := canonical(res.Request.URL); err == nil {
		e.Host = to.addr()
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		e.Err = &Handshake{Status: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}
	}
	return e
}

// Socket is a WebSocket that carries text. One goroutine may read while others
// write. A context that ends closes it.
type Socket struct {
	rules *rules
	to    Destination
	conn  *websocket.Conn
	heard atomic.Int64 // messages and pings
	asked atomic.Bool  // a ping is under way, or came to nothing
}

// Read returns the next message. Pings are answered while it waits; a platform
// that is silent is pinged, and taken for lost when no answer comes. The error
// of a connection that the other side closed matches *[Closed].
func (s *Socket) Read(ctx context.Context) ([]byte, error) {
	if err := s.rules.meter().full(s.rules.gate.o.Now()); err != nil {
		return nil, s.rules.refuse(ctx, "", s.to.addr(), err)
	}
	stop := s.watch(ctx)
	kind, text, err := s.conn.Read(ctx)
	s.heard.Add(1)
	stop()
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	if kind != websocket.MessageText || !utf8.Valid(text) {
		_ = s.conn.CloseNow()
		return nil, s.error(ErrText)
	}
	if leaks := s.rules.gate.o.Leaks; s.rules.Screen && leaks.Holds(text) {
		text = []byte(leaks.Redact("", string(text)))
	}
	return text, nil
}

// watch pings the other side when it is silent, until the returned function is
// called.
func (s *Socket) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var look func(last int64) func()
	look = func(last int64) func() {
		return func() {
			if ctx.Err() != nil {
				return
			}
			if now := s.heard.Load(); now != last || s.answers(ctx) {
				time.AfterFunc(quietFor, look(now))
			}
		}
	}
	timer := time.AfterFunc(quietFor, look(s.heard.Load()))
	return func() { cancel(); timer.Stop() }
}

// answers reports whether the other side is there, and closes the connection if
// not. Nobody reads when ctx has ended, so that nothing can be said then.
func (s *Socket) answers(ctx context.Context) bool {
	ping, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	s.asked.Store(true)
	err := s.conn.Ping(ping)
	if err == nil || ctx.Err() != nil {
		s.asked.Store(false)
	}
	if err == nil {
		return true
	}
	if ctx.Err() == nil {
		_ = s.conn.CloseNow()
	}
	return false
}

// Write sends a message. The caller's is not changed.
func (s *Socket) Write(ctx context.Context, message []byte) error {
	host := s.to.addr()
	switch {
	case len(message) > maxOwn:
		return s.error(ErrLong)
	case !utf8.Valid(message):
		return s.error(ErrText)
	}
	if err := s.rules.admit(host); err != nil {
		return s.rules.refuse(ctx, "", host, err)
	}
	if leaks := s.rules.gate.o.Leaks; s.rules.Screen && leaks.Crosses(s.rules.Name+" message", string(message)) {
		return s.rules.refuse(ctx, "", host, leak.ErrLeak)
	}
	out, err := s.rules.fill(ctx, message, s.to)
	if err != nil {
		return s.rules.refuse(ctx, "", host, err)
	}
	if err := s.conn.Write(ctx, websocket.MessageText, out); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// Close ends the connection and every call on it, without a word to the other
// side: several platforms take a proper goodbye for the end of a session that is
// to be resumed. It does not wait.
func (s *Socket) Close() error { return s.conn.CloseNow() }

// fill replaces the placeholders of a message.
func (r *rules) fill(ctx context.Context, message []byte, to Destination) ([]byte, error) {
	for _, i := range r.Inject {
		if !i.usable() || i.places()&InMessage == 0 || !json.Valid(message) {
			continue
		}
		if is, _ := replaceBody(message, jsonBody, i.Placeholder, nil); !is {
			continue
		}
		lease, err := i.Lease(ctx, to.addr())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errInjection, err)
		}
		err = lease.Use(func(plain []byte) error {
			if len(plain) == 0 {
				return errValue
			}
			_, message = replaceBody(message, jsonBody, i.Placeholder, plain)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errInjection, err)
		}
	}
	return message, nil
}

// failed says why a call on the connection failed.
func (s *Socket) failed(ctx context.Context, err error) error {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return s.error(&Closed{Code: int(closed.Code), Reason: s.rules.gate.o.Leaks.Redact("", closed.Reason)})
	case ctx.Err() != nil:
		return s.error(context.Cause(ctx))
	case errors.Is(err, websocket.ErrMessageTooBig):
		return s.error(ErrTooLarge)
	case s.asked.Load():
		return s.error(errQuiet)
	}
	return s.error(err)
}

func (s *Socket) error(err error) error {
	return &Error{Policy: s.rules.Name, Host: s.to.addr(), Err: err}
}
