package egress_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// socketServer accepts WebSockets and hands them to a test. It is over when f is.
func socketServer(f func(ctx context.Context, r *http.Request, c *websocket.Conn)) http.Handler {
	return pingedServer(true, f)
}

// pingedServer is socketServer, with a say in whether pings are answered.
func pingedServer(answer bool, f func(ctx context.Context, r *http.Request, c *websocket.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			InsecureSkipVerify: true, Subprotocols: []string{"talk"},
			OnPingReceived: func(context.Context, []byte) bool { return answer },
		})
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(2 << 20)
		f(r.Context(), r, c)
	})
}

// echoing answers each message with itself.
func echoing(ctx context.Context, _ *http.Request, c *websocket.Conn) {
	for {
		kind, b, err := c.Read(ctx)
		if err != nil || c.Write(ctx, kind, b) != nil {
			return
		}
	}
}

// serveSocket puts h behind a name with a public address.
func serveSocket(t *testing.T, h http.Handler, o egress.Options) *egress.Gate {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	fake := &internet{}
	fake.host("talk.example:80", publicAddress, server.Listener.Addr().String())
	o.Dialer = fake.dialer
	return egress.New(o)
}

func talker(t testing.TB) egress.Policy {
	return egress.Policy{Name: "channel talk", Allow: allow(t, "ws://talk.example/socket")}
}

func openSocket(t *testing.T, g *egress.Gate, p egress.Policy) *egress.Socket {
	t.Helper()
	s, err := g.Socket(t.Context(), p, "ws://talk.example/socket?ticket=t1cket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// exchange sends a message and returns what comes back.
func exchange(t *testing.T, s *egress.Socket, text string) string {
	t.Helper()
	if err := s.Write(t.Context(), []byte(text)); err != nil {
		t.Fatal(err)
	}
	b, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSocketFillsIn: a placeholder that is a JSON string of its own is replaced
// in the form that JSON has, in the handshake as in any request, and nowhere
// else.
func TestSocketFillsIn(t *testing.T) {
	const difficult = `a"b\c` + "\n"
	var shown string
	g := serveSocket(t, socketServer(func(ctx context.Context, r *http.Request, c *websocket.Conn) {
		shown = r.Header.Get("Authorization") + " " + r.Header.Get("Sec-WebSocket-Protocol")
		echoing(ctx, r, c)
	}), egress.Options{})
	other := "0:gh-" + strings.Repeat("o", 32)
	p := talker(t)
	p.Inject = []egress.Injection{
		{Placeholder: ph, In: egress.Anywhere | egress.InMessage, Lease: lend(difficult)},
		{Placeholder: other, Lease: lend("never in a message")},
	}
	p.Inject[1].In = egress.InHeader
	s, err := g.Socket(t.Context(), p, "ws://talk.example/socket", http.Header{
		"Authorization": {"Bearer " + other}, "Sec-Websocket-Protocol": {"shout, talk"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, tt := range []struct{ in, want string }{
		{`{"op":2,"d":{"token":"` + ph + `"}}`, `{"op":2,"d":{"token":"a\"b\\c\n"}}`},
		{`["` + ph + `","` + ph + `"]`, `["a\"b\\c\n","a\"b\\c\n"]`},
		{`{"text":"say ` + ph + `"}`, `{"text":"say ` + ph + `"}`},
		{`not JSON "` + ph + `"`, `not JSON "` + ph + `"`},
		{`{"token":"` + other + `"}`, `{"token":"` + other + `"}`},
		{"plain text, ü", "plain text, ü"},
	} {
		if got := exchange(t, s, tt.in); got != tt.want {
			t.Errorf("%s\narrived as %s\nwant       %s", tt.in, got, tt.want)
		}
	}
	if shown != "Bearer never in a message shout,talk" {
		t.Errorf("the handshake had %q", shown)
	}
	if n := g.Totals()["channel talk"]; n.Requests != 7 || n.Bytes < 400 {
		t.Errorf("counted %+v", n)
	}
}

// TestSocketGoesNowhereElse: the rules of requests hold, by name and by address,
// and every refusal is reported.
func TestSocketGoesNowhereElse(t *testing.T) {
	for _, tt := range []struct {
		url     string
		address string
	}{
		{"ws://talk.example/other", publicAddress},
		{"ws://other.example/socket", publicAddress},
		{"wss://talk.example/socket", publicAddress},
		{"ws://talk.example:8080/socket", publicAddress},
		{"ws://user@talk.example/socket", publicAddress},
		{"ws://talk.example/socket/../other", publicAddress},
		{"ws://talk.example/socket", "127.0.0.1"},
		{"ws://talk.example/socket", "10.1.2.3"},
		{"ws://talk.example/socket", "169.254.169.254"},
		{"ws://talk.example/socket", "::1"},
		{"ws://talk.example/socket", "fd00:ec2::254"},
		{"ws://talk.example/socket", "64:ff9b::7f00:1"},
	} {
		fake := &internet{}
		for _, name := range []string{"talk.example:80", "talk.example:443", "talk.example:8080", "other.example:80"} {
			fake.host(name, tt.address, "127.0.0.1:1")
		}
		var told []egress.Decision
		g := egress.New(egress.Options{Dialer: fake.dialer, Report: func(_ context.Context, d egress.Decision) { told = append(told, d) }})
		_, err := g.Socket(t.Context(), talker(t), tt.url, nil)
		if !errors.Is(err, egress.ErrDenied) || len(fake.seen()) > 0 {
			t.Errorf("%s at %s: %v, dialled %v", tt.url, tt.address, err, fake.seen())
		}
		if len(told) == 0 || told[0].Policy != "channel talk" || told[0].Err == nil {
			t.Errorf("%s at %s: reported %+v", tt.url, tt.address, told)
		}
	}
}

// TestSocketKeepsSecretsAtHome: a lease that is not for the host refuses the
// message, which is not sent.
func TestSocketKeepsSecretsAtHome(t *testing.T) {
	g := serveSocket(t, socketServer(echoing), egress.Options{})
	denied := errors.New("the secret is not for this host")
	p := talker(t)
	var asked string
	p.Inject = []egress.Injection{{Placeholder: ph, In: egress.InMessage, Lease: func(_ context.Context, host string) (egress.Lease, error) {
		asked = host
		return nil, denied
	}}}
	s := openSocket(t, g, p)
	if err := s.Write(t.Context(), []byte(`{"token":"`+ph+`"}`)); !errors.Is(err, denied) || !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if got := exchange(t, s, "still open"); got != "still open" || asked != "talk.example:80" {
		t.Errorf("got %q, asked for %q", got, asked)
	}
}

func TestSocketLimits(t *testing.T) {
	c := &clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	limit := func(l egress.Limits) *egress.Gate {
		return serveSocket(t, socketServer(echoing), egress.Options{Now: c.Now, Terms: terms(egress.Terms{Limits: l})})
	}
	var limited *egress.Limited
	s := openSocket(t, limit(egress.Limits{RequestsPerMinute: 3}), talker(t))
	exchange(t, s, "one")
	exchange(t, s, "two")
	if err := s.Write(t.Context(), []byte("three")); !errors.As(err, &limited) || !errors.Is(err, egress.ErrDenied) {
		t.Errorf("the fourth request: %v", err)
	}
	c.set(c.Now().Add(time.Minute))
	if got := exchange(t, s, "again"); got != "again" {
		t.Errorf("got %q", got)
	}
	s = openSocket(t, limit(egress.Limits{BytesPerMinute: 2000}), talker(t))
	exchange(t, s, strings.Repeat("x", 1500))
	if _, err := s.Read(t.Context()); !errors.As(err, &limited) {
		t.Errorf("reading beyond the limit: %v", err)
	}
}

func TestSocketMessages(t *testing.T) {
	answer := make(chan func(context.Context, *websocket.Conn), 1)
	g := serveSocket(t, socketServer(func(ctx context.Context, _ *http.Request, c *websocket.Conn) {
		(<-answer)(ctx, c)
		_, _, _ = c.Read(ctx)
	}), egress.Options{})
	for _, tt := range []struct {
		name string
		do   func(context.Context, *websocket.Conn)
		want error
	}{
		{"too large", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageText, make([]byte, 8<<20+1))
		}, egress.ErrTooLarge},
		{"binary", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageBinary, []byte("x"))
		}, egress.ErrText},
		{"no UTF-8", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageText, []byte{0xff})
		}, egress.ErrText},
		{"gone", func(_ context.Context, c *websocket.Conn) { _ = c.CloseNow() }, nil},
	} {
		s := openSocket(t, g, talker(t))
		answer <- tt.do
		if _, err := s.Read(t.Context()); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	s := openSocket(t, g, talker(t))
	if err := s.Write(t.Context(), make([]byte, 1<<20+1)); !errors.Is(err, egress.ErrLong) {
		t.Errorf("a message that is too long: %v", err)
	}
	if err := s.Write(t.Context(), []byte{0xff}); !errors.Is(err, egress.ErrText) {
		t.Errorf("a message that is no text: %v", err)
	}
	large := strings.Repeat("y", 8<<20)
	answer <- func(ctx context.Context, c *websocket.Conn) { _ = c.Write(ctx, websocket.MessageText, []byte(large)) }
	if b, err := s.Read(t.Context()); err != nil || string(b) != large {
		t.Errorf("8 MiB: %d bytes, %v", len(b), err)
	}
}

func TestSocketIsClosed(t *testing.T) {
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	leaks.Learn([]byte(token))
	g := serveSocket(t, socketServer(func(_ context.Context, _ *http.Request, c *websocket.Conn) {
		_ = c.Close(4004, "wrong token "+token)
	}), egress.Options{Leaks: leaks})
	_, err = openSocket(t, g, talker(t)).Read(t.Context())
	var closed *egress.Closed
	if !errors.As(err, &closed) {
		t.Fatalf("got %v", err)
	}
	if d := cmp.Diff(&egress.Closed{Code: 4004, Reason: "wrong token [secret]"}, closed); d != "" {
		t.Error(d)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the error says %v", err)
	}
}

// TestSocketEndsWithItsContext: a reader that is told to stop, and one whose
// connection another goroutine closes.
func TestSocketEndsWithItsContext(t *testing.T) {
	g := serveSocket(t, socketServer(echoing), egress.Options{})
	s := openSocket(t, g, talker(t))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := s.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := s.Write(t.Context(), []byte("x")); err == nil {
		t.Error("the connection is open still")
	}
	s = openSocket(t, g, talker(t))
	time.AfterFunc(20*time.Millisecond, func() { _ = s.Close() })
	if _, err := s.Read(t.Context()); err == nil {
		t.Error("read from a closed connection")
	}
}

// TestSocketIsScreened: what a guest sends holds no secret, and what it is sent
// neither.
func TestSocketIsScreened(t *testing.T) {
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	leaks.Learn([]byte(token))
	g := serveSocket(t, socketServer(echoing), egress.Options{Leaks: leaks})
	p := talker(t)
	p.Screen, p.Inject = true, []egress.Injection{{Placeholder: ph, In: egress.InMessage, Lease: lend(token)}}
	s := openSocket(t, g, p)
	if err := s.Write(t.Context(), []byte(`{"x":"`+token+`"}`)); !errors.Is(err, leak.ErrLeak) || !errors.Is(err, egress.ErrDenied) {
		t.Errorf("got %v", err)
	}
	if got := exchange(t, s, `{"x":"`+ph+`"}`); got != `{"x":"[secret]"}` {
		t.Errorf("an echo of the secret came in as %s", got)
	}
}

func TestSocketRefusedHandshake(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusFound, http.StatusOK} {
		g := serveSocket(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "/socket?again")
			w.WriteHeader(status)
		}), egress.Options{})
		_, err := g.Socket(t.Context(), talker(t), "ws://talk.example/socket?ticket=t1cket", nil)
		var shake *egress.Handshake
		if !errors.As(err, &shake) || *shake != (egress.Handshake{Status: status, RetryAfter: "7"}) || strings.Contains(err.Error(), "t1cket") {
			t.Errorf("%d: %v", status, err)
		}
	}
	fake := &internet{}
	fake.host("talk.example:80", publicAddress, "")
	_, err := egress.New(egress.Options{Dialer: fake.dialer}).Socket(t.Context(), talker(t), "ws://talk.example/socket?ticket=t1cket", nil)
	if !errors.Is(err, errNowhere) || strings.Contains(err.Error(), "t1cket") {
		t.Errorf("got %v", err)
	}
}

// TestSocketTrustsTheConfiguredRoots: a private authority, by the configuration.
func TestSocketTrustsTheConfiguredRoots(t *testing.T) {
	server := httptest.NewTLSServer(socketServer(echoing))
	t.Cleanup(server.Close)
	fake := &internet{}
	fake.host("example.com:443", publicAddress, server.Listener.Addr().String())
	p := egress.Policy{Name: "channel talk", Allow: allow(t, "wss://example.com")}
	if _, err := egress.New(egress.Options{Dialer: fake.dialer}).Socket(t.Context(), p, "wss://example.com/", nil); err == nil {
		t.Error("an unknown authority was trusted")
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s, err := egress.New(egress.Options{Dialer: fake.dialer, Roots: roots}).Socket(t.Context(), p, "wss://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got := exchange(t, s, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
}

// pipes is a listener whose connections are pipes, for time that a test owns.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSocketPingsTheSilent: a platform that says nothing for hours and answers
// pings is left alone, one that pings by itself is not pinged, and one that does
// not answer is given up.
func TestSocketPingsTheSilent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		serve   func(ctx context.Context, c *websocket.Conn)
		after   time.Duration // until Read returns
		message bool
	}{
		{"answers for three hours", func(ctx context.Context, c *websocket.Conn) {
			c.CloseRead(ctx)
			<-time.After(3 * time.Hour)
			_ = c.Write(ctx, websocket.MessageText, []byte("here"))
		}, 3 * time.Hour, true},
		{"pings by itself", func(ctx context.Context, c *websocket.Conn) {
			c.CloseRead(ctx)
			for range 100 {
				<-time.After(45 * time.Second)
				_ = c.Ping(ctx)
			}
			_ = c.Write(ctx, websocket.MessageText, []byte("here"))
		}, 75 * time.Minute, true},
		{"is dead", func(ctx context.Context, c *websocket.Conn) { c.CloseRead(ctx) }, 70 * time.Second, false},
		{"vanishes right after a beat", func(ctx context.Context, c *websocket.Conn) {
			c.CloseRead(ctx)
			<-time.After(time.Second)
			_ = c.Ping(ctx)
		}, 2 * time.Minute, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conns := make(pipes)
				over := make(chan struct{})
				server := &http.Server{Handler: pingedServer(tt.message, func(ctx context.Context, _ *http.Request, c *websocket.Conn) {
					tt.serve(ctx, c)
					<-over
				})}
				go func() { _ = server.Serve(conns) }()
				g := egress.New(egress.Options{Dialer: func(egress.Control, time.Duration) egress.DialFunc {
					return func(context.Context, string, string) (net.Conn, error) {
						mine, yours := net.Pipe()
						conns <- yours
						return mine, nil
					}
				}})
				s := openSocket(t, g, talker(t))
				began := time.Now()
				b, err := s.Read(t.Context())
				if took := time.Since(began).Round(time.Second); took != tt.after || (err == nil) != tt.message || tt.message && string(b) != "here" {
					t.Errorf("after %s: %q, %v", took, b, err)
				}
				_ = s.Close()
				close(over)
				close(conns)
				time.Sleep(25 * time.Hour) // whatever still runs shows up
				synctest.Wait()
			})
		})
	}
}
