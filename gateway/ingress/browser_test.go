package ingress_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// chromium finds the browser. Where there is none the test fails, unless the
// run was told to go without.
func chromium(t *testing.T) string {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_BROWSER") == "skip" {
		t.Skip("GATEHOUSE_TEST_BROWSER=skip")
	}
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium to test the console with: run `make needs` (on Debian: apt-get install -y chromium), " +
		"or set GATEHOUSE_TEST_BROWSER=skip to go without")
	return ""
}

// tab is a window of a headless browser of its own, without any past.
type tab struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // chromedp keeps the browser in it
	faults []string        // what scripts and the content policy complained about
}

func openTab(t *testing.T, parent context.Context) *tab { //nolint:revive // the test comes first
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	messages := chromedp.Console(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.heard(m)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
		for _, f := range b.faults {
			t.Errorf("the browser complains: %s", f)
		}
	})
	b.size(1280, 860)
	return b
}

// heard keeps what is a mistake of the page; a gateway that is away is none.
func (b *tab) heard(m chromedp.ConsoleMessage) {
	if m.IsException() || strings.Contains(m.Text, "regular expression") || m.Source == "security" || m.Source == "violation" || strings.Contains(m.Text, "Content Security Policy") {
		b.faults = append(b.faults, m.String())
	}
}

// startBrowser starts Chromium, which ends with the test. Its folder is chromedp's
// own: processes of the browser that outlive it write there still, for which
// chromedp waits and a test's folder does not.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption(nil),
		chromedp.ExecPath(chromium(t)),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-extensions", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(90*time.Second),
		chromedp.Env("LC_ALL=C.UTF-8"), // or a download's name loses its letters where no locale is set
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// patience is how long a page may take, on a machine that is busy.
const patience = 90 * time.Second

func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *tab) open(url string) { b.t.Helper(); b.do("open "+url, chromedp.Navigate(url)) }
func (b *tab) size(w, h int64) { b.t.Helper(); b.do("resize", chromedp.EmulateViewport(w, h)) }
func (b *tab) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatalf("choose %s: %v", scheme, err)
	}
}

func (b *tab) click(sel string) {
	b.t.Helper()
	b.do("click "+sel, chromedp.Click(chromedp.CSS(sel), chromedp.NodeVisible))
}

// hold presses a button with the mouse, and lets it go when meanwhile is over.
func (b *tab) hold(sel string, meanwhile func()) {
	b.t.Helper()
	b.do("find "+sel, chromedp.ScrollIntoView(chromedp.CSS(sel)))
	at := eval[[]float64](b, fmt.Sprintf("(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())", sel))
	mouse := func(what input.DispatchMouseEventType) {
		b.t.Helper()
		_, err := chromedp.Call(b.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: what, X: at[0], Y: at[1], Button: "left", ClickCount: 1})
		if err != nil {
			b.t.Fatalf("%s %s: %v", what, sel, err)
		}
	}
	mouse("mousePressed")
	meanwhile()
	mouse("mouseReleased")
}

func (b *tab) write(sel, text string) {
	b.t.Helper()
	b.do("find "+sel, chromedp.WaitVisible(chromedp.CSS(sel)))
	eval[bool](b, fmt.Sprintf("(document.querySelector(%q).value = '', true)", sel))
	b.do("write into "+sel, chromedp.SendKeys(chromedp.CSS(sel), text))
}

// eval evaluates an expression on the page.
func eval[T any](b *tab, js string) (v T) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", js, err)
	}
	return v
}

// until waits for a condition on the page. A page that is being left answers
// nothing; the next one does.
func (b *tab) until(what, js string) {
	b.t.Helper()
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("new Promise(d => setTimeout(() => d(Boolean("+js+")), 20))", chromedp.EvalAwaitPromise))
		cancel()
		if err == nil && ok {
			return
		}
	}
	b.shot("failure")
	b.t.Fatalf("waiting for %s; the page says:\n%s", what, eval[string](b, "document.body.innerText"))
}

// sees waits until the page shows a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("the text %q", text), fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// shot keeps a picture where GATEHOUSE_SCREENSHOTS names a folder.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("GATEHOUSE_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// looks takes pictures in all manners and checks the width of a phone.
func (b *tab) looks(name string) {
	b.t.Helper()
	b.size(360, 740)
	if over := eval[int](b, "document.scrollingElement.scrollWidth - innerWidth"); over > 0 {
		b.t.Errorf("%s is %d pixels too wide for a phone", name, over)
	}
	b.shot(name + "-phone")
	b.size(1280, 860)
	b.shot(name + "-light")
	b.dark(true)
	b.shot(name + "-dark")
	b.dark(false)
}

func (b *tab) login(h *house) {
	b.t.Helper()
	b.open(h.link())
	// Complete: before its script runs, the page hears nothing.
	b.until("the chat", `location.pathname === "/chat" && document.getElementById("text") && document.readyState === "complete"`)
}

func (b *tab) say(text string) {
	b.t.Helper()
	b.write("#text", text)
	b.click("#composer button[type=submit]")
}

// lines are the messages on the page: who, and what.
func (b *tab) lines() []string {
	b.t.Helper()
	return eval[[]string](b, `[...document.querySelectorAll("#messages > li")].map(li =>
		(li.classList.contains("draft") ? "draft" : li.classList.contains("member") ? "me" : "bot") + ": " + li.querySelector(".bubble").innerText.trim())`)
}

func (b *tab) untilLines(want ...string) {
	b.t.Helper()
	end := time.Now().Add(patience)
	var got []string
	for time.Now().Before(end) {
		if got = b.lines(); strings.Join(got, "\n") == strings.Join(want, "\n") {
			return
		}
		eval[bool](b, "new Promise(d => setTimeout(() => d(true), 20))")
	}
	b.shot("failure")
	b.t.Fatalf("the chat shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
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
	b.open(link)
	// Complete: before its script runs, the page hears nothing.
	b.until("the chat", `location.pathname === "/chat" && document.getElementById("text") && document.readyState === "complete"`)
	if hash := eval[string](b, "location.hash"); hash != "" {
		t.Errorf("the secret stands in the address still")
	}
	other := openTab(t, parent)
	other.open(link)
	other.sees("used already")
	other.looks("login")
	other.open("http://" + h.addr + "/status")
	other.until("the login page", `location.pathname === "/login"`)
	b.click(".side .foot button")
	b.until("the login page", `location.pathname === "/login"`)
}

func TestBrowserChatStreams(t *testing.T) {
	s := newScript()
	h := newHouse(t, s.run)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.looks("chat-empty")
	b.say("How does this work?")
	b.until("a sign of work", `!document.getElementById("typing").hidden`)
	s.says(t, s.drafts, "It keeps **every")
	b.until("the first draft", `document.querySelector(".draft")`)
	s.says(t, s.drafts, "It keeps **every** message")
	b.untilLines("me: How does this work?", "draft: It keeps every message")
	s.says(t, s.final, "It keeps **every** message.")
	want := []string{"me: How does this work?", "bot: It keeps every message."}
	b.untilLines(want...)
	if n := eval[int](b, `document.querySelectorAll("#messages strong").length`); n != 1 {
		t.Errorf("there are %d bold words, want 1", n)
	}
	b.do("reload", chromedp.Reload())
	b.untilLines(want...)
	b.say("<img src=x onerror=alert(1)> & **not bold**")
	s.says(t, s.final, sample)
	b.sees("a table")
	b.looks("chat")
	b.say("/")
	b.untilLines(append(want, "me: <img src=x onerror=alert(1)> & **not bold**", b.lines()[3], "me: /")...)
	s.says(t, s.final, "a slash")
	b.write("#text", "/")
	b.until("the commands", `document.querySelectorAll("#hints li").length > 3`)
	b.looks("chat-commands")
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
	b.until("a sign of work", `!document.getElementById("typing").hidden`)
	s.says(t, s.drafts, "half of an answer")
	b.untilLines("me: one", "draft: half of an answer")
	h.stop()
	b.until("the page to notice", `!document.querySelector(".draft")`)
	b.sees("Reconnecting")
	b.say("two")
	b.sees("Sending…")
	b.shot("chat-offline")
	h.queue = gateway.Followup // or one turn answers both, when the page is faster than the gateway
	h.start()
	b.until("the message to arrive", `!document.querySelector(".waiting")`)
	s.says(t, s.final, "first answer")
	b.untilLines("me: one", "me: two", "bot: first answer")
	s.says(t, s.final, "second answer")
	want := []string{"me: one", "me: two", "bot: first answer", "bot: second answer"}
	b.untilLines(want...)
	b.do("reload", chromedp.Reload())
	b.untilLines(want...)
	if left := eval[string](b, `localStorage.getItem("gatehouse-chat-unsent")`); left != "[]" {
		t.Errorf("still unsent: %s", left)
	}
}

func TestBrowserSetUp(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.open("http://" + h.addr + "/status")
	b.sees("There is no model yet")
	b.looks("status-new")

	b.size(360, 740)
	b.click(".menu summary")
	b.shot("menu-phone")
	b.size(1280, 860)

	b.open("http://" + h.addr + "/models")
	b.looks("models-new")
	b.write("#key", "sk-wrong-key-here")
	b.click("#choices button")
	b.sees("does not accept this key")
	b.looks("models-wrong")
	b.write("#key", goodKey)
	b.click("#choices button")
	b.sees("3 models to choose from")
	b.looks("models-choose")
	b.click("#choices button[value=save]")
	b.sees("now thinks with gpt-5-mini")
	b.looks("models-done")
	eval[bool](b, `((p) => { p.value = "compatible"; return p.dispatchEvent(new Event("change", {bubbles: true})); })(document.getElementById("provider"))`)
	b.until("the address", `document.getElementById("base_url")`)
	b.open("http://" + h.addr + "/models")
	b.sees("Leave it empty to keep the stored one")
	b.click("#choices button")
	b.sees("3 models to choose from")
	if !eval[bool](b, `((f) => { f.open = true; const i = document.getElementById("name"); i.value = "no blanks"; const bad = !i.checkValidity(); i.value = "a.name-1"; return bad && i.checkValidity(); })(document.querySelector("#model-form details"))`) {
		t.Error("the page takes every name for a model, or none")
	}

	b.open("http://" + h.addr + "/channels")
	b.looks("channels-new")
	b.click("#add-other summary")
	b.looks("channels-other")
	b.click("#add-telegram summary")
	b.looks("channels-form")
	b.write("#telegram-token", "1234567890:AAabcdefghijklmnopqrstuvwxyz")
	b.click("#add-telegram button[type=submit]")
	b.sees("Hall (@hall_bot) is connected")
	if href := eval[string](b, `document.getElementById("start-link").href`); !strings.HasPrefix(href, "https://t.me/hall_bot?start=") {
		t.Errorf("the link is %q", href)
	}
	b.until("the QR code", `document.querySelector(".qr svg path")`)
	b.looks("channels-done")
	b.open("http://" + h.addr + "/secrets")
	b.sees("telegram-token")
	if page := eval[string](b, "document.documentElement.outerHTML"); strings.Contains(page, "AAabcdef") {
		t.Errorf("the page holds the value of a secret")
	}
	b.looks("secrets")
	b.open("http://" + h.addr + "/status")
	b.sees("@hall_bot")
	b.looks("status")
}

func TestBrowserPeopleAndDeadLetters(t *testing.T) {
	h := newHouse(t, echo)
	if err := h.settings.AddChannel(t.Context(), "telegram", "telegram", nil); err != nil {
		t.Fatal(err)
	}
	b := openTab(t, startBrowser(t))
	b.login(h)
	b.open("http://" + h.addr + "/people")
	b.sees("Nobody is waiting")
	h.hear("telegram", "42", "Ada Lovelace", "undeliverable")
	b.sees("Ada Lovelace")
	b.do("reload", chromedp.Reload())
	b.until("the badge", `document.querySelector(".side .badge").innerText.startsWith("1")`)
	b.looks("people-asking")
	eval[bool](b, `(document.body.addEventListener("fewer", () => { window.told = true; }), true)`)
	b.hold("#asking button.primary", func() {
		eval[bool](b, `(window.pressed = document.querySelector("#asking button.primary"), true)`)
		eval[bool](b, `htmx.ajax("GET", "/people", {target: "#asking", select: "#asking", swap: "outerHTML"}).then(() => true)`)
		if !eval[bool](b, `window.pressed.isConnected`) {
			t.Error("the button is another one while it is pressed")
		}
	})
	b.sees("was let in")
	b.until("the badge to go at once", `window.told && document.querySelector(".side .badge").innerText === ""`)
	b.looks("people")
	b.open("http://" + h.addr + "/dead")
	for end := time.Now().Add(patience); !eval[bool](b, `document.body.innerText.includes("A reply on telegram")`); {
		if time.Now().After(end) {
			t.Fatalf("there is no dead letter: %s", eval[string](b, "document.body.innerText"))
		}
		b.do("reload", chromedp.Reload())
	}
	b.looks("dead")
	b.click(".list a.button")
	b.sees("What it holds")
	b.looks("dead-letter")
	b.click("details.ask summary")
	b.click("details.ask button")
	b.sees("It was dropped")
	b.looks("dead-empty")
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
