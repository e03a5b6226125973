package wasm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// TestWebhookConformance holds the guest to what the native adapter is held to,
// on the same stage and with the same goldens.
func TestWebhookConformance(t *testing.T) {
	d := newDriver(t, "webhook")
	channeltest.Run(t, channeltest.Suite{
		Driver: d.For(json.RawMessage(`{"module":"webhook"}`)),
		New: func(_ testing.TB, public string) *channeltest.Harness {
			p := webhooktest.New(public)
			h := stagetest.Harness(p)
			h.Config = stagetest.Section(p, "module", "webhook")
			return h
		},
		Lacks:  stagetest.Lacks(),
		Golden: "../webhook/testdata/format",
	})
}

// hooked is a webhook channel that runs as a guest.
type hooked struct {
	t    *testing.T
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	hook http.Handler
}

// openHook starts the guest with the keys of a section.
func openHook(t *testing.T, keys string) *hooked {
	t.Helper()
	d := newDriver(t, "webhook")
	section := json.RawMessage(`{"module":"webhook",` + keys + `}`)
	h := channeltest.NewHost(t, channeltest.WithSecret(stagetest.SecretRef, stagetest.Secret))
	ch, err := d.For(section).Open(t.Context(), h, section)
	if err != nil {
		t.Fatal(err)
	}
	sink := channeltest.NewSink(h)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h.WaitHealth(channels.Connected)
	receiver, ok := channels.As[channels.Receiver](ch)
	if !ok {
		t.Fatal("it receives nothing")
	}
	return &hooked{t, h, sink, ch, receiver.Receive(sink)}
}

// post sends a request; header are names and values.
func (x *hooked) post(url, body string, header ...string) (status int, answer string) {
	x.t.Helper()
	r := httptest.NewRequestWithContext(x.t.Context(), http.MethodPost, url, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	x.hook.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// TestWebhookGuestGitHub: GitHub's published examples have the same outcomes as
// with the native adapter.
func TestWebhookGuestGitHub(t *testing.T) {
	x := openHook(t, stagetest.GitHub)
	got := stagetest.Outcomes(t, "../webhook/testdata/octokit/examples.json.gz", x.hook, x.sink.Events)
	want, err := os.ReadFile("../webhook/testdata/octokit/outcomes.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

const bearerHook = `"verify":{"kind":"bearer","secret":"secret://hook"}`

var shown = []string{"Authorization", "Bearer " + stagetest.Secret}

// TestWebhookGuestAnswers: what the sender of a request is told.
func TestWebhookGuestAnswers(t *testing.T) {
	x := openHook(t, bearerHook)
	for _, c := range []struct {
		name, url, body string
		header          []string
		status          int
		says            string
	}{
		{"taken", "/", `{"text":"hi"}`, append([]string{"Idempotency-Key", "k1"}, shown...), 202, `{"status":"accepted","id":"k1"}`},
		{"again", "/", `{"text":"hi"}`, append([]string{"Idempotency-Key", "k1"}, shown...), 202, `{"status":"accepted","id":"k1"}`},
		{"no proof", "/", `{"text":"hi"}`, nil, 401, "Unauthorized"},
		{"a wrong proof", "/", `{"text":"hi"}`, []string{"Authorization", "Bearer x"}, 401, "Unauthorized"},
		{"no JSON", "/", `{"text":`, append([]string{"Content-Type", "application/json"}, shown...), 400, `{"status":"refused","why":"the body is not the JSON that its content type promises"}`},
		{"too long for everybody", "/", strings.Repeat("x", 1<<20+1), shown, 413, "Request Entity Too Large"},
		{"where the gateway has it", "/hooks/test", `{"text":"hi"}`, append([]string{"Idempotency-Key", "k1"}, shown...), 202, `{"status":"accepted","id":"k1"}`},
		{"elsewhere", "/hooks/other", `{"text":"hi"}`, shown, 404, "Not Found"},
		{"a strange wait", "/?wait=1h", `{"text":"hi"}`, shown, 400, `{"status":"refused","why":"wait must be a time of at most 2m, such as 30s"}`},
		{"nothing to say", "/", `{"text":" "}`, shown, 200, `{"status":"ignored","why":"the message is empty"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, says := x.post(c.url, c.body, c.header...); status != c.status || says != c.says {
				t.Errorf("%d %s, want %d %s", status, says, c.status, c.says)
			}
		})
	}
	if n := len(x.sink.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestWebhookGuestWaits: who waits gets the answer in the same request, or is told
// that there is none yet and gets it with the same key.
func TestWebhookGuestWaits(t *testing.T) {
	x := openHook(t, bearerHook+`,"trusted":true`)
	ask := append([]string{"Idempotency-Key", "k1"}, shown...)
	if status, says := x.post("/?wait=1ms", "how are you?", ask...); status != 202 || says != `{"status":"pending","id":"k1"}` {
		t.Errorf("too early: %d %s", status, says)
	}
	e := x.sink.Events()[0]
	x.sink.Reply(e.Account, e.Key, channels.Part{Key: "t/0", To: e.Where, Body: markup.Parse("very **well**")})
	x.sink.EndTurn(e.Account, e.Key)
	status, says := x.post("/?wait=1m", "how are you?", ask...)
	want := fmt.Sprintf(`{"status":"answered","id":"k1","replies":[{"id":"t/0","channel":%q,"conversation":"default","text":"very **well**","format":"markdown"}]}`, x.host.ID())
	if status != 200 || says != want {
		t.Errorf("%d %s, want %s", status, says, want)
	}
	if n := len(x.sink.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestWebhookGuestOrder: what arrives while the request before it is being
// accepted waits, if it is of the same conversation; else it does not.
func TestWebhookGuestOrder(t *testing.T) {
	x := openHook(t, bearerHook+`,"message":"{{ . }}","conversation":"{{ query.at }}"`)
	hold := x.sink.Block()
	t.Cleanup(hold.Release)
	var all sync.WaitGroup
	say := func(text, at string) {
		all.Go(func() {
			if status, says := x.post("/?at="+at, text, shown...); status != http.StatusAccepted {
				t.Errorf("%s: %d %s", text, status, says)
			}
		})
	}
	say("first", "a")
	hold.Wait()
	say("elsewhere", "b")
	x.sink.WaitEvents(1)
	say("second", "a")
	const hasty = 200 * time.Millisecond // in which what does not wait is there
	<-time.After(hasty)
	hold.Release()
	all.Wait()
	var got []string
	for _, e := range x.sink.Events() {
		got = append(got, e.Content.(channels.Message).Text)
	}
	if d := cmp.Diff([]string{"elsewhere", "first", "second"}, got); d != "" {
		t.Error(d)
	}
}

// TestWebhookGuestLarge: a body as long as with the native adapter fits into the
// guest's limits, whatever is in it. What does not fit is refused for good, and
// wears nothing out.
func TestWebhookGuestLarge(t *testing.T) {
	x := openHook(t, bearerHook)
	stagetest.Sizes(t, x.hook, stagetest.Secret, x.sink.Events)
	const most = 2 << 20
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"as long as an event may be", strings.Repeat("\x01", most/6) + "xx", http.StatusAccepted},
		{"longer", strings.Repeat("\x01", most/6) + "xxx", http.StatusRequestEntityTooLarge},
		{"much longer", strings.Repeat("<", 1<<20), http.StatusRequestEntityTooLarge},
		{"as long as both may be", "[" + strings.Repeat(`"aaa<",`, (1<<20-8)/7) + "1]", http.StatusAccepted},
		{"after it", "hi", http.StatusAccepted},
	} {
		before := len(x.sink.Events())
		if status, says := x.post("/", c.body, shown...); status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, says, c.status)
		}
		if n := len(x.sink.Events()) - before; n == 1 != (c.status == http.StatusAccepted) {
			t.Errorf("%s: %d events", c.name, n)
		}
	}
}

// TestWebhookGuestFiles: a callback carries a file as large as it may be, which
// passes by the guest; where there is no callback, or it is to have none, the
// channel declares none.
func TestWebhookGuestFiles(t *testing.T) {
	d := newDriver(t, "webhook")
	p := webhooktest.New("")
	t.Cleanup(p.Close)
	open := func(extra ...string) channels.Channel {
		section := stagetest.Section(p, append(extra, "module", "webhook")...)
		ch, err := d.For(section).Open(t.Context(), channeltest.NewHost(t, channeltest.WithSecret(stagetest.SecretRef, webhooktest.Secret)), section)
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	ch := open()
	size := ch.Features(channels.Address{}).MaxFile
	if size != 5<<20 {
		t.Fatalf("it takes files of %d bytes", size)
	}
	send := func(key string, size int64) error {
		_, err := ch.Send(t.Context(), channels.Part{Key: key, To: channels.Address{Conversation: "alice"}, Body: markup.Plain("see there"), Files: []channels.File{{
			Kind: channels.Document, Name: "x.bin", MIME: "application/octet-stream", Size: size,
			Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(bytes.Repeat([]byte{0xfe}, int(size)))), nil
			},
		}}})
		return err
	}
	if err := send("a/0", size); err != nil {
		t.Fatal(err)
	}
	if got := p.Shown("alice"); len(got) != 1 || len(got[0].Files) != 1 || int64(len(got[0].Files[0].Data)) != size || got[0].Files[0].Name != "x.bin" {
		t.Errorf("%d callbacks", len(got))
	}
	if err := send("a/1", size+1); channels.KindOf(err) != channels.Other {
		t.Errorf("a larger one: %v", err)
	}
	if n := len(p.Shown("alice")); n != 1 {
		t.Errorf("%d callbacks", n)
	}
	var section map[string]any
	_ = json.Unmarshal(stagetest.Section(p, "module", "webhook"), &section)
	for _, change := range []func(){func() { section["callback_files"] = false }, func() { delete(section, "callback_files"); delete(section, "callback_url") }} {
		change()
		cfg, _ := json.Marshal(section)
		ch, err := d.For(cfg).Open(t.Context(), channeltest.NewHost(t), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if f := ch.Features(channels.Address{}); f.MaxFile != 0 || f.MaxCaption != 0 || !f.Threads {
			t.Errorf("%s: %+v", cfg, f)
		}
	}
}

// TestWebhookGuestChallenges: platforms that check the address are answered.
func TestWebhookGuestChallenges(t *testing.T) {
	x := openHook(t, `"verify":{"kind":"meta","secret":"secret://hook"},"verify_token":"secret://hook"`)
	get := func(token string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="+token, nil)
		w := httptest.NewRecorder()
		x.hook.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, says := get(strings.ReplaceAll(stagetest.Secret, " ", "+")); status != 200 || says != "1158201444" {
		t.Errorf("%d %s", status, says)
	}
	if status, says := get("x"); status != 401 {
		t.Errorf("another token: %d %s", status, says)
	}
}

// TestWebhookGuestSections: what is wrong with a section is said where it stands,
// and the guest is told of a proof what it needs and no secret's name.
func TestWebhookGuestSections(t *testing.T) {
	d := newDriver(t, "webhook")
	for _, c := range []struct{ in, want string }{
		{bearerHook, ""},
		{bearerHook + `,"callback_url":"https://x/y?z=1","callback_secret":"secret://s"`, ""},
		{`"message":"x"`, "verify"},
		{`"verify":"github"`, "verify"},
		{`"verify":{"kind":"bearer"}`, "verify.secret"},
		{`"verify":{"kind":"x"}`, "verify.kind"},
		{bearerHook + `,"mesage":"x"`, "mesage"},
		{bearerHook + `,"when":["a"]`, "when"},
		{bearerHook + `,"trusted":"yes"`, "trusted"},
		{bearerHook + `,"callback_url":"https://x"`, "callback_secret"},
		{bearerHook + `,"callback_url":"ftp://x","callback_secret":"s"`, "callback_url"},
	} {
		section := json.RawMessage(`{"module":"webhook",` + c.in + `}`)
		var paths []string
		for _, f := range d.For(section).Check(section) {
			paths = append(paths, f.Path)
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", c.in, got, c.want)
		}
	}
}

// TestWebhookGuestProbe: the notes are those of the native adapter.
func TestWebhookGuestProbe(t *testing.T) {
	x := openHook(t, bearerHook)
	prober, ok := channels.As[channels.Prober](x.ch)
	if !ok {
		t.Fatal("it cannot be probed")
	}
	who, err := prober.Probe(t.Context())
	if err != nil || len(who.Notes) != 3 {
		t.Errorf("%+v %v", who, err)
	}
}
