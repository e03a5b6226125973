package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAToolsLimitIsEachMembers: a member who has used up what a tool may do in a
// day is refused, after a restart too, another is not, and status says so.
func TestAToolsLimitIsEachMembers(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	page := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	t.Cleanup(page.Close)
	r := newRig(t, settings{
		policy: "pairing", script: asking,
		agent: []string{"tools: [http_request]", fmt.Sprintf("hosts: [%q]", page.URL)},
		extra: "egress: {tools: {http_request: {requests_per_day: 1}}}\n",
	})
	r.up()
	ada, adas := r.person(1001)
	bob, bobs := r.person(1002)
	idA := r.member(ada, adas)
	r.member(bob, bobs)
	if said := r.verb("status"); strings.Contains(said, "USED TODAY") {
		t.Errorf("before anything was used: %s", said)
	}
	adas.Say(ada, "!get  "+page.URL+"/first")
	r.awaitText(adas, "200 OK")
	r.term()
	r.up()
	adas.Say(ada, "/new")
	r.awaitText(adas, "new conversation")
	adas.Say(ada, "!get  "+page.URL+"/second")
	if got := r.awaitText(adas, "limit of"); !strings.Contains(got, "1 requests per day is reached") {
		t.Errorf("beyond the limit: %q", got)
	}
	said := r.verb("status")
	if want := "tool http_request " + idA + ": the limit of 1 requests per day is reached"; !strings.Contains(said, want) {
		t.Errorf("status has no %q: %s", want, said)
	}
	bobs.Say(bob, "!get  "+page.URL+"/third")
	r.awaitText(bobs, "200 OK")
	if n := served.Load(); n != 2 {
		t.Errorf("%d requests arrived", n)
	}
}
