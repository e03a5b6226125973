package channeltest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// platform is a server that keeps the first message it gets, and then says one
// and closes.
func platform(t *testing.T, got *string, say string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/shut" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, b, _ := c.Read(r.Context())
		*got = string(b)
		_ = c.Write(r.Context(), websocket.MessageText, []byte(say))
		_ = c.Close(4000, "bye")
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func TestHostSocket(t *testing.T) {
	var got string
	base := platform(t, &got, "hello")
	h := channeltest.NewHost(t, channeltest.WithSecret("secret://bot", `to"ken`))
	p, err := h.Secret(t.Context(), "secret://bot")
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Socket(t.Context(), "a", base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), []byte(`{"token":"`+p.Reveal()+`","text":"a `+p.Reveal()+`"}`)); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Read(t.Context()); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	if want := `{"token":"to\"ken","text":"a ` + p.Reveal() + `"}`; got != want {
		t.Errorf("arrived: %s", got)
	}
	var closed *channels.SocketClosed
	if _, err := s.Read(t.Context()); !errors.As(err, &closed) || closed.Code != 4000 || closed.Reason != "bye" {
		t.Errorf("got %v", err)
	}
	if _, err := h.Socket(t.Context(), "a", base+"/shut", nil); channels.KindOf(err) != channels.Unauthorized {
		t.Errorf("a refused handshake: %v", err)
	}
}

// TestHostSocketWatches: an adapter whose secret goes astray, or that is shown
// one, fails its test.
func TestHostSocketWatches(t *testing.T) {
	var got string
	base := platform(t, &got, "the token is hunter2hunter2")
	rec := channeltest.Record(t, func(t testing.TB) {
		h := channeltest.NewHost(t, channeltest.WithSecret("secret://bot", "hunter2hunter2", "elsewhere.example"))
		p, _ := h.Secret(t.Context(), "secret://bot")
		s, err := h.Socket(t.Context(), "a", base, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		if s.Write(t.Context(), []byte(`["`+p.Reveal()+`"]`)) == nil {
			t.Fatal("the secret was sent")
		}
		_ = s.Write(t.Context(), []byte("hello"))
		_, _ = s.Read(t.Context())
	})
	if got != "hello" || !strings.Contains(rec.Text(), "towards 127.0.0.1") || !strings.Contains(rec.Text(), "a message of a socket holds") {
		t.Errorf("sent %q, violations: %s", got, rec.Text())
	}
}
