package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/cloudtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/module/practice"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": func() { os.Exit(Main()) }})
}

// TestScripts drives the real command line, with the gateway running and
// stopped, against an emulated Telegram and a scripted model. Beside what
// testscript knows, a script may say:
//
//	ready                      wait until the gateway answers
//	exits CODE COMMAND...      run a command that has to end with this code
//	mode OCTAL FILE            check a file's permissions
//	grab NAME PATTERN          keep what the last output holds in $NAME
//	eventually PATTERN CMD...  repeat a command until its output matches
//	says WHO TEXT              somebody writes to the bot
//	gathers ID WHO TEXT        somebody writes in the group -ID, with the bot in it
//	starts WHO CODE            somebody opens the bot's link and taps Start
//	hears WHO PATTERN          wait for what the bot writes to somebody
//	block WHO, unblock WHO     the bot can no longer, or again, write to somebody
//	occupy NAME                take a free port and put its address into $NAME
//	identity FILE              make an identity of age; $RECIPIENT is its recipient
//	lock FOLDER                own a data folder, as a second gateway does
//	model ANSWER               from now on the scripted model says this
//	slow DURATION              from now on it takes so long to begin, and echoes
//	called N                   wait until it was asked so often since then
//	ollama MODEL...            start a model server, named in OLLAMA_HOST
//	proxy                      start a proxy that logs people in, its keys under $KEYS
//	vouch EMAIL                have it sign that somebody owns an address, into $TOKEN
//	enters                     open a new login link as a browser does
//	tamper                     remove an entry of the audit log from the database
//	vacant NAME                keep a port free, and put its address into $NAME
//	certify DAYS               issue cert.pem and key.pem for gate.example.org and 127.0.0.1
//	visit STATUS URL [H=V]...  ask for a page with these headers, believing cert.pem
//	module FILE ID VERSION [K=JSON]...  pack a small guest, with these keys in its manifest
//	practice                   start the platform that new projects speak to, at $PRACTICE
//	practises WHO TEXT         somebody writes to the bot there
//	replies PATTERN            wait for what the bot writes there
//	append FILE LINE...        add lines to a file
//	replace OLD NEW FILE       change a file
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: setupScript,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": scriptReady, "exits": scriptExits, "mode": scriptMode, "grab": scriptGrab,
			"eventually": scriptEventually, "says": scriptSays, "gathers": scriptGathers, "starts": scriptStarts, "hears": scriptHears,
			"block": scriptBlock, "unblock": scriptUnblock, "occupy": scriptOccupy, "lock": scriptLock, "model": scriptModel,
			"identity": scriptIdentity,
			"slow":     scriptSlow, "tamper": scriptTamper, "called": scriptCalled,
			"certify": scriptCertify, "visit": scriptVisit, "vacant": scriptVacant, "enters": scriptEnters, "ollama": scriptOllama, "proxy": scriptProxy, "vouch": scriptVouch,
			"module": scriptModule, "practice": scriptPractice, "practises": scriptPractises, "replies": scriptReplies,
			"append": scriptAppend, "replace": scriptReplace,
		},
	})
}

// world is what is outside of one script's gateway.
type world struct {
	telegram *telegramtest.Server
	model    *agenttest.Server
	people   map[string]*telegramtest.User
	heard    map[string]int // how many texts each has been matched against
	voucher  *voucher       // the proxy that logs people in; nil: none
	practice *practice.Platform
	replied  int // how much of what the bot wrote there was looked at
	shut     []func()
}

type worldKey struct{}

const (
	rightKey   = "sk-test-the-right-key-0001"
	wrongToken = "100:wrong-token-wrong-token-wrong-token"
)

func setupScript(e *testscript.Env) error {
	tg, err := telegramtest.Start(telegramtest.WithBot("Helpful", "helpful_bot"))
	if err != nil {
		return err
	}
	model, err := agenttest.Start(agenttest.Config{Script: agenttest.Directed, Key: rightKey, Models: []string{"small", "large"}})
	if err != nil {
		tg.Close()
		return err
	}
	shop := cloudtest.New("")
	w := &world{telegram: tg, model: model, people: map[string]*telegramtest.User{}, heard: map[string]int{}}
	e.Defer(func() {
		model.Close()
		tg.Close()
		shop.Close()
		for _, f := range w.shut {
			f()
		}
	})
	e.Values[worldKey{}] = w
	// An empty database is one of a gateway that was there: commands that only
	// look make none. first_run has none.
	if err := os.Mkdir(filepath.Join(e.WorkDir, "data"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(e.WorkDir, "data", "gatehouse.db"), nil, 0o600); err != nil {
		return err
	}
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("GATEHOUSE_DATA", filepath.Join(e.WorkDir, "data"))
	e.Setenv("GATEHOUSE_KEY", filepath.Join(e.WorkDir, "keys", "key"))
	e.Setenv("GATEHOUSE_CONFIG", filepath.Join(e.WorkDir, "gatehouse.yaml"))
	e.Setenv("GATEHOUSE_LISTEN", "127.0.0.1:0")
	e.Setenv("GATEHOUSE_ADMIN", "127.0.0.1:0")
	e.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector rests for a second after each command
	e.Setenv("GOCACHE", goCache())          // a new project is compiled as its author would
	e.Setenv("TELEGRAM", tg.URL())
	e.Setenv("WHATSAPP", shop.URL())
	e.Setenv("MODEL", model.OpenAI())
	e.Setenv("MODEL_HOST", strings.Split(model.OpenAI(), "/")[2])
	files := map[string]string{
		"token.txt": tg.Token() + "\n", "wrong-token.txt": wrongToken + "\n",
		"whatsapp.txt": "token=" + cloudtest.Token + "\napp_secret=" + cloudtest.AppSecret + "\n",
		"key.txt":      rightKey + "\n", "wrong-key.txt": "sk-test-a-wrong-key-0002\n",
		// A model server that happens to run on this machine must not be found.
		"gatehouse.yaml": "models:\n  default: {provider: none}\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func worldOf(ts *testscript.TestScript) *world {
	return ts.Value(worldKey{}).(*world) //nolint:forcetypeassert // setupScript put it there
}

// patience bounds every wait of a script.
const patience = 2 * time.Minute

// until waits for something to become true.
func until(ts *testscript.TestScript, what string, is func() bool) {
	deadline, every := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer every.Stop()
	for !is() {
		select {
		case <-every.C:
		case <-deadline:
			ts.Fatalf("waited in vain: %s", what)
		}
	}
}

func want(ts *testscript.TestScript, a []string, least int, call string) {
	if len(a) < least {
		ts.Fatalf("usage: %s", call)
	}
}

// scriptReady waits until the gateway answers on its socket. That somebody
// listens there is not enough: a gateway that is interrupted before it serves
// ends without having said what it found.
func scriptReady(ts *testscript.TestScript, _ bool, _ []string) {
	path := socketPath(ts.Getenv("GATEHOUSE_DATA"))
	until(ts, "the gateway answers on "+path, func() bool {
		c, err := (&net.Dialer{}).DialContext(context.Background(), "unix", path)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return false
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return false
		}
		_, err = c.Read(make([]byte, 1))
		return err == nil
	})
}

func scriptExits(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "exits CODE COMMAND...")
	code, err := 0, ts.Exec(a[1], a[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != a[0] {
		ts.Fatalf("exit code %d, want %s", code, a[0])
	}
}

func scriptMode(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "mode OCTAL FILE")
	i, err := os.Stat(ts.MkAbs(a[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", i.Mode().Perm()); got != a[0] {
		ts.Fatalf("%s has mode %s, want %s", a[1], got, a[0])
	}
}

func scriptGrab(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "grab NAME PATTERN")
	m := regexp.MustCompile(a[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("%s is not in the output, or keeps nothing", a[1])
	}
	ts.Setenv(a[0], m[1])
}

func scriptEventually(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "eventually PATTERN COMMAND...")
	pattern := regexp.MustCompile(a[0])
	until(ts, a[0], func() bool {
		return ts.Exec(a[1], a[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout"))
	})
}

// person finds somebody, and makes them on first sight.
func (w *world) person(name string) *telegramtest.User {
	u, ok := w.people[name]
	if !ok {
		u = w.telegram.User(int64(1001+len(w.people)), name)
		w.people[name] = u
	}
	return u
}

func scriptSays(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "says WHO TEXT")
	w := worldOf(ts)
	u := w.person(a[0])
	w.telegram.Private(u).Say(u, a[1])
}

func scriptGathers(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 3, "gathers ID WHO TEXT")
	id, err := strconv.ParseInt(a[0], 10, 64)
	ts.Check(err)
	w := worldOf(ts)
	u := w.person(a[1])
	w.telegram.Group(id, "The group", u).Say(u, a[2])
}

func scriptStarts(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "starts WHO CODE")
	w := worldOf(ts)
	u := w.person(a[0])
	w.telegram.Private(u).Start(u, a[1])
}

// scriptHears looks at what came after the last match only.
func scriptHears(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "hears WHO PATTERN")
	w := worldOf(ts)
	chat := w.telegram.Private(w.person(a[0]))
	pattern := regexp.MustCompile(a[1])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := w.telegram.Wait(ctx, func(l telegramtest.Log) bool {
		texts := l.In(chat.ID()).Texts()
		for i := w.heard[a[0]]; i < len(texts); i++ {
			if m := pattern.FindStringSubmatch(texts[i]); m != nil {
				w.heard[a[0]] = i + 1
				if len(m) > 1 {
					ts.Setenv("HEARD", m[1])
				}
				return true
			}
		}
		return false
	})
	if err != nil {
		ts.Fatalf("%s did not hear %s, but %q", a[0], a[1], chat.Delivered().Texts())
	}
}

func scriptBlock(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "block WHO")
	w := worldOf(ts)
	w.person(a[0]).Block()
}

func scriptUnblock(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "unblock WHO")
	w := worldOf(ts)
	w.person(a[0]).Unblock()
}

func scriptOccupy(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "occupy NAME")
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	worldOf(ts).shut = append(worldOf(ts).shut, func() { _ = l.Close() })
	ts.Setenv(a[0], l.Addr().String())
}

func scriptLock(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "lock FOLDER")
	dir := ts.MkAbs(a[0])
	ts.Check(makeFolder(dir))
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	worldOf(ts).shut = append(worldOf(ts).shut, func() { _ = f.Close() })
}

func scriptIdentity(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "identity FILE")
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(a[0]), []byte(id.String()+"\n"), 0o600))
	ts.Setenv("RECIPIENT", id.Recipient().String())
}

func scriptModel(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "model ANSWER")
	answer := strings.ReplaceAll(a[0], `\n`, "\n")
	worldOf(ts).model.Follow(func(*agenttest.Request) agenttest.Answer { return agenttest.Say(answer) })
}

func scriptSlow(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "slow DURATION")
	d, err := time.ParseDuration(a[0])
	ts.Check(err)
	worldOf(ts).model.Follow(agenttest.Slow(agenttest.Echo, d, 0, 1))
}

func scriptCalled(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "called N")
	n, err := strconv.Atoi(a[0])
	ts.Check(err)
	w := worldOf(ts)
	until(ts, "the model is asked", func() bool { return w.model.Calls() >= n })
}
