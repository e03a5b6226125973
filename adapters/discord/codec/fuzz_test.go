package codec_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// Whatever comes in: no panic, events that can be stored and read again, a key
// for each, no token outside of its place, a reason where there is no event, and
// the same result the second time.
func FuzzDecode(f *testing.F) {
	for _, path := range dispatches(f) {
		d := read(f, path)
		f.Add(d.Kind, []byte(d.Data))
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		r := world(t).Decode(self(), kind, data, "s/7")
		if r.Missing != "" && len(r.Events) > 0 {
			t.Fatalf("%+v", r)
		}
		if r.Missing == "" && (r.Ignored == "") == (len(r.Events) == 0) {
			t.Fatalf("ignored %q with %d events", r.Ignored, len(r.Events))
		}
		again := world(t).Decode(self(), kind, data, "s/7")
		for i, e := range r.Events {
			checkStored(t, e, again.Events[i].Key)
		}
	})
}

func checkStored(t *testing.T, e channels.Event, sameKey string) {
	t.Helper()
	if e.Key == "" || e.Key != sameKey || e.Where.Conversation == "" {
		t.Fatalf("%+v", e)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back channels.Event
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

func FuzzMessage(f *testing.F) {
	for _, path := range dispatches(f) {
		f.Add([]byte(read(f, path).Data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, e := range world(t).Message(self(), "500", data).Events {
			checkStored(t, e, e.Key)
		}
		_ = codec.Located(data, "1")
		_ = codec.Mine(data)
		_ = codec.Sent(channels.Part{}, data, time.Time{})
		_, _, _ = codec.Page(data)
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"op":10,"d":{"heartbeat_interval":41250},"s":null,"t":null}`))
	f.Add([]byte(`{"op":0,"s":1,"t":"READY","d":{"session_id":"a","resume_gateway_url":"wss://x","user":{"id":"1"},"application":{"id":"2"},"guilds":[{"id":"3"}]}}`))
	f.Add([]byte(`{"op":9,"d":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := codec.ReadFrame(b)
		if err != nil {
			return
		}
		if every := x.Interval(); every < 0 {
			t.Fatal(every)
		}
		if r, err := x.Ready(); err == nil && (r.Session == "" || r.Self.ID == "") {
			t.Fatalf("%+v", r)
		}
		_, _ = x.Guild()
		_ = x.Resumable()
	})
}

func FuzzClassify(f *testing.F) {
	f.Add(429, []byte(`{"retry_after":1.5,"global":true}`))
	f.Add(200, []byte(``))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := codec.Classify(status, body, false)
		if a.OK == (a.Kind != "") || a.RetryAfter < 0 || (a.Kind == channels.RateLimited) != (a.RetryAfter > 0) {
			t.Fatalf("%+v", a)
		}
	})
}

// Whatever is sent is JSON within the limit, if the part was.
func FuzzEncode(f *testing.F) {
	if b, err := os.ReadFile("../../../channels/channeltest/corpus/list.md"); err == nil {
		f.Add(string(b), false)
	}
	f.Add("**a** [b](mention:1) `c`", true)
	f.Fuzz(func(t *testing.T, text string, plain bool) {
		for _, piece := range markup.Split(markup.Parse(text), markup.DiscordMarkdown, codec.MaxText) {
			c, err := codec.Encode(channels.Part{Key: text, To: there, Body: piece, Plain: plain}, codec.Options{Pings: true})
			if err != nil {
				continue // nothing to see
			}
			var m struct {
				Content string `json:"content"`
			}
			if err := json.Unmarshal(c.Body, &m); err != nil {
				t.Fatal(err)
			}
			if n := utf8.RuneCountInString(m.Content); !plain && n > codec.MaxText {
				t.Fatalf("%d characters", n)
			}
		}
	})
}
