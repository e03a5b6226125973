//go:build !nowhatsapp

package whatsapp

import (
	"io"
	"net/http"
	"net/url"
	"sync"
)

// detour is the way out of everything that whatsmeow requests: the host's
// client, towards another server where the section names one. What is read from
// a WebSocket counts as heard.
type detour struct {
	next  http.RoundTripper
	to    *url.URL // nil: where the request wants to go
	heard func()
	wire  *wire
}

// RoundTrip implements http.RoundTripper.
func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.to != nil {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = d.to.Scheme, d.to.Host, ""
		r.URL.Path = d.to.Path + r.URL.Path
	}
	resp, err := d.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if pipe, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = d.wire.open(pipe, d.heard)
	}
	return resp, nil
}

// wire knows whether the WebSocket of a client is open. The zero wire is not.
type wire struct {
	mu     sync.Mutex
	closed chan struct{} // nil before the first connection
}

// down is closed when the WebSocket is.
func (w *wire) down() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return w.closed
}

func (w *wire) open(pipe io.ReadWriteCloser, heard func()) io.ReadWriteCloser {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &heardPipe{ReadWriteCloser: pipe, heard: heard, closed: make(chan struct{})}
	w.closed = p.closed
	return p
}

type heardPipe struct {
	io.ReadWriteCloser
	heard  func()
	once   sync.Once
	closed chan struct{}
}

// Read implements io.Reader.
func (p *heardPipe) Read(b []byte) (int, error) {
	n, err := p.ReadWriteCloser.Read(b)
	if n > 0 {
		p.heard()
	}
	return n, err
}

// Close implements io.Closer.
func (p *heardPipe) Close() error {
	defer p.once.Do(func() { close(p.closed) })
	return p.ReadWriteCloser.Close()
}

// httpClient is the host's client on the detour.
func (c *Channel) httpClient(w *wire) *http.Client {
	h := *c.host.Client("")
	h.Transport = detour{next: h.Transport, to: c.cfg.base, heard: c.host.Heard, wire: w}
	return &h
}
