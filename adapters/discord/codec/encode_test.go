package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

var there = channels.Address{Channel: "support", Account: "1", Conversation: "501"}

func TestEncode(t *testing.T) {
	thread := there
	thread.Thread = "601"
	closed := `"allowed_mentions":{"parse":[],"replied_user":false}`
	tests := []struct {
		name string
		part channels.Part
		o    codec.Options
		call string
		body string // a part of it
		once bool
	}{
		{"text", channels.Part{To: there, Body: markup.Parse("**hi** <b>")}, codec.Options{}, "POST /channels/501/messages", `{"content":"**hi** \\<b\\>",` + closed, true},
		{"in a thread", channels.Part{To: thread, Body: markup.Plain("x")}, codec.Options{}, "POST /channels/601/messages", `"components":[],"flags":4}`, true},
		{"silent", channels.Part{To: there, Body: markup.Plain("x"), Silent: true}, codec.Options{}, "POST /channels/501/messages", `"flags":4100}`, true},
		{"a nonce", channels.Part{Key: "turn/0", To: there, Body: markup.Plain("x")}, codec.Options{}, "POST /channels/501/messages", `"enforce_nonce":true`, true},
		{"a reply", channels.Part{To: there, Body: markup.Plain("x"), ReplyTo: "7"}, codec.Options{}, "POST /channels/501/messages", `"message_reference":{"message_id":"7","fail_if_not_exists":false}`, true},
		{"pings", channels.Part{To: there, Body: markup.Parse("[A](mention:42) @everyone")}, codec.Options{Pings: true}, "POST /channels/501/messages", `"allowed_mentions":{"parse":[],"users":["42"],"replied_user":true}`, true},
		{"no pings", channels.Part{To: there, Body: markup.Parse("[A](mention:42) @everyone")}, codec.Options{}, "POST /channels/501/messages", closed, true},
		{"an edit", channels.Part{Key: "turn/0", To: there, Body: markup.Plain("x"), Replaces: "9"}, codec.Options{}, "PATCH /channels/501/messages/9", `{"content":"x",` + closed + `,"components":[]`, false},
		{"literal", channels.Part{To: there, Body: markup.Parse("**a** `*b*`"), Plain: true}, codec.Options{}, "POST /channels/501/messages", `{"content":"a \\*b\\*"`, true},
		{"files", channels.Part{To: there, Body: markup.Plain("x"), Files: []channels.File{{Name: "a/b\nc"}, {Kind: channels.Photo}}}, codec.Options{}, "POST /channels/501/messages", `"attachments":[{"id":0,"filename":"a_b_c"},{"id":1,"filename":"photo"}]`, true},
		{"buttons", channels.Part{To: there, Body: markup.Plain("x"), Buttons: []channels.Button{{Label: "Yes", Data: "y", Style: "success"}, {Label: "Page", URL: "https://example.org"}}}, codec.Options{}, "POST /channels/501/messages", `"components":[{"type":1,"components":[{"type":2,"style":3,"label":"Yes","custom_id":"y"},{"type":2,"style":5,"label":"Page","url":"https://example.org"}]}]`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := codec.Encode(tt.part, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Method + " " + c.Path; got != tt.call || c.Repeatable == tt.once {
				t.Errorf("%s, repeatable %v", got, c.Repeatable)
			}
			if !json.Valid(c.Body) || !strings.Contains(string(c.Body), tt.body) {
				t.Errorf("%s\nlacks\n%s", c.Body, tt.body)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	many := make([]channels.Button, 26)
	for i := range many {
		many[i] = channels.Button{Label: "x", Data: fmt.Sprint(i)}
	}
	for name, tt := range map[string]struct {
		part channels.Part
		want error
	}{
		"nothing":            {channels.Part{To: there}, codec.ErrEmpty},
		"no place":           {channels.Part{Body: markup.Plain("x")}, codec.ErrPlace},
		"a path for a place": {channels.Part{To: channels.Address{Conversation: "1/../2"}, Body: markup.Plain("x")}, codec.ErrPlace},
		"a path for an id":   {channels.Part{To: there, Body: markup.Plain("x"), Replaces: "../1"}, codec.ErrPlace},
		"too many buttons":   {channels.Part{To: there, Body: markup.Plain("x"), Buttons: many}, codec.ErrButtons},
		"long data":          {channels.Part{To: there, Body: markup.Plain("x"), Buttons: []channels.Button{{Label: "x", Data: strings.Repeat("x", 101)}}}, codec.ErrButtons},
		"too many files":     {channels.Part{To: there, Files: make([]channels.File, 11)}, codec.ErrFiles},
	} {
		if c, err := codec.Encode(tt.part, codec.Options{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := codec.EncodeReply(channels.Part{To: there, Body: markup.Plain("x")}, codec.Options{}, "1"); !errors.Is(err, codec.ErrPlace) {
		t.Errorf("a reply without a way: %v", err)
	}
}

func TestEncodeReply(t *testing.T) {
	c, err := codec.EncodeReply(channels.Part{To: there, Body: markup.Plain("x"), Via: &channels.Via{Token: channels.NewSecret("a/b")}}, codec.Options{}, "77")
	if err != nil || c.Method+" "+c.Path != "PATCH /webhooks/77/a%2Fb/messages/@original" || !c.Repeatable || strings.Contains(c.Route, "a/b") {
		t.Errorf("%+v, %v", c, err)
	}
}

// The same part has the same nonce, another part another, and both fit.
func TestNonce(t *testing.T) {
	nonce := func(key string) string {
		c, err := codec.Encode(channels.Part{Key: key, To: there, Body: markup.Plain("x")}, codec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Nonce string `json:"nonce"`
		}
		if err := json.Unmarshal(c.Body, &m); err != nil {
			t.Fatal(err)
		}
		return m.Nonce
	}
	if a, b := nonce("turn/0"), nonce("turn/1"); a != nonce("turn/0") || a == b || len(a) > 25 || a == "" {
		t.Errorf("%q and %q", a, b)
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		name       string
		status     int
		body       string
		repeatable bool
		want       codec.Answer
	}{
		{"done", 200, `{"id":"1"}`, false, codec.Answer{OK: true, Result: json.RawMessage(`{"id":"1"}`)}},
		{"done, without words", 204, "", false, codec.Answer{OK: true, Result: json.RawMessage("")}},
		{"done, garbled", 200, "<html>", false, codec.Answer{Kind: channels.Ambiguous, Reason: "the answer is not the platform's JSON"}},
		{"limited", 429, `{"retry_after":1.5,"global":true}`, false, codec.Answer{Kind: channels.RateLimited, Reason: "too many requests", RetryAfter: 1500 * time.Millisecond, Global: true}},
		{"limited by a proxy", 429, `error code: 1015`, false, codec.Answer{Kind: channels.RateLimited, Reason: "too many requests", RetryAfter: time.Second}},
		{"limited for years", 429, `{"retry_after":1e300}`, false, codec.Answer{Kind: channels.RateLimited, Reason: "too many requests", RetryAfter: 24 * time.Hour}},
		{"broken", 502, "<html>", false, codec.Answer{Kind: channels.Ambiguous, Reason: "the server failed with status 502"}},
		{"broken, repeatable", 502, "<html>", true, codec.Answer{Kind: channels.Transient, Reason: "the server failed with status 502"}},
		{"token", 401, `{"code":0}`, false, codec.Answer{Kind: channels.Unauthorized, Reason: codec.ReasonToken}},
		{"token of an interaction", 401, `{"code":50027}`, false, codec.Answer{Code: 50027, Kind: channels.Gone, Reason: "the interaction can no longer be answered"}},
		{"blocked", 403, `{"code":50007}`, false, codec.Answer{Code: 50007, Kind: channels.Gone, Reason: "the person takes no direct messages from the bot"}},
		{"no permission", 403, `{"code":50013}`, false, codec.Answer{Code: 50013, Kind: channels.Gone, Reason: "the bot lacks a permission in the channel"}},
		{"no channel", 404, `{"code":10003}`, false, codec.Answer{Code: 10003, Kind: channels.Gone, Reason: "the channel no longer exists for the bot"}},
		{"form", 400, `{"code":50035,"errors":{"content":"secret text"}}`, false, codec.Answer{Code: 50035, Kind: channels.Rejected, Reason: "the form of the request was refused"}},
		{"too large", 413, `{"code":40005}`, false, codec.Answer{Code: 40005, Kind: channels.Rejected, Reason: "the files are too large"}},
		{"archived", 400, `{"code":50083}`, false, codec.Answer{Code: 50083, Kind: channels.Gone, Reason: "the thread is archived"}},
		{"redirect", 302, "", false, codec.Answer{Kind: channels.Other, Reason: "the server answered with status 302"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, codec.Classify(tt.status, []byte(tt.body), tt.repeatable)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestHistoryPages(t *testing.T) {
	var page []string
	for i := 200; i > 100; i-- {
		page = append(page, fmt.Sprintf(`{"id":"%d"}`, i))
	}
	list, last, err := codec.Page([]byte("[" + strings.Join(page, ",") + "]"))
	if err != nil || len(list) != 100 || string(list[0]) != `{"id":"101"}` || last != "200" {
		t.Errorf("%d messages, last %q, %v", len(list), last, err)
	}
	if _, last, err := codec.Page([]byte(`[{"id":"5"}]`)); err != nil || last != "" {
		t.Errorf("a last page: %q, %v", last, err)
	}
	if _, _, err := codec.Page([]byte(`{}`)); err == nil {
		t.Error("what is no list")
	}
}

func TestFrames(t *testing.T) {
	for in, want := range map[string]time.Duration{
		`{"op":10,"d":{"heartbeat_interval":41250}}`: 41250 * time.Millisecond,
		`{"op":10,"d":{"heartbeat_interval":0}}`:     0,
		`{"op":10,"d":{"heartbeat_interval":-5}}`:    0,
		`{"op":10,"d":{"heartbeat_interval":1e99}}`:  0,
		`{"op":10,"d":null}`:                         0,
	} {
		f, err := codec.ReadFrame([]byte(in))
		if err != nil || f.Interval() != want {
			t.Errorf("%s: %s, %v", in, f.Interval(), err)
		}
	}
	for _, in := range []string{"", "null", "[]", "{}", `{"op":"x"}`, `{"op":-1}`} {
		if f, err := codec.ReadFrame([]byte(in)); err == nil {
			t.Errorf("%s: %+v", in, f)
		}
	}
	if got := string(codec.Heartbeat(0)); got != `{"op":1,"d":null}` {
		t.Error(got)
	}
	if got := string(codec.Resume("t", "s", 7)); got != `{"op":6,"d":{"token":"t","session_id":"s","seq":7}}` {
		t.Error(got)
	}
}
