package codec_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

var update = flag.Bool("update", false, "write the goldens anew")

func self() codec.Self {
	return codec.Self{Channel: "support", ID: "1457469483726668048", App: "1457469483726668048", Name: "Helper"}
}

// world is one guild with a room, a forum, a thread and a post, and the bot's
// own role.
func world(t testing.TB) *codec.World {
	t.Helper()
	w := codec.NewWorld()
	r := w.Decode(self(), "GUILD_CREATE", []byte(`{"id":"500",
		"channels":[{"id":"501","type":0,"name":"engine-room","last_message_id":"70"},{"id":"505","type":15,"name":"questions"}],
		"threads":[{"id":"601","type":11,"name":"Boilers","parent_id":"501","last_message_id":"90"},
			{"id":"602","type":11,"name":"How do I?","parent_id":"505"}],
		"roles":[{"id":"500"},{"id":"502","tags":{"bot_id":"1457469483726668048"}},{"id":"503","tags":{"bot_id":"3"}}]}`), "")
	if len(r.State) != 1 || r.State[0].Key != codec.KeepRoles+"500" || string(r.State[0].Value) != "502" {
		t.Fatalf("%+v", r)
	}
	return w
}

// golden compares got, as indented JSON, with the file.
func golden(t *testing.T, path string, got any) {
	t.Helper()
	b, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(b)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// outcome is what a golden holds. An interaction's token is shown as being
// there.
type outcome struct {
	Ignored string           `json:"ignored,omitempty"`
	Missing string           `json:"missing,omitempty"`
	Guess   bool             `json:"guess,omitempty"`
	Defer   int              `json:"defer,omitempty"`
	Newest  string           `json:"newest,omitempty"`
	State   []string         `json:"state,omitempty"`
	Events  []channels.Event `json:"events,omitempty"`
}

func outcomeOf(t *testing.T, r codec.Result) outcome {
	t.Helper()
	o := outcome{Ignored: r.Ignored, Missing: r.Missing, Guess: r.Guess, Newest: r.Newest, Events: r.Events}
	if r.Defer != nil {
		o.Defer = r.Defer.Type
	}
	for _, s := range r.State {
		o.State = append(o.State, s.Key+"="+string(s.Value))
	}
	if r.Missing == "" && (r.Ignored == "") == (len(r.Events) == 0) {
		t.Errorf("ignored %q with %d events", r.Ignored, len(r.Events))
	}
	return o
}

type dispatch struct {
	Kind string          `json:"t"`
	Data json.RawMessage `json:"d"`
}

func read(t testing.TB, path string) (d dispatch) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dispatches(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/dispatches/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dispatches: %v", err)
	}
	return paths
}

func TestDecodeGoldens(t *testing.T) {
	for _, path := range dispatches(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			d := read(t, path)
			r := world(t).Decode(self(), d.Kind, d.Data, "s/7")
			golden(t, strings.TrimSuffix(path, ".json")+".golden", outcomeOf(t, r))
		})
	}
}

// The payloads were recorded from the platform; see testdata/recorded/LICENSE.
func TestDecodeRecorded(t *testing.T) {
	for _, file := range []string{"discord", "channel--discord"} {
		b, err := os.ReadFile("testdata/recorded/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		got := map[string]outcome{}
		for name, raw := range all {
			kind, data := recorded(raw)
			if kind == "" {
				continue
			}
			w := codec.NewWorld()
			w.Decode(self(), "GUILD_CREATE", []byte(`{"id":"1457468924290662599",
				"channels":[{"id":"1457510428359004343","type":0,"name":"general"},{"id":"1459213904352645277","type":0,"name":"posts"}],
				"threads":[{"id":"1457536551830421524","type":11,"name":"Thread","parent_id":"1457510428359004343","owner_id":"1457469483726668048"}],
				"roles":[{"id":"1457473602180878604","tags":{"bot_id":"1457469483726668048"}}]}`), "")
			got[name] = outcomeOf(t, w.Decode(self(), kind, data, "s/7"))
		}
		golden(t, "testdata/recorded/"+file+".golden", got)
	}
}

// recorded is a payload in the form in which the gateway sends it.
func recorded(raw json.RawMessage) (kind string, data json.RawMessage) {
	var forwarded struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(raw, &forwarded) == nil && strings.HasPrefix(forwarded.Type, "GATEWAY_") {
		return strings.TrimPrefix(forwarded.Type, "GATEWAY_"), forwarded.Data
	}
	var i struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(raw, &i) == nil && i.Token != "" {
		return "INTERACTION_CREATE", raw
	}
	return "", nil
}

// A thread in which the bot has spoken needs no mention any more, also for a
// process that only read what was kept.
func TestTheBotTakesPartInAThread(t *testing.T) {
	w := world(t)
	theirs, own := read(t, "testdata/dispatches/thread.json"), read(t, "testdata/dispatches/own.json")
	if e := w.Decode(self(), theirs.Kind, theirs.Data, "").Events[0]; e.Addressed {
		t.Error("it is meant before it spoke")
	}
	r := w.Decode(self(), own.Kind, own.Data, "")
	if len(r.Events) != 0 || len(r.State) != 1 {
		t.Fatalf("%+v", r)
	}
	if again := w.Decode(self(), own.Kind, own.Data, ""); len(again.State) != 0 {
		t.Errorf("it is kept again: %+v", again.State)
	}
	later := world(t)
	later.Recall(r.State)
	if e := later.Decode(self(), theirs.Kind, theirs.Data, "").Events[0]; !e.Addressed || e.Where.Thread != "601" {
		t.Errorf("after a restart it is not meant: %+v", e)
	}
	gone := later.Decode(self(), "THREAD_DELETE", []byte(`{"id":"601"}`), "")
	if len(gone.State) != 1 || gone.State[0].Value != nil {
		t.Errorf("the thread is gone, and kept is %+v", gone.State)
	}
}

// What happened twice has two keys, and one that is delivered twice has one.
func TestKeysOfReactions(t *testing.T) {
	d := read(t, "testdata/dispatches/reaction.json")
	a := world(t).Decode(self(), d.Kind, d.Data, "s/7").Events[0].Key
	b := world(t).Decode(self(), d.Kind, d.Data, "s/9").Events[0].Key
	if again := world(t).Decode(self(), d.Kind, d.Data, "s/7").Events[0].Key; a != again || a == b {
		t.Errorf("%q, %q and %q", a, again, b)
	}
}

func TestLookedUpChannels(t *testing.T) {
	d := read(t, "testdata/dispatches/unknown-thread.json")
	w := world(t)
	if !w.Learn([]byte(`{"id":"998","type":11,"parent_id":"501","name":"Late"}`)) || w.Learn([]byte(`{"code":10003}`)) {
		t.Fatal("Learn")
	}
	if e := w.Decode(self(), d.Kind, d.Data, "").Events[0]; e.Where.Conversation != "501" || e.Where.Thread != "998" {
		t.Errorf("%+v", e.Where)
	}
	w = world(t)
	w.Assume("998")
	if e := w.Decode(self(), d.Kind, d.Data, "").Events[0]; e.Where.Conversation != "998" || e.Where.Thread != "" {
		t.Errorf("%+v", e.Where)
	}
}

func TestBehind(t *testing.T) {
	w := world(t)
	for after, want := range map[string]string{"100": "", "80": "601", "9": "501 601"} {
		if got := strings.Join(w.Behind(after), " "); got != want {
			t.Errorf("behind %s: %q, want %q", after, got, want)
		}
	}
}

func TestDirectChatsByUse(t *testing.T) {
	w := codec.NewWorld()
	w.Recall([]channels.Write{{Key: codec.KeepDirect + "1", Value: []byte("2026-01-01")}, {Key: codec.KeepDirect + "2", Value: []byte("2026-01-03")}, {Key: codec.KeepDirect + "3", Value: []byte("2026-01-02")}})
	if got := w.Direct(2); !slices.Equal(got, []string{"2", "3"}) {
		t.Error(got)
	}
}

func TestMoments(t *testing.T) {
	at := time.Date(2026, 2, 17, 0, 48, 3, 0, time.UTC)
	id := codec.Before(at)
	if got := codec.Moment(id); !got.Equal(at) {
		t.Errorf("%s is %s", id, got)
	}
	if !codec.Newer("1473118765716602880", codec.Before(at.Add(-time.Second))) || codec.Newer(id, id) || codec.Newer("99", "100") || !codec.Moment("x").IsZero() {
		t.Error("the order of ids")
	}
}

func TestPing(t *testing.T) {
	if _, ping := codec.NewWorld().Interaction(self(), []byte(`{"type":1,"id":"1","token":"x"}`)); !ping {
		t.Error("a ping")
	}
	if r, ping := codec.NewWorld().Interaction(self(), []byte(`{"type":"1"}`)); ping || r.Ignored == "" {
		t.Errorf("garbage: %+v", r)
	}
}
