package ingress_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// TestRolesOnThePage: the page offers what those in charge can do to others, and
// says why something is refused.
func TestRolesOnThePage(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	if page := h.do(c, http.MethodGet, "/people", "", nil); !strings.Contains(page.Body, "No rooms yet") || strings.Contains(page.Body, "Set role") {
		t.Errorf("the page of somebody who is alone: %s", page.Body)
	}
	b, _ := json.Marshal(identity.Member{ID: "m-1", Name: "Mia", Role: scope.Guest})
	if err := h.bus.Write(t.Context(), kv.Write{Space: "identity", Key: "main/member/m-1", Value: b}); err != nil {
		t.Fatal(err)
	}
	page := h.do(c, http.MethodGet, "/people", "", nil)
	if !strings.Contains(page.Body, `"/people/m-1/role"`) || strings.Contains(page.Body, `"/people/`+identity.OwnerID+`/`) {
		t.Errorf("the page of two: %s", page.Body)
	}
	for path, want := range map[string]string{
		"/people/" + identity.OwnerID + "/role":   "last owner",
		"/people/" + identity.OwnerID + "/remove": "last owner",
		"/people/m-nobody/remove":                 "There is no member &#34;m-nobody&#34;",
		"/people/rooms/admit":                     "There is no channel &#34;nowhere&#34;",
		"/people/rooms/dismiss":                   "There is no channel &#34;nowhere&#34;",
	} {
		if page := h.post(c, path, url.Values{"role": {"guest"}, "channel": {"nowhere"}, "room": {"1"}}); !strings.Contains(page.Body, want) {
			t.Errorf("%s: %s", path, page.Status)
		}
	}
}

// TestWhatAnApproverSees: the people and their own page, and no forms of those
// who administer.
func TestWhatAnApproverSees(t *testing.T) {
	h := newHouse(t, echo)
	b, _ := json.Marshal(identity.Member{ID: "m-1", Name: "Mia", Role: scope.Approver})
	if err := h.bus.Write(t.Context(), kv.Write{Space: "identity", Key: "main/member/m-1", Value: b}); err != nil {
		t.Fatal(err)
	}
	h.logins = []ingress.Authenticator{byHeader{}}
	h.stop()
	h.start()
	as := map[string]string{"X-Test-Member": "m-1", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
	page := h.do(h.browser(), http.MethodGet, "/people", "", as)
	if html := page.Body; page.StatusCode != http.StatusOK || !strings.Contains(html, "Asking to be let in") ||
		strings.Contains(html, "Set role") || strings.Contains(html, "Make an invitation") || strings.Contains(html, `href="/secrets"`) {
		t.Errorf("%s:\n%s", page.Status, html)
	}
	for path, want := range map[string]int{
		"/people/nobody/approve": http.StatusNotFound, "/people/invitations": http.StatusForbidden, "/people/m-1/role": http.StatusForbidden,
		"/audit/verify": http.StatusForbidden, "/workspaces": http.StatusForbidden, "/you/code": http.StatusOK, "/pause": http.StatusForbidden,
	} {
		if resp := h.do(h.browser(), http.MethodPost, path, "", as); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
	// A member's own secret is theirs: no name leads to somebody else's.
	for name, want := range map[string]int{
		"mine": http.StatusOK, "weather@" + identity.OwnerID: http.StatusForbidden, "Not A Name": http.StatusUnprocessableEntity,
	} {
		form := url.Values{"name": {name}, "value": {"a-value-of-some-length"}}.Encode()
		if resp := h.do(h.browser(), http.MethodPost, "/you/secrets", form, as); resp.StatusCode != want {
			t.Errorf("set %q: %s, want %d", name, resp.Status, want)
		}
	}
	// No other site can send a form in their name.
	as["Sec-Fetch-Site"] = "cross-site"
	if resp := h.do(h.browser(), http.MethodPost, "/you/code", "", as); resp.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %s", resp.Status)
	}
}
