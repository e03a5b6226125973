package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// talking is a driver whose section names a base URL and a token.
type talking struct{ channels.Driver }

func (talking) Name() string { return "talking" }
func (talking) Schema() []byte {
	return []byte(`{"properties":{"base_url":{"type":"string","format":"uri"},"token":{"type":"string"}}}`)
}

// TestSocketsOfAChannel: a secret goes into a message towards the section's own
// destinations, and what the server says about the connection is told apart.
func TestSocketsOfAChannel(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ok" {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(map[string]int{"/401": 401, "/429": 429, "/404": 404, "/500": 500}[r.URL.Path])
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, b, _ := c.Read(r.Context())
		got <- string(b)
		_ = c.Close(4004, "no")
	}))
	t.Cleanup(server.Close)
	base := "ws" + strings.TrimPrefix(server.URL, "http")

	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	folder, log := t.TempDir(), slog.New(slog.DiscardHandler)
	engine := inprocess.New(inprocess.Options{})
	v, err := vault.Open(t.Context(), vault.Options{
		State: engine, Key: vault.NewKeyFile(filepath.Join(folder, "conf", "key"), filepath.Join(folder, "data")), Log: log, Leaks: leaks,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), workspace, "bot", []byte("the bot's own token"), nil); err != nil {
		t.Fatal(err)
	}
	ref, _ := vault.ParseRef("secret://bot")
	if err := v.Configure(workspace, vault.Binding{Ref: ref, Kind: vault.ForChannel, Name: "c", Hosts: []string{strings.TrimPrefix(server.URL, "http://")}}); err != nil {
		t.Fatal(err)
	}
	section, _ := json.Marshal(map[string]string{"base_url": base, "token": "secret://bot"})
	b := &border{gate: egress.New(egress.Options{Log: log, Leaks: leaks}), vault: v, state: engine, workspace: workspace, leaks: leaks}
	o := b.channel(gateway.ChannelConfig{ID: "c", Driver: talking{}, Section: section})

	holder, err := o.Secret(t.Context(), "secret://bot")
	if err != nil {
		t.Fatal(err)
	}
	s, err := o.Socket(t.Context(), "a", base+"/ok", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Write(t.Context(), []byte(`{"token":"`+holder.Reveal()+`"}`)); err != nil {
		t.Fatal(err)
	}
	if g := <-got; g != `{"token":"the bot's own token"}` {
		t.Errorf("arrived: %s", g)
	}
	var closed *channels.SocketClosed
	if _, err := s.Read(t.Context()); channels.KindOf(err) != channels.Transient || !errors.As(err, &closed) || closed.Code != 4004 {
		t.Errorf("closed by the platform: %v", err)
	}
	for path, want := range map[string]channels.Kind{
		"/401": channels.Unauthorized, "/429": channels.RateLimited, "/404": channels.Rejected, "/500": channels.Transient,
	} {
		_, err := o.Socket(t.Context(), "a", base+path, nil)
		if channels.KindOf(err) != want || channels.RetryAfter(err).Seconds() != 9 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := o.Socket(context.Background(), "a", "ws://elsewhere.example/", nil); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("another host: %v", err)
	}
	if s, err = o.Socket(t.Context(), "a", base+"/ok", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), make([]byte, 2<<20)); channels.KindOf(err) != channels.Rejected {
		t.Errorf("a message that is too long: %v", err)
	}
	_ = s.Close()
}
