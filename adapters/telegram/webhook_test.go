package telegram_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// hooked runs a test on a channel whose webhook is registered.
func hooked(t *testing.T, f func(t *testing.T, b *bench, post func(secret, body string) *httptest.ResponseRecorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFake(t), channeltest.Snapshot{}, "mode", "webhook")
		receive := b.ch.(channels.Receiver).Receive(b.sink)
		post := func(secret, body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, hookURL, strings.NewReader(body))
			if secret != "" {
				r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
			}
			receive.ServeHTTP(w, r)
			return w
		}
		f(t, b, post)
	})
}

// registered is the secret that the platform was given.
func (b *bench) registered() string {
	b.host.WaitHealth(channels.Connected)
	calls := b.called("setWebhook")
	return calls[len(calls)-1].text("secret_token")
}

func TestWebhookAnswers(t *testing.T) {
	one := strings.ReplaceAll(message, "%", "11")
	large := `{"update_id":1,"message":{"text":"` + strings.Repeat("a", 1<<20) + `"}}`
	hooked(t, func(t *testing.T, b *bench, post func(string, string) *httptest.ResponseRecorder) {
		b.run()
		secret := b.registered()
		if len(secret) < 32 {
			t.Fatalf("the secret is %d characters long", len(secret))
		}
		tests := []struct {
			name, secret, body string
			status, events     int
		}{
			{"no secret", "", one, 401, 0},
			{"a wrong secret", "x" + secret[1:], one, 401, 0},
			{"a part of the secret", secret[:len(secret)-1], one, 401, 0},
			{"no update", secret, "hello", 400, 0},
			{"half an update", secret, one[:40], 400, 0},
			{"too large", secret, large, 413, 0},
			{"a message", secret, one, 200, 1},
			{"the same once more", secret, one, 200, 1},
			{"a novelty", secret, `{"update_id":12,"novelty":{}}`, 200, 1},
			{"a strange shape", secret, `{"update_id":13,"message":[]}`, 200, 1},
			{"deep nesting", secret, `{"update_id":14,"message":` + strings.Repeat("[", 200_000), 400, 1},
		}
		for _, tt := range tests {
			if w := post(tt.secret, tt.body); w.Code != tt.status || len(b.sink.Events()) != tt.events {
				t.Errorf("%s: status %d with %d events, want %d with %d", tt.name, w.Code, len(b.sink.Events()), tt.status, tt.events)
			}
		}
		b.end()
	})
}

func TestWebhookIsNotAcknowledgedWhenNothingWasKept(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, post func(string, string) *httptest.ResponseRecorder) {
		b.run()
		secret := b.registered()
		b.sink.FailNext(&channels.Error{Op: "accept", Kind: channels.RateLimited, RetryAfter: 9 * time.Second}, errors.New("disk full"))
		for _, wait := range []string{"9", "1"} {
			w := post(secret, strings.ReplaceAll(message, "%", "11"))
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != wait {
				t.Errorf("status %d, retry after %q, want %s", w.Code, w.Header().Get("Retry-After"), wait)
			}
		}
		if w := post(secret, strings.ReplaceAll(message, "%", "11")); w.Code != 200 || len(b.sink.Events()) != 1 {
			t.Errorf("status %d, %d events", w.Code, len(b.sink.Events()))
		}
		b.end()
	})
}

// Until the bot knows who it is, an update cannot be understood; it comes again.
func TestWebhookBeforeTheStart(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, post func(string, string) *httptest.ResponseRecorder) {
		secret := b.host.Derive("webhook").Reveal()
		if w := post(secret, strings.ReplaceAll(message, "%", "11")); w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d", w.Code)
		}
		if w := post("", ""); w.Code != http.StatusUnauthorized {
			t.Errorf("without a secret: status %d", w.Code)
		}
	})
}

func TestWebhookTakesPostsOnly(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, _ func(string, string) *httptest.ResponseRecorder) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, hookURL, http.NoBody)
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", b.host.Derive("webhook").Reveal())
		b.ch.(channels.Receiver).Receive(b.sink).ServeHTTP(w, r)
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("status %d", w.Code)
		}
	})
}

func TestPollingChannelHasNoWebhook(t *testing.T) {
	b := newBench(t, newFake(t), channeltest.Snapshot{})
	w := httptest.NewRecorder()
	b.ch.(channels.Receiver).Receive(b.sink).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, hookURL, strings.NewReader("{}")))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

func TestWebhookThatWasChangedIsRegisteredAgain(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, _ func(string, string) *httptest.ResponseRecorder) {
		b.run()
		b.registered()
		first := b.called("setWebhook")[0]
		if first.text("url") != hookURL || !strings.Contains(string(first.params["allowed_updates"]), "callback_query") {
			t.Errorf("registered %s", first.params["url"])
		}
		b.fake.mu.Lock()
		b.hook = "https://thief.example.org/"
		b.fake.mu.Unlock()
		pass(2 * time.Minute)
		b.host.WaitHealth(channels.Retrying)
		b.host.WaitHealth(channels.Connected)
		if n := len(b.called("setWebhook")); n != 2 {
			t.Errorf("registered %d times", n)
		}
		b.end()
	})
}

func TestFailingDeliveriesAreSeen(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, _ func(string, string) *httptest.ResponseRecorder) {
		b.on("getWebhookInfo", then(b.hookInfo, func(context.Context, request) (int, string, error) {
			return 200, `{"ok":true,"result":{"url":"` + hookURL + `","pending_update_count":3,"last_error_date":` +
				strconv.FormatInt(time.Now().Unix(), 10) + `,"last_error_message":"Connection refused"}}`, nil
		}, b.hookInfo))
		b.run()
		b.host.WaitHealth(channels.Connected)
		pass(time.Minute)
		if h := b.host.WaitHealth(channels.Retrying); !strings.Contains(h.Err.Error(), "Connection refused") || h.Fix == "" {
			t.Errorf("%+v", h)
		}
		pass(time.Minute)
		b.host.WaitHealth(channels.Connected)
		b.end()
	})
}

func TestRefusedWebhookNeedsAPerson(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, _ func(string, string) *httptest.ResponseRecorder) {
		b.on("setWebhook", refuse(400, "Bad Request: bad webhook: HTTPS url must be provided for webhook"))
		b.run()
		if err := <-b.done; channels.KindOf(err) != channels.Rejected {
			t.Errorf("Run returned %v", err)
		}
		if h := b.host.WaitHealth(channels.Broken); !strings.Contains(h.Fix, "public_url") {
			t.Errorf("the fix is %q", h.Fix)
		}
	})
}

// A change from webhook to polling meets the same keys.
func TestChangeOfModeDoublesNothing(t *testing.T) {
	hooked(t, func(t *testing.T, b *bench, post func(string, string) *httptest.ResponseRecorder) {
		b.run()
		post(b.registered(), strings.ReplaceAll(message, "%", "11"))
		b.end()
		b.say(11, message)
		b.say(12, message)
		polling := newBench(t, b.fake, b.host.Snapshot())
		polling.run()
		polling.sink.WaitEvents(2)
		synctest.Wait()
		if n := len(polling.sink.Events()); n != 2 {
			t.Errorf("%d events", n)
		}
		polling.end()
	})
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(strings.ReplaceAll(message, "%", "1")))
	f.Add([]byte(`{"update_id":1}`))
	f.Add([]byte(`{"update_id":9223372036854775807,"message":{}}`))
	h := channeltest.NewHost(f, channeltest.WithSecret(tokenRef, token), channeltest.WithTransport(newFake(f)), channeltest.WithPublic(hookURL))
	ch, err := telegram.Driver{}.Open(f.Context(), h, section("mode", "webhook"))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := ch.(channels.Starter).StartLink(f.Context(), "x"); err != nil { // learns who the bot is
		f.Fatal(err)
	}
	receive := ch.(channels.Receiver).Receive(nothing{})
	secret := h.Derive("webhook").Reveal()
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, hookURL, strings.NewReader(string(body)))
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
		receive.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Fatalf("status %d", w.Code)
		}
		_, _ = io.Copy(io.Discard, w.Body)
	})
}

// nothing is a sink that keeps nothing and complains of nothing.
type nothing struct{ channels.Sink }

func (nothing) Accept(context.Context, channels.Batch) error { return nil }
