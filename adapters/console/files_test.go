package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// upload brings a file for a message, as a page does.
func (r *room) upload(who, key, name, kind, content string) *httptest.ResponseRecorder {
	r.t.Helper()
	ctx := channels.WithVisitor(r.t.Context(), channels.Visitor{ID: who, Name: who})
	q := url.Values{"key": {key}, "name": {name}}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/chat/api/files?"+q.Encode(), strings.NewReader(content))
	req.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	r.door.ServeHTTP(w, req)
	return w
}

func (r *room) sayWith(who, key, text string, files ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	b, err := json.Marshal(wire.Say{Key: key, Text: text, Files: files})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.ask(who, http.MethodPost, "/chat/api/messages", string(b))
}

// sent is the only file of a member's only message.
func (r *room) sent(who string) wire.File {
	r.t.Helper()
	p := r.page(who, "")
	if len(p.Messages) != 1 || len(p.Messages[0].Files) != 1 {
		r.t.Fatalf("the chat is %+v, want one message with one file", p.Messages)
	}
	return p.Messages[0].Files[0]
}

func status(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	if w.Code != want {
		t.Fatalf("the answer is %d %s, want %d", w.Code, w.Body, want)
	}
}

func dot(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFilesAreTheVisitorsOwn: neither a file nor an upload is anybody else's.
func TestFilesAreTheVisitorsOwn(t *testing.T) {
	r := newRoom(t)
	status(t, r.upload("alice", "upload-1", "a.txt", "text/plain", "only for alice"), http.StatusOK)
	status(t, r.sayWith("bob", "message-1", "mine?", "upload-1"), http.StatusUnprocessableEntity)
	status(t, r.sayWith("alice", "message-2", "", "upload-1"), http.StatusOK)
	f := r.sent("alice")
	got := r.ask("alice", http.MethodGet, f.URL, "")
	status(t, got, http.StatusOK)
	if got.Body.String() != "only for alice" || f.Name != "a.txt" || f.Size != 14 {
		t.Errorf("%+v holds %q", f, got.Body)
	}
	status(t, r.ask("bob", http.MethodGet, f.URL, ""), http.StatusNotFound)
	status(t, r.ask("", http.MethodGet, f.URL, ""), http.StatusUnauthorized)
	status(t, r.ask("", http.MethodPost, "/chat/api/files?key=upload-2", "x"), http.StatusUnauthorized)
	for _, n := range []string{"1", "-1", "x", "99999999999999999999"} {
		status(t, r.ask("alice", http.MethodGet, "/chat/api/file?id=message-2&n="+n, ""), http.StatusNotFound)
	}
	if n := len(r.page("bob", "").Messages); n != 0 {
		t.Errorf("bob's chat has %d messages", n)
	}
	e := r.sink.WaitEvents(1)[0]
	m, _ := e.Content.(channels.Message)
	if len(m.Files) != 1 || m.Files[0].Ref == "" || m.Files[0].Blob != "" {
		t.Errorf("the event is %+v", e.Content)
	}
}

// TestWhatABrowserMayShow: only what is a picture, and is said to be that one,
// is shown. Everything else is saved, whatever it is called.
func TestWhatABrowserMayShow(t *testing.T) {
	picture := dot(t)
	for _, c := range []struct {
		name, kind, content string
		shown               bool
	}{
		{"a.png", "image/png", picture, true},
		{"a.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, false},
		{"a.html", "text/html", "<script>alert(1)</script>", false},
		{"a.png", "image/png", "<html><script>alert(1)</script>", false},
		{"a.jpg", "image/jpeg", picture, false},
		{"a.pdf", "application/pdf", "%PDF-1.4", false},
		{"a.bmp", "image/bmp", "BM" + strings.Repeat("\x00", 60), false},
		{"evil\"\r\nX-Evil: 1.txt", "text/plain", "", false},
	} {
		t.Run(c.name+" as "+c.kind, func(t *testing.T) {
			r := newRoom(t)
			status(t, r.upload("a", "upload-1", c.name, c.kind, c.content), http.StatusOK)
			status(t, r.sayWith("a", "message-1", "", "upload-1"), http.StatusOK)
			w := r.ask("a", http.MethodGet, r.sent("a").URL, "")
			status(t, w, http.StatusOK)
			h := w.Header()
			how, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
			wantHow, wantKind := "attachment", "application/octet-stream"
			if c.shown {
				wantHow, wantKind = "inline", c.kind
			}
			got := []string{how, h.Get("Content-Type"), h.Get("X-Content-Type-Options"), h.Get("Content-Security-Policy"), h.Get("Content-Length"), w.Body.String()}
			want := []string{wantHow, wantKind, "nosniff", "default-src 'none'; style-src 'unsafe-inline'; sandbox", fmt.Sprint(len(c.content)), c.content}
			if d := cmp.Diff(want, got); d != "" || err != nil || h.Get("X-Evil") != "" {
				t.Errorf("%v\n%s", err, d)
			}
			if strings.ContainsAny(params["filename"], "\r\n") || params["filename"] == "" {
				t.Errorf("the name is %q", params["filename"])
			}
			page := r.ask("a", http.MethodGet, "/chat", "").Body.String()
			if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") != (c.kind == "image/png" || c.kind == "image/jpeg") {
				t.Errorf("the page is\n%s", page)
			}
		})
	}
}

func TestUploads(t *testing.T) {
	r := newRoom(t)
	status(t, r.upload("a", "short", "x", "", "x"), http.StatusBadRequest)
	status(t, r.upload("a", "upload-0", "x", "", strings.Repeat("x", wire.MaxFile+1)), http.StatusRequestEntityTooLarge)
	status(t, r.upload("a", "upload-1", "one", "", "first"), http.StatusOK)
	status(t, r.upload("a", "upload-1", "two", "", "second"), http.StatusOK) // a try whose answer was lost
	status(t, r.sayWith("a", "message-1", "both", "upload-1", "upload-9"), http.StatusUnprocessableEntity)
	status(t, r.sayWith("a", "message-1", "", strings.Split(strings.Repeat("upload-1 ", wire.MaxFiles+1), " ")...), http.StatusRequestEntityTooLarge)
	status(t, r.sayWith("a", "message-1", "/help me", "upload-1"), http.StatusOK)
	status(t, r.sayWith("a", "message-1", "/help me", "upload-1"), http.StatusOK)
	status(t, r.sayWith("a", "message-2", "", "upload-1"), http.StatusUnprocessableEntity) // it belongs to a message
	if f := r.sent("a"); f.Name != "one" || f.Size != 5 {
		t.Errorf("the file is %+v", f)
	}
	if n := len(r.sink.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestUploadsAreBounded: of the files that wait for a message the newest stay.
func TestUploadsAreBounded(t *testing.T) {
	r := newRoom(t)
	for i := range 25 {
		status(t, r.upload("a", fmt.Sprintf("upload-%02d", i), "x", "", fmt.Sprint(i)), http.StatusOK)
	}
	for i := range 25 {
		want := http.StatusUnprocessableEntity
		if i >= 5 {
			want = http.StatusOK
		}
		status(t, r.sayWith("a", fmt.Sprintf("message-%02d", i), "", fmt.Sprintf("upload-%02d", i)), want)
	}
}

// TestFilesSurvive: a file stays while it waits for its message, and as long as
// its message stands, and no longer.
func TestFilesSurvive(t *testing.T) {
	before := newRoom(t)
	status(t, before.upload("a", "upload-1", "in.txt", "text/plain", "from a"), http.StatusOK)
	after := newRoom(t, channeltest.Restore(before.host.Crash()))
	status(t, after.sayWith("a", "message-1", "", "upload-1"), http.StatusOK)
	rec := after.send(channels.Part{Key: "turn/0", To: at("a"), Files: []channels.File{{
		Kind: channels.Document, Name: "out.txt", MIME: "text/plain", Open: contentOf("for a", nil),
	}}})
	last := newRoom(t, channeltest.Restore(after.host.Crash()))
	var got []string
	for _, m := range last.page("a", "").Messages {
		w := last.ask("a", http.MethodGet, m.Files[0].URL, "")
		got = append(got, m.Files[0].Name+": "+w.Body.String())
	}
	if d := cmp.Diff([]string{"in.txt: from a", "out.txt: for a"}, got); d != "" {
		t.Error(d)
	}
	kept := last.page("a", "").Messages[1].Files[0].URL
	if err := last.ch.(channels.Deleter).Delete(t.Context(), at("a"), rec.ID); err != nil {
		t.Fatal(err)
	}
	status(t, last.ask("a", http.MethodGet, kept, ""), http.StatusNotFound)
}

var errBroken = errors.New("broken")

// contentOf opens a content that may break off.
func contentOf(text string, err error) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		r := io.Reader(strings.NewReader(text))
		if err != nil {
			r = io.MultiReader(r, brokenOff{err})
		}
		return io.NopCloser(r), nil
	}
}

type brokenOff struct{ err error }

func (e brokenOff) Read([]byte) (int, error) { return 0, e.err }

// damaged is a host whose kept files break off.
type damaged struct{ *channeltest.Host }

func (damaged) Kept(ctx context.Context, _ channels.File) (io.ReadCloser, error) {
	return contentOf("half", errBroken)(ctx)
}

// TestDamageBreaksOff: nobody gets half a file for a whole one.
func TestDamageBreaksOff(t *testing.T) {
	r := newRoom(t)
	ch, err := console.Driver{}.Open(t.Context(), damaged{r.host}, json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	r.ch = ch
	v, _ := channels.As[channels.Visited](ch)
	r.door = v.Visit(r.sink)
	r.send(channels.Part{Key: "turn/0", To: at("a"), Body: markup.Plain("here"), Files: []channels.File{{Name: "x", Open: contentOf("half of it", nil)}}})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler { //nolint:errorlint // it is panicked with
			t.Errorf("the connection ends with %v", got)
		}
	}()
	r.ask("a", http.MethodGet, r.sent("a").URL, "")
}

// TestNames: whatever a file is called, its name is one line without a folder.
func TestNames(t *testing.T) {
	r := newRoom(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`(\.\./|\\|[a-zäß漢\x00-\x1f]){0,300}\.[a-z]{0,80}`)).Draw(t, "name")
		w := r.upload("a", fmt.Sprintf("upload-%d", n), name, "text/plain", "x")
		var f wire.File
		if err := json.Unmarshal(w.Body.Bytes(), &f); w.Code != http.StatusOK || err != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if f.Name == "" || len(f.Name) > 200 || !utf8.ValidString(f.Name) || strings.ContainsAny(f.Name, "/\\\r\n\x00") || strings.Trim(f.Name, ".") == "" {
			t.Fatalf("%q became %q", name, f.Name)
		}
	})
}
