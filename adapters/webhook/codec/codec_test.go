package codec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

const payload = `{"action":"opened","n":12345678901234567890,"ok":true,"none":null,"empty":"","issue":{"title":"It <b>breaks</b>","labels":[{"name":"bug"},{"name":"p 1"}]},"a b":{"c-d":7}}`

func request(t testing.TB, kind, body string) codec.Request {
	t.Helper()
	v, err := codec.Decode(kind, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return codec.Request{
		Payload: v, Query: url.Values{"source": {"ci"}},
		Header: func(name string) string { return map[string]string{"X-Event": "issues"}[name] },
	}
}

func TestFill(t *testing.T) {
	r := request(t, "application/json", payload)
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain { text }", "plain { text }"},
		{"{{.action}}: {{ .issue.title }}", "opened: It <b>breaks</b>"},
		{"{{ .issue.labels[1].name }}", "p 1"},
		{`{{ .["a b"].c-d }}{{ .issue["title"] }}`, "7It <b>breaks</b>"},
		{"{{ .n }} {{ .ok }}", "12345678901234567890 true"},
		{"{{ .none }}{{ .empty }}{{ .missing.deeper }}{{ .issue.labels[9] }}{{ .issue[0] }}{{ .action.x }}{{ .issue.labels.name }}", ""},
		{"{{ .missing ?? .none ?? .empty ?? .action }}", "opened"},
		{`{{ .missing ?? "nothing }} here" }}`, "nothing }} here"},
		{`{{ .missing ?? "" }}x`, "x"},
		{"{{ header.X-Event }}/{{ query.source }}/{{ query.none }}", "issues/ci/"},
		{"{{ .issue.labels }}", `[{"name":"bug"},{"name":"p 1"}]`},
		{"{{ .issue }}", `{"title":"It <b>breaks</b>","labels":[{"name":"bug"},{"name":"p 1"}]}`},
		{`{{ "{{" }}`, "{{"},
	} {
		tmpl, err := codec.Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := tmpl.Fill(r); got != c.want {
			t.Errorf("%s gives %q, want %q", c.in, got, c.want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"{{", "column 3"},
		{"{{ .a", "column 6: want ?? or }}"},
		{"ab {{ .a ?? }}", "column 13"},
		{"{{ printf }}", "want a path"},
		{"{{ .a | html }}", "want ?? or }}"},
		{"{{ .a[x] }}", "want a number"},
		{"{{ .a[-1] }}", "want a number"},
		{"{{ .a[1 }}", "want ]"},
		{"{{ .a. }}", "want a name after the dot"},
		{`{{ "a }}`, "does not end"},
		{"{{ header. }}", "want a name"},
		{"{{ " + strings.Repeat(".a", 40) + " }}", "more than 32"},
		{strings.Repeat("x", 20<<10), "longer"},
		{"\xff", "UTF-8"},
	} {
		if _, err := codec.Parse(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40s: %v, want %q", c.in, err, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		kind, body string
		want       any
		fails      bool
	}{
		{"application/json; charset=utf-8", `{"a":"b"}`, codec.Document(`{"a":"b"}`), false},
		{"application/vnd.github+json", ` [ "x" ] `, codec.Document(`["x"]`), false},
		{"application/json", `{"a":`, nil, true},
		{"application/json", `{} {}`, nil, true},
		{"", `{"a":"b"}`, codec.Document(`{"a":"b"}`), false},
		{"text/plain", "disk full", "disk full", false},
		{"", "\xff", "�", false},
		{"application/x-www-form-urlencoded", "text=a+b&x=%26", map[string]any{"text": "a b", "x": "&"}, false},
		{"application/x-www-form-urlencoded", "payload=%7B%22a%22%3A%22b%22%7D", codec.Document(`{"a":"b"}`), false},
		{"application/x-www-form-urlencoded", "%zz", nil, true},
	} {
		got, err := codec.Decode(c.kind, []byte(c.body))
		if (err != nil) != c.fails {
			t.Errorf("%s %s: %v", c.kind, c.body, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s %s:\n%s", c.kind, c.body, d)
		}
	}
}

func mapping(t testing.TB, change func(*codec.Mapping)) codec.Mapping {
	t.Helper()
	parse := func(s string) codec.Template {
		p, err := codec.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	m := codec.Mapping{
		Message: parse("{{ .issue.title }}"), Conversation: parse("{{ query.source }}"), Sender: parse("{{ .action }}"),
		When: []codec.When{{Name: "header.X-Event", Test: parse("{{ header.X-Event }}"), Is: []string{"issues", "push"}}},
	}
	if change != nil {
		change(&m)
	}
	return m
}

func TestEvent(t *testing.T) {
	text := func(s string) codec.Template { p, _ := codec.Parse(s); return p }
	at := codec.At{Channel: "hooks", Account: "webhook", Key: "k1", Time: time.Unix(7, 0)}
	base := channels.Event{
		Key: "k1", At: time.Unix(7, 0), Account: "webhook", Room: channels.Room{Direct: true}, Addressed: true, Who: channels.Sender{ID: "opened"},
		Where:   channels.Address{Channel: "hooks", Account: "webhook", Conversation: "ci"},
		Content: channels.Message{ID: "k1", Text: "It <b>breaks</b>", Forwarded: "opened"},
	}
	with := func(change func(*channels.Event)) channels.Event { e := base; change(&e); return e }
	for _, c := range []struct {
		name    string
		change  func(*codec.Mapping)
		want    channels.Event
		ignored string
	}{
		{"content of others", nil, base, ""},
		{"trusted", func(m *codec.Mapping) { m.Trusted = true }, with(func(e *channels.Event) {
			e.Content = channels.Message{ID: "k1", Text: "It <b>breaks</b>"}
		}), ""},
		{"a command of others is a text", func(m *codec.Mapping) { m.Message = text("/stop now") }, with(func(e *channels.Event) {
			e.Content = channels.Message{ID: "k1", Text: "/stop now", Forwarded: "opened"}
		}), ""},
		{"a trusted command", func(m *codec.Mapping) { m.Message, m.Trusted = text("/Stop now"), true }, with(func(e *channels.Event) {
			e.Content = channels.Command{ID: "k1", Name: "stop", Args: "now"}
		}), ""},
		{"an id of its own", func(m *codec.Mapping) { m.Key = text("{{ .n }}") }, with(func(e *channels.Event) {
			e.Key = "12345678901234567890"
			e.Content = channels.Message{ID: "12345678901234567890", Text: "It <b>breaks</b>", Forwarded: "opened"}
		}), ""},
		{"an id that is not there", func(m *codec.Mapping) { m.Key = text("{{ .nothing }}") }, base, ""},
		{"what cannot be kept", func(m *codec.Mapping) {
			m.Conversation, m.SenderName = text("a\x00b"), text("N\x00ame")
		}, with(func(e *channels.Event) {
			e.Where.Conversation = channels.ConversationID(codec.Hash([]byte("a\x00b")))
			e.Who.Name = "Name"
			e.Content = channels.Message{ID: "k1", Text: "It <b>breaks</b>", Forwarded: "Name"}
		}), ""},
		{"another event", func(m *codec.Mapping) { m.When[0].Is = []string{"push"} }, channels.Event{}, "'when' wants push for header.X-Event"},
		{"nothing to say", func(m *codec.Mapping) { m.Message = text(" {{ .nothing }}\n") }, channels.Event{}, "the message is empty"},
		{"nowhere", func(m *codec.Mapping) { m.Conversation = text("{{ .nothing }}") }, channels.Event{}, "there is no conversation"},
		{"nobody", func(m *codec.Mapping) { m.Sender = text("{{ .nothing }}") }, channels.Event{}, "there is no sender"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mapping(t, c.change).Event(request(t, "application/json", payload), at)
			if d := cmp.Diff(codec.Outcome{Event: c.want, Ignored: c.ignored}, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"{{ .a[0].b ?? header.X ?? \"x\" }}", "{{", "a }} b", `{{ .["k"] }}`} {
		f.Add(s)
	}
	r := codec.Request{Payload: codec.Document(`{"a":["x"]}`), Header: func(string) string { return "h" }, Query: url.Values{}}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := codec.Parse(s)
		if err != nil {
			return
		}
		got := p.Fill(r)
		if !strings.Contains(s, "{{") && got != s {
			t.Errorf("%q became %q", s, got)
		}
		if !utf8.ValidString(got) && !strings.Contains(s, `\`) {
			t.Errorf("%q is no UTF-8", got)
		}
	})
}

// FuzzEvent: whatever is sent, an event can be kept, and the same request gives
// the same one.
func FuzzEvent(f *testing.F) {
	f.Add("application/json", []byte(payload), "id")
	f.Add("application/x-www-form-urlencoded", []byte("a=b&payload=x"), "\x00")
	f.Add("", []byte("\xff/stop"), strings.Repeat("é", 300))
	f.Fuzz(func(t *testing.T, kind string, body []byte, header string) {
		v, err := codec.Decode(kind, body)
		if err != nil {
			return
		}
		all, _ := codec.Parse("{{ .text ?? .issue.title ?? . ?? header.X }}")
		name, _ := codec.Parse("{{ header.X ?? .sender }}")
		m := codec.Mapping{Message: all, Conversation: name, Sender: name, SenderName: all, Thread: name, Key: name}
		r := codec.Request{Payload: v, Header: func(string) string { return header }, Query: url.Values{}}
		out := m.Event(r, codec.At{Channel: "c", Account: "webhook", Key: header, Time: time.Unix(1, 0)})
		if out.Ignored != "" {
			return
		}
		for _, s := range []string{out.Event.Key, string(out.Event.Where.Conversation), out.Event.Who.ID, out.Event.Who.Name} {
			if !utf8.ValidString(s) || strings.Contains(s, "\x00") || len(s) > 256 {
				t.Errorf("%q cannot be kept", s)
			}
		}
		if out.Event.Key == "" || out.Event.Where.Conversation == "" || out.Event.Who.ID == "" {
			t.Errorf("something is missing: %+v", out.Event)
		}
		if _, command := out.Event.Content.(channels.Command); command {
			t.Error("the text of others became a command")
		}
		if d := cmp.Diff(out, m.Event(r, codec.At{Channel: "c", Account: "webhook", Key: header, Time: time.Unix(1, 0)})); d != "" {
			t.Error(d)
		}
	})
}

// FuzzDocument: a document gives what encoding/json finds in it, at every path.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{payload, `[]`, `{}`, `[[],{"a":[1,{"":-1.5e3}]},null,true]`, `{"a":1,"\u0061":"\"]}\\"}`, ` "\ud800ÿ" `, `{"a b":{"<":"\u003c\n"}}`, `7`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := codec.Decode("application/json", b)
		var want any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if (err == nil) != json.Valid(b) {
			t.Fatalf("%v", err)
		}
		if err != nil || d.Decode(&want) != nil {
			return
		}
		left := 200 // values to look at
		var compare func(path string, want any)
		compare = func(path string, want any) {
			if left--; left < 0 {
				return
			}
			tmpl, err := codec.Parse("{{ ." + path + " }}")
			if err != nil {
				return // it is deeper than a template can say
			}
			got := tmpl.Fill(codec.Request{Payload: v})
			switch want := want.(type) {
			case map[string]any:
				for k, inner := range want {
					compare(path+"["+strconv.Quote(k)+"]", inner)
				}
				holds(t, path, want, got)
			case []any:
				for i, inner := range want {
					compare(fmt.Sprintf("%s[%d]", path, i), inner)
				}
				holds(t, path, want, got)
			case nil:
				if got != "" {
					t.Errorf("%s: %q for null", path, got)
				}
			default:
				if got != fmt.Sprint(want) {
					t.Errorf("%s: %q, want %q", path, got, fmt.Sprint(want))
				}
			}
		}
		compare("", want)
	})
}

// holds compares a list or a mapping with the JSON that a template makes of it.
func holds(t *testing.T, path string, want any, got string) {
	t.Helper()
	var back any
	d := json.NewDecoder(strings.NewReader(got))
	d.UseNumber()
	if err := d.Decode(&back); err != nil {
		t.Errorf("%s: %q: %v", path, got, err)
	}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("%s:\n%s", path, diff)
	}
}
