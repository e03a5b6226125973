package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/console"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
)

// TestFilesOfAChannelAreKept: what a value of a channel's state names stays for
// as long as the value does; what is named by none goes.
func TestFilesOfAChannelAreKept(t *testing.T) {
	bubble(t, func() rigOptions { return rigOptions{} }, func(r *rig) {
		both := []gateway.ChannelConfig{
			{ID: "chat", Driver: driver{r.chat}, Policy: open, Section: json.RawMessage("{}")},
			{ID: console.ChannelID, Driver: console.Driver{}, Section: json.RawMessage("{}")},
		}
		if err := r.gw.Apply(t.Context(), both); err != nil {
			t.Fatal(err)
		}
		v, _ := channels.As[channels.Visited](r.gw.Channel(console.ChannelID))
		door := v.Visit(r.gw.Sink(console.ChannelID))
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			ctx := channels.WithVisitor(t.Context(), channels.Visitor{ID: "anna", Name: "Anna"})
			w := httptest.NewRecorder()
			door.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
			return w
		}
		upload := func(key, body string) {
			q := url.Values{"key": {key}, "name": {key}}
			if w := ask(http.MethodPost, "/chat/api/files?"+q.Encode(), body); w.Code != http.StatusOK {
				t.Fatalf("upload: %d %s", w.Code, w.Body)
			}
		}
		upload("upload-1", "stays")
		upload("upload-2", "is never sent")
		if w := ask(http.MethodPost, "/chat/api/messages", `{"key":"message-1","files":["upload-1"]}`); w.Code != http.StatusOK {
			t.Fatalf("say: %d %s", w.Code, w.Body)
		}
		kept := func() int {
			rows, err := r.bus.List(t.Context(), "blob", "", "", 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		for range 3 {
			r.after(blob.Grace)
		}
		if n := kept(); n != 2 { // an upload that waits is forgotten with the next one
			t.Errorf("%d files are kept", n)
		}
		upload("upload-3", "comes later")
		for range 3 {
			r.after(blob.Grace)
		}
		if n := kept(); n != 2 {
			t.Errorf("%d files are kept, want the one that was sent and the latest", n)
		}
		var p wire.Page
		if err := json.Unmarshal(ask(http.MethodGet, "/chat/api/messages", "").Body.Bytes(), &p); err != nil || len(p.Messages) == 0 || len(p.Messages[0].Files) != 1 {
			t.Fatalf("%v, the chat is %+v", err, p)
		}
		if w := ask(http.MethodGet, p.Messages[0].Files[0].URL, ""); w.Body.String() != "stays" {
			t.Errorf("after days the file is %d %q", w.Code, w.Body)
		}
	})
}
