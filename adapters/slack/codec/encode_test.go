package codec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func part(change func(*channels.Part)) channels.Part {
	p := channels.Part{To: channels.Address{Conversation: "C1", Thread: "1767224800.000100"}, Body: markup.Parse("a **b** <c>")}
	if change != nil {
		change(&p)
	}
	return p
}

const (
	richText = `"text":"a *b* &lt;c&gt;","blocks":[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"a "},{"type":"text","text":"b","style":{"bold":true}},{"type":"text","text":" <c>"}]}]}`
	unfurl   = `"unfurl_links":false,"unfurl_media":false`
)

func TestEncode(t *testing.T) {
	tests := []struct {
		name   string
		part   channels.Part
		method string
		params string
		repeat bool
	}{
		{"text", part(nil), "chat.postMessage", `{"channel":"C1","thread_ts":"1767224800.000100",` + richText + `],` + unfurl + `}`, false},
		{"at the root", part(func(p *channels.Part) { p.To.Thread = "" }), "chat.postMessage", `{"channel":"C1",` + richText + `],` + unfurl + `}`, false},
		{"plain", part(func(p *channels.Part) { p.Plain = true; p.Body = markup.Plain("*a* <b>") }), "chat.postMessage", `{"channel":"C1","thread_ts":"1767224800.000100","text":"*a* &lt;b&gt;",` + unfurl + `,"mrkdwn":false}`, false},
		{"edit", part(func(p *channels.Part) { p.Replaces = "1767224900.000200" }), "chat.update", `{"channel":"C1","ts":"1767224900.000200",` + richText + `]}`, true},
		{"for one reader", part(func(p *channels.Part) { p.Audience.Only = "U1" }), "chat.postEphemeral", `{"channel":"C1","user":"U1","thread_ts":"1767224800.000100",` + richText + `],` + unfurl + `}`, false},
		{"buttons", part(func(p *channels.Part) {
			p.Buttons = []channels.Button{{Label: "Yes", Data: "y", Style: "success"}, {Label: strings.Repeat("x", 80), URL: "https://example.org", Style: "danger"}}
		}), "chat.postMessage", `{"channel":"C1","thread_ts":"1767224800.000100",` + richText +
			`,{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Yes","emoji":true},"action_id":"gatehouse-0","value":"y","style":"primary"},` +
			`{"type":"button","text":{"type":"plain_text","text":"` + strings.Repeat("x", 74) + `…","emoji":true},"action_id":"gatehouse-link-1","url":"https://example.org","style":"danger"}]}],` + unfurl + `}`, false},
		{"buttons under plain text", part(func(p *channels.Part) {
			p.Plain, p.Body = true, markup.Plain("*a*")
			p.Buttons = []channels.Button{{Label: "Yes", Data: "y"}}
		}), "chat.postMessage", `{"channel":"C1","thread_ts":"1767224800.000100","text":"*a*","blocks":[{"type":"section","text":{"type":"plain_text","text":"*a*","emoji":false}},` +
			`{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Yes","emoji":true},"action_id":"gatehouse-0","value":"y"}]}],` + unfurl + `,"mrkdwn":false}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := codec.Encode(tt.part)
			if err != nil {
				t.Fatal(err)
			}
			if c.Method != tt.method || c.Repeatable != tt.repeat {
				t.Errorf("%s, repeatable %v", c.Method, c.Repeatable)
			}
			same(t, tt.params, c.Params)
		})
	}
}

// same compares two JSON texts as values.
func same(t *testing.T, want string, got []byte) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(want), &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*channels.Part)
		want   error
	}{
		{"no text", func(p *channels.Part) { p.Body = markup.Node{} }, codec.ErrEmpty},
		{"too long", func(p *channels.Part) { p.Body = markup.Plain(strings.Repeat("x", codec.MaxText+1)) }, codec.ErrTooLong},
		{"too long, plain", func(p *channels.Part) { p.Plain, p.Body = true, markup.Plain(strings.Repeat("x", codec.MaxText+1)) }, codec.ErrTooLong},
		{"odd conversation", func(p *channels.Part) { p.To.Conversation = "C/1" }, codec.ErrAddress},
		{"odd thread", func(p *channels.Part) { p.To.Thread = "x" }, codec.ErrAddress},
		{"odd reader", func(p *channels.Part) { p.Audience.Only = "U 1" }, codec.ErrAddress},
		{"a message without a time", func(p *channels.Part) { p.Replaces = "file/F1" }, codec.ErrMessage},
		{"a button without data", func(p *channels.Part) { p.Buttons = []channels.Button{{Label: "x"}} }, codec.ErrButtons},
		{"too many buttons", func(p *channels.Part) {
			for range codec.MaxButtons + 1 {
				p.Buttons = append(p.Buttons, channels.Button{Label: "x", Data: "y"})
			}
		}, codec.ErrButtons},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := codec.Encode(part(tt.change)); !errors.Is(err, tt.want) {
				t.Errorf("%s %v, want %v", c.Params, err, tt.want)
			}
		})
	}
}

func TestEncodeFiles(t *testing.T) {
	files := func(p *channels.Part) { p.Files = []channels.File{{Name: "a.txt"}, {Name: "b.txt"}} }
	c, err := codec.EncodeFiles(part(files), []string{"F1", "F2"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, `{"channel_id":"C1","thread_ts":"1767224800.000100","initial_comment":"a *b* &lt;c&gt;","files":[{"id":"F1","title":"a.txt"},{"id":"F2","title":"b.txt"}]}`, c.Params)
	c, err = codec.EncodeFiles(part(func(p *channels.Part) { files(p); p.Buttons = []channels.Button{{Label: "x", Data: "y"}} }), []string{"F1", "F2"})
	if err != nil || !strings.Contains(string(c.Params), `"blocks"`) || strings.Contains(string(c.Params), "initial_comment") {
		t.Errorf("with blocks there is no comment beside them: %s %v", c.Params, err)
	}
	if c, err = codec.EncodeFiles(part(func(p *channels.Part) { files(p); p.Body = markup.Node{} }), []string{"F1", "F2"}); err != nil {
		t.Errorf("without a text: %s %v", c.Params, err)
	}
	for want, change := range map[error]func(*channels.Part){
		codec.ErrEmpty:     nil,
		codec.ErrEditFiles: func(p *channels.Part) { files(p); p.Replaces = "1.1" },
		codec.ErrAudience:  func(p *channels.Part) { files(p); p.Audience.Only = "U1" },
		codec.ErrTooLong:   func(p *channels.Part) { files(p); p.Body = markup.Plain(strings.Repeat("x", codec.MaxCaption+1)) },
	} {
		if c, err := codec.EncodeFiles(part(change), []string{"F1", "F2"}); !errors.Is(err, want) {
			t.Errorf("%s %v, want %v", c.Params, err, want)
		}
	}
}

func TestEncodeReply(t *testing.T) {
	b, err := codec.EncodeReply(part(nil), codec.Reply{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, `{"thread_ts":"1767224800.000100",`+richText+`],"response_type":"ephemeral","replace_original":false}`, b)
	b, err = codec.EncodeReply(part(func(p *channels.Part) { p.Replaces = "1.1" }), codec.Reply{Original: true})
	if err != nil || !strings.Contains(string(b), `"replace_original":true`) {
		t.Errorf("%s %v", b, err)
	}
}

// Every table can be read: the first as a table, another in a fixed-width font.
func TestTables(t *testing.T) {
	const table = "| Item | Price |\n|:--|--:|\n| Tea | 2.50 |\n| | **3** |\n"
	c, err := codec.Encode(part(func(p *channels.Part) { p.Body = markup.Parse("one\n\n" + table + "\ntwo\n\n" + table) }))
	if err != nil {
		t.Fatal(err)
	}
	var q struct {
		Blocks []struct {
			Type     string            `json:"type"`
			Elements []json.RawMessage `json:"elements"`
			Rows     [][]struct {
				Type string `json:"type"`
				Text string `json:"text"`
			} `json:"rows"`
			Columns []struct {
				Align string `json:"align"`
			} `json:"column_settings"`
		} `json:"blocks"`
	}
	if err := json.Unmarshal(c.Params, &q); err != nil {
		t.Fatal(err)
	}
	if len(q.Blocks) != 3 || q.Blocks[1].Type != "table" || len(q.Blocks[1].Rows) != 3 || q.Blocks[1].Columns[1].Align != "right" {
		t.Fatalf("%s", c.Params)
	}
	if empty := q.Blocks[1].Rows[2][0]; empty.Type != "raw_text" || empty.Text == "" {
		t.Errorf("an empty cell is refused by the platform: %+v", empty)
	}
	if second := string(q.Blocks[2].Elements[1]); !strings.Contains(second, "rich_text_preformatted") || !strings.Contains(second, "Tea") {
		t.Errorf("%s", second)
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		name       string
		status     int
		after      string
		body       string
		repeatable bool
		want       channels.Kind
	}{
		{"limited", 429, "7", `{"ok":false,"error":"ratelimited"}`, false, channels.RateLimited},
		{"limited in words", 200, "", `{"ok":false,"error":"ratelimited"}`, false, channels.RateLimited},
		{"a proxy fails", 502, "", "<html>", false, channels.Ambiguous},
		{"a proxy fails, repeatable", 502, "", "<html>", true, channels.Transient},
		{"fails inside", 200, "", `{"ok":false,"error":"fatal_error"}`, false, channels.Ambiguous},
		{"garbage", 200, "", `{"ok":tru`, false, channels.Ambiguous},
		{"revoked", 200, "", `{"ok":false,"error":"token_revoked"}`, false, channels.Unauthorized},
		{"401", 401, "", "", false, channels.Unauthorized},
		{"scope", 200, "", `{"ok":false,"error":"missing_scope","needed":"files:write"}`, false, channels.Rejected},
		{"nowhere", 200, "", `{"ok":false,"error":"channel_not_found"}`, false, channels.Gone},
		{"blocks", 200, "", `{"ok":false,"error":"invalid_blocks"}`, false, channels.Format},
		{"unheard of", 200, "", `{"ok":false,"error":"unheard_of"}`, false, channels.Rejected},
		{"there already", 200, "", `{"ok":false,"error":"already_reacted"}`, true, ""},
		{"done", 200, "", `{"ok":true}`, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := codec.Classify(tt.status, tt.after, []byte(tt.body), tt.repeatable)
			if a.Kind != tt.want || a.OK != (tt.want == "") {
				t.Errorf("%+v, want %q", a, tt.want)
			}
		})
	}
	// What the platform says is shown only if it cannot hold what was sent.
	if a := codec.Classify(200, "", []byte(`{"ok":false,"error":"the text: Secret plans"}`), false); a.Code != "" || strings.Contains(a.Reason, "plans") {
		t.Errorf("%+v", a)
	}
}
