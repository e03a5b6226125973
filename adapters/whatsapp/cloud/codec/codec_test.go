package codec_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

var update = flag.Bool("update", false, "write the goldens anew")

const number = "100000000000001"

var self = codec.Self{Channel: "support", Number: number}

// TestRecorded decodes what was recorded in production.
func TestRecorded(t *testing.T) {
	raw, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]codec.Update{}
	for _, name := range []string{"firstMessage", "secondMessage", "statusUpdate"} {
		u, err := codec.Decode(all[name], self)
		if err != nil {
			t.Fatal(err)
		}
		for i := range u.Events {
			u.Events[i].Raw = nil
		}
		got[name] = u
	}
	b, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/recorded.golden"
	if *update {
		if err := os.WriteFile(golden, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(b)+"\n"); d != "" {
		t.Error(d)
	}
}

// wrapped puts a message into a webhook.
func wrapped(message string) []byte {
	return fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{
		"metadata":{"display_phone_number":"+1 555-000-1111","phone_number_id":"%s"},
		"contacts":[{"wa_id":"1555","profile":{"name":"Ann"}}],"messages":[%s]}}]}]}`, number, message)
}

// TestDecode holds the forms of Meta's documentation.
func TestDecode(t *testing.T) {
	at := time.Unix(1700000000, 0).UTC()
	with := func(m channels.Message) channels.Content { m.ID = "wamid.1"; return m }
	for _, c := range []struct {
		name, in string
		want     channels.Content
		ignored  string
	}{
		{"text", `"type":"text","text":{"body":"hello"}`, with(channels.Message{Text: "hello"}), ""},
		{"command", `"type":"text","text":{"body":"/New  start"}`, channels.Command{ID: "wamid.1", Name: "new", Args: "start"}, ""},
		{"a path is no command", `"type":"text","text":{"body":"/etc/hosts"}`, with(channels.Message{Text: "/etc/hosts"}), ""},
		{"image", `"type":"image","image":{"id":"77","mime_type":"image/jpeg","caption":"look"}`, with(channels.Message{Text: "look", Files: []channels.File{{Kind: channels.Photo, MIME: "image/jpeg", Ref: "77"}}}), ""},
		{"voice", `"type":"audio","audio":{"id":"77","mime_type":"audio/ogg; codecs=opus","voice":true}`, with(channels.Message{Files: []channels.File{{Kind: channels.Voice, MIME: "audio/ogg; codecs=opus", Ref: "77"}}}), ""},
		{"document", `"type":"document","document":{"id":"77","mime_type":"application/pdf","filename":"a.pdf"}`, with(channels.Message{Files: []channels.File{{Kind: channels.Document, Name: "a.pdf", MIME: "application/pdf", Ref: "77"}}}), ""},
		{"sticker", `"type":"sticker","sticker":{"id":"77","mime_type":"image/webp"}`, with(channels.Message{Files: []channels.File{{Kind: channels.Sticker, MIME: "image/webp", Ref: "77"}}}), ""},
		{"location", `"type":"location","location":{"latitude":1.5,"longitude":-2,"name":"Pier 7"}`, with(channels.Message{Text: "[location: Pier 7 1.5, -2]"}), ""},
		{"contacts", `"type":"contacts","contacts":[{"name":{"formatted_name":"Bob"},"phones":[{"phone":"+1 2"}]}]`, with(channels.Message{Text: "[contact: Bob +1 2]"}), ""},
		{"quote of the bot", `"type":"text","text":{"body":"yes"},"context":{"from":"15550001111","id":"wamid.0"}`, with(channels.Message{Text: "yes", ReplyTo: &channels.Quote{ID: "wamid.0", Who: channels.Sender{ID: "15550001111", Self: true}}}), ""},
		{"forwarded", `"type":"text","text":{"body":"/stop"},"context":{"forwarded":true}`, with(channels.Message{Text: "/stop", Forwarded: "somebody on WhatsApp"}), ""},
		{"reaction", `"type":"reaction","reaction":{"message_id":"wamid.0","emoji":"👍"}`, channels.Reaction{ID: "wamid.0", Added: []string{"👍"}}, ""},
		{"reaction taken back", `"type":"reaction","reaction":{"message_id":"wamid.0"}`, channels.Reaction{ID: "wamid.0"}, ""},
		{"button", `"type":"interactive","context":{"id":"wamid.0"},"interactive":{"type":"button_reply","button_reply":{"id":"yes","title":"Yes"}}`, channels.Press{ID: "wamid.0", Data: "yes", Query: "wamid.1"}, ""},
		{"row", `"type":"interactive","context":{"id":"wamid.0"},"interactive":{"type":"list_reply","list_reply":{"id":"r7","title":"7"}}`, channels.Press{ID: "wamid.0", Data: "r7", Query: "wamid.1"}, ""},
		{"button of a template", `"type":"button","context":{"id":"wamid.0"},"button":{"payload":"p","text":"P"}`, channels.Press{ID: "wamid.0", Data: "p", Query: "wamid.1"}, ""},
		{"unsupported", `"type":"unsupported","errors":[{"code":131051}]`, with(channels.Message{Text: "[a message of a kind that WhatsApp does not pass on to bots]"}), ""},
		{"a form", `"type":"interactive","context":{"id":"wamid.0"},"interactive":{"type":"nfm_reply"}`, nil, "an answer to nfm_reply"},
		{"system", `"type":"system","system":{"body":"changed"}`, nil, "a message of the system: system"},
		{"group", `"type":"text","text":{"body":"x"},"group_id":"g"`, nil, "a message of a group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := codec.Decode(wrapped(`{"from":"1555","id":"wamid.1","timestamp":"1700000000",`+c.in+`}`), self)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(u.Ignored, "; "); got != c.ignored {
				t.Errorf("ignored: %q, want %q", got, c.ignored)
			}
			if c.want == nil {
				return
			}
			e := u.Events[0]
			if d := cmp.Diff(c.want, e.Content); d != "" {
				t.Error(d)
			}
			e.Content, e.Raw = nil, nil
			want := channels.Event{
				Key: "wamid.1", At: at, Account: number, Where: channels.Address{Channel: "support", Account: number, Conversation: "1555"},
				Room: channels.Room{Direct: true}, Addressed: true, Who: channels.Sender{ID: "1555", Name: "Ann"},
			}
			if d := cmp.Diff(want, e); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestPeople: a person is their number where it is told, else Meta's id for them.
func TestPeople(t *testing.T) {
	const id = "US.13491208655302741918"
	for _, c := range []struct {
		name, contact, message, status string
		who                            string
		numbers                        map[string]string
	}{
		{"a number", `"wa_id":"1555"`, `"from":"1555",`, `"recipient_id":"1555",`, "1555", nil},
		{"both", `"wa_id":"1555","user_id":"` + id + `"`, `"from":"1555","from_user_id":"` + id + `",`, `"recipient_id":"1555","recipient_user_id":"` + id + `",`, "1555", map[string]string{id: "1555"}},
		{"no number", `"user_id":"` + id + `"`, `"from_user_id":"` + id + `",`, `"recipient_user_id":"` + id + `",`, id, nil},
		{"in the contact alone", `"user_id":"` + id + `"`, ``, `"recipient_user_id":"` + id + `",`, id, nil},
		{"an id that is none", `"wa_id":"1555","user_id":"x"`, `"from":"1555","from_user_id":"x",`, `"recipient_id":"1555","recipient_user_id":"x",`, "1555", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := codec.Decode(fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":%q},`+
				`"contacts":[{%s,"profile":{"name":"Ada","username":"ada"}}],"messages":[{%s"id":"a","type":"text","text":{"body":"1"}}],"statuses":[{%s"id":"b","status":"read"}]}}]}]}`,
				number, c.contact, c.message, c.status), self)
			if err != nil || len(u.Events) != 2 {
				t.Fatalf("%v, %+v", err, u)
			}
			said, read := u.Events[0], u.Events[1]
			if d := cmp.Diff(channels.Sender{ID: c.who, Name: "Ada", Handle: "ada"}, said.Who); d != "" {
				t.Error(d)
			}
			if string(said.Where.Conversation) != c.who || read.Where != said.Where {
				t.Errorf("%+v, %+v", said.Where, read.Where)
			}
			if d := cmp.Diff(c.numbers, u.Numbers); d != "" {
				t.Error(d)
			}
			b, err := codec.Encode(channels.Part{To: said.Where, Body: markup.Plain("x")}, "")
			if want := map[bool]string{true: `"recipient":"` + id + `"`, false: `"to":"1555"`}[c.who == id]; err != nil || !strings.Contains(string(b), want) {
				t.Errorf("%s, %v; want %s", b, err, want)
			}
		})
	}
}

// TestBatch: one call may hold several entries, of which each counts by itself.
func TestBatch(t *testing.T) {
	const value = `{"field":"messages","value":{"metadata":{"phone_number_id":"%s"},%s}}`
	body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[%s,%s,{"field":"account_update","value":{}}]},{"id":"1","changes":[%s,%s]}]}`,
		fmt.Sprintf(value, number, `"messages":[{"from":"1","id":"a","type":"text","text":{"body":"1"}},7,{"from":"2","id":"b","type":"text","text":{"body":"2"}}]`),
		fmt.Sprintf(value, "999", `"messages":[{"from":"1","id":"c","type":"text","text":{"body":"3"}}]`),
		fmt.Sprintf(value, number, `"statuses":[{"id":"o1","status":"sent","recipient_id":"1"},{"id":"o1","status":"read","recipient_id":"1"}]`),
		fmt.Sprintf(value, number, `"statuses":[{"id":"o2","status":"failed","recipient_id":"1","errors":[{"code":131047,"title":"Re-engagement message"}]}]`))
	u, err := codec.Decode([]byte(body), self)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range u.Events {
		keys = append(keys, e.Key)
	}
	if d := cmp.Diff([]string{"a", "b", "o1/read", "o2/failed"}, keys); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"something for another number of the same app", "a change of account_update", "a message that cannot be read", "status sent"}, sorted(u.Ignored)); d != "" {
		t.Error(d)
	}
	if st, ok := u.Events[3].Content.(channels.Status); !ok || st.State != channels.StatusFailed || !strings.Contains(st.Why, "131047 Re-engagement message: "+codec.WindowClosed) {
		t.Errorf("%+v", u.Events[3].Content)
	}
	if d := cmp.Diff([]codec.Failure{{ID: "o2", Code: 131047, Why: "Re-engagement message"}}, u.Failed); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"", "{", `{"object":"page"}`, "[]"} {
		if _, err := codec.Decode([]byte(bad), self); err == nil {
			t.Errorf("%q is a webhook", bad)
		}
	}
}

// sorted puts what is ignored into the order in which the test names it.
func sorted(all []string) []string {
	order := []string{"something for another", "a change of", "a message that", "status"}
	var out []string
	for _, o := range order {
		for _, s := range all {
			if strings.HasPrefix(s, o) {
				out = append(out, s)
			}
		}
	}
	return out
}

func TestClassify(t *testing.T) {
	fault := func(code int) string { return fmt.Sprintf(`{"error":{"message":"(#%d) x","code":%d}}`, code, code) }
	for _, c := range []struct {
		name   string
		status int
		wait   time.Duration
		body   string
		again  bool
		kind   channels.Kind
		after  time.Duration
	}{
		{"taken", 200, 0, `{"messages":[{"id":"x"}]}`, false, "", 0},
		{"a page in the place of an answer", 200, 0, "<html>", false, channels.Ambiguous, 0},
		{"token", 401, 0, fault(190), false, channels.Unauthorized, 0},
		{"no right", 403, 0, fault(10), false, channels.Unauthorized, 0},
		{"pair rate", 400, 0, fault(131056), false, channels.RateLimited, 6 * time.Second},
		{"rate with a header", 429, 9 * time.Second, fault(130429), false, channels.RateLimited, 9 * time.Second},
		{"rate without a code", 429, 9 * time.Second, "slow down", false, channels.RateLimited, 9 * time.Second},
		{"window", 400, 0, fault(131047), false, channels.Closed, 0},
		{"not on WhatsApp", 400, 0, fault(131026), false, channels.Gone, 0},
		{"wrong", 400, 0, fault(131009), false, channels.Rejected, 0},
		{"a fault of theirs", 500, 0, fault(131000), false, channels.Transient, 0},
		{"a fault of theirs without a known code", 500, 0, fault(77), false, channels.Transient, 0},
		{"a proxy's fault", 502, 0, "<html>", false, channels.Ambiguous, 0},
		{"a proxy's fault of a read", 502, 0, "<html>", true, channels.Transient, 0},
		{"unavailable", 503, 3 * time.Second, "<html>", false, channels.Transient, 3 * time.Second},
	} {
		a := codec.Classify(c.status, c.wait, []byte(c.body), c.again)
		if a.Kind != c.kind && !a.OK || a.OK != (c.kind == "") || a.RetryAfter != c.after && !a.OK {
			t.Errorf("%s: %+v, want %s after %s", c.name, a, c.kind, c.after)
		}
	}
}

func TestEncode(t *testing.T) {
	to := channels.Address{Conversation: "1555"}
	buttons := func(n int) (out []channels.Button) {
		for i := range n {
			out = append(out, channels.Button{Label: "A label that is longer than it may be", Data: fmt.Sprint(i)})
		}
		return out
	}
	pdf := []channels.File{{Kind: channels.Document, Name: "a.pdf", MIME: "application/pdf"}}
	for _, c := range []struct {
		name string
		part channels.Part
		want string
	}{
		{"text", channels.Part{To: to, Body: markup.Parse("**b**"), ReplyTo: "wamid.0"}, `"type":"text","context":{"message_id":"wamid.0"},"text":{"preview_url":false,"body":"*b*"}`},
		{"document", channels.Part{To: to, Body: markup.Plain("look"), Files: pdf}, `"type":"document","document":{"id":"M","caption":"look","filename":"a.pdf"}`},
		{"a voice message", channels.Part{To: to, Body: markup.Plain(""), Files: []channels.File{{Kind: channels.Voice, MIME: "audio/ogg"}}}, `"type":"audio","audio":{"id":"M"}`},
		{"a voice message with text", channels.Part{To: to, Body: markup.Plain("x"), Files: []channels.File{{Kind: channels.Voice, MIME: "audio/ogg", Name: "v.ogg"}}}, `"type":"document","document":{"id":"M","caption":"x","filename":"v.ogg"}`},
		{"a picture that is too large", channels.Part{To: to, Files: []channels.File{{Kind: channels.Photo, MIME: "image/png", Size: 6 << 20, Name: "p.png"}}}, `"type":"document","document":{"id":"M","filename":"p.png"}`},
		{"two buttons", channels.Part{To: to, Body: markup.Plain("?"), Buttons: buttons(2)}, `"type":"interactive","interactive":{"type":"button","body":{"text":"?"},"action":{"buttons":[` +
			`{"type":"reply","reply":{"id":"0","title":"A label that is lon…"}},{"type":"reply","reply":{"id":"1","title":"A label that is l… 2"}}]}}`},
		{"a page", channels.Part{To: to, Body: markup.Plain("?"), Buttons: []channels.Button{{Label: "Open", URL: "https://x"}}}, `"type":"interactive","interactive":{"type":"cta_url","body":{"text":"?"},"action":{"name":"cta_url","parameters":{"display_text":"Open","url":"https://x"}}}`},
		{"buttons beside a file", channels.Part{To: to, Body: markup.Plain("?"), Files: pdf, Buttons: []channels.Button{{Label: "Y", Data: "y"}}}, `"type":"interactive","interactive":{"type":"button","header":{"type":"document","document":{"id":"M","filename":"a.pdf"}},"body":{"text":"?"},"action":{"buttons":[{"type":"reply","reply":{"id":"y","title":"Y"}}]}}`},
	} {
		b, err := codec.Encode(c.part, "M")
		want := `{"messaging_product":"whatsapp","recipient_type":"individual","to":"1555",` + c.want + `}`
		if err != nil || string(b) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, b, want)
		}
	}
	for name, p := range map[string]channels.Part{
		"nothing": {To: to, Body: markup.Plain("")}, "nobody": {Body: markup.Plain("x")}, "a list beside a file": {To: to, Body: markup.Plain("?"), Files: pdf, Buttons: buttons(5)},
	} {
		if _, err := codec.Encode(p, "M"); err == nil {
			t.Errorf("%s can be sent", name)
		}
	}
	b, err := codec.Template(to, "hello", "en_US", "two\nlines\tand     space")
	if err != nil || !strings.Contains(string(b), `"text":"two lines and space"`) {
		t.Errorf("%s %v", b, err)
	}
}

// FuzzDecode: whatever comes, events can be kept, and none is ours but a status.
func FuzzDecode(f *testing.F) {
	raw, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		f.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		f.Fatal(err)
	}
	for _, b := range all {
		f.Add([]byte(b))
	}
	for _, m := range []string{`"type":"image","image":{"id":"1"}`, `"type":"reaction","reaction":{"message_id":"x"}`, `"type":"interactive","context":{"id":"y"},"interactive":{"button_reply":{"id":"z"}}`} {
		f.Add(wrapped(`{"from":"1555","id":"wamid.1",` + m + `}`))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := codec.Decode(b, self)
		if err != nil {
			return
		}
		for _, e := range u.Events {
			for _, id := range []string{e.Key, string(e.Where.Conversation), e.Who.ID} {
				if id == "" || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
					t.Errorf("the id %q cannot be kept", id)
				}
			}
			if _, status := e.Content.(channels.Status); status != e.Who.Self {
				t.Errorf("%T is of the channel itself: %v", e.Content, e.Who.Self)
			}
			if _, err := json.Marshal(e); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzEncode: what is sent is JSON, and buttons keep the platform's limits.
func FuzzEncode(f *testing.F) {
	f.Add("**hi** `x`", "Yes", 3)
	f.Add(strings.Repeat("é", 2000), "", 10)
	f.Fuzz(func(t *testing.T, text, label string, n int) {
		p := channels.Part{To: channels.Address{Conversation: "1"}, Body: markup.Parse(text)}
		for i := range min(max(n, 0), codec.MaxButtons) {
			p.Buttons = append(p.Buttons, channels.Button{Label: label, Data: fmt.Sprint(i)})
		}
		b, err := codec.Encode(p, "")
		if err != nil {
			return
		}
		var o struct {
			Interactive *struct {
				Action struct {
					Buttons  []struct{ Reply struct{ Title string } }
					Sections []struct{ Rows []struct{ Title string } }
				}
			}
		}
		if err := json.Unmarshal(b, &o); err != nil {
			t.Fatal(err)
		}
		if o.Interactive == nil {
			return
		}
		titles := map[string]bool{}
		add := func(s string, most int) {
			if s == "" || titles[s] || len(utf16.Encode([]rune(s))) > most {
				t.Errorf("the title %q", s)
			}
			titles[s] = true
		}
		for _, x := range o.Interactive.Action.Buttons {
			add(x.Reply.Title, 20)
		}
		for _, s := range o.Interactive.Action.Sections {
			for _, x := range s.Rows {
				add(x.Title, 24)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	in := wrapped(`{"from":"1555","id":"wamid.1","timestamp":"1700000000","type":"text","text":{"body":"hello"}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if u, err := codec.Decode(in, self); err != nil || len(u.Events) != 1 {
			b.Fatal(u, err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	p := channels.Part{To: channels.Address{Conversation: "1555"}, Body: markup.Parse("The **meeting** is at ten.\n\n- bring the `plan.pdf`")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Encode(p, ""); err != nil {
			b.Fatal(err)
		}
	}
}
