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
	b.open("http://" + h.addr + "/people")
	b.sees("No invitation is open")
	b.write("#invite-name", "Grace Hopper")
	eval[bool](b, `(document.getElementById("invite-role").value = "approver", true)`)
	b.click(`form[action="/people/invitations"] button`)
	b.sees("becomes approver")
	if link := eval[string](b, `document.getElementById("invite-link").innerText`); !strings.HasPrefix(link, "https://t.me/hall_bot?start=") {
		t.Errorf("the link is %q", link)
	}
	b.until("the QR code", `document.querySelector(".qr svg path")`)
	b.looks("people-invited")
	b.open("http://" + h.addr + "/people")
	b.sees("Grace Hopper")
	if b.until("the page", `document.querySelector("#main")`); eval[bool](b, `Boolean(document.getElementById("invite-link"))`) {
		t.Error("the link is shown again")
	}
	b.looks("people-invitations")
	b.click(`form[action^="/people/invitations/"] button`)
	b.sees("no longer works")
	b.sees("No invitation is open")
	eval[bool](b, `(document.getElementById("invite-channel").value = "", true)`)
	b.click(`form[action="/people/invitations"] button`)
	b.until("the code", `document.getElementById("invite-code")?.innerText.length >= 20`)
	b.looks("people-code")
}

func TestBrowserYou(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "telegram", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.open("http://" + h.addr + "/you")
	b.sees("No account yet")
	b.looks("you-new")
	b.click(`form[action="/you/code"] button`)
	b.until("the code", `document.getElementById("own-code")?.innerText.length >= 8`)
	b.sees("@hall_bot")
	code := eval[string](b, `document.getElementById("own-code").innerText`)
	b.looks("you-code")
	h.hear("telegram", "42", "Ada Lovelace", code)
	b.until("the account", `fetch("/you").then(r => r.text()).then(t => t.includes("Ada Lovelace"))`)

	const value = "the-value-of-a-secret"
	b.write("#name", "calendar")
	b.write("#host", "api.example.com")
	b.write("#value", value)
	b.click(`form[action="/you/secrets"] button`)
	b.sees("calendar was kept")
	b.sees("goes to api.example.com:443 as bearer · used by http_request")
	b.looks("you")
	b.click(`#main details.ask:has(form[action$="/rotate"]) summary`)
	b.write(`form[action$="/rotate"] input`, value+"-2")
	b.shot("you-rotate")
	b.click(`form[action$="/rotate"] button`)
	b.sees("has a new value")
	b.sees("version 2")
	if page := eval[string](b, "document.documentElement.outerHTML"); strings.Contains(page, value) {
		t.Error("the page holds the value of a secret")
	}
	b.click(`details.ask:has(form[action$="/delete"]) summary`)
	b.shot("you-delete")
	b.click(`form[action$="/delete"] button`)
	b.sees("No secrets yet")
	b.click(`details.ask:has(form[action="/you/unlink"]) summary`)
	b.click(`form[action="/you/unlink"] button`)
	b.sees("No account yet")
}

func TestBrowserPauses(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.open("http://" + h.addr + "/channels")
	b.click(`form[action="/pause"] button`)
	b.sees("Paused. What comes in is kept.")
	b.looks("channels-paused")
	b.open("http://" + h.addr + "/chat")
	b.sees("Everything is paused")
	b.looks("chat-paused")
	b.open("http://" + h.addr + "/status")
	b.sees("Everything is paused")
	b.looks("status-paused")
	b.open("http://" + h.addr + "/channels")
	b.click(`form[action="/resume"] button`)
	b.sees("It goes on")
	b.open("http://" + h.addr + "/status")
	b.sees("Working on")
	if eval[bool](b, `document.body.innerText.includes("Everything is paused")`) {
		t.Error("the status still says paused")
	}
}

func TestBrowserAudit(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.open("http://" + h.addr + "/audit")
	b.sees("There are no such entries")
	b.looks("audit-new")
	c := h.loggedIn()
	h.post(c, "/secrets", map[string][]string{"name": {"weather"}, "value": {"a-value-of-some-length"}})
	h.post(c, "/secrets/nothing/delete", nil)
	b.do("reload", chromedp.Reload())
	b.sees("Secret deleted")
	if text := eval[string](b, `document.querySelector(".entries").innerText`); strings.Index(text, "Secret deleted") > strings.Index(text, "Secret set") {
		t.Errorf("the newest entry is not the first:\n%s", text)
	}
	b.looks("audit")
	eval[bool](b, `(document.getElementById("failed").value = "1", true)`)
	b.click(".filter button")
	b.until("the filter to work", `!document.querySelector(".entries").innerText.includes("Secret set")`)
	b.sees("Secret deleted")
	b.click(`form[action="/audit/verify"] button`)
	b.sees("It is whole: 2 entries hold together.")
	b.looks("audit-verified")
}

func TestBrowserWorkspaces(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.open("http://" + h.addr + "/workspaces")
	b.sees("looks after all others")
	b.looks("workspaces-new")
	b.write("#id", "Not An Id")
	b.click(`form[action="/workspaces"] button`)
	b.sees("A workspace's id has")
	b.write("#id", "guild")
	b.write("#name", "The guild")
	b.click(`form[action="/workspaces"] button`)
	b.sees("The guild is there")
	b.looks("workspaces")
	b.click(`details.ask:has(form[action="/workspaces/guild/rename"]) summary`)
	b.write(`form[action="/workspaces/guild/rename"] input`, "The old guild")
	b.click(`form[action="/workspaces/guild/rename"] button`)
	b.sees("It is called The old guild")
	b.click(`details.ask:has(form[action="/workspaces/guild/delete"]) summary`)
	b.looks("workspaces-delete")
	b.write(`form[action="/workspaces/guild/delete"] input`, "gild")
	b.click(`form[action="/workspaces/guild/delete"] button`)
	b.sees("Nothing was deleted")
	b.click(`details.ask:has(form[action="/workspaces/guild/delete"]) summary`)
	b.write(`form[action="/workspaces/guild/delete"] input`, "guild")
	b.click(`form[action="/workspaces/guild/delete"] button`)
	b.sees("guild is deleted")
}

// TestBrowserOtherPages: every page fits a phone, also while it is empty.
func TestBrowserOtherPages(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	for _, page := range []string{"approvals", "logins", "dead", "secrets", "models", "channels", "people"} {
		b.open("http://" + h.addr + "/" + page)
		b.until("the page", `document.querySelector("#main h1")`)
		b.looks(page + "-first")
	}
}
