package codec_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

var update = flag.Bool("update", false, "write the goldens anew")

func self() codec.Self {
	return codec.Self{Channel: "support", Team: "T024BE7LD", User: "U0BOT0000", Bot: "B0BOT0000", App: "A0APP0000", Command: "/gatehouse"}
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

// outcome is what a golden holds.
type outcome struct {
	Kind    string           `json:"kind"`
	Team    string           `json:"team,omitempty"`
	Ignored string           `json:"ignored,omitempty"`
	Events  []channels.Event `json:"events,omitempty"`
}

func outcomeOf(t *testing.T, b []byte, s codec.Self) outcome {
	t.Helper()
	p, err := codec.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if p.Team != "" {
		s.Team = p.Team
	}
	r := p.Decode(s)
	if (r.Ignored == "") == (len(r.Events) == 0) {
		t.Errorf("ignored %q with %d events", r.Ignored, len(r.Events))
	}
	return outcome{p.Kind, p.Team, r.Ignored, r.Events}
}

func TestDecodeGoldens(t *testing.T) {
	paths, err := filepath.Glob("testdata/payloads/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no payloads: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/payloads/"+name+".golden", outcomeOf(t, b, self()))
		})
	}
}

// recorded lists the payloads of a recording, by name, and the bot they are for.
func recorded(t testing.TB, path string) (bot string, payloads map[string]json.RawMessage) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &payloads); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(payloads["botUserId"], &bot)
	for name, raw := range payloads {
		if raw[0] != '{' || !strings.Contains(string(raw), "api_app_id") {
			delete(payloads, name)
		}
	}
	return bot, payloads
}

// The payloads were recorded from the platform; see testdata/recorded/LICENSE.
func TestDecodeRecorded(t *testing.T) {
	paths, err := filepath.Glob("testdata/recorded/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, path := range paths {
		file := strings.TrimSuffix(filepath.Base(path), ".json")
		bot, payloads := recorded(t, path)
		for name, raw := range payloads {
			t.Run(file+"/"+name, func(t *testing.T) {
				s := self()
				s.User = bot
				if name == "promptMessage" { // the recording's own name is of another app
					s.User = "U08REALBOT1"
				}
				golden(t, "testdata/recorded/"+file+"."+name+".golden", outcomeOf(t, raw, s))
			})
		}
	}
}

func TestParseRefusesWhatIsNoPayload(t *testing.T) {
	for _, in := range []string{"", "null", "[]", "1", `"x"`, `{"team_id":7}`, `{"type":"event_callback"`, strings.Repeat("[", 100_000), strings.Repeat(" ", codec.MaxPayload+1)} {
		if p, err := codec.Parse([]byte(in)); !errors.Is(err, codec.ErrNotPayload) {
			t.Errorf("%.20q: %+v, %v", in, p.Kind, err)
		}
	}
	for _, in := range []string{"", "a=b", "payload=", "payload=[1]", "command=", "%zz", strings.Repeat("x", codec.MaxPayload+1)} {
		if p, err := codec.ParseForm([]byte(in)); !errors.Is(err, codec.ErrNotPayload) {
			t.Errorf("%.20q: %+v, %v", in, p.Kind, err)
		}
	}
}

// A form and a JSON object of the same command are the same event.
func TestFormAndEnvelopeAgree(t *testing.T) {
	_, payloads := recorded(t, "testdata/recorded/slash-commands--slack.json")
	raw := payloads["slashCommandWithArgs"]
	var fields map[string]string
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	form := url.Values{}
	for k, v := range fields {
		form.Set(k, v)
	}
	p, err := codec.ParseForm([]byte(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	byForm, byEnvelope := p.Decode(self()), outcomeOf(t, raw, self())
	if d := cmp.Diff(byEnvelope.Events[0].Key, byForm.Events[0].Key); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(byEnvelope.Events[0].Content, byForm.Events[0].Content); d != "" {
		t.Error(d)
	}
}

const said = `{"type":"event_callback","team_id":"T024BE7LD","event_id":"%ID","event":{"type":"%TYPE","user":"U1","ts":"1767224888.280449","text":"<@U0BOT0000> hi","channel":"C1","event_ts":"1767224888.280449"},"authorizations":[{"team_id":"T024BE7LD","user_id":"U0BOT0000","is_bot":true}]}`

// One message comes as two events; it must be one.
func TestMentionAndMessageShareTheKey(t *testing.T) {
	one := decodeOne(t, strings.NewReplacer("%ID", "Ev1", "%TYPE", "message").Replace(said))
	two := decodeOne(t, strings.NewReplacer("%ID", "Ev2", "%TYPE", "app_mention").Replace(said))
	if d := cmp.Diff(one, two); d != "" {
		t.Error(d)
	}
	if !one.Addressed || one.Where.Thread != "1767224888.280449" {
		t.Errorf("%+v", one)
	}
}

func decodeOne(t *testing.T, in string) channels.Event {
	t.Helper()
	o := outcomeOf(t, []byte(in), self())
	if len(o.Events) != 1 {
		t.Fatalf("%+v", o)
	}
	return o.Events[0]
}

// The token of a reply path is in Via and nowhere else.
func TestReplyPathIsNowhereElse(t *testing.T) {
	_, payloads := recorded(t, "testdata/recorded/slash-commands--slack.json")
	e := outcomeOf(t, payloads["slashCommand"], self()).Events[0]
	r, ok := codec.ReplyPath(e.Via)
	if !ok || r.Original || !strings.HasPrefix(r.URL, "https://hooks.slack.com/commands/") {
		t.Fatalf("%+v %v", r, ok)
	}
	e.Via = nil
	b, err := json.Marshal(e)
	if err != nil || strings.Contains(string(b), "hooks.slack.com") {
		t.Errorf("%s %v", b, err)
	}
}

func TestMrkdwn(t *testing.T) {
	tests := []struct{ in, want string }{
		{"hello", "hello"},
		{"a &lt;b&gt; &amp; c", "a <b> & c"},
		{"*bold* _it_ ~gone~ `code`", "**bold** *it* ~~gone~~ `code`"},
		{"2 * 3 * 4 and a_b_c", "2 * 3 * 4 and a_b_c"},
		{"<https://example.org/a_b|the page> <https://example.org>", "[the page](<https://example.org/a_b>) <https://example.org>"},
		{"ask <@U2> or <@U3|ada> in <#C1|general>", "ask [U2](mention:U2) or [ada](mention:U3) in #general"},
		{"<!here> <!subteam^S1|@devs> <!date^1^{date}|today>", "@here @devs today"},
		{"```\nx &lt; y\n<http://a.b>\n```", "```\nx < y\nhttp://a.b\n```"},
		{"&gt; quoted\n&gt; more\nanswer", "> quoted\n> more\n\nanswer"},
		{"*_both_*", "**_both_**"},
		{"*not\nbold*", "*not\nbold*"},
		{"`a *b* c`", "`a *b* c`"},
		{"one\n\ntwo", "one\n\ntwo"},
	}
	for _, tt := range tests {
		b, _ := json.Marshal(map[string]any{"type": "event_callback", "event": map[string]any{
			"type": "message", "user": "U1", "channel": "D1", "ts": "1.1", "text": tt.in,
		}})
		e := decodeOne(t, string(b))
		if d := cmp.Diff(tt.want, e.Content.(channels.Message).Text); d != "" {
			t.Errorf("%q: %s", tt.in, d)
		}
	}
}

func TestEmoji(t *testing.T) {
	for name, emoji := range map[string]string{
		"+1": "👍", "thumbsup": "👍", "heart": "❤️", "+1::skin-tone-4": "👍🏽", "party_parrot": ":party_parrot:",
	} {
		if got := codec.Emoji(name); got != emoji {
			t.Errorf("%s is %q, want %q", name, got, emoji)
		}
	}
	for emoji, name := range map[string]string{
		"👍": "+1", "❤": "heart", "❤️": "heart", "👍🏽": "+1::skin-tone-4", ":party_parrot:": "party_parrot", "eyes": "eyes",
	} {
		if got, ok := codec.EmojiName(emoji); !ok || got != name {
			t.Errorf("%s is %q %v, want %q", emoji, got, ok, name)
		}
	}
	for _, emoji := range []string{"", "🫎", "two words", "::", ":UPPER:"} {
		if name, ok := codec.EmojiName(emoji); ok {
			t.Errorf("%q is %q", emoji, name)
		}
	}
}

func TestMoment(t *testing.T) {
	want := time.Unix(1767224888, 280449000).UTC()
	if got := codec.Moment("1767224888.280449"); !got.Equal(want) {
		t.Errorf("%s", got)
	}
	for _, in := range []string{"", "x", "-1.0", "99999999999999.0", "."} {
		if got := codec.Moment(in); !got.IsZero() {
			t.Errorf("%q is %s", in, got)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
