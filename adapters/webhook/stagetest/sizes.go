package stagetest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// maxBody is how long a request may be, in bytes.
const maxBody = 1 << 20

// Sizes sends bodies that are as long as they may be, with much of one thing in
// each, and a longer one, which nothing may become of. The channel believes who
// shows secret. events are those that were accepted.
func Sizes(t *testing.T, hook http.Handler, secret string, events func() []channels.Event) {
	t.Helper()
	filled := func(begin, element, end string, n int) string {
		all := begin + strings.Repeat(element, (n-len(begin)-len(end))/len(element))
		return all + strings.Repeat(" ", n-len(all)-len(end)) + end
	}
	taken := len(events())
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"mappings", filled("[", `{"a":12345678},`, "1]", maxBody), http.StatusAccepted},
		{"numbers", filled("[", "1,", "1]", maxBody), http.StatusAccepted},
		{"depth", filled(strings.Repeat("[", 9000), " ", strings.Repeat("]", 9000), maxBody), http.StatusAccepted},
		{"escapes", filled("[", `"\n\u0001<",`, "1]", maxBody), http.StatusAccepted},
		{"no JSON", filled("", "it is long. ", "end", maxBody), http.StatusAccepted},
		{"one more", filled("", "it is long. ", "end", maxBody+1), http.StatusRequestEntityTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(c.body))
			r.Header.Set("Authorization", "Bearer "+secret)
			w := httptest.NewRecorder()
			hook.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.status == http.StatusAccepted {
				taken++
			}
			if n := len(events()); n != taken {
				t.Errorf("%d events, want %d", n, taken)
				taken = n
			}
		})
	}
}
