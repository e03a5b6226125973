package ingress_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var revokeForm = regexp.MustCompile(`action="(/logins/[0-9a-f]{12}/revoke)"`)

func TestLoginsAreListedAndEnded(t *testing.T) {
	h := newHouse(t, echo)
	here, there := h.loggedIn(), h.loggedIn()
	page := h.get(here, "/logins").Body
	if n := strings.Count(page, "this browser</span>"); n != 1 {
		t.Errorf("%d browsers are marked as this one", n)
	}
	forms := revokeForm.FindAllStringSubmatch(page, -1)
	if len(forms) != 2 {
		t.Fatalf("%d browsers are listed, want 2:\n%s", len(forms), page)
	}
	// A browser cannot tell its own from the list but by the mark: end both, the other one first.
	own, other := forms[0][1], forms[1][1]
	if strings.Index(page, "this browser</span>") > strings.Index(page, own) {
		own, other = other, own
	}
	if resp := h.post(here, other, nil); resp.StatusCode != http.StatusOK || !strings.Contains(resp.Body, "is logged out") {
		t.Errorf("end the other: %s", resp.Status)
	}
	if resp := h.get(there, "/status"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the other browser is answered with %s", resp.Status)
	}
	if resp := h.post(here, other, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("end it again: %s", resp.Status)
	}
	if resp := h.post(here, own, nil); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
		t.Errorf("end this one: %s to %q", resp.Status, resp.Header.Get("Location"))
	}
	if resp := h.get(here, "/status"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("this browser is answered with %s", resp.Status)
	}
}

func TestEverybodyIsLoggedOut(t *testing.T) {
	h := newHouse(t, echo)
	here, there, link := h.loggedIn(), h.loggedIn(), h.link()
	if resp := h.do(here, http.MethodPost, "/logins/revoke", url.Values{}.Encode(), map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://" + h.addr, "Hx-Request": "true",
	}); resp.StatusCode != http.StatusOK || resp.Header.Get("Hx-Redirect") != "/login" {
		t.Errorf("answered with %s", resp.Status)
	}
	if resp := h.get(there, "/status"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("another browser is answered with %s", resp.Status)
	}
	if resp := h.redeem(h.browser(), link); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an older link: %s", resp.Status)
	}
}

func TestBrowsersAreNamed(t *testing.T) {
	tests := map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36":                         "Chrome on Android",
		"<script>": "an unknown browser",
	}
	for agent, want := range tests {
		h := newHouse(t, echo)
		c, link := h.browser(), h.link()
		_, token, _ := strings.Cut(link, "#")
		h.do(c, http.MethodPost, "/login", url.Values{"token": {token}}.Encode(), map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://" + h.addr, "User-Agent": agent,
		})
		if page := h.get(c, "/logins").Body; !strings.Contains(page, want+"<span") {
			t.Errorf("%s is not called %q", agent, want)
		}
	}
}
