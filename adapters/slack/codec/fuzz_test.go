package codec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func seeds(f *testing.F) {
	f.Helper()
	paths, _ := filepath.Glob("testdata/payloads/*.json")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	recordings, _ := filepath.Glob("testdata/recorded/*.json")
	for _, path := range recordings {
		_, payloads := recorded(f, path)
		for _, name := range sortedKeys(payloads) {
			f.Add([]byte(payloads[name]))
		}
	}
}

// Whatever comes in: no panic, events that can be stored and read again, a key
// for each, a reason where there is none, and the same result the second time.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := codec.Parse(b)
		if err != nil {
			return
		}
		r := p.Decode(self())
		if (r.Ignored == "") == (len(r.Events) == 0) {
			t.Fatalf("%+v", r)
		}
		again := p.Decode(self())
		for i, e := range r.Events {
			checkStored(t, e, again.Events[i].Key)
		}
	})
}

func checkStored(t *testing.T, e channels.Event, sameKey string) {
	t.Helper()
	if e.Key == "" || e.Key != sameKey || e.Where.Conversation == "" || e.Who.ID == "" || !utf8.ValidString(e.Key) {
		t.Fatalf("%+v", e)
	}
	if m, ok := e.Content.(channels.Message); ok && !utf8.ValidString(m.Text) {
		t.Fatalf("%q", m.Text)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back channels.Event
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
}

func FuzzForm(f *testing.F) {
	f.Add([]byte("command=%2Fgatehouse&text=help&channel_id=C1&user_id=U1&team_id=T1&trigger_id=1.2"))
	f.Add([]byte("payload=%7B%22type%22%3A%22block_actions%22%7D"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := codec.ParseForm(b)
		if err != nil {
			return
		}
		for _, e := range p.Decode(self()).Events {
			checkStored(t, e, e.Key)
		}
	})
}

// Whatever the model writes: JSON that Slack can read, or an error.
func FuzzEncode(f *testing.F) {
	f.Add("a **b** [c](https://x.y) `d`\n\n- e\n  1. f\n\n> g\n\n| h | i |\n|---|---|\n| j | |\n\n---\n\n```\nk\n```", false)
	f.Add("[x](mention:U123) <b>", true)
	f.Fuzz(func(t *testing.T, text string, plain bool) {
		p := channels.Part{To: channels.Address{Conversation: "C1", Thread: "1.1"}, Body: markup.Parse(text), Plain: plain}
		c, err := codec.Encode(p)
		if err != nil {
			return
		}
		if !json.Valid(c.Params) || !utf8.Valid(c.Params) {
			t.Fatalf("%s", c.Params)
		}
		var q struct {
			Blocks []struct {
				Type     string            `json:"type"`
				Elements []json.RawMessage `json:"elements"`
				Rows     [][]any           `json:"rows"`
			} `json:"blocks"`
		}
		if err := json.Unmarshal(c.Params, &q); err != nil {
			t.Fatal(err)
		}
		tables := 0
		for _, b := range q.Blocks {
			if b.Type == "table" {
				tables++
			}
			if b.Type == "rich_text" && len(b.Elements) == 0 {
				t.Fatalf("an empty block: %s", c.Params)
			}
		}
		if tables > 1 {
			t.Fatalf("%d tables", tables)
		}
	})
}

func FuzzClassify(f *testing.F) {
	f.Add(200, "", []byte(`{"ok":true,"ts":"1.1"}`), false)
	f.Add(200, "", []byte(`{"ok":false,"error":"channel_not_found"}`), true)
	f.Add(429, "7", []byte(`{"ok":false,"error":"ratelimited"}`), true)
	f.Add(502, "", []byte(`<html>`), false)
	f.Fuzz(func(t *testing.T, status int, after string, body []byte, repeatable bool) {
		for _, a := range []codec.Answer{codec.Classify(status, after, body, repeatable), codec.ClassifyReply(status, after, body)} {
			if a.OK == (a.Kind != "") || a.RetryAfter < 0 {
				t.Fatalf("%+v", a)
			}
		}
		if a := codec.Classify(status, after, body, repeatable); repeatable && a.Kind == channels.Ambiguous {
			t.Fatalf("a repeatable call is never ambiguous: %+v", a)
		}
	})
}

// FuzzFind: whatever a history says, only a message with an id is found.
func FuzzFind(f *testing.F) {
	p := channels.Part{Key: "turn/r000#0", To: channels.Address{Conversation: "C1"}, Body: markup.Plain("x")}
	call, err := codec.Encode(p)
	if err != nil {
		f.Fatal(err)
	}
	var sent struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(call.Params, &sent); err != nil {
		f.Fatal(err)
	}
	page := []byte(`{"messages":[{"ts":"1767224800.000100","user":"U1","metadata":` + string(sent.Metadata) + `}],"response_metadata":{"next_cursor":"n"}}`)
	if r, found, _ := codec.Find(page, "U1", p); !found || r.ID != "1767224800.000100" {
		f.Fatalf("%+v, %v", r, found)
	}
	if _, found, next := codec.Find(page, "U2", p); found || next != "n" {
		f.Fatalf("somebody else's: %v, %q", found, next)
	}
	f.Add(page)
	f.Add(bytes.Replace(page, []byte("1767224800.000100"), []byte("0.0"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, found, next := codec.Find(b, "U1", p); found && (r.ID == "" || r.At.IsZero() || next != "") {
			t.Errorf("%+v, %q", r, next)
		}
	})
}
