package wasm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// socketGrant is a kind of connection that the host holds for the guest, with
// its host resolved.
type socketGrant struct {
	module.Socket
	scheme, authority, prefix string
}

func newSocketGrant(s module.Socket, base string) (socketGrant, error) {
	u, err := socketURL(base)
	if err != nil {
		return socketGrant{}, err
	}
	s.URL = u.String()
	return socketGrant{Socket: s, scheme: u.Scheme, authority: authority(u), prefix: u.Path}, nil
}

// covers reports whether a connection may be made.
func (g socketGrant) covers(u *url.URL) bool {
	return plain(u) && u.Scheme == g.scheme && strings.HasPrefix(u.Path, g.prefix) && within(g.authority, authority(u))
}

// connection is the one that the host holds.
type connection struct {
	channels.Socket
	grant socketGrant
}

var (
	errNoSocket  = errors.New("this gateway holds no connections for guests")
	errNoURL     = errors.New("the answer has no URL to connect to")
	errSocketURL = errors.New("the manifest does not list the URL to connect to under sockets")
)

// connect has the guest say how to connect, and does it.
func (p *poller) connect(ctx context.Context) (*connection, wire.Connect, error) {
	p.greeting = nil
	ask := &wire.Socket{Failures: p.failures}
	out, r, err := p.receive(ctx, sandbox.OpSocketOpen, wire.In{Socket: ask}, nil)
	if err != nil {
		return nil, wire.Connect{}, err
	}
	if out.Request != nil {
		if out, err = p.ticket(ctx, ask, out, r.Out.Body); err != nil {
			return nil, wire.Connect{}, err
		}
	}
	var how wire.Connect
	if out.Socket != nil {
		how = *out.Socket
	}
	c, err := p.open(ctx, how)
	return c, how, err
}

// ticket makes the request whose answer has the URL. The guest sees the answer
// only if it has none.
func (p *poller) ticket(ctx context.Context, ask *wire.Socket, out wire.Out, body []byte) (wire.Out, error) {
	h := &call{c: p.channel, outer: ctx}
	defer h.end()
	req := *out.Request
	req.Save, req.Repeatable = false, true
	resp, content, err := h.exchange(ctx, req, body)
	if err != nil {
		return out, p.fail(sandbox.OpSocketOpen, pollKind(err), cmp.Or(h.cause, err))
	}
	if out.Socket != nil && resp.Status/100 == 2 {
		if to, ok := textAt(content, out.Socket.URLAt); ok {
			how := *out.Socket
			how.URL = to
			return wire.Out{Socket: &how}, nil
		}
	}
	ask.Response = &resp
	out, _, err = p.receive(ctx, sandbox.OpSocketOpen, wire.In{Socket: ask}, content)
	if err == nil && (out.Socket == nil || out.Socket.URL == "") {
		err = p.fail(sandbox.OpSocketOpen, channels.Other, errNoURL)
	}
	return out, err
}

// textAt is the text at a JSON pointer without escapes.
func textAt(body []byte, pointer string) (string, bool) {
	var at any
	if json.Unmarshal(body, &at) != nil {
		return "", false
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	text, ok := at.(string)
	return text, ok && text != ""
}

// open connects to what the manifest lists.
func (p *poller) open(ctx context.Context, how wire.Connect) (*connection, error) {
	opener, ok := p.h.(channels.Socketer)
	if !ok {
		return nil, p.fail(sandbox.OpSocketOpen, channels.Rejected, errNoSocket)
	}
	u, err := url.Parse(cmp.Or(how.URL, p.s.sockets[0].URL))
	if err != nil {
		return nil, p.fail(sandbox.OpSocketOpen, channels.Rejected, errSocketURL)
	}
	at := slices.IndexFunc(p.s.sockets, func(g socketGrant) bool { return g.covers(u) })
	if at < 0 {
		(&call{c: p.channel}).denied(ctx, "a socket to", u)
		return nil, p.fail(sandbox.OpSocketOpen, channels.Rejected, unlistedSocket(u))
	}
	grant := p.s.sockets[at]
	header := http.Header{}
	for name, value := range how.Headers {
		header.Set(name, value)
	}
	if err := p.introduce(ctx, grant.Credential, u, header); err != nil {
		return nil, p.fail(sandbox.OpSocketOpen, channels.Unauthorized, err)
	}
	s, err := opener.Socket(ctx, "", u.String(), header)
	if err != nil {
		kind := channels.KindOf(err)
		if kind == channels.Unauthorized && (grant.Credential == nil || grant.Credential.In == "frame") {
			kind = channels.Transient // it was no credential of ours that was refused
		}
		return nil, &channels.Error{
			Op: sandbox.OpSocketOpen.String(), Channel: p.h.ID(), Kind: kind, RetryAfter: channels.RetryAfter(err), Err: err,
		}
	}
	return &connection{s, grant}, nil
}

// unlistedSocket says what the manifest would have to say. The path may be a
// secret, and is left out.
func unlistedSocket(u *url.URL) error {
	return fmt.Errorf("the manifest does not list a socket to %s://%s; under sockets it would be {\"url\": \"%s://%s/\"}", //nolint:err113 // for people
		u.Scheme, u.Host, u.Scheme, u.Host)
}

// introduce puts a credential into the handshake.
func (c *channel) introduce(ctx context.Context, cr *module.Credential, u *url.URL, h http.Header) error {
	if cr == nil || cr.In == "frame" {
		return nil
	}
	v, err := c.secret(ctx, cr.Secret)
	if err != nil {
		return err
	}
	v = strings.Replace(cmp.Or(cr.Template, "{}"), "{}", v, 1)
	if cr.In == "header" {
		h.Set(cr.Name, v)
		return nil
	}
	query := u.Query()
	query.Set(cr.Name, v)
	u.RawQuery = query.Encode()
	return nil
}

// say answers socket_send.
func (h *call) say(ctx context.Context, in sandbox.Payload) error {
	c := h.c.socket.Load()
	if c == nil {
		if len(h.c.s.sockets) == 0 {
			return sandbox.Denied
		}
		return sandbox.Unavailable
	}
	err := h.c.write(ctx, c, in)
	var hosts *channels.Error
	switch {
	case err == nil:
		h.risky = true // it is with the platform
		return nil
	case errors.Is(err, errPointer), errors.As(err, &hosts) && hosts.Kind == channels.Rejected:
		return h.failed(err, sandbox.Invalid)
	case errors.Is(err, errSecret):
		return h.failed(err, sandbox.Auth)
	case errors.As(err, &hosts) && hosts.Kind == channels.RateLimited:
		return h.failed(err, sandbox.Quota)
	}
	h.risky = true
	return h.failed(err, sandbox.Timeout)
}

// write sends one message of the guest.
func (c *channel) write(ctx context.Context, to *connection, in sandbox.Payload) error {
	var head wire.SocketSend
	if json.Unmarshal(in.Header, &head) != nil {
		return errPointer
	}
	message := in.Body
	if cr := to.grant.Credential; head.Credential {
		if cr == nil || cr.In != "frame" {
			return errPointer
		}
		v, err := c.secret(ctx, cr.Secret)
		if err == nil {
			message, err = setAt(message, cr.Pointer, strings.Replace(cmp.Or(cr.Template, "{}"), "{}", v, 1))
		}
		if err != nil {
			return err
		}
	}
	return to.Write(ctx, message)
}

// sendAll sends what waited for a commit. Without a connection it is dropped:
// what was meant for one that is gone means nothing to the next.
func (c *channel) sendAll(ctx context.Context, all []sandbox.Payload) error {
	to := c.socket.Load()
	for _, in := range all {
		if to == nil {
			return nil
		}
		if err := c.write(ctx, to, in); err != nil {
			return fmt.Errorf("send a message over the socket: %w", err)
		}
	}
	return nil
}

// hangUp answers socket_close.
func (h *call) hangUp() error {
	if len(h.c.s.sockets) == 0 {
		return sandbox.Denied
	}
	h.closing = true
	return nil
}

// The messages that are read ahead while the guest works.
const (
	aheadMessages = 64
	aheadBytes    = 1 << 20
)

// inbox is what came and waits for the guest. Its methods may be called
// concurrently.
type inbox struct {
	mu    sync.Mutex
	all   [][]byte
	bytes int
	most  int           // are taken at once
	err   error         // of the read that ended it
	full  chan struct{} // closed when there is room again; nil: there is room
	some  chan struct{}
}

// fill reads until the connection ends, and stops while too much waits.
func (b *inbox) fill(ctx context.Context, s channels.Socket) {
	for {
		m, err := s.Read(ctx)
		b.mu.Lock()
		if err != nil {
			b.err = err
		} else {
			b.all, b.bytes = append(b.all, m), b.bytes+len(m)
		}
		var room chan struct{}
		if len(b.all) >= aheadMessages || b.bytes >= aheadBytes {
			room = make(chan struct{})
			b.full = room
		}
		b.mu.Unlock()
		select {
		case b.some <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
		if room != nil {
			select {
			case <-room:
			case <-ctx.Done():
				return
			}
		}
	}
}

// take waits for messages and returns those that are there, up to most. Its error
// comes when all were taken.
func (b *inbox) take(ctx context.Context) ([][]byte, error) {
	for {
		b.mu.Lock()
		n := min(b.most, len(b.all))
		all, err := b.all[:n:n], b.err
		b.all = b.all[n:]
		for _, m := range all {
			b.bytes -= len(m)
		}
		if b.full != nil && len(b.all) == 0 {
			close(b.full)
			b.full = nil
		}
		b.mu.Unlock()
		switch {
		case len(all) > 0:
			return all, nil
		case err != nil:
			return nil, err
		}
		select {
		case <-b.some:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
