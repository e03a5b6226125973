package ingress_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestBrowserInvitesAFriend(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "telegram", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/people")
	b.Sees("No invitation is open")
	b.Write("#invite-name", "Grace Hopper")
	eval[bool](b, `(document.getElementById("invite-role").value = "approver", true)`)
	b.Click(`form[action="/people/invitations"] button`)
	b.Sees("becomes approver")
	if link := eval[string](b, `document.getElementById("invite-link").innerText`); !strings.HasPrefix(link, "https://t.me/hall_bot?start=") {
		t.Errorf("the link is %q", link)
	}
	b.Until("the QR code", `document.querySelector(".qr svg path")`)
	b.Looks("people-invited")
	b.Open("http://" + h.addr + "/people")
	b.Sees("Grace Hopper")
	if b.Until("the page", `document.querySelector("#main")`); eval[bool](b, `Boolean(document.getElementById("invite-link"))`) {
		t.Error("the link is shown again")
	}
	b.Looks("people-invitations")
	b.Click(`form[action^="/people/invitations/"] button`)
	b.Sees("no longer works")
	b.Sees("No invitation is open")
	eval[bool](b, `(document.getElementById("invite-channel").value = "", true)`)
	b.Click(`form[action="/people/invitations"] button`)
	b.Until("the code", `document.getElementById("invite-code")?.innerText.length >= 20`)
	b.Looks("people-code")
}

func TestBrowserYou(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "telegram", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/you")
	b.Sees("No account yet")
	b.Looks("you-new")
	b.Click(`form[action="/you/code"] button`)
	b.Until("the code", `document.getElementById("own-code")?.innerText.length >= 8`)
	b.Sees("@hall_bot")
	code := eval[string](b, `document.getElementById("own-code").innerText`)
	b.Looks("you-code")
	h.hear("telegram", "42", "Ada Lovelace", code)
	b.Until("the account", `fetch("/you").then(r => r.text()).then(t => t.includes("Ada Lovelace"))`)

	const value = "the-value-of-a-secret"
	b.Write("#name", "calendar")
	b.Write("#host", "api.example.com")
	b.Write("#value", value)
	b.Click(`form[action="/you/secrets"] button`)
	b.Sees("calendar was kept")
	b.Sees("goes to api.example.com:443 as bearer · used by http_request")
	b.Looks("you")
	b.Click(`#main details.ask:has(form[action$="/rotate"]) summary`)
	b.Write(`form[action$="/rotate"] input`, value+"-2")
	b.Shot("you-rotate")
	b.Click(`form[action$="/rotate"] button`)
	b.Sees("has a new value")
	b.Sees("version 2")
	if page := eval[string](b, "document.documentElement.outerHTML"); strings.Contains(page, value) {
		t.Error("the page holds the value of a secret")
	}
	b.Click(`details.ask:has(form[action$="/delete"]) summary`)
	b.Shot("you-delete")
	b.Click(`form[action$="/delete"] button`)
	b.Sees("No secrets yet")
	b.Click(`details.ask:has(form[action="/you/unlink"]) summary`)
	b.Click(`form[action="/you/unlink"] button`)
	b.Sees("No account yet")
}

func TestBrowserPauses(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/channels")
	b.Click(`form[action="/pause"] button`)
	b.Sees("Paused. What comes in is kept.")
	b.Looks("channels-paused")
	b.Open("http://" + h.addr + "/chat")
	b.Sees("Everything is paused")
	b.Looks("chat-paused")
	b.Open("http://" + h.addr + "/status")
	b.Sees("Everything is paused")
	b.Looks("status-paused")
	b.Open("http://" + h.addr + "/channels")
	b.Click(`form[action="/resume"] button`)
	b.Sees("It goes on")
	b.Open("http://" + h.addr + "/status")
	b.Sees("Working on")
	if eval[bool](b, `document.body.innerText.includes("Everything is paused")`) {
		t.Error("the status still says paused")
	}
}

func TestBrowserAudit(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/audit")
	b.Sees("There are no such entries")
	b.Looks("audit-new")
	c := h.loggedIn()
	h.post(c, "/secrets", map[string][]string{"name": {"weather"}, "value": {"a-value-of-some-length"}})
	h.post(c, "/secrets/nothing/delete", nil)
	b.Do("reload", chromedp.Reload())
	b.Sees("Secret deleted")
	if text := eval[string](b, `document.querySelector(".entries").innerText`); strings.Index(text, "Secret deleted") > strings.Index(text, "Secret set") {
		t.Errorf("the newest entry is not the first:\n%s", text)
	}
	b.Looks("audit")
	eval[bool](b, `(document.getElementById("failed").value = "1", true)`)
	b.Click(".filter button")
	b.Until("the filter to work", `!document.querySelector(".entries").innerText.includes("Secret set")`)
	b.Sees("Secret deleted")
	b.Click(`form[action="/audit/verify"] button`)
	b.Sees("It is whole: 2 entries hold together.")
	b.Looks("audit-verified")
}

func TestBrowserWorkspaces(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/workspaces")
	b.Sees("looks after all others")
	b.Looks("workspaces-new")
	b.Write("#id", "Not An Id")
	b.Click(`form[action="/workspaces"] button`)
	b.Sees("A workspace's id has")
	b.Write("#id", "guild")
	b.Write("#name", "The guild")
	b.Click(`form[action="/workspaces"] button`)
	b.Sees("The guild is there")
	b.Looks("workspaces")
	b.Click(`details.ask:has(form[action="/workspaces/guild/rename"]) summary`)
	b.Write(`form[action="/workspaces/guild/rename"] input`, "The old guild")
	b.Click(`form[action="/workspaces/guild/rename"] button`)
	b.Sees("It is called The old guild")
	b.Click(`details.ask:has(form[action="/workspaces/guild/delete"]) summary`)
	b.Looks("workspaces-delete")
	b.Write(`form[action="/workspaces/guild/delete"] input`, "gild")
	b.Click(`form[action="/workspaces/guild/delete"] button`)
	b.Sees("Nothing was deleted")
	b.Click(`details.ask:has(form[action="/workspaces/guild/delete"]) summary`)
	b.Write(`form[action="/workspaces/guild/delete"] input`, "guild")
	b.Click(`form[action="/workspaces/guild/delete"] button`)
	b.Sees("guild is deleted")
}

// TestBrowserOtherPages: every page fits a phone, also while it is empty.
func TestBrowserOtherPages(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	for _, page := range []string{"approvals", "logins", "dead", "secrets", "models", "channels", "people"} {
		b.Open("http://" + h.addr + "/" + page)
		b.Until("the page", `document.querySelector("#main h1")`)
		b.Looks(page + "-first")
	}
}
