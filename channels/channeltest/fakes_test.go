package channeltest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

const value = "7527593:AA-real/value+x"

func event(key, text string) channels.Event {
	return channels.Event{
		Key: key, At: time.Unix(1_700_000_000, 0).UTC(), Account: "bot", Addressed: true,
		Where: channels.Address{Channel: "test", Account: "bot", Conversation: "c"},
		Room:  channels.Room{Direct: true}, Who: channels.Sender{ID: "u"}, Content: channels.Message{ID: "1", Text: text},
	}
}

func TestSecretsAreFilledInAtTheBoundary(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = []string{r.URL.Path, r.URL.Query().Get("q"), r.Header.Get("Authorization"), string(b)}
	}))
	t.Cleanup(srv.Close)
	h := channeltest.NewHost(t, channeltest.WithSecret("secret://bot", value))
	s, err := h.Secret(t.Context(), "secret://bot")
	if err != nil {
		t.Fatal(err)
	}
	p := s.Reveal()
	if !strings.HasPrefix(p, "0:gh-") || p == value {
		t.Fatalf("placeholder %q", p)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/bot"+p+"/x?q="+p, strings.NewReader("say "+p))
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Authorization", "Bearer "+p)
	resp, err := h.Client("").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	want := []string{"/bot" + value + "/x", value, "Bearer " + value, "say " + p}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
	if strings.Contains(resp.Request.URL.String(), "AA-real") {
		t.Errorf("the adapter sees %s", resp.Request.URL)
	}
}

func TestViolations(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, value) }))
	t.Cleanup(srv.Close)
	accept := func(change func(*channels.Event)) func(*channeltest.Host) {
		return func(h *channeltest.Host) {
			e := event("k", "hi")
			change(&e)
			_ = channeltest.NewSink(h).Accept(context.Background(), channels.Batch{Events: []channels.Event{e}})
		}
	}
	for _, c := range []struct {
		name string
		do   func(*channeltest.Host)
		want string
	}{
		{"log attribute", func(h *channeltest.Host) { h.Log().Info("x", "url", "/bot"+value) }, "a log line holds"},
		{"log error in a group", func(h *channeltest.Host) { h.Log().WithGroup("g").Warn("x", "err", errors.New(value)) }, "a log line holds"},
		{"health", func(h *channeltest.Host) { h.Report(channels.Health{Err: errors.New(value)}) }, "a health report holds"},
		{"derived", func(h *channeltest.Host) { h.Log().Info(h.Derive("webhook").Reveal()) }, "derived secret for webhook"},
		{"response", func(h *channeltest.Host) {
			resp, err := h.Client("").Get(srv.URL)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}, "a response body holds"},
		{"destination", func(h *channeltest.Host) {
			s, _ := h.Secret(context.Background(), "secret://far")
			if resp, err := h.Client("").Get(srv.URL + "/" + s.Reveal()); err == nil {
				_ = resp.Body.Close()
				t.Error("the request was sent")
			}
		}, "not allowed for"},
		{"a placeholder in a body", func(h *channeltest.Host) {
			s, _ := h.Secret(context.Background(), "secret://bot")
			if resp, err := h.Client("").Post(srv.URL+"/x", "application/json", strings.NewReader(`{"token":"`+s.Reveal()+`"}`)); err == nil {
				_ = resp.Body.Close()
			}
		}, "a body holds the placeholder of secret://bot"},
		{"event text", accept(func(e *channels.Event) { e.Raw = json.RawMessage(`"` + value + `"`) }), "holds the value"},
		{"no key", accept(func(e *channels.Event) { e.Key = "" }), "no key"},
		{"a key with NUL", accept(func(e *channels.Event) { e.Key = "a\x00b" }), "without NUL"},
		{"a thread that is no text", accept(func(e *channels.Event) { e.Where.Thread = "\xff" }), "without NUL"},
		{"foreign channel", accept(func(e *channels.Event) { e.Where.Channel = "other" }), "not the channel's id"},
		{"two accounts", accept(func(e *channels.Event) { e.Account = "b" }), "differ"},
		{"no conversation", accept(func(e *channels.Event) { e.Where.Conversation = "" }), "no conversation"},
		{"direct and not addressed", accept(func(e *channels.Event) { e.Addressed = false }), "not addressed"},
		{"no content", accept(func(e *channels.Event) { e.Content = nil }), "cannot be stored"},
		{"via in raw", accept(func(e *channels.Event) {
			e.Via, e.Raw = &channels.Via{Token: channels.NewSecret("tok-1")}, json.RawMessage(`{"token":"tok-1"}`)
		}), "token of Via"},
		{"via in raw, escaped", accept(func(e *channels.Event) {
			e.Via, e.Raw = &channels.Via{Token: channels.NewSecret("https://x?a&b")}, json.RawMessage(`{"url":"https://x?a\u0026b"}`)
		}), "token of Via"},
		{"via in an id", accept(func(e *channels.Event) {
			e.Via, e.Key = &channels.Via{Token: channels.NewSecret("tok-1")}, "press/tok-1"
		}), "token of Via"},
		{"state", func(h *channeltest.Host) {
			_ = channeltest.NewSink(h).Accept(context.Background(), channels.Batch{State: []channels.Write{{Key: "k", Value: []byte(value)}}})
		}, "the state k holds"},
		{"back in time", func(h *channeltest.Host) {
			a, b := event("1", "a"), event("2", "b")
			b.At = a.At.Add(-time.Second)
			_ = channeltest.NewSink(h).Accept(context.Background(), channels.Batch{Events: []channels.Event{a, b}})
		}, "younger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := channeltest.Record(t, func(t testing.TB) {
				h := channeltest.NewHost(t, channeltest.WithSecret("secret://bot", value), channeltest.WithSecret("secret://far", "far-away-value", "api.example.org"))
				c.do(h)
			})
			if !rec.Failed() || !strings.Contains(rec.Text(), c.want) {
				t.Errorf("failed %v, said %q, want %q", rec.Failed(), rec.Text(), c.want)
			}
		})
	}
}

func TestSinkKeepsAllOrNothing(t *testing.T) {
	h := channeltest.NewHost(t)
	s := channeltest.NewSink(h)
	batch := channels.Batch{Events: []channels.Event{event("1", "a")}, State: []channels.Write{{Key: "offset", Value: []byte("1")}}}
	s.FailNext(errors.New("disk full"))
	if err := s.Accept(t.Context(), batch); err == nil {
		t.Fatal("no error")
	}
	if n, v := len(s.Events()), h.Snapshot().Get("offset"); n != 0 || v != nil {
		t.Fatalf("a failed Accept kept %d events and %q", n, v)
	}
	for range 2 {
		if err := s.Accept(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.WaitEvents(1)); n != 1 || len(s.Attempts()) != 3 {
		t.Errorf("%d events after %d attempts", n, len(s.Attempts()))
	}
	ws, err := h.State().List(t.Context(), "off", "", 0)
	if d := cmp.Diff([]channels.Write{{Key: "offset", Value: []byte("1")}}, ws); d != "" || err != nil {
		t.Error(d, err)
	}
	if err := h.State().Put(t.Context(), channels.Write{Key: "offset"}); err != nil || h.Snapshot().Get("offset") != nil {
		t.Error("a nil value does not delete", err)
	}
}

func TestBlockAndCrash(t *testing.T) {
	h := channeltest.NewHost(t, channeltest.WithSecret("secret://bot", "old"))
	s := channeltest.NewSink(h)
	accept := func(ctx context.Context, key string) chan error {
		done := make(chan error, 1)
		go func() { done <- s.Accept(ctx, channels.Batch{Events: []channels.Event{event(key, "x")}}) }()
		return done
	}
	hold := s.Block()
	done := accept(t.Context(), "1")
	hold.Wait()
	if len(s.Events()) != 0 {
		t.Error("kept before it was released")
	}
	hold.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hold = s.BlockCommitted()
	done = accept(ctx, "2")
	hold.Wait()
	if len(s.Events()) != 2 {
		t.Error("not kept although it was committed")
	}
	_ = h.Rotate(t.Context(), "secret://bot", func(b []byte) ([]byte, error) { return append(b, "+new"...), nil })
	snap := h.Crash()
	cancel()
	if err := <-done; err == nil {
		t.Error("the crashed process was told of its success")
	}
	if err := s.Accept(t.Context(), channels.Batch{Events: []channels.Event{event("3", "x")}}); err == nil {
		t.Error("a crashed process wrote")
	}
	h2 := channeltest.NewHost(t, channeltest.Restore(snap), channeltest.WithSecret("secret://bot", "old"))
	s2 := channeltest.NewSink(h2)
	if err := s2.Accept(t.Context(), channels.Batch{Events: []channels.Event{event("2", "x"), event("3", "x")}}); err != nil {
		t.Fatal(err)
	}
	if n := len(s2.WaitEvents(3)); n != 3 {
		t.Errorf("%d events", n)
	}
	if v := h2.SecretValue("secret://bot"); v != "old+new" {
		t.Errorf("rotated secret is %q after the restart", v)
	}
	if a, b := h.Derive("x").Reveal(), h2.Derive("x").Reveal(); a != b {
		t.Errorf("derived secret changed over the restart")
	}
}

func TestConcurrentAcceptsOfOneConversation(t *testing.T) {
	rec := channeltest.Record(t, func(t testing.TB) {
		s := channeltest.NewSink(channeltest.NewHost(t))
		hold := s.Block()
		done := make(chan error, 1)
		go func() {
			done <- s.Accept(context.Background(), channels.Batch{Events: []channels.Event{event("1", "x")}})
		}()
		hold.Wait()
		_ = s.Accept(context.Background(), channels.Batch{Events: []channels.Event{event("2", "x")}})
		hold.Release()
		if err := <-done; err != nil {
			t.Errorf("accept: %v", err)
		}
	})
	if !rec.Failed() {
		t.Error("two Accepts of one conversation at a time went unnoticed")
	}
}

func TestHealthAndReplies(t *testing.T) {
	h := channeltest.NewHost(t)
	s := channeltest.NewSink(h)
	for _, p := range []channels.Phase{channels.Connecting, channels.Connected, channels.Retrying, channels.Connected} {
		h.Report(channels.Health{Phase: p, As: string(p)})
	}
	h.WaitHealth(channels.Connected)
	h.WaitHealth(channels.Retrying)
	h.WaitHealth(channels.Connected)
	s.Reply("a", "k", channels.Part{Key: "k/0"})
	s.Reply("b", "k", channels.Part{Key: "another account's"})
	go func() {
		s.Reply("a", "k", channels.Part{Key: "k/1"})
		s.EndTurn("a", "k")
	}()
	for range 2 { // a second reader gets the same
		var got []string
		for p, err := range s.Replies(t.Context(), "a", "k") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.Key)
		}
		if d := cmp.Diff([]string{"k/0", "k/1"}, got); d != "" {
			t.Error(d)
		}
	}
}
