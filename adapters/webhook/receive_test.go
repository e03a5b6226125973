package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/stagetest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

const secret = stagetest.Secret

// desk is a channel with the gateway's side of it.
type desk struct {
	t    testing.TB
	host *channeltest.Host
	sink *channeltest.Sink
	hook http.Handler
	ch   channels.Channel
}

func open(t testing.TB, section string) *desk {
	t.Helper()
	h := channeltest.NewHost(t, channeltest.WithSecret(secretRef, secret), channeltest.WithSecret("secret://blank", "\t \t\v \t"))
	ch, err := webhook.Driver{}.Open(t.Context(), h, json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	sink := channeltest.NewSink(h)
	return &desk{t, h, sink, ch.(channels.Receiver).Receive(sink), ch}
}

// post sends a request; header are names and values.
func (d *desk) post(url, body string, header ...string) (status int, answer map[string]any) {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, url, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return d.do(r)
}

func (d *desk) do(r *http.Request) (status int, answer map[string]any) {
	w := httptest.NewRecorder()
	d.hook.ServeHTTP(w, r)
	if json.Unmarshal(w.Body.Bytes(), &answer) != nil {
		answer = map[string]any{"text": w.Body.String()}
	}
	return w.Code, answer
}

func mac(text string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

const (
	bearer = `{"verify":{"kind":"bearer","secret":"secret://hook"}}`
	github = `{"verify":{"kind":"github","secret":"secret://hook"}}`
)

func TestStatuses(t *testing.T) {
	auth := []string{"Authorization", "Bearer " + secret}
	for _, c := range []struct {
		name, section, url, body string
		header                   []string
		status                   int
		says                     string
		events                   int
	}{
		{"taken", bearer, "/", `{"text":"hi"}`, auth, 202, "accepted", 1},
		{"plain text", bearer, "/", "disk full", auth, 202, "accepted", 1},
		{"no proof", bearer, "/", `{"text":"hi"}`, nil, 401, "refused", 0},
		{"a wrong proof", bearer, "/", `{"text":"hi"}`, []string{"Authorization", "Bearer x"}, 401, "refused", 0},
		{"a blank secret", `{"verify":{"kind":"bearer","secret":"secret://blank"}}`, "/", `{}`, []string{"Authorization", "Bearer  "}, 401, "refused", 0},
		{"a secret that is not stored", `{"verify":{"kind":"bearer","secret":"secret://none"}}`, "/", `{}`, []string{"Authorization", "Bearer "}, 503, "refused", 0},
		{"no JSON", bearer, "/", `{"text":`, append([]string{"Content-Type", "application/json"}, auth...), 400, "refused", 0},
		{"too long", bearer, "/", strings.Repeat("x", codec.MaxBody+1), auth, 413, "refused", 0},
		{"a strange wait", bearer, "/?wait=1h", `{"text":"hi"}`, auth, 400, "refused", 0},
		{"nothing to say", bearer, "/", `{"text":" "}`, auth, 200, "ignored", 0},
		{"a signature", github, "/", `{"text":"hi"}`, []string{"X-Hub-Signature-256", "sha256=" + mac(`{"text":"hi"}`)}, 202, "accepted", 1},
		{"a signature of another body", github, "/", `{"text":"ho"}`, []string{"X-Hub-Signature-256", "sha256=" + mac(`{"text":"hi"}`)}, 401, "refused", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, c.section)
			status, answer := d.post(c.url, c.body, c.header...)
			if status != c.status || answer["status"] != c.says {
				t.Errorf("%d %v, want %d %s", status, answer, c.status, c.says)
			}
			if n := len(d.sink.Events()); n != c.events {
				t.Errorf("%d events", n)
			}
		})
	}
}

// TestIdempotency: what comes again is known by its own id, or by what is
// signed; an id that nobody signs is not believed.
func TestIdempotency(t *testing.T) {
	signed := func(body, delivery string) []string {
		return []string{"X-Hub-Signature-256", "sha256=" + mac(body), "X-GitHub-Delivery", delivery, "Idempotency-Key", delivery}
	}
	stamped := `{"verify":{"kind":"hmac","secret":"secret://hook","header":"X-Sig","stamp":"X-Time"}}`
	now := time.Now().Unix()
	at := func(n int64, body string) []string {
		s := strconv.FormatInt(n, 10)
		return []string{"X-Time", s, "X-Sig", mac(s + "." + body)}
	}
	token := func(key string) []string {
		return []string{"Authorization", "Bearer " + secret, "Idempotency-Key", key}
	}
	for _, c := range []struct {
		name, section string
		bodies        [2]string
		headers       [2][]string
		events        int
	}{
		{"the same body, repeated by somebody with another id", github, [2]string{`{"text":"a"}`, `{"text":"a"}`}, [2][]string{signed(`{"text":"a"}`, "1"), signed(`{"text":"a"}`, "2")}, 1},
		{"another body", github, [2]string{`{"text":"a"}`, `{"text":"b"}`}, [2][]string{signed(`{"text":"a"}`, "1"), signed(`{"text":"b"}`, "1")}, 2},
		{"the same text at another time", stamped, [2]string{"full", "full"}, [2][]string{at(now, "full"), at(now-1, "full")}, 2},
		{"the same text at the same time", stamped, [2]string{"full", "full"}, [2][]string{at(now, "full"), at(now, "full")}, 1},
		{"the sender's own key", bearer, [2]string{"a", "b"}, [2][]string{token("k"), token("k")}, 1},
		{"no key", bearer, [2]string{"a", "a"}, [2][]string{token(""), token("")}, 2},
		{"a field of the payload", `{"verify":{"kind":"bearer","secret":"secret://hook"},"id":"{{ .id }}"}`, [2]string{`{"id":7,"text":"a"}`, `{"id":7,"text":"b"}`}, [2][]string{token("1"), token("2")}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, c.section)
			for i := range c.bodies {
				if status, answer := d.post("/", c.bodies[i], c.headers[i]...); status != http.StatusAccepted {
					t.Fatalf("%d %v", status, answer)
				}
			}
			if n := len(d.sink.Events()); n != c.events {
				t.Errorf("%d events, want %d", n, c.events)
			}
		})
	}
}

func TestWait(t *testing.T) {
	d := open(t, bearer)
	ask := func(wait string) (int, map[string]any) {
		return d.post("/?wait="+wait, "how are you?", "Authorization", "Bearer "+secret, "Idempotency-Key", "q1")
	}
	status, answer := ask("20ms")
	if status != http.StatusAccepted || answer["status"] != "pending" || answer["id"] != "q1" {
		t.Errorf("nobody has answered: %d %v", status, answer)
	}
	d.sink.Reply("webhook", "q1", channels.Part{Key: "t/r000", To: channels.Address{Channel: "test", Conversation: "default"}, Body: markup.Parse("**fine**")})
	d.sink.EndTurn("webhook", "q1")
	status, answer = ask("30")
	want := map[string]any{"status": "answered", "id": "q1", "replies": []any{map[string]any{
		"id": "t/r000", "channel": "test", "conversation": "default", "text": "**fine**", "format": "markdown",
	}}}
	if diff := cmp.Diff(want, answer); status != http.StatusOK || diff != "" {
		t.Errorf("asked again: %d\n%s", status, diff)
	}
	if n := len(d.sink.Events()); n != 1 {
		t.Errorf("%d events for one question", n)
	}
}

// TestChallenges: the checks that Slack and Meta make of an address.
func TestChallenges(t *testing.T) {
	d := open(t, `{"verify":{"kind":"slack","secret":"secret://hook"}}`)
	body := `{"type":"url_verification","challenge":"3eZbrw1a"}`
	now := strconv.FormatInt(time.Now().Unix(), 10)
	status, answer := d.post("/", body, "X-Slack-Request-Timestamp", now, "X-Slack-Signature", "v0="+mac("v0:"+now+":"+body))
	if status != 200 || answer["text"] != "3eZbrw1a" {
		t.Errorf("Slack: %d %v", status, answer)
	}
	d = open(t, `{"verify":{"kind":"meta","secret":"secret://hook"},"verify_token":"secret://hook"}`)
	get := func(token string) (int, map[string]any) {
		return d.do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="+token, nil))
	}
	if status, answer := get(strings.ReplaceAll(secret, " ", "+")); status != 200 || fmt.Sprint(answer["text"]) != "1158201444" && answer["text"] != "1158201444" {
		t.Errorf("Meta: %d %v", status, answer)
	}
	for _, bad := range []string{"", "x", strings.ReplaceAll(secret, " ", "+") + "&hub.verify_token=x"} {
		if status, _ := get(bad); status != 401 {
			t.Errorf("Meta with the token %q: %d", bad, status)
		}
	}
	if status, _ := open(t, bearer).do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)); status != 405 {
		t.Errorf("GET: %d", status)
	}
}

// TestSizes: a body may be as long as the documentation says, whatever is in it.
func TestSizes(t *testing.T) {
	d := open(t, bearer)
	stagetest.Sizes(t, d.hook, secret, d.sink.Events)
}

// TestGitHub sends GitHub's published examples, signed as GitHub signs.
func TestGitHub(t *testing.T) {
	d := open(t, "{"+stagetest.GitHub+"}")
	got := stagetest.Outcomes(t, "testdata/octokit/examples.json.gz", d.hook, d.sink.Events)
	const golden = "testdata/octokit/outcomes.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(got, "lost") {
		t.Error("an example was lost")
	}
}

func TestFaults(t *testing.T) {
	const ok = `"verify":{"kind":"bearer","secret":"s"}`
	for _, c := range []struct{ in, want string }{
		{`{` + ok + `}`, ""},
		{`{}`, "verify"},
		{`{"verify":{"kind":"bearer"}}`, "verify.secret"},
		{`{"verify":{"kind":"x"}}`, "verify.kind"},
		{`{` + ok + `,"mesage":"x"}`, "mesage"},
		{`{` + ok + `,"message":"{{ .a"}`, "message"},
		{`{` + ok + `,"message":" "}`, "message"},
		{`{` + ok + `,"when":{"{{ x }}":["a"]}}`, "when"},
		{`{` + ok + `,"when":["a"]}`, "when"},
		{`{` + ok + `,"trusted":"yes"}`, "trusted"},
		{`{` + ok + `,"verify_token":"x"}`, "verify_token"},
		{`{` + ok + `,"callback_url":"https://x"}`, "callback_secret"},
		{`{` + ok + `,"callback_secret":"x"}`, "callback_secret"},
		{`{` + ok + `,"callback_url":"ftp://x","callback_secret":"x"}`, "callback_url"},
	} {
		var paths []string
		for _, f := range (webhook.Driver{}).Check(json.RawMessage(c.in)) {
			paths = append(paths, f.Path)
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", c.in, got, c.want)
		}
	}
}

// TestConcealed: a secret that stands in the body proves the request, and is
// shown to nobody.
func TestConcealed(t *testing.T) {
	d := open(t, `{"verify":{"kind":"body","secret":"secret://hook","pointer":"/token"},"message":"{{ . }}"}`)
	status, answer := d.post("/", `{"token":"`+secret+`","alert":"the disk is full"}`)
	if status != 202 {
		t.Fatalf("%d %v", status, answer)
	}
	if got := d.sink.Events()[0].Content.(channels.Message).Text; got != `{"alert":"the disk is full"}` {
		t.Errorf("the agent reads %q", got)
	}
}

// TestWithoutCallback: an answer that nobody is sent is a success, for it is
// there for whoever asks.
func TestWithoutCallback(t *testing.T) {
	d := open(t, bearer)
	r, err := d.ch.Send(context.Background(), channels.Part{Key: "t/r000#0", Body: markup.Plain("x")})
	if err != nil || r.ID != "t/r000#0" {
		t.Errorf("%+v %v", r, err)
	}
	who, err := d.ch.(channels.Prober).Probe(t.Context())
	if err != nil || len(who.Notes) != 3 {
		t.Errorf("%+v %v", who, err)
	}
}

// TestDocumentedKinds: each example of a proof that the documentation shows is
// taken as it stands, and none of the kinds is without one.
func TestDocumentedKinds(t *testing.T) {
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^    verify: \{(.+?)\}(?: +#.*)?$`).FindAllStringSubmatch(string(page), -1) {
		verify := map[string]string{}
		for pair := range strings.SplitSeq(m[1], ", ") {
			k, v, _ := strings.Cut(pair, ": ")
			verify[k] = strings.Trim(v, `"`)
		}
		shown[verify["kind"]] = true
		section, err := json.Marshal(map[string]any{"verify": verify})
		if err != nil {
			t.Fatal(err)
		}
		if faults := (webhook.Driver{}).Check(section); len(faults) > 0 {
			t.Errorf("%s: %v", m[0], faults)
		}
	}
	for _, k := range proof.Kinds() {
		if !shown[string(k)] {
			t.Errorf("docs/webhooks.md shows no example of %s", k)
		}
	}
}
