package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/ptytest"
)

// terminal is a terminal of the kernel's with a command of ours in it.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	ended  chan struct{} // closed at the end of the command

	mu   sync.Mutex
	text bytes.Buffer
}

// show runs a command on a terminal of its own.
func show(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	master, slave := ptytest.Open(t)
	s := &terminal{t: t, master: master, cmd: exec.Command("gatehouse", args...), ended: make(chan struct{})} //nolint:gosec,noctx // ours, and ended by its test
	s.cmd.Env, s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = env, slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			s.mu.Lock()
			s.text.Write(b[:n])
			s.mu.Unlock()
			if err != nil { // the program has ended
				_ = s.cmd.Wait() // the exit code is read from its state
				close(s.ended)
				return
			}
		}
	}()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

func (s *terminal) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// sees waits until the screen has shown something.
func (s *terminal) sees(pattern string) {
	s.t.Helper()
	p := regexp.MustCompile(pattern)
	deadline, every := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer every.Stop()
	for !p.MatchString(s.String()) {
		select {
		case <-every.C:
		case <-deadline:
			s.t.Fatalf("%s was not shown:\n%q", pattern, s)
		}
	}
}

func (s *terminal) types(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the end of the command, and checks its exit code.
func (s *terminal) ends(code int) {
	s.t.Helper()
	select {
	case <-s.ended:
		if got := s.cmd.ProcessState.ExitCode(); got != code {
			s.t.Errorf("%s ended with %d, want %d:\n%q", strings.Join(s.cmd.Args, " "), got, code, s)
		}
	case <-time.After(patience):
		s.t.Fatalf("%s does not end:\n%q", strings.Join(s.cmd.Args, " "), s)
	}
}

// desktop is a person's machine with an emulated Telegram and a model.
func desktop(t *testing.T, answer string) (env []string, tg *telegramtest.Server) {
	t.Helper()
	return desktopOf(t, func(*agenttest.Request) agenttest.Answer { return agenttest.Say(answer) })
}

// desktopOf is a desktop whose model follows a script.
func desktopOf(t *testing.T, script agenttest.Script) (env []string, tg *telegramtest.Server) {
	t.Helper()
	tg, err := telegramtest.Start(telegramtest.WithBot("Helpful", "helpful_bot"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tg.Close)
	model, err := agenttest.Start(agenttest.Config{Script: agenttest.Directed, Models: []string{"small"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	model.Follow(script)
	dir := t.TempDir()
	conf := filepath.Join(dir, "gatehouse.yaml")
	text := fmt.Sprintf("models:\n  default: {provider: compatible, base_url: %q, model: small}\n", model.OpenAI())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TERM=xterm", "GORACE=atexit_sleep_ms=0", "GATEHOUSE_CONFIG=" + conf,
		"GATEHOUSE_DATA=" + filepath.Join(dir, "d"), "GATEHOUSE_KEY=" + filepath.Join(dir, "k", "key"),
		"GATEHOUSE_LISTEN=127.0.0.1:0", "GATEHOUSE_ADMIN=127.0.0.1:0",
	}, tg
}

func TestInvariant10TerminalShowsTheLoginLink(t *testing.T) {
	env, _ := desktop(t, "hello")
	gw := show(t, env, "run")
	gw.sees(`Console  http://127\.0\.0\.1:\d+/login#\S{43}`)
	gw.sees(`Model    `)
	gw.types("\x03") // Ctrl-C
	gw.ends(0)
}

func TestTerminalHidesWhatIsSecret(t *testing.T) {
	env, tg := desktop(t, "hello")
	const value = "a-value-that-nobody-sees-0001"
	set := show(t, env, "secrets", "set", "api")
	set.sees("Value of api")
	set.types(value + "\r")
	set.sees("stored")
	set.ends(0)
	add := show(t, env, "channels", "add", "telegram", "--base-url", tg.URL())
	add.sees("Bot token")
	add.types(tg.Token() + "\r")
	add.sees("helpful_bot")
	add.sees("tap Start")
	add.ends(0)
	for text, s := range map[string]*terminal{value: set, tg.Token(): add} {
		if strings.Contains(s.String(), text) {
			t.Errorf("the screen shows the secret:\n%q", s)
		}
	}
	// Whoever thinks better of it leaves nothing behind, and the terminal echoes again.
	stop := show(t, env, "secrets", "set", "other")
	stop.sees("Value of other")
	stop.types("half")
	stop.types("\x03")
	select {
	case <-stop.ended:
	case <-time.After(patience):
		t.Fatalf("Ctrl-C at a hidden prompt does not end it:\n%q", stop)
	}
	for _, ends := range []string{"\x04", "\r"} { // Ctrl-D, and nothing at all
		empty := show(t, env, "secrets", "set", "other")
		empty.sees("Value of other")
		empty.types(ends)
		empty.ends(1)
	}
	list := show(t, env, "secrets", "list")
	list.ends(0)
	if got := list.String(); !strings.Contains(got, "api") || strings.Contains(got, "other") {
		t.Errorf("the vault holds:\n%s", got)
	}
}

func TestTerminalShowsHowFarMemoryIs(t *testing.T) {
	env, _ := desktop(t, "hello")
	gw := show(t, env, "run")
	gw.sees("login#")
	gw.types("\x03")
	gw.ends(0)
	folder := t.TempDir()
	for name, text := range map[string]string{"a.md": "The shed holds the tools.", "b.md": "The boiler is old.", "c.bin": "\x00\x01"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := show(t, env, "memory", "import", folder)
	in.sees(`\[#{30}\] 2 of 2 imported`)
	in.sees(`not imported: .*c\.bin`)
	in.ends(0)
	index := show(t, env, "memory", "reindex")
	index.sees(`\[#{30}\] 2 of 2 of the chunks have a vector`)
	index.ends(0)
	out := show(t, env, "memory", "export", "--to", filepath.Join(folder, "out.jsonl"))
	out.sees(`2 exported`)
	out.sees(`2 items are in`)
	out.ends(0)
	again := show(t, env, "memory", "import", filepath.Join(folder, "out.jsonl"))
	again.sees(`\[#{30}\] 2 of 2 imported`)
	again.ends(0)
}

func TestTerminalChat(t *testing.T) {
	// The model tries to rename the window, to move the cursor and to ring.
	env, _ := desktop(t, "It is \x1b]0;owned\x07\x1b[2J\x1b[1;1Hfine\a.")
	gw := show(t, env, "run")
	gw.sees("login#")
	chat := show(t, env, "chat")
	chat.sees("/help lists")
	chat.types("how is it?\r")
	chat.sees(`fine`)
	if got := chat.String(); strings.Contains(got, "\x1b]0;") || strings.Contains(got, "\x1b[2J") || strings.Contains(got, "\x1b[1;1H") || strings.Contains(got, "\a") {
		t.Errorf("the model acts on the terminal:\n%q", got)
	}
	ptytest.Resize(t, chat.master, 30, 10)
	chat.types("\x1b[200~" + strings.Repeat("a long paste ", 300) + "\x1b[201~\r")
	chat.sees(`(?s)fine.*long paste.*fine`)
	chat.types("\x04") // Ctrl-D
	chat.ends(0)
	other := show(t, env, "chat")
	other.sees("/help lists")
	other.types("and now?\r")
	other.sees("fine")
	other.types("\x03") // Ctrl-C stops an answer, and does not leave
	other.types("again\r")
	other.sees(`(?s)again.*fine`)
	other.types("\x04")
	other.ends(0)
	gw.types("\x03")
	gw.ends(0)
}

// TestTerminalHidesAModelKey, which is asked for like every other secret.
func TestTerminalHidesAModelKey(t *testing.T) {
	env, _ := desktop(t, "hello")
	model, err := agenttest.Start(agenttest.Config{Script: agenttest.Directed, Key: rightKey, Models: []string{"small"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	for key, code := range map[string]int{"sk-test-a-wrong-key-0002": 1, rightKey: 0} {
		set := show(t, env, "models", "set", "compatible", "--base-url", model.OpenAI(), "--model", "small")
		set.sees("Key")
		set.types(key + "\r")
		set.ends(code)
		if strings.Contains(set.String(), key) {
			t.Errorf("the screen shows the key:\n%q", set)
		}
	}
	list := show(t, env, "secrets", "list")
	list.ends(0)
	if got := list.String(); !strings.Contains(got, "default") || strings.Contains(got, rightKey) {
		t.Errorf("the vault holds:\n%s", got)
	}
}

// TestTerminalCtrlCStopsAnAnswer that grows, and the chat goes on.
func TestTerminalCtrlCStopsAnAnswer(t *testing.T) {
	env, _ := desktopOf(t, func(r *agenttest.Request) agenttest.Answer {
		if said := r.Asked(); strings.Contains(said[len(said)-1], "for ever") {
			return agenttest.Dying("the first half and never the rest of it", agenttest.Stall)
		}
		return agenttest.Echo(r)
	})
	gw := show(t, env, "run")
	gw.sees("login#")
	chat := show(t, env, "chat")
	chat.sees("/help lists")
	chat.types("think for ever\r")
	chat.sees("the first half")
	chat.types("\x03")
	chat.sees("stopping; Ctrl-C again leaves")
	chat.types("still there?\r")
	chat.sees("echo: .*still there\\?")
	if got := chat.String(); strings.Contains(got, "rest of it") {
		t.Errorf("the answer went on:\n%q", got)
	}
	chat.types("\x04")
	chat.ends(0)
	gw.types("\x03")
	gw.ends(0)
}

// TestTerminalFollowsItsSize: what is shown after the window has another width
// is laid out for that one, between words.
func TestTerminalFollowsItsSize(t *testing.T) {
	answer := strings.TrimSpace(strings.Repeat("alpha bravo charlie delta echo foxtrot golf hotel ", 6))
	env, _ := desktop(t, answer)
	gw := show(t, env, "run")
	gw.sees("login#")
	chat := show(t, env, "chat")
	chat.sees("/help lists")
	for _, columns := range []int{80, 30, 100, 7} {
		ptytest.Resize(t, chat.master, uint16(columns), 24) //nolint:gosec // small
		chat.types("again\r")
		chat.sees(regexp.QuoteMeta(strings.Join(wrap(answer, columns-1), "\r\n")))
	}
	chat.types("\x04")
	chat.ends(0)
	gw.types("\x03")
	gw.ends(0)
}

// TestTerminalInstallGivenUp: Ctrl-C at each question of an installation says what
// is there, and what is not.
func TestTerminalInstallGivenUp(t *testing.T) {
	env, _ := desktop(t, "hello")
	pkg, err := packed("mychat", "1.0.0", `http=[{"scheme":"https","host":"api.example.org","methods":["POST"],"path":"/v1/"}]`,
		`config_schema={"required":["base_url"],"properties":{"base_url":{"type":"string","description":"Where it is."}}}`)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mychat-1.0.0.gwm")
	if err := os.WriteFile(file, pkg, 0o600); err != nil {
		t.Fatal(err)
	}
	install := func() *terminal {
		s := show(t, env, "adapter", "install", "--dev", file)
		s.sees("It wants:")
		s.sees("Grant this")
		return s
	}
	at := install()
	at.types("\x03")
	at.sees("given up; nothing was changed")
	at.ends(1)
	list := show(t, env, "adapter", "list")
	list.sees("no module is installed")
	list.ends(0)

	at = install()
	at.types("yes\r")
	at.sees("is installed; it passed its tests")
	at.sees("Name of a channel")
	at.types("\x03")
	at.sees("given up; mychat is installed, without a channel: `gatehouse channels add mychat`")
	at.ends(1)

	add := show(t, env, "channels", "add", "mychat")
	add.sees("base_url")
	add.types("\x03")
	add.sees("given up; nothing was changed")
	add.ends(1)
	list = show(t, env, "adapter", "list")
	list.sees("mychat +1.0.0")
	list.ends(0)
	channels := show(t, env, "channels", "list")
	channels.ends(0)
	if strings.Contains(channels.String(), "mychat") {
		t.Errorf("a channel was made:\n%s", channels)
	}
}

// TestFullDisk: a database's own words for a full disk are explained; /proc has no
// room for anybody.
func TestFullDisk(t *testing.T) {
	err := errors.New("sqlite: disk I/O error (4874)") //nolint:err113 // as the database says it
	if got := ofFullDisk(err, flags{data: "/proc"}).Error(); !strings.Contains(got, "the disk is full: nothing can be written to /proc") {
		t.Error(got)
	}
	if got := ofFullDisk(err, flags{data: t.TempDir()}); got != err { //nolint:errorlint // the same, and not wrapped
		t.Error(got)
	}
	other := errors.New("no such channel")                            //nolint:err113 // any other
	if got := ofFullDisk(other, flags{data: "/proc"}); got != other { //nolint:errorlint // the same, and not wrapped
		t.Error(got)
	}
}
