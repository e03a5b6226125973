package ingress_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/internal/browsertest"
)

// tab is a window with the console in it.
type tab struct{ *browsertest.Tab }

func openTab(t *testing.T, browser context.Context) *tab { //nolint:revive // the test comes first
	t.Helper()
	return &tab{browsertest.Open(t, browser)}
}

func startBrowser(t *testing.T) context.Context { t.Helper(); return browsertest.Start(t) }

// eval evaluates an expression on the page.
func eval[T any](b *tab, js string) T { b.Helper(); return browsertest.Eval[T](b.Tab, js) }

// patience is how long a page may take, on a machine that is busy.
const patience = browsertest.Patience

func (b *tab) login(h *house) {
	b.Helper()
	b.Open(h.link())
	// Complete: before its script runs, the page hears nothing.
	b.Until("the chat", `location.pathname === "/chat" && document.getElementById("text") && document.readyState === "complete"`)
}

func (b *tab) say(text string) {
	b.Helper()
	b.Write("#text", text)
	b.Click("#composer button[type=submit]")
}

// lines are the messages on the page: who, and what.
func (b *tab) lines() []string {
	b.Helper()
	return eval[[]string](b, `[...document.querySelectorAll("#messages > li")].map(li =>
		(li.classList.contains("draft") ? "draft" : li.classList.contains("member") ? "me" : "bot") + ": " + li.querySelector(".bubble").innerText.trim())`)
}

func (b *tab) untilLines(want ...string) {
	b.Helper()
	end := time.Now().Add(patience)
	var got []string
	for time.Now().Before(end) {
		if got = b.lines(); strings.Join(got, "\n") == strings.Join(want, "\n") {
			return
		}
		eval[bool](b, "new Promise(d => setTimeout(() => d(true), 20))")
	}
	b.Shot("failure")
	b.Fatalf("the chat shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// script is an agent whose answers the test lets go step by step.
type script struct {
	drafts chan string
	final  chan string
}

// says lets the agent go one step, or fails when there is no agent at work.
func (s *script) says(t *testing.T, to chan<- string, text string) {
	t.Helper()
	select {
	case to <- text:
	case <-time.After(patience):
		t.Fatalf("no turn is running that could say %q", text)
	}
}

func newScript() *script { return &script{drafts: make(chan string), final: make(chan string)} }

func (s *script) run(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
	for {
		select {
		case d := <-s.drafts:
			p.Draft(d)
		case f := <-s.final:
			return reply(f), nil
		case <-ctx.Done():
			return agent.Result{}, context.Cause(ctx)
		}
	}
}

func TestBrowserLogin(t *testing.T) {
	h := newHouse(t, echo)
	parent := startBrowser(t)
	b := openTab(t, parent)
	link := h.link()
	b.Open(link)
	// Complete: before its script runs, the page hears nothing.
	b.Until("the chat", `location.pathname === "/chat" && document.getElementById("text") && document.readyState === "complete"`)
	if hash := eval[string](b, "location.hash"); hash != "" {
		t.Errorf("the secret stands in the address still")
	}
	other := openTab(t, parent)
	other.Open(link)
	other.Sees("used already")
	other.Looks("login")
	other.Open("http://" + h.addr + "/status")
	other.Until("the login page", `location.pathname === "/login"`)
	b.Click(".side .foot button")
	b.Until("the login page", `location.pathname === "/login"`)
}

func TestBrowserChatStreams(t *testing.T) {
	s := newScript()
	h := newHouse(t, s.run)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Looks("chat-empty")
	b.say("How does this work?")
	b.Until("a sign of work", `!document.getElementById("typing").hidden`)
	s.says(t, s.drafts, "It keeps **every")
	b.Until("the first draft", `document.querySelector(".draft")`)
	s.says(t, s.drafts, "It keeps **every** message")
	b.untilLines("me: How does this work?", "draft: It keeps every message")
	s.says(t, s.final, "It keeps **every** message.")
	want := []string{"me: How does this work?", "bot: It keeps every message."}
	b.untilLines(want...)
	if n := eval[int](b, `document.querySelectorAll("#messages strong").length`); n != 1 {
		t.Errorf("there are %d bold words, want 1", n)
	}
	b.Do("reload", chromedp.Reload())
	b.untilLines(want...)
	b.say("<img src=x onerror=alert(1)> & **not bold**")
	s.says(t, s.final, sample)
	b.Sees("a table")
	b.Looks("chat")
	b.say("/")
	b.untilLines(append(want, "me: <img src=x onerror=alert(1)> & **not bold**", b.lines()[3], "me: /")...)
	s.says(t, s.final, "a slash")
	b.Write("#text", "/")
	b.Until("the commands", `document.querySelectorAll("#hints li").length > 3`)
	b.Looks("chat-commands")
}

// sample has everything that an answer may have.
const sample = "## Formatting\n\nAn answer can have **bold**, *italic*, ~~struck~~ and `inline code`, [a link](https://example.org), and\n\n" +
	"- a list\n- with two items\n  1. and one inside\n\n> and a quotation\n\n" +
	"```go\nfunc main() {\n\tfmt.Println(\"a line of code that is rather long, so that it has to scroll on a narrow screen\")\n}\n```\n\n" +
	"| and | a table | with numbers |\n|---|:-:|--:|\n| one | two | 3 |\n| four | five | 600 |\n"

func TestBrowserSurvivesARestart(t *testing.T) {
	s := newScript()
	h := newHouse(t, s.run)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.say("one")
	b.Until("a sign of work", `!document.getElementById("typing").hidden`)
	s.says(t, s.drafts, "half of an answer")
	b.untilLines("me: one", "draft: half of an answer")
	h.stop()
	b.Until("the page to notice", `!document.querySelector(".draft")`)
	b.Sees("Reconnecting")
	b.say("two")
	b.Sees("Sending…")
	b.Shot("chat-offline")
	h.queue = gateway.Followup // or one turn answers both, when the page is faster than the gateway
	h.start()
	b.Until("the message to arrive", `!document.querySelector(".waiting")`)
	s.says(t, s.final, "first answer")
	b.untilLines("me: one", "me: two", "bot: first answer")
	s.says(t, s.final, "second answer")
	want := []string{"me: one", "me: two", "bot: first answer", "bot: second answer"}
	b.untilLines(want...)
	b.Do("reload", chromedp.Reload())
	b.untilLines(want...)
	if left := eval[string](b, `localStorage.getItem("gatehouse-chat-unsent")`); left != "[]" {
		t.Errorf("still unsent: %s", left)
	}
}

func TestBrowserSetUp(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/status")
	b.Sees("There is no model yet")
	b.Looks("status-new")

	b.Size(360, 740)
	b.Click(".menu summary")
	b.Shot("menu-phone")
	b.Size(1280, 860)

	b.Open("http://" + h.addr + "/models")
	b.Looks("models-new")
	b.Write("#key", "sk-wrong-key-here")
	b.Click("#choices button")
	b.Sees("does not accept this key")
	b.Looks("models-wrong")
	b.Write("#key", goodKey)
	b.Click("#choices button")
	b.Sees("3 models to choose from")
	b.Looks("models-choose")
	b.Click("#choices button[value=save]")
	b.Sees("now thinks with gpt-5-mini")
	b.Looks("models-done")
	eval[bool](b, `((p) => { p.value = "compatible"; return p.dispatchEvent(new Event("change", {bubbles: true})); })(document.getElementById("provider"))`)
	b.Until("the address", `document.getElementById("base_url")`)
	b.Open("http://" + h.addr + "/models")
	b.Sees("Leave it empty to keep the stored one")
	b.Click("#choices button")
	b.Sees("3 models to choose from")
	if !eval[bool](b, `((f) => { f.open = true; const i = document.getElementById("name"); i.value = "no blanks"; const bad = !i.checkValidity(); i.value = "a.name-1"; return bad && i.checkValidity(); })(document.querySelector("#model-form details"))`) {
		t.Error("the page takes every name for a model, or none")
	}

	b.Open("http://" + h.addr + "/channels")
	b.Looks("channels-new")
	b.Click("#add-other summary")
	b.Looks("channels-other")
	b.Click("#add-telegram summary")
	b.Looks("channels-form")
	b.Write("#telegram-token", "1234567890:AAabcdefghijklmnopqrstuvwxyz")
	b.Click("#add-telegram button[type=submit]")
	b.Sees("Hall (@hall_bot) is added")
	if href := eval[string](b, `document.getElementById("start-link").href`); !strings.HasPrefix(href, "https://t.me/hall_bot?start=") {
		t.Errorf("the link is %q", href)
	}
	b.Until("the QR code", `document.querySelector(".qr svg path")`)
	b.Looks("channels-done")
	b.Open("http://" + h.addr + "/secrets")
	b.Sees("telegram-token")
	if page := eval[string](b, "document.documentElement.outerHTML"); strings.Contains(page, "AAabcdef") {
		t.Errorf("the page holds the value of a secret")
	}
	b.Looks("secrets")
	b.Open("http://" + h.addr + "/status")
	b.Sees("@hall_bot")
	b.Looks("status")
}

func TestBrowserPeopleAndDeadLetters(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "telegram", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.Open("http://" + h.addr + "/people")
	b.Sees("Nobody is waiting")
	h.hear("telegram", "42", "Ada Lovelace", "undeliverable")
	b.Sees("Ada Lovelace")
	b.Do("reload", chromedp.Reload())
	b.Until("the badge", `document.querySelector(".side .badge").innerText.startsWith("1")`)
	b.Looks("people-asking")
	eval[bool](b, `(document.body.addEventListener("fewer", () => { window.told = true; }), true)`)
	b.Hold("#asking button.primary", func() {
		eval[bool](b, `(window.pressed = document.querySelector("#asking button.primary"), true)`)
		eval[bool](b, `htmx.ajax("GET", "/people", {target: "#asking", select: "#asking", swap: "outerHTML"}).then(() => true)`)
		if !eval[bool](b, `window.pressed.isConnected`) {
			t.Error("the button is another one while it is pressed")
		}
	})
	b.Sees("was let in")
	b.Until("the badge to go at once", `window.told && document.querySelector(".side .badge").innerText === ""`)
	b.Looks("people")
	b.Open("http://" + h.addr + "/dead")
	for end := time.Now().Add(patience); !eval[bool](b, `document.body.innerText.includes("A reply on telegram")`); {
		if time.Now().After(end) {
			t.Fatalf("there is no dead letter: %s", eval[string](b, "document.body.innerText"))
		}
		b.Do("reload", chromedp.Reload())
	}
	b.Looks("dead")
	b.Click(".list a.button")
	b.Sees("What it holds")
	b.Looks("dead-letter")
	b.Click("details.ask summary")
	b.Click("details.ask button")
	b.Sees("It was dropped")
	b.Looks("dead-empty")
}

// hear lets somebody write on a channel.
func (h *house) hear(id channels.ID, sender, name, text string) {
	h.t.Helper()
	e := channels.Event{
		Key: sender + "/" + text, At: time.Now(), Where: channels.Address{Channel: id, Conversation: channels.ConversationID(sender)},
		Room: channels.Room{Direct: true}, Who: channels.Sender{ID: sender, Name: name, Handle: "ada"}, Addressed: true,
		Content: channels.Message{ID: "1", Text: text},
	}
	if err := h.gw.Sink(id).Accept(h.t.Context(), channels.Batch{Events: []channels.Event{e}}); err != nil {
		h.t.Fatal(err)
	}
}
