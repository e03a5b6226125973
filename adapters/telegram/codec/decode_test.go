package codec_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

var update = flag.Bool("update", false, "write the goldens anew")

func self() codec.Self { return codec.Self{Channel: "support", ID: 8765336106, Username: "gate_bot"} }

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

// outcome is what a golden holds.
type outcome struct {
	ID      int64            `json:"update_id"`
	Ignored string           `json:"ignored,omitempty"`
	Events  []channels.Event `json:"events,omitempty"`
}

func TestDecodeGoldens(t *testing.T) {
	paths, err := filepath.Glob("testdata/updates/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no updates: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			u, err := codec.Decode(b, self())
			if err != nil {
				t.Fatal(err)
			}
			if (u.Ignored == "") == (len(u.Events) == 0) {
				t.Errorf("ignored %q with %d events", u.Ignored, len(u.Events))
			}
			golden(t, "testdata/updates/"+name+".golden", outcome{u.ID, u.Ignored, u.Events})
		})
	}
}

// The payloads were recorded from the platform; see testdata/recorded/LICENSE.
func TestDecodeRecorded(t *testing.T) {
	b, err := os.ReadFile("testdata/recorded/telegram.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		BotName   string          `json:"botName"`
		BotUserID int64           `json:"botUserId,string"`
		Mention   json.RawMessage `json:"mention"`
		FollowUp  json.RawMessage `json:"followUp"`
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	bot := codec.Self{Channel: "support", ID: rec.BotUserID, Username: rec.BotName}
	for name, raw := range map[string]json.RawMessage{"mention": rec.Mention, "follow-up": rec.FollowUp} {
		u, err := codec.Decode(raw, bot)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/recorded/"+name+".golden", outcome{u.ID, u.Ignored, u.Events})
	}
}

func TestDecodeRefusesWhatIsNoUpdate(t *testing.T) {
	for _, in := range []string{"", "null", "[]", "1", `"x"`, "{}", `{"update_id":"7"}`, `{"update_id":7`, strings.Repeat("[", 100_000)} {
		if u, err := codec.Decode([]byte(in), self()); !errors.Is(err, codec.ErrNotUpdate) {
			t.Errorf("%.20q: %+v, %v", in, u, err)
		}
	}
}

func TestDecodeOversizedKeepsTheOffset(t *testing.T) {
	in := `{"update_id":9,"message":{"text":"` + strings.Repeat("a", codec.MaxUpdate) + `"}}`
	got, err := codec.Decode([]byte(in), self())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(codec.Update{ID: 9, Ignored: codec.IgnoredTooBig}, got); diff != "" {
		t.Error(diff)
	}
}

// A message, and a move, bear the same key in whichever update they come.
func TestKeysDoNotDependOnTheUpdate(t *testing.T) {
	first := decodeOne(t, `{"update_id":1,"message":{"message_id":5,"date":1,"chat":{"id":7,"type":"private"},"from":{"id":7},"text":"a"}}`)
	again := decodeOne(t, `{"update_id":900,"message":{"message_id":5,"date":1,"chat":{"id":7,"type":"private"},"from":{"id":7},"text":"a"}}`)
	if first.Key != again.Key {
		t.Errorf("%q and %q", first.Key, again.Key)
	}
	to := decodeOne(t, `{"update_id":2,"message":{"message_id":5,"date":1,"chat":{"id":-7,"type":"group"},"from":{"id":7},"migrate_to_chat_id":-100}}`)
	from := decodeOne(t, `{"update_id":3,"message":{"message_id":1,"date":1,"chat":{"id":-100,"type":"supergroup"},"from":{"id":7},"migrate_from_chat_id":-7}}`)
	if to.Key != from.Key || to.Key != codec.Moved(self(), -7, -100).Key {
		t.Errorf("%q and %q", to.Key, from.Key)
	}
}

// Two edits in one second are two events.
func TestEditsOfOneSecondDiffer(t *testing.T) {
	const edit = `{"update_id":%,"edited_message":{"message_id":5,"date":1,"edit_date":9,"chat":{"id":7,"type":"private"},"from":{"id":7},"text":"a"}}`
	a := decodeOne(t, strings.Replace(edit, "%", "1", 1))
	b := decodeOne(t, strings.Replace(edit, "%", "2", 1))
	if a.Key == b.Key {
		t.Errorf("both %q", a.Key)
	}
}

func decodeOne(t *testing.T, in string) channels.Event {
	t.Helper()
	u, err := codec.Decode([]byte(in), self())
	if err != nil || len(u.Events) != 1 {
		t.Fatalf("%+v, %v", u, err)
	}
	return u.Events[0]
}
