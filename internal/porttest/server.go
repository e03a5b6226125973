package porttest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Server serves one address of its own, in the manner of httptest, and can be
// shut and opened again there. Its methods may be called concurrently.
type Server struct {
	addr    string
	release func()
	handler http.Handler

	mu  sync.Mutex
	srv *httptest.Server
}

// Serve opens a server at an address on loopback. The caller closes it.
func Serve(h http.Handler) (*Server, error) {
	addr, release, err := Reserve()
	if err != nil {
		return nil, err
	}
	s := &Server{addr: addr, release: release, handler: h}
	if err := s.Up(); err != nil {
		release()
		return nil, err
	}
	return s, nil
}

// Addr is the host and the port.
func (s *Server) Addr() string { return s.addr }

// Up opens the address again after Down.
func (s *Server) Up() error {
	l, err := net.Listen("tcp", s.addr) //nolint:noctx // it does not block
	if err != nil {
		return err
	}
	srv := httptest.NewUnstartedServer(s.handler)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv = srv
	return nil
}

// Drop cuts every connection; new ones are let in. One that was upgraded is the
// handler's own and stays.
func (s *Server) Drop() { s.now().CloseClientConnections() }

// Down cuts every connection and lets none in. It waits for handlers to end.
func (s *Server) Down() {
	srv := s.now()
	srv.CloseClientConnections()
	srv.Close()
}

// Close ends the server and gives its address back.
func (s *Server) Close() {
	s.Down()
	s.release()
}

func (s *Server) now() *httptest.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}
