package cloud_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// desk is a running channel between the emulator and the gateway's side of it.
type desk struct {
	t    *testing.T
	p    *cloudtest.Server
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	hook http.Handler
	done chan error
	stop func()
}

func open(t *testing.T, extra ...string) *desk {
	t.Helper()
	d := &desk{t: t, done: make(chan error, 1)}
	var hook http.Handler
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hook.ServeHTTP(w, r) }))
	d.p = cloudtest.New(front.URL)
	d.host = channeltest.NewHost(t, append(stagetest.Secrets(), channeltest.WithPublic(front.URL), channeltest.WithSecret("secret://verify", "typed-by-hand"))...)
	d.sink = channeltest.NewSink(d.host)
	ch, err := cloud.Driver{Watch: 50 * time.Millisecond}.Open(t.Context(), d.host, stagetest.Section(d.p, extra...))
	if err != nil {
		t.Fatal(err)
	}
	d.ch, hook = ch, ch.(channels.Receiver).Receive(d.sink)
	d.hook = hook
	ctx, cancel := context.WithCancel(t.Context())
	go func() { d.done <- ch.Run(ctx, d.sink) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-d.done; err != nil && d.host.Health()[len(d.host.Health())-1].Phase != channels.Broken {
			t.Errorf("Run: %v", err)
		}
		d.p.Close()
		front.Close()
	})
	t.Cleanup(d.stop)
	return d
}

func (d *desk) send(text string) error {
	_, err := d.ch.Send(d.t.Context(), channels.Part{Key: "k", To: d.address(), Body: markup.Plain(text)})
	return err
}

func (d *desk) address() channels.Address {
	return channels.Address{Channel: "test", Account: cloudtest.Number, Conversation: stagetest.Alice}
}

// TestRegistration: the webhook is registered, its address checked and the
// account subscribed, without a hand.
func TestRegistration(t *testing.T) {
	d := open(t)
	d.host.WaitHealth(channels.Connected)
	if app, account := d.p.Registered(); !app || !account {
		t.Errorf("app %v, account %v", app, account)
	}
	who, err := d.ch.(channels.Prober).Probe(t.Context())
	if err != nil || who.Name != "Test Shop" || who.Link != "https://wa.me/15550001111" || len(who.Notes) != 1 {
		t.Errorf("%+v %v", who, err)
	}
}

func TestRegistrationRefused(t *testing.T) {
	d := open(t, "app_secret", "secret://verify") // not what Meta signs and knows
	h := d.host.WaitHealth(channels.Broken)
	if h.Err == nil || h.Fix == "" {
		t.Errorf("%+v", h)
	}
}

// TestByHand: without the app's id a person enters address and token.
func TestByHand(t *testing.T) {
	d := open(t, "app_id", "", "verify_token", "secret://verify")
	d.host.WaitHealth(channels.Connected)
	if !d.p.Check(d.host.Public(), "typed-by-hand") {
		t.Error("the token is not known")
	}
	for _, bad := range []string{"", "x", "typed-by-hand&hub.verify_token=x"} {
		if d.p.Check(d.host.Public(), bad) {
			t.Errorf("the token %q opens it", bad)
		}
	}
}

// TestSignature: nobody but Meta gets in.
func TestSignature(t *testing.T) {
	d := open(t)
	body := `{"object":"whatsapp_business_account","entry":[]}`
	for _, c := range []struct {
		name, method, header, body string
		want                       int
	}{
		{"signed", "POST", cloudtest.Sign([]byte(body)), body, 200},
		{"not signed", "POST", "", body, 401},
		{"signed for another body", "POST", cloudtest.Sign([]byte(body)), body + " ", 401},
		{"signed garbage", "POST", cloudtest.Sign([]byte("{")), "{", 400},
		{"too long", "POST", "", strings.Repeat(" ", 3<<20+1), 413},
		{"put", "PUT", "", "", 405},
		{"a check without a token", "GET", "", "", 400},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/", strings.NewReader(c.body))
		if c.header != "" {
			r.Header.Set("X-Hub-Signature-256", c.header)
		}
		w := httptest.NewRecorder()
		d.hook.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.want)
		}
	}
}

// TestHiddenNumber: somebody who hides the number stays who they were, also after
// a restart; somebody whose number was never told is known by Meta's id, and both
// are answered.
func TestHiddenNumber(t *testing.T) {
	d := open(t)
	say := func(by, text string) channels.Event {
		t.Helper()
		id := d.p.Say(cloudtest.Said{By: by, Text: text})
		return d.sink.WaitEvent(text, func(e channels.Event) bool { return e.Key == id })
	}
	before := say(stagetest.Alice, "with a number")
	d.p.Hide(stagetest.Alice, "alice")
	d.p.Hide(stagetest.Bob, "bob")
	after, stranger := say(stagetest.Alice, "without"), say(stagetest.Bob, "never with one")
	if before.Who.ID != stagetest.Alice || after.Who.ID != stagetest.Alice || after.Where != before.Where || after.Who.Handle != "alice" {
		t.Errorf("%+v, %+v", before.Who, after.Who)
	}
	if want := cloudtest.Scoped(stagetest.Bob); stranger.Who.ID != want || string(stranger.Where.Conversation) != want {
		t.Errorf("%+v", stranger)
	}
	again, err := cloud.Driver{}.Open(t.Context(), d.host, stagetest.Section(d.p)) // knows what is kept and nothing else
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":%q},`+
		`"contacts":[{"user_id":%q,"profile":{"name":"Alice"}}],"messages":[{"id":"wamid.x","timestamp":"%d","type":"text","text":{"body":"later"}}]}}]}]}`,
		cloudtest.Number, cloudtest.Scoped(stagetest.Alice), time.Now().Unix())
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("X-Hub-Signature-256", cloudtest.Sign(body))
	w := httptest.NewRecorder()
	again.(channels.Receiver).Receive(d.sink).ServeHTTP(w, r)
	all := d.sink.Events()
	if last := all[len(all)-1]; w.Code != http.StatusOK || last.Key != "wamid.x" || last.Who.ID != stagetest.Alice || last.Where != before.Where {
		t.Errorf("after a restart: %d, %+v", w.Code, last)
	}
	for _, at := range []channels.Address{after.Where, stranger.Where} {
		if _, err := d.ch.Send(t.Context(), channels.Part{Key: "k", To: at, Body: markup.Plain("hello")}); err != nil {
			t.Errorf("%s: %v", at.Conversation, err)
		}
	}
	if a, b := d.p.Shown(stagetest.Alice), d.p.Shown(stagetest.Bob); len(a) != 1 || len(b) != 1 {
		t.Errorf("%d and %d answers", len(a), len(b))
	}
	d.p.Status(stagetest.Alice, d.p.Shown(stagetest.Alice)[0].ID, "read", 0)
	if e := d.sink.WaitEvent("the receipt", func(e channels.Event) bool {
		_, ok := e.Content.(channels.Status)
		return ok
	}); e.Where != before.Where {
		t.Errorf("the receipt is of %+v", e.Where)
	}
}

// TestTwoNumbers: whoever had two numbers under one id and hides them is neither:
// the one that was given up may be another person's by now.
func TestTwoNumbers(t *testing.T) {
	d := open(t)
	id := cloudtest.Scoped(stagetest.Alice)
	hear := func(ch channels.Channel, key, contact, from string) channels.Event {
		t.Helper()
		body := fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":%q},`+
			`"contacts":[{%s"user_id":%q,"profile":{"name":"Alice"}}],"messages":[{%s"id":%q,"timestamp":"%d","type":"text","text":{"body":"hi"}}]}}]}]}`,
			cloudtest.Number, contact, id, from, key, time.Now().Unix())
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", cloudtest.Sign(body))
		w := httptest.NewRecorder()
		ch.(channels.Receiver).Receive(d.sink).ServeHTTP(w, r)
		all := d.sink.Events()
		if w.Code != http.StatusOK || len(all) == 0 || all[len(all)-1].Key != key {
			t.Fatalf("%s: %d, %+v", key, w.Code, all)
		}
		return all[len(all)-1]
	}
	for _, n := range []string{"15550001111", "15550009999"} {
		if e := hear(d.ch, "wamid."+n, fmt.Sprintf(`"wa_id":%q,`, n), fmt.Sprintf(`"from":%q,`, n)); e.Who.ID != n {
			t.Errorf("%+v", e.Who)
		}
	}
	again, err := cloud.Driver{}.Open(t.Context(), d.host, stagetest.Section(d.p))
	if err != nil {
		t.Fatal(err)
	}
	if e := hear(again, "wamid.hidden", "", ""); e.Who.ID != id || string(e.Where.Conversation) != id {
		t.Errorf("%+v at %+v", e.Who, e.Where)
	}
}

// TestWindow: after 24 hours nothing goes out but a template, whatever a
// restart has forgotten.
func TestWindow(t *testing.T) {
	d := open(t)
	d.host.WaitHealth(channels.Connected)
	d.p.Say(cloudtest.Said{By: stagetest.Alice, Text: "hello", At: time.Now().Add(-24*time.Hour + 5*time.Second)})
	d.sink.WaitEvents(1)
	if err := d.send("in time"); err != nil {
		t.Errorf("within the window: %v", err)
	}
	d.p.Say(cloudtest.Said{By: stagetest.Bob, Text: "hello", At: time.Now().Add(-25 * time.Hour)})
	d.sink.WaitEvents(2)
	late := channels.Part{Key: "k", To: channels.Address{Conversation: stagetest.Bob}, Body: markup.Parse("**too** late\nand long")}
	calls := d.p.Calls("messages")
	_, err := d.ch.Send(t.Context(), late)
	if channels.KindOf(err) != channels.Closed || !strings.Contains(err.Error(), "24 hours") || !strings.Contains(err.Error(), "template") {
		t.Errorf("%v", err)
	}
	if d.p.Calls("messages") != calls {
		t.Error("the platform was asked")
	}
	// Of somebody who never wrote the platform decides, and says the same.
	_, err = d.ch.Send(t.Context(), channels.Part{Key: "k", To: channels.Address{Conversation: "15550009999"}, Body: markup.Plain("x")})
	if channels.KindOf(err) != channels.Closed {
		t.Errorf("%v", err)
	}
	snap := d.host.Snapshot()
	for text, want := range map[string]string{"yes": "too late and long", "no": ""} {
		h := channeltest.NewHost(t, append([]channeltest.HostOption{channeltest.Restore(snap), channeltest.WithPublic("http://127.0.0.1")}, stagetest.Secrets()...)...)
		again, err := cloud.Driver{}.Open(t.Context(), h, stagetest.Section(d.p, "template", "come_back", "template_text", text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Send(t.Context(), late); err != nil {
			t.Fatalf("with a template: %v; %q", err, d.p.Problems())
		}
		all := d.p.Shown(stagetest.Bob)
		if m := all[len(all)-1]; m.Template != "come_back" || m.Text != want {
			t.Errorf("%+v", m)
		}
	}
}

// TestLateFailure: what fails after it was taken is in the log, and is no
// message of anybody.
func TestLateFailure(t *testing.T) {
	d := open(t)
	d.p.Status(stagetest.Alice, "wamid.out1", "failed", 131047)
	d.p.Status(stagetest.Alice, "wamid.out1", "sent", 0)
	d.p.Status(stagetest.Alice, "wamid.out1", "read", 0)
	for _, e := range d.sink.WaitEvents(2) {
		if s, ok := e.Content.(channels.Status); !ok || !e.Who.Self || s.ID != "wamid.out1" {
			t.Errorf("%+v", e)
		}
	}
	found := false
	for _, l := range d.host.Logs() {
		found = found || strings.Contains(l.String(), "131047")
	}
	if !found {
		t.Error("the log says nothing")
	}
}

// TestMedia: the token goes to no other host than the configured ones.
func TestMedia(t *testing.T) {
	stolen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("Authorization") }))
	defer thief.Close()
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/away"):
			fmt.Fprintf(w, `{"url":%q,"file_size":5}`, thief.URL+"/x")
		case strings.HasSuffix(r.URL.Path, "/huge"):
			fmt.Fprintf(w, `{"url":"http://%s/x","file_size":99999999}`, r.Host)
		case strings.HasSuffix(r.URL.Path, "/moved"):
			fmt.Fprintf(w, `{"url":"http://%s/redirect"}`, r.Host)
		case r.URL.Path == "/redirect":
			http.Redirect(w, r, thief.URL, http.StatusFound)
		default:
			http.Error(w, `{"error":{"message":"x","code":100}}`, http.StatusBadRequest)
		}
	}))
	defer graph.Close()
	p := cloudtest.New("")
	defer p.Close()
	h := channeltest.NewHost(t, append(stagetest.Secrets(), channeltest.WithPublic("http://127.0.0.1"))...)
	ch, err := cloud.Driver{}.Open(t.Context(), h, stagetest.Section(p, "base_url", graph.URL, "media_url", graph.URL))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"away", "huge", "moved", "none", "", "../x"} {
		rc, err := ch.(channels.Fetcher).Fetch(t.Context(), channels.File{Ref: ref})
		if err == nil {
			_, err = io.ReadAll(rc)
			_ = rc.Close()
		}
		if err == nil {
			t.Errorf("%q was fetched", ref)
		}
	}
	if stolen != "" {
		t.Error("the token went elsewhere")
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ change, value, want string }{
		{"", "", ""},
		{"phone_number_id", "+15550001111", "phone_number_id"},
		{"token", " ", "token"},
		{"app_secret", "", "app_secret"},
		{"app_id", "my app", "app_id"},
		{"version", "23", "version"},
		{"template", "Hello World", "template"},
		{"template_text", "maybe", "template_text"},
		{"base_url", "graph.facebook.com", "base_url"},
		{"media_url", "https://u@x", "media_url"},
		{"phone_id", "1", "phone_id"},
	} {
		m := map[string]string{"phone_number_id": "106540352242922", "token": "secret://t", "app_secret": "secret://s"}
		if c.change != "" {
			m[c.change] = c.value
		}
		b, _ := json.Marshal(m)
		var paths []string
		for _, f := range (cloud.Driver{}).Check(b) {
			paths = append(paths, f.Path)
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%s %q: faults at %q, want %q", c.change, c.value, got, c.want)
		}
	}
	h := channeltest.NewHost(t, stagetest.Secrets()...)
	p := cloudtest.New("")
	defer p.Close()
	if _, err := (cloud.Driver{}).Open(t.Context(), h, stagetest.Section(p)); err == nil || !strings.Contains(err.Error(), "public_url") {
		t.Errorf("without a public address: %v", err)
	}
}

// TestTypingAtOnce: the bot is seen to write, and the message as read, also
// where the work on it begins before the adapter knows that it was accepted.
func TestTypingAtOnce(t *testing.T) {
	d := open(t)
	hold := d.sink.BlockCommitted()
	defer hold.Release()
	d.p.Say(cloudtest.Said{By: stagetest.Alice, Text: "hello"})
	e := d.sink.WaitEvents(1)[0]
	if err := d.ch.(channels.Typer).Type(t.Context(), e.Where); err != nil {
		t.Fatal(err)
	}
	if n := d.p.Typed(stagetest.Alice); n != 1 {
		t.Errorf("typing was shown %d times", n)
	}
}
