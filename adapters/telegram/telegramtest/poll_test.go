package telegramtest_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func TestOffsetsConfirm(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPollPenalty())
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	var ids []int64
	for _, text := range []string{"a", "b", "c", "d"} {
		ids = append(ids, chat.Say(ada, text).Update)
	}
	steps := []struct {
		name string
		p    params
		want []string
	}{
		{"all", params{}, []string{"a", "b", "c", "d"}},
		{"limit", params{"limit": 2}, []string{"a", "b"}},
		{"limit out of range", params{"limit": 1000}, []string{"a", "b", "c", "d"}},
		{"offset", params{"offset": ids[1]}, []string{"b", "c", "d"}},
		{"what was confirmed is gone", params{"offset": 0}, []string{"b", "c", "d"}},
		{"far in the future means nothing", params{"offset": ids[3] + 1000}, []string{"b", "c", "d"}},
		{"negative", params{"offset": -1}, []string{"d"}},
		{"negative forgets", params{}, []string{"d"}},
		{"last", params{"offset": ids[3] + 1}, nil},
	}
	for _, s := range steps {
		if diff := cmp.Diff(s.want, texts(updates(t, srv, s.p))); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
	}
	if ids[3] != ids[0]+3 {
		t.Errorf("update ids %v are not sequential", ids)
	}
	if srv.Pending() != 0 {
		t.Errorf("%d updates pending", srv.Pending())
	}
}

func TestLongPollWakes(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	got := background(srv, "getUpdates", params{"timeout": 50})
	chat.Say(ada, "hi")
	if a := <-got; !strings.Contains(string(a.Result), `"text":"hi"`) {
		t.Errorf("%+v", a)
	}
}

func TestSecondPollTerminatesTheFirst(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	first := background(srv, "getUpdates", params{"timeout": 50, "offset": 1})
	second := background(srv, "getUpdates", params{"timeout": 50, "offset": 2})
	// whichever came first is the one that ends
	var ended answer
	other := second
	select {
	case ended = <-first:
	case ended = <-second:
		other = first
	}
	const want = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
	if ended.Code != 409 || ended.Description != want {
		t.Errorf("%d %q", ended.Code, ended.Description)
	}
	srv.Private(ada).Say(ada, "hi")
	if a := <-other; !a.OK || !strings.Contains(string(a.Result), "hi") {
		t.Errorf("the newer poll got %+v", a)
	}
}

func TestAllowedUpdatesPersist(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPollPenalty())
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	m := chat.Say(ada, "a")
	if chat.React(ada, m.ID, "👍") != 0 {
		t.Error("reactions are delivered by default")
	}
	updates(t, srv, params{"allowed_updates": []string{"message_reaction", "edited_message"}})
	updates(t, srv, params{})
	if chat.Say(ada, "b").Update != 0 {
		t.Error("a message came though it was not asked for")
	}
	if chat.React(ada, m.ID, "🔥") == 0 {
		t.Error("a reaction did not come though it was asked for")
	}
	updates(t, srv, params{"allowed_updates": []string{}})
	if chat.Say(ada, "c").Update == 0 {
		t.Error("an empty list did not bring the default back")
	}
}

func TestUpdatesExpire(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	srv := telegramtest.NewServer(t, telegramtest.WithClock(func() time.Time { return now }), telegramtest.WithoutPollPenalty())
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	m := chat.Say(ada, "a")
	chat.Press(ada, m.ID, "x")
	now = now.Add(151 * time.Second)
	if n := srv.Pending(); n != 1 {
		t.Errorf("%d pending after 151 s, want the message alone", n)
	}
	now = now.Add(24 * time.Hour)
	if got := updates(t, srv, params{}); len(got) != 0 {
		t.Errorf("%d updates after a day", len(got))
	}
}

func TestPollPenalty(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	chat := srv.Private(ada)
	chat.Say(ada, "a")
	chat.Say(ada, "b")
	if n := len(updates(t, srv, params{"offset": 5})); n != 2 {
		t.Fatalf("first poll got %d", n)
	}
	if n := len(updates(t, srv, params{"offset": 5})); n != 1 {
		t.Errorf("the same poll at once again got %d updates, want one at a time", n)
	}
}

// The shapes of injected updates are those of production.
func TestInject(t *testing.T) {
	srv := telegramtest.NewServer(t, telegramtest.WithoutPollPenalty())
	recorded, err := os.ReadFile("testdata/telegram.json")
	if err != nil {
		t.Fatal(err)
	}
	var production struct {
		Mention, FollowUp json.RawMessage
	}
	if err := json.Unmarshal(recorded, &production); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []json.RawMessage{production.Mention, production.FollowUp, production.Mention} {
		if _, err := srv.Inject(raw); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := srv.Inject([]byte(`{"message":{"text":"no id"}}`)); err != nil {
		t.Fatal(err)
	}
	got := updates(t, srv, params{})
	want := []string{"@vercelchatsdkbot hi", "how are you", "@vercelchatsdkbot hi", "no id"}
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Error(diff)
	}
	if got[0].ID != 1001 || got[2].ID != 1001 {
		t.Error("an injected id was not kept")
	}
}

// What the emulator makes of a message has the fields of a recorded one.
func TestShapeOfMessages(t *testing.T) {
	recorded, err := os.ReadFile("testdata/telegram.json")
	if err != nil {
		t.Fatal(err)
	}
	var production struct {
		Mention struct{ Message map[string]any }
	}
	if err := json.Unmarshal(recorded, &production); err != nil {
		t.Fatal(err)
	}
	want := production.Mention.Message
	at := time.Unix(int64(want["date"].(float64)), 0)
	srv := telegramtest.NewServer(t, telegramtest.WithBot("Bot", "vercelchatsdkbot"), telegramtest.WithClock(func() time.Time { return at }))
	user := srv.User(7527593, "", telegramtest.WithUsername("telegram_test_user"), telegramtest.WithLanguage(""))
	user.FirstName = "Test User"
	srv.Private(user).Say(user, "@vercelchatsdkbot hi")
	got := done[[]struct{ Message map[string]any }](t, srv, "getUpdates", nil)[0].Message
	delete(want, "message_id")
	delete(got, "message_id")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCallerThatHangsUpLosesNothing(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7, "Ada")
	ctx, cancel := context.WithCancel(context.Background())
	b := client(t, srv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Start(ctx)
	}()
	cancel()
	<-done
	srv.Private(ada).Say(ada, "hi")
	if diff := cmp.Diff([]string{"hi"}, texts(updates(t, srv, params{"offset": 1, "timeout": 20}))); diff != "" {
		t.Error(diff)
	}
}
