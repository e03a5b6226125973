package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, so that synctest's time
// holds for a server on it.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func newPipes() *pipes { return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.accepted <- there
	return here
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// A connection on which nothing was asked does not hold up the end, nor does a
// request that goes on; neither is an error.
func TestServerEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  string
		logs string
	}{
		{name: "with a silent connection"},
		{name: "with a request that ends with its context", ask: "/obedient"},
		{name: "with a request that goes on", ask: "/deaf", logs: "requests were cut off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var said strings.Builder
				a := &app{log: slog.New(slog.NewTextHandler(&said, nil))}
				deaf := make(chan struct{})
				mux := http.NewServeMux()
				mux.HandleFunc("/obedient", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				mux.HandleFunc("/deaf", func(http.ResponseWriter, *http.Request) { <-deaf })
				l := newPipes()
				ended := make(chan error, 1)
				go func() { ended <- a.serveHTTP(ctx, l, mux) }()
				conn := l.dial()
				defer func() { _ = conn.Close() }()
				if c.ask != "" {
					if _, err := io.WriteString(conn, "GET "+c.ask+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
						t.Fatal(err)
					}
					go func() { _, _ = io.Copy(io.Discard, conn) }()
				}
				synctest.Wait()
				begun := time.Now()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > time.Second && c.logs == "" {
					t.Errorf("it took %s", took)
				}
				close(deaf)
				synctest.Wait()
				if !strings.Contains(said.String(), c.logs) || c.logs == "" && said.Len() > 0 {
					t.Errorf("it logged %q", said.String())
				}
			})
		})
	}
}
