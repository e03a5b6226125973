package wasm_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// TestDiscordConformance holds the guest to what the native adapter is held to,
// on the same stage and with the same goldens.
func TestDiscordConformance(t *testing.T) {
	d := newDriver(t, "discord")
	channeltest.Run(t, channeltest.Suite{
		Driver: d.For(json.RawMessage(`{"module":"discord"}`)),
		New: func(t testing.TB, _ string) *channeltest.Harness {
			s := stagetest.New(t)
			h := s.Harness()
			h.Config = s.Config("module", "discord")
			return h
		},
		Lacks:  stagetest.Lacks(),
		Golden: "../discord/testdata/format",
	})
}

// discordLife is one life of the guest.
type discordLife struct {
	host *channeltest.Host
	sink *channeltest.Sink
	done chan error
	stop context.CancelFunc
}

func liveDiscord(t *testing.T, d *wasm.Driver, s *stagetest.Stage, snap channeltest.Snapshot) *discordLife {
	t.Helper()
	h := channeltest.NewHost(t, append([]channeltest.HostOption{channeltest.Restore(snap)}, s.Host()...)...)
	section := s.Config("module", "discord")
	ch, err := d.For(section).Open(t.Context(), h, section)
	if err != nil {
		t.Fatal(err)
	}
	l := &discordLife{host: h, sink: channeltest.NewSink(h), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	t.Cleanup(cancel)
	go func() { l.done <- ch.Run(ctx, l.sink) }()
	return l
}

func (l *discordLife) count(text string) (n int) {
	for _, e := range l.sink.Events() {
		if m, ok := e.Content.(channels.Message); ok && m.Text == text {
			n++
		}
	}
	return n
}

// TestDiscordGuestReadsHistories: what was said without a session comes once, in
// more calls than one, and before what is said afterwards.
func TestDiscordGuestReadsHistories(t *testing.T) {
	d, s := newDriver(t, "discord"), stagetest.New(t)
	t.Cleanup(s.Srv.Close)
	dm := s.Srv.DM(s.Alice)
	l := liveDiscord(t, d, s, channeltest.Snapshot{})
	l.host.WaitHealth(channels.Connected)
	channeltest.Eventually(t, "a session", s.Srv.Online)
	dm.Say(s.Alice, "before")
	channeltest.Eventually(t, "the message before", func() bool { return l.count("before") == 1 })
	l.stop()
	if err := <-l.done; err != nil {
		t.Error(err)
	}
	s.Srv.Forget()
	dm.Say(s.Alice, "meanwhile")
	s.Thread.Say(s.Bob, "meanwhile in the thread")
	const noise = 230
	for range noise {
		s.Room.Say(s.Bob, "noise")
	}
	l = liveDiscord(t, d, s, l.host.Snapshot())
	dm.Say(s.Alice, "after")
	channeltest.Eventually(t, "the whole history", func() bool {
		return l.count("noise") == noise && l.count("after") > 0 && l.count("meanwhile in the thread") > 0
	})
	for _, text := range []string{"meanwhile", "meanwhile in the thread", "after"} {
		if n := l.count(text); n != 1 {
			t.Errorf("%q came %d times", text, n)
		}
	}
	l.stop()
	if err := <-l.done; err != nil {
		t.Error(err)
	}
}

// TestDiscordGuestStops: after a close code that only a person can do something
// about, and says what.
func TestDiscordGuestStops(t *testing.T) {
	d := newDriver(t, "discord")
	for code, want := range map[int]struct {
		kind channels.Kind
		fix  string
	}{4004: {channels.Unauthorized, "Reset Token"}, 4014: {channels.Rejected, "Message Content Intent"}} {
		s := stagetest.New(t)
		t.Cleanup(s.Srv.Close)
		l := liveDiscord(t, d, s, channeltest.Snapshot{})
		l.host.WaitHealth(channels.Connected)
		channeltest.Eventually(t, "Run to end", func() bool { s.Srv.CloseWith(code, "no"); return len(l.done) > 0 })
		err := <-l.done
		hs := l.host.Health()
		if h := hs[len(hs)-1]; channels.KindOf(err) != want.kind || h.Phase != channels.Broken || !strings.Contains(err.Error(), want.fix) {
			t.Errorf("%d: %v; health %+v", code, err, h)
		}
	}
}
