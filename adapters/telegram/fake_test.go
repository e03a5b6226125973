package telegram_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

const (
	token    = "8765336106:AAEmulatedTokenForTestsOnly_0000000"
	botID    = 8765336106
	tokenRef = stagetest.TokenRef
	hookURL  = "https://gate.example.org/hooks/test"
)

// fake is a Bot API that lives in a RoundTripper, so that it works inside a
// synctest bubble. Every method has an answer that a test may replace; one
// answer may wait for its request's context.
type fake struct {
	t testing.TB

	mu      sync.Mutex
	answers map[string]answer
	calls   []request
	queue   []queued
	more    chan struct{} // closed when the queue grows
	hook    string
}

type request struct {
	method string
	at     time.Time
	body   []byte
	params map[string]json.RawMessage
}

func (r request) text(name string) string {
	var s string
	_ = json.Unmarshal(r.params[name], &s)
	return s
}

func (r request) number(name string) int64 {
	var n int64
	_ = json.Unmarshal(r.params[name], &n)
	return n
}

type queued struct {
	id  int64
	raw string
}

// answer writes a response, or fails as a connection does.
type answer func(ctx context.Context, r request) (status int, body string, err error)

func ok(result string) answer {
	return func(context.Context, request) (int, string, error) {
		return 200, `{"ok":true,"result":` + result + `}`, nil
	}
}

func refuse(code int, description string) answer {
	return func(context.Context, request) (int, string, error) {
		return code, fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, code, description), nil
	}
}

// then answers once with the first and from then on with the others in turn;
// the last one stays.
func then(list ...answer) answer {
	var mu sync.Mutex
	return func(ctx context.Context, r request) (int, string, error) {
		mu.Lock()
		a := list[0]
		if len(list) > 1 {
			list = list[1:]
		}
		mu.Unlock()
		return a(ctx, r)
	}
}

func silent(ctx context.Context, _ request) (int, string, error) {
	<-ctx.Done()
	return 0, "", ctx.Err()
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, more: make(chan struct{})}
	f.answers = map[string]answer{
		"getMe":          ok(fmt.Sprintf(`{"id":%d,"is_bot":true,"first_name":"Gate","username":"gate_bot","can_join_groups":true}`, botID)),
		"getUpdates":     f.updates,
		"deleteWebhook":  f.setHook,
		"setWebhook":     f.setHook,
		"getWebhookInfo": f.hookInfo,
		"sendMessage":    ok(`{"message_id":501,"date":1767225000,"chat":{"id":7}}`),
	}
	return f
}

func (f *fake) on(method string, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[method] = a
}

// RoundTrip implements http.RoundTripper.
func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	rest, good := strings.CutPrefix(req.URL.Path, "/bot"+token+"/")
	if !good {
		rest, good = strings.CutPrefix(req.URL.Path, "/file/bot"+token+"/")
		rest = "file:" + rest
	}
	if !good {
		f.t.Errorf("a request without the token: %s", req.URL.Path)
	}
	r := request{method: rest, at: time.Now()}
	if req.Body != nil {
		r.body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
		_ = json.Unmarshal(r.body, &r.params)
	}
	f.mu.Lock()
	f.calls = append(f.calls, r)
	a := f.answers[rest]
	f.mu.Unlock()
	if a == nil {
		a = ok("true")
	}
	status, body, err := a(req.Context(), r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// say queues an update; % in it becomes its id.
func (f *fake) say(id int64, raw string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, queued{id, strings.ReplaceAll(raw, "%", fmt.Sprint(id))})
	close(f.more)
	f.more = make(chan struct{})
}

// message is an update with a text in the direct chat of person 7.
const message = `{"update_id":%,"message":{"message_id":%,"date":1767225000,"chat":{"id":7,"type":"private"},"from":{"id":7,"first_name":"Ada"},"text":"word%"}}`

func (f *fake) updates(ctx context.Context, r request) (int, string, error) {
	end := time.After(time.Duration(r.number("timeout")) * time.Second)
	for {
		var list []string
		f.mu.Lock()
		for _, u := range f.queue {
			if u.id >= r.number("offset") && len(list) < int(r.number("limit")) {
				list = append(list, u.raw)
			}
		}
		more := f.more
		f.mu.Unlock()
		if len(list) > 0 {
			return 200, `{"ok":true,"result":[` + strings.Join(list, ",") + `]}`, nil
		}
		select {
		case <-more:
		case <-end:
			return 200, `{"ok":true,"result":[]}`, nil
		case <-ctx.Done():
			return 0, "", ctx.Err()
		}
	}
}

func (f *fake) setHook(_ context.Context, r request) (int, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = r.text("url")
	return 200, `{"ok":true,"result":true}`, nil
}

func (f *fake) hookInfo(context.Context, request) (int, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return 200, fmt.Sprintf(`{"ok":true,"result":{"url":%q,"pending_update_count":0}}`, f.hook), nil
}

// forget empties the queue, as the platform does with what is confirmed.
func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = nil
}

// called lists the calls of a method.
func (f *fake) called(method string) []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []request
	for _, r := range f.calls {
		if r.method == method {
			list = append(list, r)
		}
	}
	return list
}

// bench is a channel on a fake platform.
type bench struct {
	*fake
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	done chan error
	stop context.CancelFunc
}

func section(extra ...string) json.RawMessage {
	cfg := map[string]string{"base_url": "http://127.0.0.1:1/", "token": tokenRef}
	for i := 0; i+1 < len(extra); i += 2 {
		cfg[extra[i]] = extra[i+1]
	}
	b, _ := json.Marshal(cfg)
	return b
}

func newBench(t testing.TB, f *fake, snap channeltest.Snapshot, extra ...string) *bench {
	t.Helper()
	h := channeltest.NewHost(t, channeltest.Restore(snap), channeltest.WithSecret(tokenRef, token),
		channeltest.WithTransport(f), channeltest.WithPublic(hookURL))
	ch, err := telegram.Driver{}.Open(t.Context(), h, section(extra...))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{fake: f, host: h, sink: channeltest.NewSink(h), ch: ch}
}

// run starts Run.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	b.stop, b.done = cancel, make(chan error, 1)
	go func() { b.done <- b.ch.Run(ctx, b.sink) }()
	b.t.Cleanup(cancel) // of a test that fails before its end
}

// end stops Run and wants nil from it.
func (b *bench) end() {
	b.t.Helper()
	b.stop()
	if err := <-b.done; err != nil {
		b.t.Errorf("Run returned %v", err)
	}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
