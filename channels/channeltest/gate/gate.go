// Package gate puts a door between a channel under test and its emulated
// platform: it can hold the answer to a send back, cut connections, and be shut
// and opened again under the same address.
package gate

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// Gate stands between a channel and its platform. It may be used concurrently.
type Gate struct {
	t       testing.TB
	web     *porttest.Server
	send    string
	seen    func(sent, answered []byte)
	backend *httputil.ReverseProxy

	mu   sync.Mutex
	hold chan struct{} // the next send's answer waits for its end
}

// New opens a gate before the platform at the URL backend. send is how the path
// of a call ends that sends a message. seen is told the bodies of each such call
// and of its answer, before the answer leaves; nil: nobody is told. The caller
// ends it with Close.
func New(t testing.TB, backend, send string, seen func(sent, answered []byte)) *Gate {
	t.Helper()
	u, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{t: t, send: send, seen: seen, backend: httputil.NewSingleHostReverseProxy(u)}
	g.backend.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	g.backend.Transport = &http.Transport{}
	g.backend.ErrorLog = log.New(io.Discard, "", 0)
	if g.web, err = porttest.Serve(http.HandlerFunc(g.serve)); err != nil {
		t.Fatal(err)
	}
	return g
}

// URL is where the channel finds its platform.
func (g *Gate) URL() string { return "http://" + g.web.Addr() }

func (g *Gate) serve(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, g.send) {
		g.backend.ServeHTTP(w, r)
		return
	}
	sent, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(sent))
	g.mu.Lock()
	hold := g.hold
	g.hold = nil
	g.mu.Unlock()
	rec := httptest.NewRecorder()
	g.backend.ServeHTTP(rec, r)
	if g.seen != nil {
		g.seen(sent, rec.Body.Bytes())
	}
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// Stall lets the answer of the next send wait until release is called.
func (g *Gate) Stall() (release func()) {
	hold := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

// Drop cuts every connection; new ones are let in.
func (g *Gate) Drop() { g.web.Drop() }

// Down cuts every connection and lets none in until up is called. A connection
// that was upgraded is not the gate's any more and stays.
func (g *Gate) Down() (up func()) {
	g.web.Down()
	return sync.OnceFunc(func() {
		if err := g.web.Up(); err != nil {
			g.t.Error(err)
		}
	})
}

// Close ends the gate.
func (g *Gate) Close() {
	g.web.Close()
	g.backend.Transport.(*http.Transport).CloseIdleConnections()
}
