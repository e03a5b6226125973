package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// socket is a channel's WebSocket, with the errors that an adapter knows.
type socket struct {
	*egress.Socket
	o *outside
}

var _ channels.Socket = socket{}

// Socket implements channels.Socketer.
func (o *outside) Socket(ctx context.Context, _ channels.AccountID, url string, header http.Header) (channels.Socket, error) {
	o.mu.Lock()
	p := o.policy()
	o.mu.Unlock()
	s, err := o.b.gate.Socket(ctx, p, url, header)
	if err != nil {
		return nil, o.socketError("open a socket", err)
	}
	return socket{s, o}, nil
}

// Read implements channels.Socket.
func (s socket) Read(ctx context.Context) ([]byte, error) {
	b, err := s.Socket.Read(ctx)
	return b, s.o.socketError("read from a socket", err)
}

// Write implements channels.Socket.
func (s socket) Write(ctx context.Context, message []byte) error {
	return s.o.socketError("write to a socket", s.Socket.Write(ctx, message))
}

// socketError tells apart what an adapter does next.
func (o *outside) socketError(op string, err error) error {
	if err == nil {
		return nil
	}
	e := &channels.Error{Op: op, Channel: o.id, Kind: channels.Transient, Err: err}
	var (
		limited *egress.Limited
		shake   *egress.Handshake
		closed  *egress.Closed
	)
	switch {
	case errors.As(err, &limited):
		e.Kind, e.RetryAfter = channels.RateLimited, limited.After
	case errors.As(err, &shake):
		e.Kind = kindOfStatus(shake.Status)
		if s, err := strconv.Atoi(shake.RetryAfter); err == nil && s > 0 {
			e.RetryAfter = time.Duration(min(s, 3600)) * time.Second
		}
	case errors.As(err, &closed):
		e.Err = &channels.SocketClosed{Code: closed.Code, Reason: closed.Reason}
	case errors.Is(err, egress.ErrLong), errors.Is(err, egress.ErrTooLarge), errors.Is(err, egress.ErrText):
		e.Kind = channels.Rejected
	}
	return e
}

// kindOfStatus is what a status in the place of a WebSocket means.
func kindOfStatus(status int) channels.Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return channels.Unauthorized
	case status == http.StatusTooManyRequests:
		return channels.RateLimited
	case status/100 == 4:
		return channels.Rejected
	}
	return channels.Transient
}
