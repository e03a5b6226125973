package stagetest

import (
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Secret is what GitHub's examples are signed with, under SecretRef.
const Secret = "a secret of the tests"

// GitHub is the section of a channel for GitHub's webhooks, without its braces.
const GitHub = `"verify":{"kind":"github","secret":"secret://hook"},
	"message":"{{ header.X-GitHub-Event }} {{ .action }} {{ .issue.title ?? .pull_request.title ?? .discussion.title ?? .release.name ?? .head_commit.message ?? .zen }}",
	"conversation":"{{ .repository.full_name ?? .organization.login ?? \"github\" }}","sender":"{{ .sender.id ?? \"github\" }}","sender_name":"{{ .sender.login }}",
	"when":{"{{ header.X-GitHub-Event }}":["issues","issue_comment","pull_request","push","release","discussion","ping"]}`

// Outcomes sends the examples of a file, signed as GitHub signs, to a channel
// with the section GitHub, and says what becomes of each. events are those that
// were accepted.
func Outcomes(t testing.TB, file string, hook http.Handler, events func() []channels.Event) string {
	t.Helper()
	var lines []string
	sent := map[string]bool{}
	for _, e := range examples(t, file) {
		for i, body := range e.Examples {
			before := len(events())
			status, says := deliver(t, hook, e.Name, i, body)
			line := fmt.Sprintf("%s %d: %d %s", e.Name, i, status, says)
			after := events()
			switch {
			case len(after) > before:
				x := after[len(after)-1]
				line += fmt.Sprintf("\n\t%s, %s (%s): %q", x.Where.Conversation, x.Who.Name, x.Who.ID, x.Content.(channels.Message).Text)
			case status == http.StatusAccepted && !sent[string(body)]:
				line += " and lost"
			case status == http.StatusAccepted:
				line += ", known"
			}
			sent[string(body)] = true
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

type example struct {
	Name     string            `json:"name"`
	Examples []json.RawMessage `json:"examples"`
}

func examples(t testing.TB, file string) (all []example) {
	t.Helper()
	f, err := os.Open(file) //nolint:gosec // a test's own
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// deliver sends one example, and returns the status of HTTP and that of the
// answer.
func deliver(t testing.TB, hook http.Handler, event string, i int, body []byte) (status int, says string) {
	t.Helper()
	m := hmac.New(sha256.New, []byte(Secret))
	m.Write(body)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", fmt.Sprint(event, i))
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	hook.ServeHTTP(w, r)
	var a struct{ Status string }
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Errorf("%s %d: the answer %q", event, i, w.Body)
	}
	return w.Code, a.Status
}
