package slack_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// shop is a channel that several teams install.
type shop struct {
	t    *testing.T
	srv  *slacktest.Server
	hook *httptest.Server
	to   atomic.Pointer[http.Handler] // the platform may ask while a new life begins
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	stop func()
}

func newShop(t *testing.T, teams string, opts ...slacktest.Option) *shop {
	t.Helper()
	s := &shop{t: t, srv: slacktest.NewServer(t, append(opts, slacktest.WithoutTeam())...)}
	s.hook = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.to.Load()).ServeHTTP(w, r) }))
	t.Cleanup(s.hook.Close)
	s.srv.SetRequestURL(s.public())
	s.boot(teams, channeltest.Snapshot{})
	return s
}

func (s *shop) public() string { return s.hook.URL + "/hooks/test" }

func (s *shop) boot(teams string, from channeltest.Snapshot) {
	s.t.Helper()
	s.host = channeltest.NewHost(s.t, channeltest.Restore(from), channeltest.WithPublic(s.public()),
		channeltest.WithSecret("secret://signing", s.srv.SigningSecret()), channeltest.WithSecret("secret://client", s.srv.ClientSecret()))
	s.sink = channeltest.NewSink(s.host)
	cfg, err := json.Marshal(map[string]string{
		"base_url": s.srv.BaseURL(), "mode": "events", "signing_secret": "secret://signing",
		"client_id": s.srv.ClientID(), "client_secret": "secret://client", "teams": teams,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.ch, err = (slack.Driver{Watch: 50 * time.Millisecond}).Open(s.t.Context(), s.host, cfg); err != nil {
		s.t.Fatal(err)
	}
	to := s.ch.(channels.Receiver).Receive(s.sink)
	s.to.Store(&to)
	ctx, cancel := context.WithCancel(s.t.Context())
	done, ch, sink := make(chan error, 1), s.ch, s.sink
	go func() { done <- ch.Run(ctx, sink) }()
	ended := false
	s.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
	s.t.Cleanup(s.stop)
	s.host.WaitHealth(channels.Connected)
}

// browser is one that keeps cookies and follows no redirects.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t *testing.T, c *http.Client, address string) (status int, location, body string) {
	t.Helper()
	resp, err := c.Get(address) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Location"), string(b)
}

// install is what a person does in a browser.
func (s *shop) install(team string) (status int, page string) {
	s.t.Helper()
	b := browser(s.t)
	_, to, _ := get(s.t, b, s.public()+"/install")
	back, ok := s.srv.Approve(to, team)
	if !ok {
		s.t.Fatalf("Slack takes no such request: %s", to)
	}
	status, _, page = get(s.t, b, back)
	return status, page
}

// Two teams install the app; each is an account of its own, with a token of its
// own, across a restart; one of them removes it, and the other stays.
func TestManyTeams(t *testing.T) {
	s := newShop(t, "T0ONE0000 T0TWO0000")
	for _, id := range []string{"T0ONE0000", "T0TWO0000"} {
		if status, page := s.install(id); status != 200 || !strings.Contains(page, "Installed") {
			t.Fatalf("%d %s", status, page)
		}
	}
	s.stop()
	s.boot("T0ONE0000 T0TWO0000", s.host.Snapshot())
	for _, id := range []string{"T0ONE0000", "T0TWO0000"} {
		team := s.srv.Team(id, "")
		u := team.User("U"+id[1:], "Somebody")
		team.Direct(u).Say(u, "hello from "+id)
		e := s.sink.WaitEvent("a message of "+id, func(e channels.Event) bool {
			m, ok := e.Content.(channels.Message)
			return ok && m.Text == "hello from "+id
		})
		if string(e.Account) != id || string(e.Where.Account) != id {
			t.Errorf("%+v", e)
		}
		if _, err := s.ch.Send(t.Context(), channels.Part{Key: id, To: e.Where, Body: markup.Plain("hello " + id)}); err != nil {
			t.Error(err)
		}
		if l := team.Direct(u).Transcript(); l[len(l)-1].Text != "hello "+id {
			t.Errorf("%+v", l)
		}
	}
	one := s.srv.Team("T0ONE0000", "")
	one.Uninstall()
	channeltest.Eventually(t, "its tokens to be gone", func() bool { return s.host.SecretValue("secret://channel.test.t0one0000.token") == "" })
	two := s.srv.Team("T0TWO0000", "")
	u := two.User("U0TWO0000", "")
	if _, err := s.ch.Send(t.Context(), channels.Part{Key: "x", To: channels.Address{Channel: "test", Account: "T0TWO0000", Conversation: channels.ConversationID(two.Direct(u).ID())}, Body: markup.Plain("still here")}); err != nil {
		t.Error(err)
	}
	_, err := s.ch.Send(t.Context(), channels.Part{Key: "y", To: channels.Address{Channel: "test", Account: "T0ONE0000", Conversation: "D0ONE0000"}, Body: markup.Plain("anyone?")})
	if channels.KindOf(err) != channels.Gone {
		t.Errorf("%v", err)
	}
}

func TestInstallIsGuarded(t *testing.T) {
	s := newShop(t, "T0ONE0000")
	if status, page := s.install("T0OTHER00"); status != http.StatusForbidden || !strings.Contains(page, "T0OTHER00") {
		t.Errorf("a team that is not listed: %d %s", status, page)
	}
	_, to, _ := get(t, browser(t), s.public()+"/install")
	back, _ := s.srv.Approve(to, "T0ONE0000")
	if status, _, _ := get(t, browser(t), back); status != http.StatusForbidden {
		t.Errorf("another browser: %d", status)
	}
	b := browser(t)
	_, to, _ = get(t, b, s.public()+"/install")
	back, _ = s.srv.Approve(to, "T0ONE0000")
	u, _ := url.Parse(back)
	q := u.Query()
	q.Set("state", "9999999999.AAAA")
	u.RawQuery = q.Encode()
	if status, _, _ := get(t, b, u.String()); status != http.StatusForbidden {
		t.Errorf("another state: %d", status)
	}
	q.Set("state", "1.AAAA")
	u.RawQuery = q.Encode()
	if status, _, _ := get(t, b, u.String()); status != http.StatusForbidden {
		t.Errorf("an old state: %d", status)
	}
	if n := s.srv.Calls("oauth.v2.access"); n != 1 { // of the team that is not listed
		t.Errorf("%d codes were exchanged", n)
	}
	for ref := range map[string]bool{"secret://channel.test.t0one0000.token": true, "secret://channel.test.t0other00.token": true} {
		if s.host.SecretValue(ref) != "" {
			t.Errorf("%s is kept", ref)
		}
	}
}

// Tokens that end are renewed before they do, and what Slack gave is kept
// before it is used: a crash in between costs nothing.
func TestTokensAreRenewed(t *testing.T) {
	s := newShop(t, "T0ONE0000", slacktest.WithRotation(30*time.Minute))
	if status, page := s.install("T0ONE0000"); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	team := s.srv.Team("T0ONE0000", "")
	const ref = "secret://channel.test.t0one0000.token"
	first := s.host.SecretValue(ref)
	channeltest.Eventually(t, "the token to be renewed", func() bool { return s.host.SecretValue(ref) != first && s.host.SecretValue(ref) != "" })
	u := team.User("U0SOMEONE", "Somebody")
	at := channels.Address{Channel: "test", Account: "T0ONE0000", Conversation: channels.ConversationID(team.Direct(u).ID())}
	if _, err := s.ch.Send(t.Context(), channels.Part{Key: "a", To: at, Body: markup.Plain("with the new one")}); err != nil {
		t.Error(err)
	}
	s.stop()
	if got := s.host.SecretValue("secret://channel.test.t0one0000.refresh"); got != team.Refresh() {
		t.Error("the token that renews is not the newest")
	}
	s.boot("T0ONE0000", s.host.Snapshot())
	if _, err := s.ch.Send(t.Context(), channels.Part{Key: "b", To: at, Body: markup.Plain("after a restart")}); err != nil {
		t.Error(err)
	}
}

// What an answer repeats of a request is hidden from an adapter. A refresh token
// that comes back so is the one that was sent, and asterisks are not kept for it.
func TestAHiddenRefreshTokenIsNotKept(t *testing.T) {
	s := newShop(t, "T0ONE0000", slacktest.WithRotation(30*time.Minute), slacktest.WithLastingRefresh())
	if status, page := s.install("T0ONE0000"); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	const token, refresh = "secret://channel.test.t0one0000.token", "secret://channel.test.t0one0000.refresh"
	first := s.host.SecretValue(token)
	channeltest.Eventually(t, "the token to be renewed", func() bool { return s.host.SecretValue(token) != first })
	s.stop()
	second := s.host.SecretValue(token)
	s.boot("T0ONE0000", s.host.Snapshot())
	channeltest.Eventually(t, "the token to be renewed again", func() bool {
		now := s.host.SecretValue(token)
		return now != "" && now != second
	})
	s.stop()
	if got := s.host.SecretValue(refresh); got != s.srv.Team("T0ONE0000", "").Refresh() {
		t.Errorf("what renews is %q", got)
	}
}

// A kill between Slack's answer and the vault loses what Slack gave. Slack takes
// the token before for a while, so that the next start renews all the same; later
// the old token serves until it ends, and the log says what a person has to do.
func TestARenewalThatWasLost(t *testing.T) {
	s := newShop(t, "T0ONE0000", slacktest.WithRotation(30*time.Minute), slacktest.WithGrace())
	if status, page := s.install("T0ONE0000"); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	team := s.srv.Team("T0ONE0000", "")
	const ref = "secret://channel.test.t0one0000.token"
	killed := s.host.Crash() // nothing is kept of what is renewed from here on
	first := s.host.SecretValue(ref)
	given := team.Refresh()
	channeltest.Eventually(t, "Slack to give tokens that are not kept", func() bool { return team.Refresh() != given })
	s.stop()

	s.boot("T0ONE0000", killed)
	channeltest.Eventually(t, "the token to be renewed", func() bool { return s.host.SecretValue(ref) != first })
	s.stop()

	team.EndGrace()
	s.boot("T0ONE0000", killed)
	u := team.User("U0SOMEONE", "Somebody")
	at := channels.Address{Channel: "test", Account: "T0ONE0000", Conversation: channels.ConversationID(team.Direct(u).ID())}
	if _, err := s.ch.Send(t.Context(), channels.Part{Key: "a", To: at, Body: markup.Plain("with the old one")}); err != nil {
		t.Error(err)
	}
	told := func() bool {
		return slices.ContainsFunc(s.host.Logs(), func(l channeltest.Line) bool { return strings.Contains(l.Attrs["fix"], s.public()+"/install") })
	}
	channeltest.Eventually(t, "the log to say what to do", told)
}

// rotation is a channel of one team whose app has token rotation.
func (s *shop) rotation(from channeltest.Snapshot, refresh string) {
	s.t.Helper()
	s.host = channeltest.NewHost(s.t, channeltest.Restore(from), channeltest.WithSecret("secret://app", s.srv.AppToken()),
		channeltest.WithSecret("secret://refresh", refresh), channeltest.WithSecret("secret://client", s.srv.ClientSecret()))
	s.sink = channeltest.NewSink(s.host)
	cfg, err := json.Marshal(map[string]string{
		"base_url": s.srv.BaseURL(), "app_token": "secret://app", "refresh_token": "secret://refresh",
		"client_id": s.srv.ClientID(), "client_secret": "secret://client",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.ch, err = (slack.Driver{Watch: 50 * time.Millisecond}).Open(s.t.Context(), s.host, cfg); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done, ch, sink := make(chan error, 1), s.ch, s.sink
	go func() { done <- ch.Run(ctx, sink) }()
	ended := false
	s.stop = func() {
		if !ended {
			ended = true
			cancel()
			if err := <-done; channels.KindOf(err) != channels.Unauthorized && err != nil {
				s.t.Error(err)
			}
		}
	}
	s.t.Cleanup(s.stop)
}

// The tokens of one team are made from a refresh token and renewed; the chain
// goes on after a restart, and begins anew with another refresh token when Slack
// refuses it.
func TestTokenOfOneTeamIsRotated(t *testing.T) {
	s := &shop{t: t, srv: slacktest.NewServer(t, slacktest.WithRotation(30*time.Minute))} // ends so soon that it is renewed at once
	team := s.srv.Team("T0MAIN000", "")
	u := team.User("U0SOMEONE", "Somebody")
	hear := func(text string) channels.Event {
		team.Direct(u).Say(u, text)
		return s.sink.WaitEvent(text, func(e channels.Event) bool {
			m, ok := e.Content.(channels.Message)
			return ok && m.Text == text
		})
	}
	seed := team.Refresh()
	s.rotation(channeltest.Snapshot{}, seed)
	s.host.WaitHealth(channels.Connected)
	e := hear("hello")
	if team.Refresh() == seed {
		t.Error("the refresh token was not used")
	}
	const ref = "secret://channel.test.t0main000.token"
	first := s.host.SecretValue(ref)
	channeltest.Eventually(t, "the token to be renewed", func() bool { return first != "" && s.host.SecretValue(ref) != first })
	s.stop()
	s.rotation(s.host.Snapshot(), seed) // which counts no more
	s.host.WaitHealth(channels.Connected)
	hear("after a restart")
	if _, err := s.ch.Send(t.Context(), channels.Part{Key: "a", To: e.Where, Body: markup.Plain("here")}); err != nil {
		t.Error(err)
	}
	who, err := s.ch.(channels.Prober).Probe(t.Context())
	if err != nil || who.Account != "T0MAIN000" {
		t.Errorf("%+v, %v", who, err)
	}
	s.stop()
	last := s.host
	s.rotation(channeltest.Snapshot{}, seed)
	if h := s.host.WaitHealth(channels.Broken); !strings.Contains(h.Fix, "refresh_token") {
		t.Errorf("%+v", h)
	}
	s.stop()
	s.rotation(last.Snapshot(), team.Refresh())
	s.host.WaitHealth(channels.Connected)
	hear("with another refresh token")
}
