package ingress_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
)

// TestRolesOnThePage: the page offers what those in charge can do, and says why
// something is refused.
func TestRolesOnThePage(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	if page := h.do(c, http.MethodGet, "/people", "", nil); !strings.Contains(page.Body, "No rooms yet") || !strings.Contains(page.Body, "Set role") {
		t.Errorf("the page: %s", page.Body)
	}
	for path, want := range map[string]string{
		"/people/" + identity.OwnerID + "/role":   "last owner",
		"/people/" + identity.OwnerID + "/remove": "last owner",
		"/people/m-nobody/remove":                 "no longer there",
		"/people/rooms/admit":                     "no longer there",
		"/people/rooms/dismiss":                   "no longer there",
	} {
		if page := h.post(c, path, url.Values{"role": {"guest"}, "channel": {"nowhere"}, "room": {"1"}}); !strings.Contains(page.Body, want) {
			t.Errorf("%s: %s", path, page.Status)
		}
	}
}
