package slack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// run is a channel that runs against a stage.
type run struct {
	*stagetest.Stage
	t    *testing.T
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	hook *httptest.Server
	stop func() error
}

func start(t *testing.T, mode string, cfg []string, opts ...slacktest.Option) *run {
	t.Helper()
	r := &run{t: t}
	var serve http.Handler
	r.hook = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { serve.ServeHTTP(w, q) }))
	r.Stage = stagetest.New(t, mode, r.hook.URL+"/hooks/test", opts...)
	t.Cleanup(func() { r.Close(); r.hook.Close() })
	r.boot(channeltest.Snapshot{}, cfg)
	serve = r.ch.(channels.Receiver).Receive(r.sink)
	r.host.WaitHealth(channels.Connected)
	return r
}

// boot starts a process that finds what an earlier one has left.
func (r *run) boot(from channeltest.Snapshot, cfg []string) {
	r.t.Helper()
	opts := append([]channeltest.HostOption{channeltest.Restore(from), channeltest.WithPublic(r.hook.URL + "/hooks/test")}, r.Host()...)
	r.host = channeltest.NewHost(r.t, opts...)
	r.sink = channeltest.NewSink(r.host)
	ch, err := slack.Driver{Watch: 50 * time.Millisecond}.Open(r.t.Context(), r.host, r.Config(cfg...))
	if err != nil {
		r.t.Fatal(err)
	}
	r.ch = ch
	ctx, cancel := context.WithCancel(r.t.Context())
	done, sink := make(chan error, 1), r.sink
	go func() { done <- ch.Run(ctx, sink) }()
	ended := false
	r.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	stop := r.stop
	r.t.Cleanup(func() { _ = stop() })
}

func (r *run) hear(text string) channels.Event {
	r.t.Helper()
	return r.sink.WaitEvent(text, func(e channels.Event) bool {
		m, ok := e.Content.(channels.Message)
		return ok && strings.Contains(m.Text, text)
	})
}

func (r *run) send(p channels.Part) channels.Receipt {
	r.t.Helper()
	rec, err := r.ch.Send(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// Slack announces that it will end a socket: the next one is open before, and
// nobody notices.
func TestSocketIsRefreshed(t *testing.T) {
	for _, reason := range []string{"warning", "refresh_requested"} {
		t.Run(reason, func(t *testing.T) {
			r := start(t, "socket", nil)
			r.Srv.Disconnect(reason, time.Hour)
			channeltest.Eventually(t, "a second socket beside the first", func() bool { return r.Srv.Sockets() == 2 })
			for _, text := range []string{"one", "two", "three"} {
				r.Team.Direct(r.Alice).Say(r.Alice, text)
				r.Team.Direct(r.Bob).Say(r.Bob, text+" of bob")
			}
			r.hear("three of bob")
			r.Srv.Drop()
			r.Team.Direct(r.Alice).Say(r.Alice, "after the end")
			r.hear("after the end")
			channeltest.Eventually(t, "all to be acknowledged", func() bool { return r.Srv.Pending() == 0 })
		})
	}
}

func TestSeveralSockets(t *testing.T) {
	r := start(t, "socket", nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var section map[string]any
	if err := json.Unmarshal(r.Config(), &section); err != nil {
		t.Fatal(err)
	}
	section["sockets"] = 3
	b, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	host := channeltest.NewHost(t, r.Host()...)
	sink := channeltest.NewSink(host)
	ch, err := slack.Driver{}.Open(t.Context(), host, b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	channeltest.Eventually(t, "three sockets", func() bool { return r.Srv.Sockets() == 3 })
	for i := range 30 {
		u := []*slacktest.User{r.Alice, r.Bob}[i%2]
		r.Team.Direct(u).Say(u, "word")
	}
	sink.WaitEvents(30)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What is not acknowledged in time comes again, and is known.
func TestRedelivery(t *testing.T) {
	r := start(t, "socket", nil, slacktest.WithAckDeadline(30*time.Millisecond))
	hold := r.sink.Block()
	r.Team.Direct(r.Alice).Say(r.Alice, "slow")
	hold.Wait()
	r.sink.FailNext(nil)
	channeltest.Eventually(t, "the platform to lose patience", func() bool { return r.host.HeardCount() > 3 })
	hold.Release()
	r.hear("slow")
	channeltest.Eventually(t, "all to be acknowledged", func() bool { return r.Srv.Pending() == 0 })
	if n := len(r.sink.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestSocketModeSwitchedOff(t *testing.T) {
	r := start(t, "socket", nil)
	r.Srv.Fail("apps.connections.open", slacktest.Error("link_disabled").Always())
	r.Srv.Disconnect("link_disabled", time.Millisecond)
	if h := r.host.WaitHealth(channels.Retrying); !strings.Contains(h.Fix, "Socket Mode") {
		t.Errorf("%+v", h)
	}
}

// Frames of any shape end neither the socket nor the channel.
func TestMalformedFrames(t *testing.T) {
	r := start(t, "socket", nil)
	for _, f := range []string{"", "x", "[]", "null", "{}", `{"type":7}`, `{"type":"events_api"}`, `{"type":"events_api","envelope_id":"e","payload":7}`, `{"envelope_id":"f","type":"events_api","payload":{"type":"event_callback","event":[]}}`} {
		r.Srv.Frame([]byte(f))
	}
	r.Team.Direct(r.Alice).Say(r.Alice, "still here")
	r.hear("still here")
	if n := r.Srv.Opened(); n != 1 {
		t.Errorf("%d sockets were opened", n)
	}
}

func TestWebhookIsProved(t *testing.T) {
	r := start(t, "events", nil)
	to := r.hook.URL + "/hooks/test"
	event := []byte(`{"type":"event_callback","team_id":"T0MAIN000","event_id":"Ev1","event":{"type":"message","user":"U1","channel":"D1","channel_type":"im","ts":"1.1","text":"forged"}}`)
	now := time.Now()
	tests := []struct {
		name   string
		header http.Header
		body   []byte
		want   int
	}{
		{"no signature", http.Header{}, event, 401},
		{"of another body", r.Srv.Signed([]byte("x"), now), event, 401},
		{"too old", r.Srv.Signed(event, now.Add(-6*time.Minute)), event, 401},
		{"of the future", r.Srv.Signed(event, now.Add(6*time.Minute)), event, 401},
		{"garbage", r.Srv.Signed([]byte("{"), now), []byte("{"), 400},
		{"too large", r.Srv.Signed(nil, now), bytes.Repeat([]byte(" "), 3<<20), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, err := r.Srv.Post(to, tt.header, tt.body); err != nil || got != tt.want {
				t.Errorf("%d %v, want %d", got, err, tt.want)
			}
		})
	}
	if n := len(r.sink.Events()); n != 0 {
		t.Errorf("%d events were taken", n)
	}
	body := []byte(`{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","token":"x"}`)
	if status, answer, err := r.Srv.Post(to, r.Srv.Signed(body, now), body); err != nil || status != 200 || string(answer) != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" {
		t.Errorf("%d %q %v", status, answer, err)
	}
	other := []byte(strings.ReplaceAll(string(event), "T0MAIN000", "T0OTHER00"))
	if status, _, err := r.Srv.Post(to, r.Srv.Signed(other, now), other); err != nil || status != 200 || len(r.sink.Events()) != 0 {
		t.Errorf("of another team: %d %v", status, err)
	}
	resp, err := http.Get(to) //nolint:noctx // loopback
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
}

// A retry carries the same event, which is kept once, and is told so.
func TestWebhookRetries(t *testing.T) {
	r := start(t, "events", nil)
	body := []byte(`{"type":"event_callback","team_id":"T0MAIN000","event_id":"Ev1","event":{"type":"message","user":"U1","channel":"D1","channel_type":"im","ts":"1767224888.000100","text":"once"}}`)
	for i := range 3 {
		h := r.Srv.Signed(body, time.Now())
		if i > 0 {
			h.Set("X-Slack-Retry-Num", "1")
			h.Set("X-Slack-Retry-Reason", "http_timeout")
		}
		if status, _, err := r.Srv.Post(r.hook.URL, h, body); err != nil || status != 200 {
			t.Errorf("%d %v", status, err)
		}
	}
	if n := len(r.sink.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// The bot remembers the threads in which it has spoken.
func TestThreadsAcrossRestarts(t *testing.T) {
	r := start(t, "socket", nil)
	root := r.Room.Say(r.Alice, r.Team.Mention()+" a question")
	e := r.hear("a question")
	if string(e.Where.Thread) != root || !e.Addressed {
		t.Fatalf("%+v", e)
	}
	r.send(channels.Part{Key: "a", To: e.Where, Body: markup.Plain("an answer")})
	if l := r.Room.Transcript(); l[len(l)-1].Thread != root {
		t.Errorf("the answer is not in the thread: %+v", l)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.boot(r.host.Snapshot(), nil)
	r.Room.Say(r.Bob, "without a mention", slacktest.InThread(root))
	if e := r.hear("without a mention"); !e.Addressed || string(e.Where.Thread) != root {
		t.Errorf("%+v", e)
	}
	r.Room.Say(r.Bob, "in the room")
	if e := r.hear("in the room"); e.Addressed {
		t.Errorf("%+v", e)
	}
}

func TestNames(t *testing.T) {
	r := start(t, "socket", nil)
	r.Room.Say(r.Alice, "hi")
	if e := r.hear("hi"); e.Who.Name != "Alice" || e.Room.Title != "engine-room" {
		t.Errorf("%+v", e)
	}
	// Names are for show: without an answer the message comes all the same.
	r.Srv.Fail("users.info", slacktest.Hang().Always())
	r.Team.Direct(r.Bob).Say(r.Bob, "nameless")
	if e := r.hear("nameless"); e.Who.ID != r.Bob.ID || e.Who.Name != "" {
		t.Errorf("%+v", e)
	}
}

func TestEphemeral(t *testing.T) {
	r := start(t, "socket", nil)
	r.Room.Say(r.Alice, r.Team.Mention()+" psst")
	e := r.hear("psst")
	rec := r.send(channels.Part{Key: "a", To: e.Where, Audience: channels.Audience{Only: r.Alice.ID}, Body: markup.Plain("for you")})
	got := r.Srv.Delivered().Of(slacktest.Ephemeral)
	if len(got) != 1 || got[0].Only != r.Alice.ID || got[0].TS != string(rec.ID) || got[0].Thread != string(e.Where.Thread) {
		t.Errorf("%+v, %+v", got, rec)
	}
}

// A slash command is answered by its response_url, also where the bot is no
// member, and only the one who asked sees it.
func TestSlashCommand(t *testing.T) {
	for _, mode := range []string{"socket", "events"} {
		t.Run(mode, func(t *testing.T) {
			r := start(t, mode, nil)
			r.Room.Leave()
			r.Room.Slash(r.Alice, "/gatehouse", "status now")
			e := r.sink.WaitEvent("the command", func(e channels.Event) bool {
				c, ok := e.Content.(channels.Command)
				return ok && c.Name == "status" && c.Args == "now"
			})
			if e.Via == nil || e.Via.Uses != 5 || time.Until(e.Via.Expires) > 30*time.Minute {
				t.Fatalf("%+v", e.Via)
			}
			r.send(channels.Part{Key: "a", To: e.Where, Via: e.Via, Body: markup.Parse("**fine**")})
			got := r.Srv.Delivered().Of(slacktest.Answered)
			if len(got) != 1 || got[0].Only != r.Alice.ID || got[0].Text != "fine" {
				t.Errorf("%+v", got)
			}
			e.Via.Token = channels.NewSecret("command http://127.0.0.1:1/elsewhere")
			if _, err := r.ch.Send(t.Context(), channels.Part{Key: "b", To: e.Where, Via: e.Via, Body: markup.Plain("x")}); channels.KindOf(err) != channels.Rejected {
				t.Errorf("a reply path that leads elsewhere: %v", err)
			}
		})
	}
}

// A message that only one person sees is changed by the path that came with
// the press on it.
func TestPressOnEphemeral(t *testing.T) {
	r := start(t, "socket", nil)
	r.Room.Say(r.Alice, r.Team.Mention()+" choose")
	e := r.hear("choose")
	rec := r.send(channels.Part{
		Key: "a", To: e.Where, Audience: channels.Audience{Only: r.Alice.ID}, Body: markup.Plain("well?"),
		Buttons: []channels.Button{{Label: "Yes", Data: "y"}},
	})
	r.Room.Press(r.Alice, string(rec.ID), slacktest.Button{Label: "Yes", Value: "y", Action: "gatehouse-0"})
	p := r.sink.WaitEvent("the press", func(e channels.Event) bool { _, ok := e.Content.(channels.Press); return ok })
	r.send(channels.Part{Key: "b", To: p.Where, Via: p.Via, Replaces: rec.ID, Body: markup.Plain("chosen")})
	for _, l := range r.Room.Transcript() {
		if l.TS == string(rec.ID) && (l.Text != "chosen" || l.Edits != 1) {
			t.Errorf("%+v", l)
		}
	}
}

func TestReactionsAreReplaced(t *testing.T) {
	r := start(t, "socket", nil)
	ts := r.Team.Direct(r.Alice).Say(r.Alice, "hi")
	e := r.hear("hi")
	react := func(emoji string) {
		t.Helper()
		if err := r.ch.(channels.Reactor).React(t.Context(), e.Where, channels.MessageID(ts), emoji); err != nil {
			t.Fatal(err)
		}
	}
	reactions := func() string { return strings.Join(r.Team.Direct(r.Alice).Transcript()[0].Reactions, " ") }
	react("👀")
	react("✅")
	if got := reactions(); got != "white_check_mark" {
		t.Errorf("%q", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.boot(r.host.Snapshot(), nil) // it has forgotten, and asks
	react("")
	if got := reactions(); got != "" {
		t.Errorf("%q", got)
	}
	if err := r.ch.(channels.Reactor).React(t.Context(), e.Where, channels.MessageID(ts), "no such"); channels.KindOf(err) != channels.Rejected {
		t.Errorf("%v", err)
	}
}

// A message with files has the message's own id, or its file's when the
// platform does not tell.
func TestFilesAreDeleted(t *testing.T) {
	for name, quiet := range map[string]bool{"known": false, "not told": true} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "socket", nil)
			r.Team.Direct(r.Alice).Say(r.Alice, "hi")
			e := r.hear("hi")
			if quiet {
				r.Srv.Fail("files.info", slacktest.Error("file_not_found").Always())
			}
			rec := r.send(channels.Part{Key: "a", To: e.Where, Body: markup.Plain("see"), Files: []channels.File{{
				Kind: channels.Document, Name: "a.txt",
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil },
			}}})
			if strings.HasPrefix(string(rec.ID), "file/") != quiet {
				t.Errorf("%q", rec.ID)
			}
			if err := r.ch.(channels.Deleter).Delete(t.Context(), e.Where, rec.ID); err != nil {
				t.Fatal(err)
			}
			if n := len(r.Team.Direct(r.Alice).Transcript()); n != 1 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

// Where the app may not show a status, it is not asked each time.
func TestTypingIsGivenUp(t *testing.T) {
	r := start(t, "socket", []string{"ack_reaction", "eyes"}, slacktest.WithScopes("chat:write", "reactions:write"))
	ts := r.Team.Direct(r.Alice).Say(r.Alice, "hi")
	e := r.hear("hi")
	for range 3 {
		if err := r.ch.(channels.Typer).Type(t.Context(), e.Where); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Srv.Calls("assistant.threads.setStatus"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if l := r.Team.Direct(r.Alice).Transcript()[0]; l.TS != ts || len(l.Reactions) != 1 || r.Srv.Calls("reactions.add") != 1 {
		t.Errorf("%+v", l)
	}
}

func TestProbeSaysWhatIsMissing(t *testing.T) {
	r := start(t, "socket", nil)
	probe := func() []string {
		t.Helper()
		who, err := r.ch.(channels.Prober).Probe(t.Context())
		if err != nil || who.Account != "T0MAIN000" || who.Handle != "gatehouse" || who.Name != "Main" {
			t.Fatalf("%+v %v", who, err)
		}
		return who.Notes
	}
	if notes := probe(); len(notes) != 0 {
		t.Errorf("%q", notes)
	}
	r.Srv.SetScopes("chat:write", "im:history")
	if notes := probe(); len(notes) != 1 || !strings.Contains(notes[0], "files:write") || strings.Contains(notes[0], "chat:write") {
		t.Errorf("%q", notes)
	}
	r.Srv.SetScopes(slacktest.Scopes()...)
	r.Srv.Fail("apps.connections.open", slacktest.Error("link_disabled"))
	if notes := probe(); len(notes) != 1 || !strings.Contains(notes[0], "Socket Mode") {
		t.Errorf("%q", notes)
	}
	r.Srv.Fail("apps.connections.open", slacktest.Error("invalid_auth"))
	if _, err := r.ch.(channels.Prober).Probe(t.Context()); channels.KindOf(err) != channels.Unauthorized {
		t.Errorf("%v", err)
	}
}

// The manifest asks for exactly the scopes that the probe looks for.
func TestManifest(t *testing.T) {
	var m struct {
		Oauth struct {
			Scopes struct {
				Bot []string `json:"bot"`
			} `json:"scopes"`
		} `json:"oauth_config"`
		Features struct {
			Commands []struct {
				Command string `json:"command"`
			} `json:"slash_commands"`
		} `json:"features"`
		Settings struct {
			Socket bool `json:"socket_mode_enabled"`
		} `json:"settings"`
	}
	g := slack.Driver{}.Guide()
	if err := json.Unmarshal([]byte(g.Paste), &m); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(m.Oauth.Scopes.Bot, " "), strings.Join(slacktest.Scopes(), " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !m.Settings.Socket || m.Features.Commands[0].Command != "/gatehouse" {
		t.Errorf("%+v", m)
	}
	r := start(t, "socket", nil, slacktest.WithScopes(m.Oauth.Scopes.Bot...))
	if who, err := r.ch.(channels.Prober).Probe(t.Context()); err != nil || len(who.Notes) != 0 {
		t.Errorf("%+v %v", who, err)
	}
}

func TestUninstalled(t *testing.T) {
	for _, mode := range []string{"socket", "events"} {
		t.Run(mode, func(t *testing.T) {
			r := start(t, mode, nil)
			r.Team.Uninstall()
			if h := r.host.WaitHealth(channels.Broken); !strings.Contains(h.Fix, "install the app") {
				t.Errorf("%+v", h)
			}
			if err := r.stop(); channels.KindOf(err) != channels.Unauthorized {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestReload(t *testing.T) {
	r := start(t, "socket", nil)
	rl := r.ch.(channels.Reloader)
	if err := rl.Reload(t.Context(), r.Config("ack_reaction", "eyes")); err != nil {
		t.Error(err)
	}
	if err := rl.Reload(t.Context(), r.Config("command", "/other")); err == nil {
		t.Error("another command needs a restart")
	}
	if err := rl.Reload(t.Context(), r.Config("mode", "x")); err == nil {
		t.Error("a fault was taken")
	}
}

func TestCheck(t *testing.T) {
	tests := []struct{ name, cfg, path, text string }{
		{"nothing", `{}`, "token", "xoxb-"},
		{"no app token", `{"token":"secret://t"}`, "app_token", "connections:write"},
		{"no signing secret", `{"token":"secret://t","mode":"events"}`, "signing_secret", "Basic Information"},
		{"another mode", `{"token":"secret://t","mode":"rtm"}`, "mode", "socket or events"},
		{"too many sockets", `{"token":"a","app_token":"b","sockets":11}`, "sockets", "1 to 10"},
		{"sockets in words", `{"token":"a","app_token":"b","sockets":"two"}`, "sockets", "number"},
		{"no command", `{"token":"a","app_token":"b","command":"gatehouse"}`, "command", "/gatehouse"},
		{"no emoji", `{"token":"a","app_token":"b","ack_reaction":"two words"}`, "ack_reaction", "eyes"},
		{"no URL", `{"token":"a","app_token":"b","base_url":"slack.com"}`, "base_url", "https"},
		{"a query", `{"token":"a","app_token":"b","base_url":"https://slack.com/api?x=1"}`, "base_url", "query"},
		{"a slip", `{"token":"a","app_token":"b","sigining_secret":"c"}`, "sigining_secret", "did you mean signing_secret"},
		{"no mapping", `[]`, "", "mapping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, f := range (slack.Driver{}).Check(json.RawMessage(tt.cfg)) {
				if f.Path == tt.path && strings.Contains(f.Text, tt.text) {
					return
				}
			}
			t.Errorf("%+v", slack.Driver{}.Check(json.RawMessage(tt.cfg)))
		})
	}
}
