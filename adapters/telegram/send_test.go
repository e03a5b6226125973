package telegram_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func text(s string) channels.Part {
	return channels.Part{Key: "turn/0", To: channels.Address{Channel: "test", Conversation: "7"}, Body: markup.Plain(s)}
}

func file(kind channels.FileKind, content string) channels.File {
	return channels.File{Kind: kind, Name: "a.bin", Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

// A refusal that names what is in the way is met with the same part without it.
func TestSendGoesAroundRefusals(t *testing.T) {
	sent := ok(`{"message_id":501,"date":1767225000}`)
	tests := []struct {
		name    string
		change  func(*channels.Part)
		method  string
		refusal answer
		again   string // the method of the second call
		gone    string // a parameter that the second call does not have
	}{
		{"topic gone", func(p *channels.Part) { p.To.Thread = "9" }, "sendMessage", refuse(400, "Bad Request: message thread not found"), "sendMessage", "message_thread_id"},
		{"topic closed", func(p *channels.Part) { p.To.Thread = "9" }, "sendMessage", refuse(400, "Bad Request: TOPIC_CLOSED"), "sendMessage", "message_thread_id"},
		{"question gone", func(p *channels.Part) { p.ReplyTo = "4" }, "sendMessage", refuse(400, "Bad Request: message to be replied not found"), "sendMessage", "reply_parameters"},
		{"a caption", func(p *channels.Part) { p.Replaces = "4" }, "editMessageText", refuse(400, "Bad Request: there is no text in the message to edit"), "editMessageCaption", "text"},
		{"no voice", func(p *channels.Part) { p.Files = []channels.File{file(channels.Voice, "x")} }, "sendVoice", refuse(400, "Bad Request: VOICE_MESSAGES_FORBIDDEN"), "sendDocument", "voice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on(tt.again, sent)
			f.on(tt.method, then(tt.refusal, sent))
			p := text("hello")
			tt.change(&p)
			if _, err := newBench(t, f, channeltest.Snapshot{}).ch.Send(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			calls := f.called(tt.again)
			if last := calls[len(calls)-1]; last.params[tt.gone] != nil {
				t.Errorf("the second call has %s", tt.gone)
			}
		})
	}
}

func TestSendDoesNotTurnInCircles(t *testing.T) {
	f := newFake(t)
	f.on("sendMessage", refuse(400, "Bad Request: message thread not found"))
	p := text("hello")
	p.To.Thread = "9"
	_, err := newBench(t, f, channeltest.Snapshot{}).ch.Send(t.Context(), p)
	if channels.KindOf(err) != channels.Gone || len(f.called("sendMessage")) != 2 {
		t.Errorf("%v after %d calls", err, len(f.called("sendMessage")))
	}
}

func TestReceipts(t *testing.T) {
	f := newFake(t)
	f.on("editMessageText", then(ok(`{"message_id":4,"date":1,"edit_date":2}`), refuse(400, "Bad Request: message is not modified: x")))
	f.on("sendMediaGroup", ok(`[{"message_id":601,"date":1767225000},{"message_id":602,"date":1767225000}]`))
	b := newBench(t, f, channeltest.Snapshot{})
	edit, album := text("new"), text("two")
	edit.Replaces = "4"
	album.Files = []channels.File{file(channels.Photo, "a"), file(channels.Photo, "b")}
	for i, want := range []channels.MessageID{"501", "4", "4", "601"} {
		r, err := b.ch.Send(t.Context(), []channels.Part{text("hi"), edit, edit, album}[i])
		if err != nil || r.ID != want || r.At.IsZero() {
			t.Errorf("%d: %+v, %v", i, r, err)
		}
	}
}

func TestGroupThatMovedDuringASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.on("sendMessage", func(_ context.Context, r request) (int, string, error) {
			if r.number("chat_id") == -55 {
				return 400, `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1005}}`, nil
			}
			return 200, `{"ok":true,"result":{"message_id":1,"date":1}}`, nil
		})
		b := newBench(t, f, channeltest.Snapshot{})
		p := text("hello")
		p.To.Conversation = "-55"
		for range 2 { // the second goes to the new place at once
			if _, err := b.ch.Send(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(f.called("sendMessage")); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
		// The process dies before anybody was told; the next one tells.
		next := newBench(t, f, b.host.Crash())
		next.run()
		e := next.sink.WaitEvents(1)[0]
		if diff := cmp.Diff(channels.Moved{To: "-1005"}, e.Content); diff != "" || e.Where.Conversation != "-55" || e.Key != "moved/-55/-1005" {
			t.Errorf("%+v", e)
		}
		next.end()
		kept, err := next.host.State().List(t.Context(), "moved/", "", 0)
		if err != nil || len(kept) != 0 {
			t.Errorf("still kept: %v, %v", kept, err)
		}
	})
}

// Whether a request can have reached the platform decides between Transient
// and Ambiguous.
func TestLostConnections(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	_ = closed.Close()

	abort := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	abort.Config.ErrorLog = quiet()
	abort.Start()
	defer abort.Close()

	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "500")
		_, _ = io.WriteString(w, `{"ok":true,"res`)
	}))
	defer half.Close()

	broken := text("hello")
	broken.Files = []channels.File{{Kind: channels.Document, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("some"), failingReader{})), nil
	}}}
	unopened := text("hello")
	unopened.Files = []channels.File{{Kind: channels.Document, Open: func(context.Context) (io.ReadCloser, error) {
		return nil, errors.New("no such file")
	}}}
	edit := text("hello")
	edit.Replaces = "4"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		base string
		part channels.Part
		want channels.Kind
	}{
		{"nobody listens", t.Context(), nobody, text("hello"), channels.Transient},
		{"cut after the request", t.Context(), abort.URL, text("hello"), channels.Ambiguous},
		{"cut within the answer", t.Context(), half.URL, text("hello"), channels.Ambiguous},
		{"cut after an edit", t.Context(), abort.URL, edit, channels.Transient},
		{"ended before it began", ended, abort.URL, text("hello"), channels.Transient},
		{"a file that breaks off", t.Context(), abort.URL, broken, channels.Other},
		{"a file that is not there", t.Context(), abort.URL, unopened, channels.Other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := channeltest.NewHost(t, channeltest.WithSecret(tokenRef, token))
			ch, err := telegram.Driver{}.Open(t.Context(), h, section("base_url", tt.base))
			if err != nil {
				t.Fatal(err)
			}
			_, err = ch.Send(tt.ctx, tt.part)
			if channels.KindOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if s := fmt.Sprint(err); strings.Contains(s, "gh-") || strings.Contains(s, "hello") {
				t.Errorf("the error shows too much: %s", s)
			}
		})
	}
}

// A transport that has taken the whole request is believed to have sent it.
func TestTakenRequestIsAmbiguous(t *testing.T) {
	f := newFake(t)
	f.on("sendMessage", func(context.Context, request) (int, string, error) { return 0, "", errors.New("gone") })
	_, err := newBench(t, f, channeltest.Snapshot{}).ch.Send(t.Context(), text("hello"))
	if channels.KindOf(err) != channels.Ambiguous {
		t.Error(err)
	}
}

// A form that was refused before it was read to its end cannot have arrived; of
// a JSON body only the host can say so.
func TestRefusedRequests(t *testing.T) {
	h := plainHost{channeltest.NewHost(t), &http.Client{Transport: refusing{}}}
	ch, err := telegram.Driver{}.Open(t.Context(), h, section())
	if err != nil {
		t.Fatal(err)
	}
	form := text("hello")
	form.Files = []channels.File{file(channels.Document, "x")}
	if _, err := ch.Send(t.Context(), form); channels.KindOf(err) != channels.Transient {
		t.Error(err)
	}
	if _, err := ch.Send(t.Context(), text("hello")); channels.KindOf(err) != channels.Rejected {
		t.Error(err)
	}
}

type refusing struct{}

func (refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	_ = req.Body.Close()
	if req.Header.Get("Content-Type") == "application/json" {
		return nil, &channels.Error{Op: "egress", Kind: channels.Rejected, Err: errors.New("refused")}
	}
	return nil, errors.New("refused")
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("disk gone") }

func TestUploadIsOneStreamedForm(t *testing.T) {
	f := newFake(t)
	var form map[string]string
	b := newBench(t, f, channeltest.Snapshot{})
	f.on("sendMediaGroup", func(_ context.Context, r request) (int, string, error) {
		form = readForm(t, r.body)
		return 200, `{"ok":true,"result":[{"message_id":1,"date":1}]}`, nil
	})
	p := text("see <both>")
	p.ReplyTo = "4"
	p.Files = []channels.File{file(channels.Document, "one"), file(channels.Voice, "two")}
	p.Files[0].Name = "a\"b\r\nc/ü.txt"
	if _, err := b.ch.Send(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"chat_id":               "7",
		"reply_parameters":      `{"message_id":4,"allow_sending_without_reply":true}`,
		"media":                 `[{"type":"document","media":"attach://file0","caption":"see \u0026lt;both\u0026gt;","parse_mode":"HTML"},{"type":"document","media":"attach://file1"}]`,
		"file0 (a\"b__c_ü.txt)": "one",
		"file1 (a.bin)":         "two",
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// readForm reads a multipart body whose boundary is its first line.
func readForm(t *testing.T, body []byte) map[string]string {
	t.Helper()
	line, _, _ := strings.Cut(string(body), "\r\n")
	form := map[string]string{}
	r := multipart.NewReader(strings.NewReader(string(body)), strings.TrimPrefix(line, "--"))
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return form
		}
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(p)
		name := p.FormName()
		if _, params, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition")); params["filename"] != "" {
			name += " (" + params["filename"] + ")"
		}
		form[name] = string(content)
	}
}

func TestSmallCalls(t *testing.T) {
	f := newFake(t)
	b := newBench(t, f, channeltest.Snapshot{})
	at := channels.Address{Conversation: "7", Thread: "3"}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := b.ch.(*telegram.Channel)
	check("type", c.Type(t.Context(), at))
	check("react", c.React(t.Context(), at, "4", "❤️"))
	check("delete", c.Delete(t.Context(), at, "4"))
	f.on("answerCallbackQuery", then(ok("true"), refuse(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")))
	check("answer", c.Answer(t.Context(), channels.Press{Query: "q1"}, strings.Repeat("ü", 300)))
	check("late answer", c.Answer(t.Context(), channels.Press{Query: "q1"}, ""))
	if got := f.called("setMessageReaction")[0].params["reaction"]; string(got) != `[{"type":"emoji","emoji":"❤"}]` {
		t.Errorf("reacted with %s", got)
	}
	if got := f.called("answerCallbackQuery")[0]; got.text("callback_query_id") != "q1" || len([]rune(got.text("text"))) != 200 {
		t.Errorf("answered %s", got.body)
	}
	f.on("deleteMessage", refuse(400, "Bad Request: message to delete not found"))
	if err := c.Delete(t.Context(), at, "4"); channels.KindOf(err) != channels.Gone {
		t.Errorf("delete: %v", err)
	}
	if err := c.Delete(t.Context(), at, "x"); channels.KindOf(err) != channels.Rejected {
		t.Errorf("delete: %v", err)
	}
}

func TestAckReactionOnceWhenWorkBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		b := newBench(t, f, channeltest.Snapshot{}, "ack_reaction", "👀")
		f.say(12, message)
		hold := b.sink.BlockCommitted() // the gateway may be quicker than the Accept
		b.run()
		where := b.sink.WaitEvents(1)[0].Where
		synctest.Wait()
		if n := len(f.called("setMessageReaction")); n != 0 {
			t.Errorf("%d reactions before the gateway has let the sender in", n)
		}
		for range 2 {
			if err := b.ch.(channels.Typer).Type(t.Context(), where); err != nil {
				t.Error(err)
			}
		}
		hold.Release()
		calls := f.called("setMessageReaction")
		if len(calls) != 1 || calls[0].number("message_id") != 12 {
			t.Errorf("%v", calls)
		}
		b.end()
	})
}

func TestRegisterOnlyWhatChanged(t *testing.T) {
	f := newFake(t)
	b := newBench(t, f, channeltest.Snapshot{})
	list := []channels.CommandSpec{{Name: "help", Help: "What I can do"}, {Name: "model", Args: "<name>", Help: strings.Repeat("é", 400)}}
	c := b.ch.(channels.Commander)
	for _, commands := range [][]channels.CommandSpec{list, list, list[:1], list} {
		if err := c.Register(t.Context(), commands); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.called("setMyCommands")); n != 3 {
		t.Errorf("set %d times, want 3", n)
	}
	var got []struct{ Command, Description string }
	_ = json.Unmarshal(f.called("setMyCommands")[0].params["commands"], &got)
	if got[0].Command != "help" || !strings.HasPrefix(got[1].Description, "<name> é") || len([]rune(got[1].Description)) > 256 {
		t.Errorf("%+v", got)
	}
	// Another process of the same channel knows as well.
	next := newBench(t, f, b.host.Snapshot())
	if err := next.ch.(channels.Commander).Register(t.Context(), list); err != nil || len(f.called("setMyCommands")) != 3 {
		t.Errorf("%v; set %d times", err, len(f.called("setMyCommands")))
	}
}

func TestProbeAndStartLink(t *testing.T) {
	f := newFake(t)
	f.on("getMe", ok(fmt.Sprintf(`{"id":%d,"is_bot":true,"first_name":"Gate","username":"gate_bot"}`, botID)))
	c := newBench(t, f, channeltest.Snapshot{}).ch.(*telegram.Channel)
	who, err := c.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(who.Notes) != 2 || !strings.Contains(who.Notes[0], "/setjoingroups") || !strings.Contains(who.Notes[1], "/setprivacy") {
		t.Errorf("the notes are %q", who.Notes)
	}
	who.Notes = nil
	want := channels.Identity{Account: "8765336106", Name: "Gate", Handle: "gate_bot", Link: "https://t.me/gate_bot"}
	if diff := cmp.Diff(want, who); diff != "" {
		t.Error(diff)
	}
	if link, err := c.StartLink(t.Context(), "AB-12_x"); err != nil || link != "https://t.me/gate_bot?start=AB-12_x" {
		t.Errorf("%q, %v", link, err)
	}
	for _, bad := range []string{"", "a b", "a&b=c", strings.Repeat("a", 65)} {
		if link, err := c.StartLink(t.Context(), bad); channels.KindOf(err) != channels.Rejected {
			t.Errorf("%q gave %q, %v", bad, link, err)
		}
	}
}

func TestFetch(t *testing.T) {
	big := strings.Repeat("x", 20<<20+1)
	tests := []struct {
		name string
		file channels.File
		meta answer
		body answer
		want string
		kind channels.Kind
	}{
		{"a file", channels.File{Ref: "id"}, ok(`{"file_id":"id","file_path":"photos/file_1.jpg"}`), raw(200, "bytes"), "bytes", ""},
		{"no reference", channels.File{}, nil, nil, "", channels.Rejected},
		{"known to be too large", channels.File{Ref: "id", Size: 20<<20 + 1}, nil, nil, "", channels.Rejected},
		{"refused as too large", channels.File{Ref: "id"}, refuse(400, "Bad Request: file is too big"), nil, "", channels.Rejected},
		{"longer than it said", channels.File{Ref: "id"}, ok(`{"file_path":"photos/file_1.jpg"}`), raw(200, big), "", channels.Other},
		{"expired", channels.File{Ref: "id"}, ok(`{"file_path":"photos/file_1.jpg"}`), raw(404, `{"ok":false,"error_code":404,"description":"Not Found"}`), "", channels.Gone},
		{"a path out of the folder", channels.File{Ref: "id"}, ok(`{"file_path":"../../secret"}`), nil, "", channels.Rejected},
		{"a path on the server's disk", channels.File{Ref: "id"}, ok(`{"file_path":"/var/lib/bot/file"}`), nil, "", channels.Rejected},
		{"no path", channels.File{Ref: "id"}, ok(`{}`), nil, "", channels.Rejected},
		{"server down", channels.File{Ref: "id"}, refuse(502, "Bad Gateway"), nil, "", channels.Transient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("getFile", tt.meta)
			f.on("file:photos/file_1.jpg", tt.body)
			b := newBench(t, f, channeltest.Snapshot{})
			r, err := b.ch.(channels.Fetcher).Fetch(t.Context(), tt.file)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
				_ = r.Close()
			}
			if channels.KindOf(err) != tt.kind || (err == nil && string(got) != tt.want) {
				t.Errorf("%d bytes, %v; want %s", len(got), err, tt.kind)
			}
		})
	}
}

func raw(status int, body string) answer {
	return func(context.Context, request) (int, string, error) { return status, body, nil }
}
