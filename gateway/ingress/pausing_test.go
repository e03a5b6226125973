package ingress_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPauseAndResume(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	if page := h.get(c, "/channels").Body; !strings.Contains(page, `action="/pause"`) || strings.Contains(page, `action="/resume"`) {
		t.Error("the page does not offer a pause, or offers to resume")
	}
	if resp := h.post(c, "/pause", url.Values{"channel": {""}}); resp.StatusCode != http.StatusOK || !strings.Contains(resp.Body, "Paused. What comes in is kept.") {
		t.Errorf("pause: %s", resp.Status)
	}
	for path, want := range map[string]string{"/status": "Everything is paused", "/chat": "Everything is paused", "/channels": `action="/resume"`} {
		if page := h.get(c, path).Body; !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	if resp := h.post(c, "/resume", url.Values{"channel": {""}}); !strings.Contains(resp.Body, "Nothing has come in meanwhile") {
		t.Errorf("resume: %s", resp.Status)
	}
	if page := h.get(c, "/status").Body; strings.Contains(page, "Everything is paused") {
		t.Error("the status still says paused")
	}
	if resp := h.post(c, "/pause", url.Values{"channel": {"nowhere"}}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("pause a channel that is not there: %s", resp.Status)
	}
}
