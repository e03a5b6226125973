package ingress_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// TestApprovalsPage: an approver sees what is asked, with nothing of it taken for
// markup, and decides; a member who is none sees nothing.
func TestApprovalsPage(t *testing.T) {
	h := newHouse(t, echo)
	book := approval.NewBook(h.bus, time.Now)
	ask := func(turn, workspace, summary string) approval.Question {
		q := book.Fill(approval.Question{
			Turn: turn, Tool: "http_request", Target: "https://api.example.com", Hash: "h", Summary: summary,
			Where:     channels.Address{Channel: "console", Conversation: "c"},
			Requester: scope.Principal{Workspace: workspace, Channel: "chat", Conversation: "c", Member: "m-2", Role: scope.Ordinary},
		})
		if err := h.bus.Write(t.Context(), book.Ask(q)...); err != nil {
			t.Fatal(err)
		}
		return q
	}
	first, second := ask("t-1", "main", `POST <b>one</b>`), ask("t-2", "main", "POST two")
	foreign := ask("t-3", "other", "POST three")
	for id, role := range map[string]scope.Role{"m-1": scope.Approver, "m-2": scope.Ordinary} {
		b, err := json.Marshal(identity.Member{ID: id, Name: id, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.bus.Write(t.Context(), kv.Write{Space: "identity", Key: "main/member/" + id, Value: b}); err != nil {
			t.Fatal(err)
		}
	}
	h.logins = []ingress.Authenticator{byHeader{}}
	h.stop()
	h.start()
	do := func(member, method, path string) (int, string) {
		t.Helper()
		page := h.do(h.browser(), method, path, "", map[string]string{
			"X-Test-Member": member, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded",
		})
		return page.StatusCode, page.Body
	}

	for _, path := range []string{"/approvals/" + first.ID + "/allow", "/approvals/" + first.ID + "/deny"} {
		if status, _ := do("m-2", http.MethodPost, path); status != http.StatusForbidden {
			t.Errorf("a member at %s: %d", path, status)
		}
	}
	if status, _ := do("m-2", http.MethodGet, "/approvals"); status != http.StatusForbidden {
		t.Errorf("a member sees it: %d", status)
	}
	status, page := do("m-1", http.MethodGet, "/approvals")
	if status != http.StatusOK || !strings.Contains(page, "POST &lt;b&gt;one") || !strings.Contains(page, "POST two") ||
		strings.Contains(page, "POST three") || strings.Contains(page, "<b>one") || !strings.Contains(page, "Nothing is allowed for longer") {
		t.Errorf("%d: %s", status, page)
	}
	for _, x := range []struct {
		path   string
		status int
		says   string
	}{
		{"/approvals/" + first.ID + "/allow", http.StatusOK, "Allowed. The agent goes on."},
		{"/approvals/" + second.ID + "/deny", http.StatusOK, "Not allowed. The agent is told."},
		{"/approvals/" + first.ID + "/deny", http.StatusUnprocessableEntity, ""},
		{"/approvals/" + foreign.ID + "/allow", http.StatusForbidden, ""},
		{"/approvals/nothing/allow", http.StatusNotFound, ""},
		{"/approvals/nothing/revoke", http.StatusNotFound, ""},
	} {
		if status, page := do("m-1", http.MethodPost, x.path); status != x.status || !strings.Contains(page, x.says) {
			t.Errorf("%s: %d", x.path, status)
		}
	}
	for q, want := range map[approval.Question]approval.Outcome{first: approval.Approved, second: approval.Refused} {
		got, err := book.Get(t.Context(), q.ID)
		if err != nil || got.Answer == nil || got.Answer.Outcome != want || got.Answer.By != "m-1" {
			t.Errorf("%s: %+v, %v", q.Summary, got.Answer, err)
		}
	}
	if got, err := book.Get(t.Context(), foreign.ID); err != nil || got.Answer != nil {
		t.Errorf("another workspace's: %+v, %v", got.Answer, err)
	}
}
