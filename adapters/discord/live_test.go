package discord_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord"
	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/adapters/discord/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// live is a channel that runs against an emulated platform.
type live struct {
	*stagetest.Stage
	driver discord.Driver
	host   *channeltest.Host
	sink   *channeltest.Sink
	ch     *discord.Channel
	done   chan error
	stop   context.CancelFunc
}

func newLive(t *testing.T, opts ...discordtest.Option) *live {
	t.Helper()
	l := stopped(t, opts...)
	l.boot(t, channeltest.Snapshot{})
	l.host.WaitHealth(channels.Connected)
	return l
}

// stopped is a channel that does not run yet.
func stopped(t *testing.T, opts ...discordtest.Option) *live {
	t.Helper()
	s := stagetest.New(t, opts...)
	t.Cleanup(s.Srv.Close)
	return &live{Stage: s, driver: quick}
}

// boot opens the channel anew and runs it until the test ends.
func (l *live) boot(t *testing.T, snap channeltest.Snapshot, extra ...any) {
	t.Helper()
	l.host = channeltest.NewHost(t, append([]channeltest.HostOption{channeltest.Restore(snap)}, l.Stage.Host()...)...)
	l.sink = channeltest.NewSink(l.host)
	ch, err := l.driver.Open(t.Context(), l.host, l.Config(extra...))
	if err != nil {
		t.Fatal(err)
	}
	l.ch = ch.(*discord.Channel)
	ctx, cancel := context.WithCancel(context.Background())
	done, sink := make(chan error, 1), l.sink
	go func() { done <- ch.Run(ctx, sink) }()
	l.done, l.stop = done, cancel
	t.Cleanup(func() { l.halt(t) })
}

// halt ends Run and wants nil from it. It may be called again.
func (l *live) halt(t *testing.T) {
	t.Helper()
	l.stop()
	eventually(t, "Run to end", func() bool { return len(l.done) > 0 })
	if err := <-l.done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	l.done <- nil
	l.host.Client("").CloseIdleConnections()
}

func (l *live) send(t *testing.T, p channels.Part) channels.Receipt {
	t.Helper()
	r, err := l.ch.Send(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hear waits for a message with a text.
func (l *live) hear(text string) channels.Event {
	return l.sink.WaitEvent("a message "+text, func(e channels.Event) bool {
		m, ok := e.Content.(channels.Message)
		return ok && strings.Contains(m.Text, text)
	})
}

// count is how often a text was kept.
func (l *live) count(text string) (n int) {
	for _, e := range l.sink.Events() {
		if m, ok := e.Content.(channels.Message); ok && m.Text == text {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	channeltest.Eventually(t, what, cond)
}

// An orderly end leaves the session to be resumed.
func TestRestartResumes(t *testing.T) {
	l := newLive(t)
	l.Srv.DM(l.Alice).Say(l.Alice, "one")
	l.hear("one")
	l.halt(t)
	l.Srv.DM(l.Alice).Say(l.Alice, "two")
	l.boot(t, l.host.Snapshot())
	l.hear("two")
	if _, started := l.Srv.Sessions(); started != 1 {
		t.Errorf("%d sessions began, want 1", started)
	}
}

// A resumed process is told nothing of guilds and asks where a thread belongs.
func TestThreadsAreLookedUpAfterARestart(t *testing.T) {
	l := newLive(t)
	l.Thread.Say(l.Alice, "one")
	before := l.hear("one")
	l.send(t, channels.Part{Key: "k", To: before.Where, Body: markup.Plain("here I am")})
	l.Srv.DM(l.Alice).Say(l.Alice, "two")
	l.hear("two")
	l.halt(t)
	l.Thread.Say(l.Alice, "three")
	l.boot(t, l.host.Snapshot())
	after := l.hear("three")
	if after.Where != before.Where || !after.Addressed {
		t.Errorf("%+v, addressed %v; before %+v", after.Where, after.Addressed, before.Where)
	}
}

func TestGatewayAsksForANewConnection(t *testing.T) {
	for name, ask := range map[string]func(*discordtest.Server){
		"reconnect":          (*discordtest.Server).Reconnect,
		"resumable":          func(s *discordtest.Server) { s.Invalidate(true) },
		"unknown error":      func(s *discordtest.Server) { s.CloseWith(4000, "") },
		"going away":         func(s *discordtest.Server) { s.CloseWith(1001, "") },
		"garbage":            func(s *discordtest.Server) { s.Garbage("\x00{") },
		"a frame of nothing": func(s *discordtest.Server) { s.Garbage("{}") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t)
			l.Srv.DM(l.Alice).Say(l.Alice, "one")
			l.hear("one")
			eventually(t, "the connection to end", func() bool { ask(l.Srv); return !l.Srv.Online() })
			l.Srv.DM(l.Alice).Say(l.Alice, "two")
			l.hear("two")
			if _, started := l.Srv.Sessions(); started != 1 || l.count("one") != 1 {
				t.Errorf("%d sessions began; the first message was kept %d times", started, l.count("one"))
			}
		})
	}
}

func TestGatewayEndsTheSession(t *testing.T) {
	for name, end := range map[string]func(*discordtest.Server){
		"invalid":   func(s *discordtest.Server) { s.Invalidate(false) },
		"timed out": func(s *discordtest.Server) { s.Forget(); s.CloseWith(4009, "") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t)
			l.Srv.DM(l.Alice).Say(l.Alice, "one")
			l.hear("one")
			end(l.Srv)
			l.Srv.DM(l.Alice).Say(l.Alice, "two")
			l.hear("two")
			eventually(t, "another session", func() bool { _, started := l.Srv.Sessions(); return started == 2 })
			l.Srv.DM(l.Alice).Say(l.Alice, "three")
			l.hear("three")
			for _, text := range []string{"one", "two", "three"} {
				if n := l.count(text); n != 1 {
					t.Errorf("%q was kept %d times", text, n)
				}
			}
		})
	}
}

// A close code after which connecting again is of no use ends Run, and says what
// a person can do.
func TestFatalCloseCodes(t *testing.T) {
	for code, want := range map[int]struct {
		kind channels.Kind
		fix  string
	}{
		4004: {channels.Unauthorized, "Reset Token"},
		4010: {channels.Rejected, "servers"},
		4011: {channels.Rejected, "servers"},
		4012: {channels.Rejected, "Upgrade"},
		4013: {channels.Rejected, "Upgrade"},
		4014: {channels.Rejected, "Message Content Intent"},
	} {
		l := newLive(t)
		eventually(t, "Run to end", func() bool { l.Srv.CloseWith(code, "no"); return len(l.done) > 0 })
		err := <-l.done
		l.done <- nil
		hs := l.host.Health()
		if h := hs[len(hs)-1]; channels.KindOf(err) != want.kind || h.Phase != channels.Broken || !strings.Contains(h.Fix, want.fix) || h.Err == nil {
			t.Errorf("%d: %v; health %+v", code, err, h)
		}
	}
}

// Without the intent the channel says so, and works when it is told to do without.
func TestWithoutMessageContent(t *testing.T) {
	l := stopped(t, discordtest.WithoutContent())
	l.boot(t, channeltest.Snapshot{})
	if h := l.host.WaitHealth(channels.Broken); !strings.Contains(h.Fix, "message_content: false") {
		t.Errorf("%+v", h)
	}
	who, err := l.ch.Probe(t.Context())
	if err != nil || len(who.Notes) != 1 || !strings.Contains(who.Notes[0], "Message Content") {
		t.Errorf("%+v, %v", who, err)
	}
	eventually(t, "Run to end", func() bool { return len(l.done) > 0 })
	if err := <-l.done; channels.KindOf(err) != channels.Rejected {
		t.Errorf("Run returned %v", err)
	}
	l.done <- nil
	l.boot(t, channeltest.Snapshot{}, "message_content", false)
	l.host.WaitHealth(channels.Connected)
	l.Room.Say(l.Alice, "among ourselves")
	l.Room.Say(l.Alice, "<@"+l.Srv.Bot().ID+"> hello")
	if e := l.hear("hello"); !e.Addressed || l.count("among ourselves") != 0 {
		t.Errorf("%+v", e)
	}
	if who, err := l.ch.Probe(t.Context()); err != nil || len(who.Notes) != 0 {
		t.Errorf("%+v, %v", who, err)
	}
}

// A resumption that is never answered is tried twice and then given up.
func TestSilentResume(t *testing.T) {
	l := stopped(t)
	l.driver.Answer = 100 * time.Millisecond
	l.boot(t, channeltest.Snapshot{})
	l.host.WaitHealth(channels.Connected)
	l.Srv.DM(l.Alice).Say(l.Alice, "one")
	l.hear("one")
	l.Srv.Silence(2)
	l.Srv.Drop()
	l.Srv.DM(l.Alice).Say(l.Alice, "two")
	l.hear("two")
	if _, started := l.Srv.Sessions(); started != 2 {
		t.Errorf("%d sessions began, want 2", started)
	}
}

// A connection that stands and carries nothing is noticed by the heartbeat.
func TestHalfOpenConnection(t *testing.T) {
	l := newLive(t)
	thaw := l.Srv.Freeze()
	if h := l.host.WaitHealth(channels.Retrying); h.Err == nil {
		t.Error("it does not say why")
	}
	l.Srv.DM(l.Alice).Say(l.Alice, "two")
	thaw()
	l.hear("two")
}

// When no session may begin any more today, none is begun.
func TestSessionsAreUsedUp(t *testing.T) {
	l := stopped(t)
	l.Srv.Starts(0)
	l.boot(t, channeltest.Snapshot{})
	h := l.host.WaitHealth(channels.Retrying)
	if wait := channels.RetryAfter(h.Err); channels.KindOf(h.Err) != channels.RateLimited || wait < time.Hour {
		t.Errorf("%v after %s", h.Err, wait)
	}
	if kept, _ := l.Srv.Sessions(); kept != 0 {
		t.Errorf("%d sessions", kept)
	}
}

// The platform gives a repetition of a part the first one's message back.
func TestNonceKeepsARepetitionFromBeingShown(t *testing.T) {
	l := newLive(t)
	l.Srv.DM(l.Alice).Say(l.Alice, "hi")
	e := l.hear("hi")
	p := channels.Part{Key: "turn/0", To: e.Where, Body: markup.Plain("once")}
	l.Srv.Fail("POST messages", discordtest.Reset().After())
	if _, err := l.ch.Send(t.Context(), p); channels.KindOf(err) != channels.Ambiguous {
		t.Errorf("%v", err)
	}
	l.send(t, p)
	if got := l.Srv.DM(l.Alice).Said(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestNobodyIsPinged(t *testing.T) {
	l := newLive(t)
	m := l.Room.Say(l.Alice, "<@"+l.Srv.Bot().ID+"> hi")
	e := l.hear("hi")
	l.send(t, channels.Part{To: e.Where, ReplyTo: channels.MessageID(m.ID), Body: markup.Parse("@everyone [Bob](mention:" + l.Bob.ID + ")")})
	said := l.Room.Transcript()
	if got := said[len(said)-1]; len(got.Pinged) != 0 || got.Flags&4 == 0 || got.ReplyTo != m.ID {
		t.Errorf("%+v", got)
	}
}

// What the platform's headers say is used up is not tried.
func TestLimitsOfTheHeaders(t *testing.T) {
	l := newLive(t, discordtest.WithRates())
	l.Srv.DM(l.Alice).Say(l.Alice, "hi")
	e := l.hear("hi")
	for range 5 {
		l.send(t, channels.Part{To: e.Where, Body: markup.Plain("x")})
	}
	calls := l.Srv.Calls("POST messages")
	_, err := l.ch.Send(t.Context(), channels.Part{To: e.Where, Body: markup.Plain("x")})
	if wait := channels.RetryAfter(err); channels.KindOf(err) != channels.RateLimited || wait <= 0 || wait > 5*time.Second {
		t.Errorf("%v after %s", err, wait)
	}
	if n := l.Srv.Calls("POST messages"); n != calls {
		t.Error("the platform was asked all the same")
	}
	l.Room.Say(l.Alice, "elsewhere")
	l.send(t, channels.Part{To: l.hear("elsewhere").Where, Body: markup.Plain("x")})
}

func TestGlobalLimit(t *testing.T) {
	l := newLive(t)
	l.Srv.DM(l.Alice).Say(l.Alice, "hi")
	e := l.hear("hi")
	l.Srv.Fail("POST messages", discordtest.Limited(20*time.Second, true))
	p := channels.Part{To: e.Where, Body: markup.Plain("x")}
	for range 2 {
		if _, err := l.ch.Send(t.Context(), p); channels.KindOf(err) != channels.RateLimited || channels.RetryAfter(err) < 15*time.Second {
			t.Errorf("%v", err)
		}
	}
	if n := l.Srv.Calls("POST messages"); n != 1 {
		t.Errorf("the platform was asked %d times", n)
	}
}

// A preview that the platform makes of a link is no edit.
func TestPreviewIsNoEdit(t *testing.T) {
	l := newLive(t)
	m := l.Srv.DM(l.Alice).Say(l.Alice, "https://example.org")
	l.Srv.DM(l.Alice).Preview(m.ID)
	l.Srv.DM(l.Alice).Say(l.Alice, "two")
	l.hear("two")
	for _, e := range l.sink.Events() {
		if _, ok := e.Content.(channels.Edit); ok {
			t.Errorf("%+v", e)
		}
	}
}

func TestForumPost(t *testing.T) {
	l := newLive(t)
	board := l.Guild.Board("questions")
	post := board.Thread(l.Alice, "How do I?")
	post.Say(l.Alice, "<@"+l.Srv.Bot().ID+"> how?")
	e := l.hear("how?")
	if string(e.Where.Conversation) != board.ID || string(e.Where.Thread) != post.ID || !e.Addressed {
		t.Errorf("%+v", e)
	}
	l.send(t, channels.Part{To: e.Where, Body: markup.Plain("like this")})
	if got := post.Said(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestAckReaction(t *testing.T) {
	l := stopped(t)
	l.boot(t, channeltest.Snapshot{}, "ack_reaction", "👀")
	l.host.WaitHealth(channels.Connected)
	m := l.Srv.DM(l.Alice).Say(l.Alice, "hi")
	e := l.hear("hi")
	eventually(t, "the reaction", func() bool {
		if err := l.ch.Type(t.Context(), e.Where); err != nil {
			t.Fatal(err)
		}
		return l.Reacted(e.Where, channels.MessageID(m.ID)) == "👀"
	})
}

func TestReactionIsTakenAway(t *testing.T) {
	l := newLive(t)
	dm := l.Srv.DM(l.Alice)
	m := dm.Say(l.Alice, "hi")
	for range 2 { // the second time is something that happened again
		dm.React(l.Alice, m.ID, "👍")
		dm.Unreact(l.Alice, m.ID, "👍")
	}
	var got []string
	for _, e := range l.sink.WaitEvents(5) {
		if r, ok := e.Content.(channels.Reaction); ok {
			got = append(got, "+"+strings.Join(r.Added, "")+"-"+strings.Join(r.Removed, ""))
		}
	}
	if s := strings.Join(got, " "); s != "+👍- +-👍 +👍- +-👍" {
		t.Errorf("%q", s)
	}
}

func TestShutOut(t *testing.T) {
	l := newLive(t)
	l.Room.Say(l.Alice, "hi")
	e := l.hear("hi")
	l.Room.Shut()
	if _, err := l.ch.Send(t.Context(), channels.Part{To: e.Where, Body: markup.Plain("x")}); channels.KindOf(err) != channels.Gone {
		t.Errorf("%v", err)
	}
}

// A bot that nobody has invited yet says how to.
func TestProbeOfANewBot(t *testing.T) {
	srv := discordtest.NewServer(t)
	h := channeltest.NewHost(t, channeltest.WithSecret(stagetest.TokenRef, srv.Token()))
	ch, err := quick.Open(t.Context(), h, []byte(`{"token":"`+stagetest.TokenRef+`","base_url":"`+srv.URL()+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	who, err := ch.(channels.Prober).Probe(t.Context())
	if err != nil || len(who.Notes) != 1 || !strings.HasSuffix(who.Notes[0], who.Link) {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestProbe(t *testing.T) {
	l := newLive(t)
	who, err := l.ch.Probe(t.Context())
	want := "https://discord.com/oauth2/authorize?client_id=" + l.Srv.App() + "&scope=bot+applications.commands&permissions=274878008384"
	if err != nil || who.Link != want || who.Name != "Helper" || len(who.Notes) != 0 {
		t.Errorf("%+v, %v", who, err)
	}
	l.Srv.Shards(3)
	l.Srv.Starts(0)
	who, err = l.ch.Probe(t.Context())
	if err != nil || len(who.Notes) != 2 || !strings.Contains(who.Notes[0], "3 connections") || !strings.Contains(who.Notes[1], "4h0m") {
		t.Errorf("%+v, %v", who, err)
	}
}
