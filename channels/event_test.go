package channels_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/channels"
)

var update = flag.Bool("update", false, "write the goldens anew")

var (
	moment   = time.Date(2026, 3, 4, 5, 6, 7, 800_000_000, time.UTC)
	someone  = channels.Sender{ID: "42", Name: "Ada", Handle: "ada", Lang: "en-GB"}
	somebody = channels.Sender{ID: "43", Name: "Bo", Bot: true, Self: true}
	place    = channels.Address{Channel: "support", Account: "T1", Conversation: "C/1", Thread: "9!"}
)

// kept is one event of every content, with every field set. Their JSON is what
// installations hold on disk: the golden of a version never changes.
func kept() []channels.Event {
	file := channels.File{Kind: channels.Photo, Name: "a.png", MIME: "image/png", Size: 12, Ref: "ref-1"}
	contents := []channels.Content{
		channels.Message{
			ID: "m1", Text: "hello *you*", Files: []channels.File{file}, Group: "g1", Forwarded: "Cy",
			ReplyTo: &channels.Quote{ID: "m0", Who: someone, Text: "before"},
		},
		channels.Edit{ID: "m1", Text: "hullo", Files: []channels.File{file}},
		channels.Deletion{IDs: []channels.MessageID{"m1", "m2"}},
		channels.Reaction{ID: "m1", Added: []string{"👍"}, Removed: []string{"custom:7"}},
		channels.Press{ID: "m1", Data: "yes", Query: "q1"},
		channels.Command{ID: "m1", Name: "help", Args: "me now"},
		channels.PollAnswer{Poll: "p1", Options: []int{0, 2}},
		channels.Joined{Members: []channels.Sender{someone, somebody}},
		channels.Left{Members: []channels.Sender{someone}},
		channels.Moved{To: "C2"},
		channels.Installed{Name: "A team"},
		channels.Status{ID: "m1", State: "failed", Why: "number unknown"},
	}
	var out []channels.Event
	for _, c := range contents {
		out = append(out, channels.Event{
			Key: "k/" + channels.ContentType(c), At: moment, Account: "T1", Where: place,
			Room: channels.Room{Direct: true, Title: "Room"}, Who: someone, Addressed: true,
			Via:     &channels.Via{Token: channels.NewSecret("via-token"), Expires: moment.Add(time.Hour), Uses: 5},
			Content: c, Raw: json.RawMessage(`{"any":["thing",1]}`),
		})
	}
	return out
}

// same compares events, the secret inside of Via too.
var same = cmp.Comparer(func(a, b channels.Secret) bool { return a.Reveal() == b.Reveal() })

func TestEventVersion1(t *testing.T) {
	path := filepath.Join("testdata", "events-v1.golden")
	var lines []string
	for _, e := range kept() {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(golden), got); d != "" {
		t.Errorf("events are written differently (-golden +now):\n%s", d)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		var e channels.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("line %d: %v", i+1, err)
			continue
		}
		if d := cmp.Diff(kept()[i], e, same); d != "" {
			t.Errorf("line %d reads differently (-kept +now):\n%s", i+1, d)
		}
	}
}

func TestEventFromElsewhere(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a newer version", `{"v":2,"type":"message","key":"k","content":{}}`, "version 2 is not known here"},
		{"no version", `{"type":"message","key":"k","content":{}}`, "version 0 is not known here"},
		{"an unknown content", `{"v":1,"type":"hologram","key":"k","content":{}}`, `unknown content "hologram"`},
		{"a content of another shape", `{"v":1,"type":"message","key":"k","content":[]}`, `event "k"`},
		{"no content", `{"v":1,"type":"message","key":"k"}`, `event "k"`},
		{"no object", `[]`, "event:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := channels.Event{Key: "before"}
			err := json.Unmarshal([]byte(c.in), &e)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if e.Key != "before" {
				t.Errorf("a failed read changed the event to %+v", e)
			}
		})
	}
	if _, err := json.Marshal(channels.Event{Key: "k"}); err == nil {
		t.Error("an event without content was written")
	}
}

func TestEventIgnoresUnknownFields(t *testing.T) {
	var e channels.Event
	in := `{"v":1,"type":"message","key":"k","later":1,"content":{"id":"1","text":"x","later":{}}}`
	if err := json.Unmarshal([]byte(in), &e); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(channels.Message{ID: "1", Text: "x"}, e.Content); d != "" {
		t.Error(d)
	}
}

func TestContentTypesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range kept() {
		name := channels.ContentType(e.Content)
		if name == "" || seen[name] {
			t.Errorf("%T has the name %q", e.Content, name)
		}
		seen[name] = true
	}
	if channels.ContentType(nil) != "" {
		t.Error("nil has a name")
	}
}

// FuzzEvent: whatever is read can be written, and reads the same again.
func FuzzEvent(f *testing.F) {
	for _, e := range kept() {
		b, _ := json.Marshal(e)
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"type":"left","content":null,"raw":null,"via":{"expires":"0001-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"V":1,"TYPE":"moved","content":{"to":"\ud800"}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var first channels.Event
		if json.Unmarshal(in, &first) != nil {
			return
		}
		if first.Content == nil {
			t.Fatalf("read without content: %s", in)
		}
		out, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		var second channels.Event
		if err := json.Unmarshal(out, &second); err != nil {
			t.Fatalf("cannot be read again: %v", err)
		}
		again, err := json.Marshal(second)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("written %s, then %s (%v)", out, again, err)
		}
	})
}

// TestOrderIsInjective: two places never share an order, whatever ids hold.
func TestOrderIsInjective(t *testing.T) {
	id := rapid.StringOf(rapid.SampledFrom([]rune("a/%!25F ")))
	address := rapid.Custom(func(t *rapid.T) channels.Address {
		return channels.Address{
			Channel: channels.ID(id.Draw(t, "channel")), Account: channels.AccountID(id.Draw(t, "account")),
			Conversation: channels.ConversationID(id.Draw(t, "conversation")), Thread: channels.ThreadID(id.Draw(t, "thread")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := address.Draw(t, "a"), address.Draw(t, "b")
		if (a == b) != (a.Order() == b.Order()) {
			t.Fatalf("%+v has order %q, %+v has %q", a, a.Order(), b, b.Order())
		}
		if strings.Contains(a.Order(), "!") {
			t.Fatalf("the order %q holds the mark of the urgent lane", a.Order())
		}
	})
}
