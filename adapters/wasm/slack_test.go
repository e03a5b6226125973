package wasm_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// TestSlackConformance holds the guest to what the native adapter is held to, on
// the same stage and with the same goldens.
func TestSlackConformance(t *testing.T) {
	d := newDriver(t, "slack")
	for _, mode := range []string{"socket", "events"} {
		t.Run(mode, func(t *testing.T) {
			channeltest.Run(t, channeltest.Suite{
				Driver: d.For(json.RawMessage(`{"module":"slack"}`)),
				New: func(t testing.TB, public string) *channeltest.Harness {
					s := stagetest.New(t, mode, public)
					h := s.Harness()
					h.Config = s.Config("module", "slack", "socket_url", s.Sockets())
					return h
				},
				Lacks:  stagetest.Lacks(mode),
				Golden: "../slack/testdata/format",
			})
		})
	}
}

// TestSlackGuestLooksForMessages: in the history since the answer was made, and
// says of messages that leave no trace there that nobody can tell.
func TestSlackGuestLooksForMessages(t *testing.T) {
	s := stagetest.New(t, "socket", "")
	t.Cleanup(s.Close)
	d := newDriver(t, "slack")
	section := s.Config("module", "slack", "socket_url", s.Sockets())
	ch, err := d.For(section).Open(t.Context(), channeltest.NewHost(t, s.Host()...), section)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := channels.As[channels.Reconciler](ch)
	if !ok {
		t.Fatal("it does not look for them")
	}
	began := time.Now()
	at := channels.Address{Channel: "test", Account: channels.AccountID(s.Team.ID), Conversation: channels.ConversationID(s.Team.Direct(s.Alice).ID())}
	p := channels.Part{Key: "turn/0", To: at, Body: markup.Plain("an answer")}
	want, err := ch.Send(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for range 250 { // more than a page
		s.Team.Direct(s.Alice).Say(s.Alice, "noise")
	}
	other, file, private := p, p, p
	other.Key, file.Files, private.Audience.Only = "turn/1", []channels.File{{Name: "a.txt"}}, s.Alice.ID
	for _, x := range []struct {
		name  string
		part  channels.Part
		since time.Time
		found bool
		err   error
	}{
		{"sent", p, began, true, nil},
		{"before", p, time.Now().Add(time.Hour), false, nil},
		{"not sent", other, began, false, nil},
		{"a file", file, began, false, channels.ErrCannotTell},
		{"for one person", private, began, false, channels.ErrCannotTell},
	} {
		got, found, err := r.Sent(t.Context(), x.part, x.since)
		if found != x.found || !errors.Is(err, x.err) || found && got.ID != want.ID {
			t.Errorf("%s: %+v, %v, %v", x.name, got, found, err)
		}
	}
}

// TestSlackGuestSections: which secrets have to be there depends on the mode.
func TestSlackGuestSections(t *testing.T) {
	d := newDriver(t, "slack")
	for _, x := range []struct{ section, missing string }{
		{`{"module":"slack","token":"secret://t"}`, "app_token"},
		{`{"module":"slack","token":"secret://t","app_token":"secret://a"}`, ""},
		{`{"module":"slack","token":"secret://t","mode":"events","app_token":"secret://a"}`, "signing_secret"},
		{`{"module":"slack","token":"secret://t","mode":"events","signing_secret":"secret://s"}`, ""},
	} {
		faults := d.For(json.RawMessage(x.section)).Check(json.RawMessage(x.section))
		if x.missing == "" && len(faults) > 0 || x.missing != "" && (len(faults) != 1 || faults[0].Path != x.missing) {
			t.Errorf("%s: %+v, want %q alone", x.section, faults, x.missing)
		}
	}
}

// TestSlackGuestForgets: what the guest keeps of threads, names and places goes
// when it is old.
func TestSlackGuestForgets(t *testing.T) {
	s := stagetest.New(t, "socket", "")
	t.Cleanup(s.Close)
	d := newDriver(t, "slack")
	section := s.Config("module", "slack", "socket_url", s.Sockets())
	h := channeltest.NewHost(t, s.Host()...)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	recent := `{"name":"Ada","at":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
	for key, value := range map[string]string{
		"thread/T1/C1/1.1": "1000", "thread/T1/C1/2.2": now, "name/U1": `{"name":"Eve","at":"2020-01-01T00:00:00Z"}`, "name/U2": recent, "newest/D1/": "broken",
	} {
		if err := h.State().Put(t.Context(), channels.Write{Key: "kv/" + key, Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	ch, err := d.For(section).Open(t.Context(), h, section)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ch.Run(ctx, channeltest.NewSink(h)) }()
	h.WaitHealth(channels.Connected)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	kept, err := h.State().List(t.Context(), "kv/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, w := range kept {
		keys = append(keys, w.Key)
	}
	if diff := cmp.Diff([]string{"kv/name/U2", "kv/thread/T1/C1/2.2"}, keys); diff != "" {
		t.Error(diff)
	}
}
