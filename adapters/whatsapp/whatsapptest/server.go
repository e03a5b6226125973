//go:build !nowhatsapp

package whatsapptest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// Server is an emulated WhatsApp with one account, the owner's, that devices can
// be linked to. Its methods may be called concurrently.
type Server struct {
	listener net.Listener
	http     *http.Server
	served   chan struct{}
	once     sync.Once
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup // connections and answers that are held back

	mu       sync.Mutex // guards everything below
	owner    *Person
	people   []*Person
	groups   []*Group
	device   *device // that is linked; nil: none
	last     uint16  // number of the device that was linked last
	wires    map[*wire]bool
	linking  *codeLink
	messages []*Message
	media    map[string][]byte
	typed    map[types.JID]int
	read     map[string]bool
	online   bool
	down     bool
	dropNext bool
	answers  []answer
	stalled  chan struct{} // holds the answer to the next message
	released chan struct{} // holds an answer that waits
	serial   int
	outage   Outage
}

// device is a linked device as the server knows it.
type device struct {
	id, lid      types.JID
	noise        []byte
	identity     [32]byte
	registration uint32
	signed       *keys.PreKey
	prekeys      []*keys.PreKey
	queue        []*parcel
	wire         *wire // nil while it is offline
	logins       int
}

// parcel is what waits until the device has acknowledged it.
type parcel struct {
	id   string
	node waBinary.Node
	done bool
}

// Person is somebody with a phone.
type Person struct {
	Name    string
	PN, LID types.JID

	phone *memory
	told  map[string]bool // groups whose sender key the linked device has
}

// Group is a group with its members; the owner is one of them.
type Group struct {
	JID     types.JID
	Title   string
	members []*Person
	without bool // the owner was removed
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		t.Fatalf("whatsapptest: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server on a free loopback port that runs until Close.
func Start() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{
		listener: l, served: make(chan struct{}), wires: map[*wire]bool{},
		media: map[string][]byte{}, typed: map[types.JID]int{}, read: map[string]bool{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.owner = s.Person("Olga Owner")
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // always http.ErrServerClosed
	}()
	return s, nil
}

// Close ends the server and its connections and waits for them.
func (s *Server) Close() {
	s.once.Do(func() {
		s.cancel()
		s.mu.Lock()
		if s.stalled != nil {
			close(s.stalled)
			s.stalled = nil
		}
		for w := range s.wires {
			w.cut()
		}
		s.mu.Unlock()
		_ = s.http.Close()
	})
	<-s.served
	s.work.Wait()
}

// URL is the base address that a channel takes in the place of WhatsApp's hosts.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Owner is the person whose phone devices are linked to.
func (s *Server) Owner() *Person { return s.owner }

// Person is the person with this name, who is made at the first call.
func (s *Server) Person(name string) *Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.people {
		if p.Name == name {
			return p
		}
	}
	n := len(s.people) + 1
	p := &Person{
		Name: name, phone: newMemory(uint32(1000 + n)), told: map[string]bool{},
		PN:  types.NewJID(fmt.Sprintf("4917000000%02d", n), types.DefaultUserServer),
		LID: types.NewJID(fmt.Sprintf("1000000000000%02d", n), types.HiddenUserServer),
	}
	s.people = append(s.people, p)
	return p
}

// Group makes a group of the owner with others.
func (s *Server) Group(title string, with ...*Person) *Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &Group{
		JID: types.NewJID(fmt.Sprintf("1203630000000000%02d", len(s.groups)+1), types.GroupServer), Title: title,
		members: append([]*Person{s.owner}, with...),
	}
	s.groups = append(s.groups, g)
	return g
}

// who finds a person by phone number or LID.
func (s *Server) who(id types.JID) *Person {
	for _, p := range s.people {
		if p.PN.User == id.User || p.LID.User == id.User {
			return p
		}
	}
	return nil
}

func (s *Server) group(id types.JID) *Group {
	for _, g := range s.groups {
		if g.JID == id.ToNonAD() {
			return g
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	down, outage := s.down, s.outage
	s.mu.Unlock()
	switch {
	case outage == Unavailable || down:
		http.Error(w, "out of service", http.StatusServiceUnavailable)
	case outage == Throttled:
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case outage == Hung:
		<-r.Context().Done()
	case r.URL.Path == "/ws/chat":
		s.socket(w, r)
	case strings.HasPrefix(r.URL.Path, "/mms/") && r.Method == http.MethodPost:
		s.upload(w, r)
	case strings.HasPrefix(r.URL.Path, mediaPath):
		s.download(w, r)
	default:
		http.NotFound(w, r)
	}
}

// socket serves one connection of a device until it ends.
func (s *Server) socket(rw http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	ws.SetReadLimit(maxFrame)
	w := &wire{ws: ws}
	w.ctx, w.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		w.cut()
		return
	}
	s.wires[w] = true
	s.work.Add(1)
	drop := s.dropNext
	s.dropNext = false
	s.mu.Unlock()
	defer s.work.Done()
	defer s.gone(w)
	if drop {
		return
	}
	header, err := w.header()
	if err != nil {
		return
	}
	payload, err := w.shake(header)
	if err != nil {
		return
	}
	if s.malformed() {
		w.junk()
	}
	if payload.GetDevicePairingData() != nil {
		s.register(w, payload.GetDevicePairingData())
	} else if !s.login(w, payload) {
		return
	}
	for {
		n, err := w.read()
		if err != nil {
			return
		}
		s.mu.Lock()
		more := s.handle(w, n)
		s.mu.Unlock()
		if !more {
			w.linger()
			return // without a close frame, as the platform does
		}
	}
}

func (s *Server) malformed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outage == Malformed
}

func (s *Server) gone(w *wire) {
	w.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wires, w)
	if w.device != nil && w.device.wire == w {
		w.device.wire = nil
	}
}

func (s *Server) number() int {
	s.serial++
	return s.serial
}

// id makes a message's or a stanza's id as phones do.
func (s *Server) id() string { return fmt.Sprintf("3A%018X", s.number()) }

func server() types.JID { return types.ServerJID }
