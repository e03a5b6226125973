package telegramtest_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func quick(time.Duration) time.Duration { return time.Millisecond }

type hookInfo struct {
	URL       string   `json:"url"`
	Pending   int      `json:"pending_update_count"`
	Error     string   `json:"last_error_message"`
	ErrorDate int64    `json:"last_error_date"`
	Max       int      `json:"max_connections"`
	Allowed   []string `json:"allowed_updates"`
}

// hook is a webhook that takes down what it gets.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	got     []string // texts of messages, in the order of arrival
	secrets map[string]bool
	answer  func(text string) int // status; nil: 200
	body    string
	news    chan struct{}
}

func newHook(t *testing.T) *hook {
	h := &hook{secrets: map[string]bool{}, news: make(chan struct{}, 1000)}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var u update
	text, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(text, &u)
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.news <- struct{}{} }()
	h.secrets[r.Header.Get("X-Telegram-Bot-Api-Secret-Token")] = true
	if u.Message != nil {
		if h.answer != nil {
			if status := h.answer(u.Message.Text); status != 200 {
				w.WriteHeader(status)
				return
			}
		}
		h.got = append(h.got, u.Message.Text)
	}
	if h.body != "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, h.body)
	}
}

// texts waits for n messages.
func (h *hook) texts(t *testing.T, n int) []string {
	t.Helper()
	ctx := deadline(t)
	for {
		h.mu.Lock()
		got := append([]string(nil), h.got...)
		h.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-h.news:
		case <-ctx.Done():
			t.Fatalf("got %q, want %d", got, n)
		}
	}
}

func TestWebhookPushesWhatIsPending(t *testing.T) {
	srv := telegramtest.NewServer(t)
	h := newHook(t)
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	chat.Say(ada, "before")
	a := ask(t, srv, "setWebhook", params{"url": h.URL, "secret_token": "s3cret_-", "max_connections": 5})
	if a.Description != "Webhook was set" {
		t.Fatal(a)
	}
	chat.Say(ada, "after")
	if diff := cmp.Diff([]string{"before", "after"}, h.texts(t, 2)); diff != "" {
		t.Error(diff)
	}
	if !h.secrets["s3cret_-"] || len(h.secrets) != 1 {
		t.Errorf("secrets %v", h.secrets)
	}
	if got := refused(t, srv, "getUpdates", nil); got != "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first" {
		t.Error(got)
	}
	info := done[hookInfo](t, srv, "getWebhookInfo", nil)
	if info.URL != h.URL || info.Max != 5 {
		t.Errorf("%+v", info)
	}
}

func TestWebhookKeepsOrderInAChatAlone(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithPace(quick))
	h := newHook(t)
	fails := 0
	h.answer = func(text string) int {
		if text == "a1" && fails < 4 {
			fails++
			return 500
		}
		return 200
	}
	done[bool](t, srv, "setWebhook", params{"url": h.URL})
	ada, bob := srv.User(7, "Ada"), srv.User(8, "Bob")
	a, b := srv.Private(ada), srv.Private(bob)
	a.Say(ada, "a1")
	a.Say(ada, "a2")
	b.Say(bob, "b1")
	got := h.texts(t, 3)
	place := map[string]int{}
	for i, text := range got {
		place[text] = i
	}
	if place["a1"] > place["a2"] {
		t.Errorf("order %q", got)
	}
	if fails != 4 {
		t.Errorf("%d failures", fails)
	}
	if info := done[hookInfo](t, srv, "getWebhookInfo", nil); info.Error != "Wrong response from the webhook: 500 Internal Server Error" || info.ErrorDate == 0 {
		t.Errorf("%+v", info)
	}
}

func TestWebhookSchedule(t *testing.T) {
	var pauses []time.Duration // written by the one sender
	srv := telegramtest.NewServer(t, telegramtest.WithPace(func(d time.Duration) time.Duration {
		pauses = append(pauses, d)
		return 0
	}))
	h := newHook(t)
	attempts := 0
	h.answer = func(string) int {
		if attempts++; attempts < 10 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}
	ada := srv.User(7, "Ada")
	srv.Private(ada).Say(ada, "x")
	done[bool](t, srv, "setWebhook", params{"url": h.URL})
	h.texts(t, 1)
	srv.Close()
	if len(pauses) != 9 {
		t.Fatalf("pauses %v", pauses)
	}
	for i, seconds := range []float64{0, 2, 4, 8, 16, 32} {
		if pauses[i].Seconds() != seconds {
			t.Errorf("pause %d is %v, want %v s", i, pauses[i], seconds)
		}
	}
	for _, p := range pauses[6:] {
		if p < 60*time.Second || p > 120*time.Second {
			t.Errorf("late pause %v", p)
		}
	}
}

func TestWebhookObeysRetryAfter(t *testing.T) {
	pauses := make(chan time.Duration, 10)
	srv := telegramtest.NewServer(t, telegramtest.WithPace(func(d time.Duration) time.Duration {
		pauses <- d
		return 0
	}))
	ada := srv.User(7, "Ada")
	srv.Private(ada).Say(ada, "x")
	var attempts atomic.Int32
	got := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if attempts.Add(1) == 1 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		close(got)
	}))
	defer h.Close()
	done[bool](t, srv, "setWebhook", params{"url": h.URL})
	<-got
	if d := <-pauses; d != 7*time.Second {
		t.Errorf("pause %v", d)
	}
}

func TestWebhookWithItsOwnCertificate(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithPace(quick))
	got := make(chan struct{}, 100)
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got <- struct{}{} }))
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // it speaks of the refused certificate
	h.StartTLS()
	defer h.Close()
	ada := srv.User(7, "Ada")
	srv.Private(ada).Say(ada, "x")
	done[bool](t, srv, "setWebhook", params{"url": h.URL})
	ctx := deadline(t)
	for !strings.HasPrefix(done[hookInfo](t, srv, "getWebhookInfo", nil).Error, "SSL error") {
		if ctx.Err() != nil {
			t.Fatal("a certificate nobody knows was taken")
		}
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	for {
		contentType, body := form(t, map[string]string{"url": h.URL}, map[string]string{"certificate": string(cert)})
		if a := post(t, srv, "setWebhook", contentType, body); a.OK {
			break
		} else if a.Code != 429 || ctx.Err() != nil {
			t.Fatal(a)
		}
	}
	<-got
}

func TestWebhookDeadEnd(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithPace(func(time.Duration) time.Duration { return time.Hour }))
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	ada := srv.User(7, "Ada")
	srv.Private(ada).Say(ada, "x")
	done[bool](t, srv, "setWebhook", params{"url": dead.URL})
	ctx := deadline(t)
	for done[hookInfo](t, srv, "getWebhookInfo", nil).Error != "Connection refused" {
		if ctx.Err() != nil {
			t.Fatal("no error noted")
		}
	}
	if info := done[hookInfo](t, srv, "getWebhookInfo", nil); info.Pending != 1 {
		t.Errorf("%+v", info)
	}
	a := ask(t, srv, "deleteWebhook", nil)
	if a.Description != "Webhook was deleted" {
		t.Error(a.Description)
	}
	if diff := cmp.Diff([]string{"x"}, texts(updates(t, srv, nil))); diff != "" {
		t.Error("what was pending did not come back to polling:", diff)
	}
}

func TestSetWebhookRefusals(t *testing.T) {
	strict := []telegramtest.Option{telegramtest.WithStrictWebhooks()}
	cases := []struct {
		name string
		opts []telegramtest.Option
		p    params
		want string
	}{
		{"no url", nil, params{"url": "::"}, "Bad Request: invalid webhook URL specified"},
		{"secret", nil, params{"url": "http://127.0.0.1:1", "secret_token": "ä"}, "Bad Request: secret token contains unallowed characters"},
		{"http", strict, params{"url": "http://example.com"}, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"},
		{"port", strict, params{"url": "https://example.com:444"}, "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"},
		{"loopback", strict, params{"url": "https://127.0.0.1"}, "Bad Request: bad webhook: IP address 127.0.0.1 is reserved"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv := telegramtest.NewServer(t, c.opts...)
			if got := refused(t, srv, "setWebhook", c.p); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestSetWebhookTwiceASecond(t *testing.T) {
	srv := telegramtest.NewServer(t)
	h := newHook(t)
	done[bool](t, srv, "setWebhook", params{"url": h.URL})
	a := ask(t, srv, "setWebhook", params{"url": h.URL + "/other"})
	if a.Code != 429 || a.Parameters.RetryAfter != 1 {
		t.Errorf("%+v", a)
	}
}

func TestDropPending(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	srv.Private(ada).Say(ada, "x")
	if a := ask(t, srv, "deleteWebhook", params{"drop_pending_updates": true}); a.Description != "Webhook is already deleted" {
		t.Error(a.Description)
	}
	if srv.Pending() != 0 {
		t.Error("still pending")
	}
}

func TestWebhookTerminatesAPoll(t *testing.T) {
	srv := telegramtest.NewServer(t)
	h := newHook(t)
	polled := background(srv, "getUpdates", params{"timeout": 50})
	for srv.Calls("") == 0 { // the poll waits and is not counted yet: set the webhook until it is cut off
		ask(t, srv, "setWebhook", params{"url": h.URL})
		select {
		case a := <-polled:
			if a.Code != 409 {
				t.Errorf("%+v", a)
			}
			return
		default:
		}
	}
	if a := <-polled; a.Code != 409 {
		t.Errorf("%+v", a)
	}
}

func TestMethodInTheAnswerOfAWebhook(t *testing.T) {
	srv := telegramtest.NewServer(t)
	h := newHook(t)
	h.body = `{"method":"sendMessage","chat_id":7,"text":"by the way"}`
	ada := srv.User(7, "Ada")
	srv.Private(ada).Say(ada, "x")
	done[bool](t, srv, "setWebhook", params{"url": h.URL})
	if err := srv.Wait(deadline(t), func(l telegramtest.Log) bool { return len(l) == 1 && l[0].Text == "by the way" }); err != nil {
		t.Fatal(err)
	}
}

func TestLibraryTakesAWebhook(t *testing.T) {
	srv := telegramtest.NewServer(t)
	got := make(chan string, 10)
	b := client(t, srv, bot.WithWebhookSecretToken("tok"), bot.WithNotAsyncHandlers(),
		bot.WithDefaultHandler(func(_ context.Context, _ *bot.Bot, u *models.Update) { got <- u.Message.Text }))
	ctx := deadline(t)
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.StartWebhook(running)
	}()
	defer func() {
		stop()
		<-ended
	}()
	front := httptest.NewServer(b.WebhookHandler())
	defer front.Close()
	if ok, err := b.SetWebhook(ctx, &bot.SetWebhookParams{URL: front.URL, SecretToken: "tok", AllowedUpdates: []string{"message"}}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	for i := range 5 {
		chat.Say(ada, fmt.Sprint(i))
	}
	var texts []string
	for range 5 {
		texts = append(texts, <-got)
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, texts); diff != "" {
		t.Error(diff)
	}
	info, err := b.GetWebhookInfo(ctx)
	if err != nil || info.URL != front.URL || info.AllowedUpdates[0] != "message" {
		t.Errorf("%+v %v", info, err)
	}
}
