package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// lastRequestsFor is how long requests under way may take to end, after the
// context that they run under has ended.
const lastRequestsFor = 5 * time.Second

// serveHTTP serves a listener until ctx ends, then lets requests finish. What
// has not ended by lastRequestsFor is cut off, which is no error: nothing was
// acknowledged, so who asked asks again.
func (a *app) serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	var silent silentConns
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   silent.note,
		ErrorLog:    slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // what strangers do wrong, such as a handshake
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRequestsFor)
		defer cancel()
		silent.close()
		err := s.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			a.log.Warn("requests were cut off", "address", l.Addr().String(), "after", lastRequestsFor)
			err = s.Close()
		}
		done <- err
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return <-done
}

// silentConns are the connections on which nothing was asked yet. Browsers and
// HTTP clients open some ahead of need, and http.Server's Shutdown waits five
// seconds for each. The zero value is ready, for concurrent use.
type silentConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// note is the server's ConnState.
func (s *silentConns) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.closed:
		_ = c.Close()
	default:
		if s.conns == nil {
			s.conns = map[net.Conn]bool{}
		}
		s.conns[c] = true
	}
}

// close closes them, and all that come later.
func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}
