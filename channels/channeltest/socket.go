package channeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// The limits of a message, as the gateway has them.
const (
	maxRead  = 8 << 20
	maxWrite = 1 << 20
)

// Socket implements channels.Socketer. Like the gateway's it fills secrets into
// messages, where a placeholder is a JSON string of its own.
func (h *Host) Socket(ctx context.Context, a channels.AccountID, raw string, header http.Header) (channels.Socket, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, h.socketError(channels.Rejected, errors.New("the URL cannot be read"))
	}
	client := h.Client(a)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	header = header.Clone()
	o := &websocket.DialOptions{HTTPClient: client, HTTPHeader: header}
	if asked := header.Values("Sec-Websocket-Protocol"); len(asked) > 0 {
		o.Subprotocols = strings.FieldsFunc(strings.Join(asked, ","), func(r rune) bool { return r == ',' || r == ' ' })
		header.Del("Sec-Websocket-Protocol")
	}
	conn, res, err := websocket.Dial(ctx, raw, o) //nolint:bodyclose // the library has done it
	if err != nil {
		return nil, h.unopened(res, err)
	}
	conn.SetReadLimit(maxRead)
	return &socket{h, conn, u}, nil
}

// unopened is a handshake that failed.
func (h *Host) unopened(res *http.Response, err error) error {
	if res == nil || res.StatusCode == http.StatusSwitchingProtocols {
		return h.socketError(channels.Transient, err)
	}
	kind := channels.Transient
	switch status := res.StatusCode; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		kind = channels.Unauthorized
	case status == http.StatusTooManyRequests:
		kind = channels.RateLimited
	case status/100 == 4:
		kind = channels.Rejected
	}
	return h.socketError(kind, fmt.Errorf("the platform answered with status %d", res.StatusCode))
}

func (h *Host) socketError(k channels.Kind, err error) error {
	if err == nil {
		return nil
	}
	return &channels.Error{Op: "socket", Channel: h.id, Kind: k, Err: err}
}

// socket is a connection to an emulated platform.
type socket struct {
	h    *Host
	conn *websocket.Conn
	to   *url.URL
}

// Read implements channels.Socket.
func (s *socket) Read(ctx context.Context) ([]byte, error) {
	kind, b, err := s.conn.Read(ctx)
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return nil, s.h.socketError(channels.Transient, &channels.SocketClosed{Code: int(closed.Code), Reason: closed.Reason})
	case err != nil:
		return nil, s.h.socketError(channels.Transient, err)
	case kind != websocket.MessageText:
		_ = s.conn.CloseNow()
		return nil, s.h.socketError(channels.Rejected, errors.New("the message is no text"))
	}
	s.h.watch("a message of a socket", string(b))
	return b, nil
}

// Write implements channels.Socket.
func (s *socket) Write(ctx context.Context, message []byte) error {
	if len(message) > maxWrite {
		return s.h.socketError(channels.Rejected, errors.New("the message is too long"))
	}
	s.h.watch("a message that the adapter made", string(message))
	if json.Valid(message) {
		f := &filler{values: s.h.tickIndex()}
		message = []byte(f.swap(string(message), quoted, quoted))
		for _, ref := range f.used {
			if !s.h.mayGo(ref, s.to) {
				s.h.violate("secret %s was sent towards %s, which it is not allowed for", ref, s.to.Host)
				return s.h.socketError(channels.Transient, fmt.Errorf("egress: %s may not go to %s", ref, s.to.Host))
			}
		}
	}
	return s.h.socketError(channels.Transient, s.conn.Write(ctx, websocket.MessageText, message))
}

// Close implements channels.Socket.
func (s *socket) Close() error { return s.conn.CloseNow() }
