package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a console that runs, and its door.
type room struct {
	t    testing.TB
	host *channeltest.Host
	sink *channeltest.Sink
	ch   channels.Channel
	door http.Handler
}

func newRoom(t testing.TB, opts ...channeltest.HostOption) *room {
	t.Helper()
	r := &room{t: t, host: channeltest.NewHost(t, opts...)}
	r.sink = channeltest.NewSink(r.host)
	ch, err := console.Driver{}.Open(t.Context(), r.host, json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	r.ch = ch
	v, _ := channels.As[channels.Visited](ch)
	r.door = v.Visit(r.sink)
	return r
}

// ask sends a request of a member; "" is a stranger.
func (r *room) ask(who, method, path, body string) *httptest.ResponseRecorder {
	r.t.Helper()
	ctx := r.t.Context()
	if who != "" {
		ctx = channels.WithVisitor(ctx, channels.Visitor{ID: who, Name: who})
	}
	w := httptest.NewRecorder()
	r.door.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
	return w
}

func (r *room) say(who, key, text string) *httptest.ResponseRecorder {
	r.t.Helper()
	b, _ := json.Marshal(wire.Say{Key: key, Text: text})
	return r.ask(who, http.MethodPost, "/chat/api/messages", string(b))
}

func (r *room) page(who, query string) wire.Page {
	r.t.Helper()
	w := r.ask(who, http.MethodGet, "/chat/api/messages?"+query, "")
	var p wire.Page
	if err := json.Unmarshal(w.Body.Bytes(), &p); w.Code != http.StatusOK || err != nil {
		r.t.Fatalf("messages?%s: %d %v", query, w.Code, err)
	}
	return p
}

func at(who string) channels.Address {
	return channels.Address{Channel: "test", Account: "console", Conversation: channels.ConversationID(who)}
}

func (r *room) send(p channels.Part) channels.Receipt {
	r.t.Helper()
	rec, err := r.ch.Send(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func texts(p wire.Page) []string {
	var out []string
	for _, m := range p.Messages {
		out = append(out, m.Text)
	}
	return out
}

func TestBadRequests(t *testing.T) {
	long := strings.Repeat("x", wire.MaxText+1)
	tests := []struct {
		name, who, method, path, body string
		status                        int
	}{
		{name: "a stranger", method: "POST", path: "/chat/api/messages", body: `{"key":"12345678","text":"hi"}`, status: 401},
		{name: "a stranger's stream", method: "GET", path: "/chat/api/stream", status: 401},
		{name: "a stranger's page", method: "GET", path: "/chat", status: 401},
		{name: "no JSON", who: "a", method: "POST", path: "/chat/api/messages", body: "hi", status: 400},
		{name: "unknown keys", who: "a", method: "POST", path: "/chat/api/messages", body: `{"key":"12345678","text":"hi","from":"bot"}`, status: 400},
		{name: "no key", who: "a", method: "POST", path: "/chat/api/messages", body: `{"text":"hi"}`, status: 400},
		{name: "a short key", who: "a", method: "POST", path: "/chat/api/messages", body: `{"key":"1","text":"hi"}`, status: 400},
		{name: "a key with a slash", who: "a", method: "POST", path: "/chat/api/messages", body: `{"key":"../../etc","text":"hi"}`, status: 400},
		{name: "blank", who: "a", method: "POST", path: "/chat/api/messages", body: `{"key":"12345678","text":" \n"}`, status: 400},
		{name: "too long", who: "a", method: "POST", path: "/chat/api/messages", body: `{"key":"12345678","text":"` + long + `"}`, status: 413},
		{name: "far too long", who: "a", method: "POST", path: "/chat/api/messages", body: `{"key":"12345678","text":"` + strings.Repeat(long, 8) + `"}`, status: 413},
		{name: "a button that is not there", who: "a", method: "POST", path: "/chat/api/press", body: `{"key":"12345678","id":"none","data":"x"}`, status: 404},
		{name: "a cursor that is no number", who: "a", method: "GET", path: "/chat/api/stream?after=x", status: 400},
		{name: "a negative cursor", who: "a", method: "GET", path: "/chat/api/stream?after=-5", status: 400},
		{name: "another method", who: "a", method: "DELETE", path: "/chat/api/messages", status: 405},
		{name: "another path", who: "a", method: "GET", path: "/chat/api/secrets", status: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoom(t)
			if w := r.ask(tt.who, tt.method, tt.path, tt.body); w.Code != tt.status {
				t.Errorf("answered with %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if n := len(r.sink.Events()); n != 0 {
				t.Errorf("%d events were accepted", n)
			}
		})
	}
}

func TestContents(t *testing.T) {
	tests := []struct {
		text string
		want channels.Content
	}{
		{"hello", channels.Message{ID: "12345678", Text: "hello"}},
		{"**not** <b>markup</b>", channels.Message{ID: "12345678", Text: "**not** <b>markup</b>"}},
		{"/stop", channels.Command{ID: "12345678", Name: "stop"}},
		{" /Model  gpt-5 ", channels.Command{ID: "12345678", Name: "model", Args: "gpt-5"}},
		{"/remember one\ntwo", channels.Command{ID: "12345678", Name: "remember", Args: "one\ntwo"}},
		{"/", channels.Message{ID: "12345678", Text: "/"}},
		{"/usr/bin is a path", channels.Message{ID: "12345678", Text: "/usr/bin is a path"}},
		{"//comment", channels.Message{ID: "12345678", Text: "//comment"}},
		{"see /help", channels.Message{ID: "12345678", Text: "see /help"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			r := newRoom(t)
			if w := r.say("anna", "12345678", tt.text); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			got := r.sink.Events()
			if len(got) != 1 {
				t.Fatalf("%d events", len(got))
			}
			if d := cmp.Diff(tt.want, got[0].Content); d != "" {
				t.Error(d)
			}
			if got[0].Who.ID != "anna" || got[0].Where != at("anna") || !got[0].Room.Direct {
				t.Errorf("it came from %+v in %+v", got[0].Who, got[0].Where)
			}
		})
	}
}

func TestSameKeySameMessage(t *testing.T) {
	r := newRoom(t)
	first := r.say("anna", "12345678", "hello").Body.String()
	if again := r.say("anna", "12345678", "hello again"); again.Code != http.StatusOK || again.Body.String() != first {
		t.Errorf("the second try: %d %s, want %s", again.Code, again.Body, first)
	}
	r.say("ben", "12345678", "another's") // keys of different people never meet
	if n := len(r.sink.Events()); n != 2 {
		t.Errorf("%d events", n)
	}
	if d := cmp.Diff([]string{"hello"}, texts(r.page("anna", ""))); d != "" {
		t.Error(d)
	}
}

func TestRefusedIsNotShown(t *testing.T) {
	r := newRoom(t)
	r.sink.FailNext(errors.New("disk full"))
	w := r.say("anna", "12345678", "hello")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if got := texts(r.page("anna", "")); len(got) != 0 {
		t.Errorf("the transcript holds %q", got)
	}
	if w := r.say("anna", "12345678", "hello"); w.Code != http.StatusOK || len(r.sink.Events()) != 1 {
		t.Errorf("the second try: %d, %d events", w.Code, len(r.sink.Events()))
	}
}

func TestRepeatedPartReplacesItself(t *testing.T) {
	r := newRoom(t)
	first := r.send(channels.Part{Key: "turn/r0#0", To: at("anna"), Body: markup.Plain("an answer")})
	rev := r.page("anna", "").Rev
	if again := r.send(channels.Part{Key: "turn/r0#0", To: at("anna"), Body: markup.Plain("an answer")}); again.ID != first.ID {
		t.Errorf("ids %q and %q", first.ID, again.ID)
	}
	if now := r.page("anna", "").Rev; now != rev {
		t.Errorf("the same part again counts as a change")
	}
	r.send(channels.Part{Key: "turn/r0#0", To: at("anna"), Body: markup.Plain("(again) an answer")})
	p := r.page("anna", "")
	if d := cmp.Diff([]string{"(again) an answer"}, texts(p)); d != "" || p.Rev <= rev {
		t.Errorf("rev %d after %d\n%s", p.Rev, rev, d)
	}
	if late := r.page("anna", fmt.Sprintf("after=%d", rev)); len(late.Messages) != 1 {
		t.Errorf("a page that was away learns of %d changes", len(late.Messages))
	}
}

func TestTheBotCannotChangeWhatAMemberWrote(t *testing.T) {
	r := newRoom(t)
	r.say("anna", "12345678", "mine")
	r.send(channels.Part{Key: "turn/r0#0", To: at("anna"), Body: markup.Plain("yours"), Replaces: "12345678"})
	if d := cmp.Diff([]string{"mine", "yours"}, texts(r.page("anna", ""))); d != "" {
		t.Error(d)
	}
	deleter, _ := channels.As[channels.Deleter](r.ch)
	if err := deleter.Delete(t.Context(), at("anna"), "12345678"); channels.KindOf(err) != channels.Gone {
		t.Errorf("deleting it: %v", err)
	}
}

func TestReplacesWhatIsGone(t *testing.T) {
	r := newRoom(t)
	r.send(channels.Part{Key: "turn/r0#0", To: at("anna"), Body: markup.Plain("late"), Replaces: "long-gone"})
	if d := cmp.Diff([]string{"late"}, texts(r.page("anna", ""))); d != "" {
		t.Error(d)
	}
}

// TestTranscriptIsBounded also looks at what is left behind in the state.
func TestTranscriptIsBounded(t *testing.T) {
	r := newRoom(t)
	const extra = 25
	for i := range console.MaxTranscript + extra {
		r.send(channels.Part{Key: fmt.Sprintf("k%d", i), To: at("anna"), Body: markup.Plain(fmt.Sprint(i))})
	}
	all, err := r.host.State().List(t.Context(), "", "", 3*console.MaxTranscript)
	if err != nil || len(all) != 2*console.MaxTranscript {
		t.Errorf("the state holds %d rows, want a message and a key for each of %d: %v", len(all), console.MaxTranscript, err)
	}
	first := r.page("anna", "after=0&limit=1")
	if d := cmp.Diff([]string{fmt.Sprint(extra)}, texts(first)); d != "" || !first.More {
		t.Error(d)
	}
	// A new process counts what there is and goes on.
	next := newRoom(t, channeltest.Restore(r.host.Snapshot()))
	next.send(channels.Part{Key: "one-more", To: at("anna"), Body: markup.Plain("one more")})
	if p := next.page("anna", "after=0&limit=1"); texts(p)[0] != fmt.Sprint(extra+1) {
		t.Errorf("after a restart the oldest is %q", texts(p))
	}
}

func TestPaging(t *testing.T) {
	r := newRoom(t)
	var want []string
	for i := range 9 {
		want = append(want, fmt.Sprint(i))
		r.send(channels.Part{Key: fmt.Sprintf("k%d", i), To: at("anna"), Body: markup.Plain(fmt.Sprint(i))})
	}
	var got []string
	p := r.page("anna", "limit=4")
	for {
		got = append(texts(p), got...)
		if !p.More {
			break
		}
		p = r.page("anna", fmt.Sprintf("limit=4&before=%d", p.Messages[0].Seq))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestPageIsSafe shows hostile texts from both sides.
func TestPageIsSafe(t *testing.T) {
	r := newRoom(t)
	const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)> [x](javascript:alert(3)) "quoted"`
	r.say("anna", "12345678", hostile)
	r.send(channels.Part{Key: `k"><script>`, To: at("anna"), Body: markup.Parse(hostile), Buttons: []channels.Button{
		{Label: "<b>", Data: `"><script>`}, {Label: "go", URL: "javascript:alert(4)"},
	}})
	page := r.ask("anna", http.MethodGet, "/chat", "").Body.String()
	for _, bad := range []string{"<script>", "<img", `href="javascript`, "onerror=alert(2)>", " style="} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Errorf("the page does not show the text")
	}
}

// listen follows a stream in a bubble.
func (r *room) listen(ctx context.Context, who, query string) (<-chan consoleclient.Event, <-chan struct{}) {
	read, write := io.Pipe()
	out, done := make(chan consoleclient.Event, 1000), make(chan struct{})
	ctx = channels.WithVisitor(ctx, channels.Visitor{ID: who})
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/chat/api/stream?"+query, nil)
	go func() {
		r.door.ServeHTTP(&pipeWriter{header: http.Header{}, w: write}, req)
		_ = write.Close()
	}()
	go func() {
		defer close(done)
		for e, err := range consoleclient.Events(read) {
			if err != nil {
				return
			}
			out <- e
		}
	}()
	return out, done
}

type pipeWriter struct {
	header http.Header
	w      io.Writer
}

func (p *pipeWriter) Header() http.Header         { return p.header }
func (p *pipeWriter) WriteHeader(int)             {}
func (p *pipeWriter) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pipeWriter) Flush()                      {}

func drain(c <-chan consoleclient.Event) (out []string) {
	for {
		select {
		case e := <-c:
			switch e := e.(type) {
			case wire.Message:
				out = append(out, "message "+e.Text)
			case wire.Draft:
				out = append(out, "draft "+e.Text)
			case wire.Typing:
				out = append(out, "typing")
			case wire.Ready:
				out = append(out, "ready")
			case wire.Pressed:
				out = append(out, "pressed "+e.Key)
			}
		default:
			return out
		}
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t)
		ctx, cancel := context.WithCancel(t.Context())
		run := make(chan error, 1)
		go func() { run <- r.ch.Run(ctx, r.sink) }()
		synctest.Wait()
		r.send(channels.Part{Key: "a", To: at("anna"), Body: markup.Plain("before")})
		events, done := r.listen(t.Context(), "anna", "after=0")
		others, _ := r.listen(t.Context(), "ben", "after=0")
		synctest.Wait()
		typer, _ := channels.As[channels.Typer](r.ch)
		drafter, _ := channels.As[channels.Drafter](r.ch)
		if err := typer.Type(t.Context(), at("anna")); err != nil {
			t.Fatal(err)
		}
		drafter.Draft(t.Context(), channels.Part{Key: "turn", To: at("anna"), Body: markup.Plain("half")})
		r.say("anna", "12345678", "meanwhile")
		late, lateDone := r.listen(t.Context(), "anna", fmt.Sprintf("after=%d", r.page("anna", "").Rev))
		synctest.Wait()
		r.send(channels.Part{Key: "turn/r0#0", To: at("anna"), Body: markup.Plain("whole")})
		synctest.Wait()
		want := []string{"message before", "ready", "typing", "draft half", "message meanwhile", "message whole"}
		if d := cmp.Diff(want, drain(events)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"ready", "draft half", "message whole"}, drain(late)); d != "" {
			t.Errorf("a page that joins during a draft:\n%s", d)
		}
		if d := cmp.Diff([]string{"ready"}, drain(others)); d != "" {
			t.Errorf("somebody else:\n%s", d)
		}
		after, afterDone := r.listen(t.Context(), "anna", fmt.Sprintf("after=%d", r.page("anna", "").Rev))
		synctest.Wait()
		if d := cmp.Diff([]string{"ready"}, drain(after)); d != "" {
			t.Errorf("a page that joins after the final:\n%s", d)
		}
		cancel()
		if err := <-run; err != nil {
			t.Error(err)
		}
		<-done
		<-lateDone
		<-afterDone
		if w := r.ask("anna", http.MethodGet, "/chat/api/stream", ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a stream of a channel that has stopped: %d", w.Code)
		}
	})
}

// TestSlowPageIsCutOff never reads, and then catches up.
func TestSlowPageIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t)
		read, write := io.Pipe()
		ended := make(chan struct{})
		ctx := channels.WithVisitor(t.Context(), channels.Visitor{ID: "anna"})
		go func() {
			defer close(ended)
			r.door.ServeHTTP(&pipeWriter{header: http.Header{}, w: write}, httptest.NewRequestWithContext(ctx, http.MethodGet, "/chat/api/stream?after=0", nil))
		}()
		buf := make([]byte, 12)
		if _, err := io.ReadFull(read, buf); err != nil {
			t.Fatal(err)
		}
		const n = 400
		for i := range n {
			r.send(channels.Part{Key: fmt.Sprintf("k%d", i), To: at("anna"), Body: markup.Plain(fmt.Sprint(i))})
		}
		_ = read.Close() // the write that hangs ends as its deadline would end it
		<-ended
		ctx2, cancel := context.WithCancel(t.Context())
		events, done := r.listen(ctx2, "anna", "after=0")
		synctest.Wait()
		got := drain(events)
		cancel()
		<-done
		if len(got) != n+1 || got[0] != "message 0" || got[n] != "ready" {
			t.Errorf("it catches up with %d events", len(got))
		}
	})
}

// TestCatchingUp holds a page that comes and goes at any moment against the
// transcript: it knows every message once, in the end.
func TestCatchingUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(t)
		known := map[string]string{}
		var rev int64
		catchUp := func() {
			for {
				p := r.page("anna", fmt.Sprintf("limit=3&after=%d", rev))
				for _, m := range p.Messages {
					known[m.ID] = m.Text
					if m.Rev <= rev {
						rt.Fatalf("rev %d comes after %d", m.Rev, rev)
					}
					rev = m.Rev
				}
				if !p.More {
					return
				}
			}
		}
		for i := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			key := fmt.Sprintf("key-%04d", rapid.IntRange(0, 12).Draw(rt, "key"))
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				r.say("anna", key, fmt.Sprintf("mine %d", i))
			case 1:
				r.send(channels.Part{Key: "bot-" + key, To: at("anna"), Body: markup.Plain(fmt.Sprintf("yours %d", i))})
			case 2:
				r.send(channels.Part{Key: fmt.Sprintf("final-%d", i), Replaces: channels.MessageID("bot-" + key), To: at("anna"), Body: markup.Plain(fmt.Sprintf("final %d", i))})
			case 3:
				catchUp()
			}
		}
		catchUp()
		want := map[string]string{}
		var seqs []int64
		for _, m := range r.page("anna", "").Messages {
			want[m.ID] = m.Text
			seqs = append(seqs, m.Seq)
		}
		if d := cmp.Diff(want, known); d != "" {
			rt.Fatalf("what the page knows (-transcript +page):\n%s", d)
		}
		if !slices.IsSorted(seqs) {
			rt.Fatalf("the order is %v", seqs)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add("event: message\ndata: {\"id\":\"a\",\"seq\":1}\n\n")
	f.Add(": comment\n\nretry: 1000\n\nid: 7\nevent: ready\ndata: {\"rev\":7}\n\n")
	f.Add("data\n\nevent: draft\ndata: {\ndata: }\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		for e, err := range consoleclient.Events(strings.NewReader(text)) {
			if e == nil && err == nil {
				t.Fatal("neither an event nor an error")
			}
			if n++; n > len(text)+1 {
				t.Fatal("it does not end")
			}
		}
	})
}
