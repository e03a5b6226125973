package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/browsertest"
	"github.com/gatehouse-chat/gatehouse/internal/ptytest"
)

// TestNewcomerTenMinutes: the first ten minutes of somebody who knows nothing, in
// a terminal and a browser, from the first start to a service.
func TestNewcomerTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"the printed link opens logged in", w.linkOpens},
		{"without a model the bot says what to do", w.noModel},
		{"a wrong key names the fix", w.wrongKey},
		{"a right key gives a streamed answer", w.rightKey},
		{"a bot is added", w.botAdded},
		{"one tap makes the owner", w.startTapped},
		{"a friend gets one code and is let in", w.friendLetIn},
		{"killed in the middle of an answer", w.killed},
		{"the doctor is content", w.doctor},
		{"a service", w.service},
	} {
		w.step = step.name
		step.do()
	}
}

// walk is one machine: a terminal, a browser, and the platforms outside.
type walk struct {
	*testing.T
	step  string
	dir   string
	env   []string
	model *agenttest.Server
	bot   *telegramtest.Server
	tab   *browsertest.Tab
	gate  *process
	admin string        // the console's address
	hold  chan struct{} // what the first answer waits for
	half  chan struct{} // closed when an answer has begun that will never end

	owner, friend *telegramtest.User
}

// Keys as they look.
const (
	walkKey   = "sk-proj-of-the-newcomer-0001" //nolint:gosec // of a model in this process
	wrongKey  = "sk-proj-copied-badly-0002"    //nolint:gosec // likewise
	walkToken = "7654321098:AAwalk-of-a-newcomer-through-all-0003"
)

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{T: t, dir: t.TempDir(), hold: make(chan struct{}), half: make(chan struct{})}
	model, err := agenttest.Start(agenttest.Config{Script: w.think, Key: walkKey, Models: []string{"gpt-6-luna", "gpt-6-sol", "whisper-2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	w.model = model
	w.bot = telegramtest.NewServer(t, telegramtest.WithoutPollPenalty(), telegramtest.WithBot("Hall", "hall_bot"), telegramtest.WithToken(walkToken))
	w.owner, w.friend = w.bot.User(7, "Grace"), w.bot.User(8, "Ada")
	proxy, roots := outside(t, map[string]string{"api.openai.com": model.URL, "api.telegram.org": w.bot.URL()})
	conf := filepath.Join(w.dir, "gatehouse.yaml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\negress: {proxy: %q}\n", proxy), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = bare(w.dir, "TERM=xterm", "SSL_CERT_FILE="+roots, "GATEHOUSE_CONFIG="+conf)
	w.tab = browsertest.Open(t, browsertest.Start(t))
	w.run()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("at %q, the terminal:\n%s", w.step, w.gate.log)
		}
	})
	return w
}

// think is the model: its first answer stops after some words until it is let
// go, and one answer never ends, the first time.
func (w *walk) think(r *agenttest.Request) agenttest.Answer {
	said := r.Asked()
	switch last := said[len(said)-1]; {
	case strings.Contains(last, "how does this work"):
		return agenttest.Answer{Text: "Every message is kept **before** it is answered.", Pieces: 3, Hold: w.hold}
	case strings.Contains(last, "a long story"):
		select {
		case <-w.half:
			return agenttest.Say("Once upon a time there was a gate, and it was answered once.")
		default:
			close(w.half)
			return agenttest.Dying("Once upon a time there was ...", agenttest.Stall)
		}
	}
	return agenttest.Echo(r)
}

// run starts the gateway on a terminal of its own.
func (w *walk) run() {
	w.Helper()
	master, slave := ptytest.Open(w)
	p := &process{cmd: exec.Command(gateway(w), "run"), log: &tail{}, done: make(chan struct{})} //nolint:gosec,noctx // ours, ended by the test
	p.cmd.Env, p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = w.env, slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := spawn(p.cmd); err != nil {
		w.Fatal(err)
	}
	_ = slave.Close()
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := master.Read(b)
			_, _ = p.log.Write(b[:n])
			if err != nil { // the program has ended
				break
			}
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	w.Cleanup(p.Kill)
	w.gate = p
}

// shown waits until the terminal shows something, and returns what stands in the
// parentheses.
func (w *walk) shown(pattern string) string {
	w.Helper()
	p, found := regexp.MustCompile(pattern), []string(nil)
	if !eventually(patience, func() bool { found = p.FindStringSubmatch(w.gate.log.String()); return found != nil }) {
		w.Fatalf("%s: the terminal never shows %s", w.step, pattern)
	}
	return found[len(found)-1]
}

// verb runs a command beside the gateway.
func (w *walk) verb(args ...string) string {
	w.Helper()
	cmd := exec.Command(gateway(w), args...) //nolint:gosec,noctx // ours, ends by itself
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("%s: %s: %v\n%s", w.step, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *walk) page(path string) { w.Helper(); w.tab.Open(w.admin + path) }

// says writes into the chat of the console.
func (w *walk) says(text string) {
	w.Helper()
	w.tab.Write("#text", text)
	w.tab.Click("#composer button[type=submit]")
}

func (w *walk) linkOpens() {
	link := w.shown(`Console\s+(http://127\.0\.0\.1:\d+/login#\S{43})`)
	w.admin, _, _ = strings.Cut(link, "/login#")
	w.shown(`Model\s+none`)
	w.tab.Open(link)
	w.chat()
	w.tab.Looks("01-chat")
}

// chat waits until the chat hears: before its script runs, it does not.
func (w *walk) chat() {
	w.Helper()
	w.tab.Until("the chat", `location.pathname === "/chat" && document.getElementById("text") && document.readyState === "complete"`)
}

func (w *walk) noModel() {
	w.says("hello?")
	w.tab.Sees("No model is configured yet")
	w.tab.Looks("02-chat-without-a-model")
	w.page("/status")
	w.tab.Sees("There is no model yet")
	w.tab.Looks("03-status")
	w.tab.Do("follow the link", chromedp.Click(chromedp.CSS(`#live a[href="/models"]`), chromedp.NodeVisible))
	w.tab.Until("the page of models", `location.pathname === "/models"`)
	w.tab.Looks("04-models")
}

func (w *walk) wrongKey() {
	w.tab.Write("#key", wrongKey)
	w.tab.Click("#choices button")
	w.tab.Sees("refuses this key (401). Copy it again")
	w.tab.Looks("05-wrong-key")
}

func (w *walk) rightKey() {
	w.tab.Write("#key", walkKey)
	w.tab.Click("#choices button")
	w.tab.Sees("models to choose from")
	w.tab.Looks("06-right-key")
	w.tab.Click("#choices button[value=save]")
	w.tab.Sees("now thinks with gpt-6-luna")
	w.tab.Looks("07-model-set")
	w.page("/chat")
	w.chat()
	w.says("how does this work")
	w.tab.Until("the first words", `document.querySelector("#messages .draft")?.innerText.includes("Every")`)
	w.tab.Looks("08-streaming")
	close(w.hold)
	w.tab.Until("the whole answer", `document.querySelector("#messages > li:last-child:not(.draft) strong")?.innerText === "before"`)
	w.tab.Looks("09-answer")
}

var startLink = regexp.MustCompile(`^https://t\.me/hall_bot\?start=(\w+)$`)

func (w *walk) botAdded() {
	w.page("/channels")
	w.tab.Looks("10-channels")
	w.tab.Click("#add-telegram summary")
	w.tab.Write("#telegram-token", "7654321098:AAwrong")
	w.tab.Click("#add-telegram button[type=submit]")
	w.tab.Sees("does not accept this token")
	w.tab.Looks("11-wrong-token")
	w.tab.Write("#telegram-token", walkToken)
	w.tab.Click("#add-telegram button[type=submit]")
	w.tab.Sees("Hall (@hall_bot)")
	w.tab.Until("the link", `document.getElementById("start-link")`)
	w.tab.Until("the channel to be connected", `[...document.querySelectorAll(".list .mark")].some((m) => m.innerText === "connected")`)
	w.tab.Looks("12-bot-added")
}

func (w *walk) startTapped() {
	link := browsertest.Eval[string](w.tab, `document.getElementById("start-link").href`)
	code := startLink.FindStringSubmatch(link)
	if code == nil {
		w.Fatalf("the link is %s", link)
	}
	chat := w.bot.Private(w.owner)
	chat.Start(w.owner, code[1])
	w.delivered(chat, "Welcome")
	chat.Say(w.owner, "hi")
	w.delivered(chat, "echo: hi")
}

// delivered waits until a chat holds a text, and returns how often.
func (w *walk) delivered(chat *telegramtest.Chat, part string) int {
	w.Helper()
	count := func() (n int) {
		for _, l := range chat.Transcript() {
			if strings.Contains(l.Text, part) && l.Bot {
				n++
			}
		}
		return n
	}
	if !eventually(patience, func() bool { return count() > 0 }) {
		w.Fatalf("%s: nobody is told %q; delivered: %q", w.step, part, texts(chat.Delivered()))
	}
	return count()
}

func (w *walk) friendLetIn() {
	chat := w.bot.Private(w.friend)
	chat.Start(w.friend, "")
	chat.Say(w.friend, "good morning")
	w.delivered(chat, "code")
	w.page("/people")
	w.tab.Sees("Ada")
	w.tab.Looks("13-friend-asks")
	w.tab.Click("#asking button.primary")
	w.tab.Sees("was let in")
	w.tab.Looks("14-friend-let-in")
	w.delivered(chat, "good morning")
	if n := w.delivered(chat, "code"); n != 1 {
		w.Errorf("the friend was told a code %d times: %q", n, texts(chat.Delivered()))
	}
}

func (w *walk) killed() {
	chat := w.bot.Private(w.owner)
	chat.Say(w.owner, "tell me a long story")
	<-w.half
	w.gate.Kill()
	w.run()
	w.shown(`Console\s+(http\S+)`)
	if n := w.delivered(chat, "it was answered once"); n != 1 {
		w.Errorf("answered %d times", n)
	}
	w.admin = w.shown(`Console\s+(http://127\.0\.0\.1:\d+)/login`)
}

func (w *walk) doctor() {
	out := w.verb("doctor")
	for _, want := range []string{`(?m)^ok +gateway: running`, `(?m)^ok +model default: gpt-6-luna`, `(?m)^ok +channel telegram: `, `(?m)^ok +spending: .*\$\d\.\d\d today of \$5\.00`} {
		if !regexp.MustCompile(want).MatchString(out) {
			w.Errorf("doctor does not say %s:\n%s", want, out)
		}
	}
	w.verb("status")
	w.tab.Open(strings.TrimSpace(cmp.Or(regexp.MustCompile(`http\S+/login#\S+`).FindString(w.verb("login")), "about:blank")))
	w.chat()
	w.page("/status")
	w.tab.Sees("of $5.00 a day")
	w.tab.Looks("15-status-at-the-end")
	w.page("/chat")
	w.chat()
	w.tab.Looks("16-chat-at-the-end")
}

func (w *walk) service() {
	out := w.verb("service", "install", "--dry-run")
	if !strings.Contains(out, "ExecStart=") || !strings.Contains(out, "gatehouse.service") {
		w.Errorf("service install prints\n%s", out)
	}
}
