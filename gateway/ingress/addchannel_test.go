package ingress_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestAddChannelAsks: the page asks what each platform's guide asks, and does
// not show a secret again.
func TestAddChannelAsks(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	page := h.get(c, "/channels").Body
	for _, want := range []string{
		`<a href="https://t.me/BotFather"`, `<code>/newbot</code>`,
		`id="telegram-token" name="answer.token" type="password"`,
		`id="other-mode" name="answer.mode"`, `<option value="events">`,
		`id="other-verify-secret" name="answer.verify.secret" type="password"`, "Only where mode is events.",
		`{&#34;manifest&#34;: true}`, `<a href="https://example.org/apps"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	got := h.post(c, "/channels", url.Values{
		"adapter": {"other"}, "id": {"mine"}, "answer.mode": {"events"}, "answer.verify.secret": {"hidden-value"},
	})
	if got.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an adapter that cannot be configured: %s", got.Status)
	}
	for want, there := range map[string]bool{
		`id="add-other" open`: true, `value="mine"`: true, `<option value="events" selected>`: true, "hidden-value": false, `id="add-telegram" open`: false,
	} {
		if strings.Contains(got.Body, want) != there {
			t.Errorf("%s is on the page: %v", want, !there)
		}
	}
	if got := h.post(c, "/channels", url.Values{"adapter": {"telegram"}, "id": {"empty"}}); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.Body, "Bot token is missing") {
		t.Errorf("no token: %s", got.Status)
	}
}
