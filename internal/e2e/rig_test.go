package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// patience is how long a test waits for something that will happen. Some wait for
// a gateway that compiles a guest first, beside others that do.
const patience = 5 * time.Minute

// briefly is how long a test waits for something that need not happen.
const briefly = 6 * time.Second

// settings of a rig. The zero value is a channel that anybody may write to,
// without streaming and without rates.
type settings struct {
	binary  string           // "": gateway
	verbs   string           // the binary of commands beside it; "": the same
	script  agenttest.Script // nil: agenttest.Echo
	stream  bool
	data    string   // the data folder; "": one of the test
	key     string   // file of the vault's key; "": one of the test
	env     []string // besides the bare environment
	agent   []string // further lines of the agent's section: "max_turns: 8"
	channel []string // further lines of the channel's section
	extra   string   // further sections
	store   string   // URL of a Postgres database; "": a file in the data folder
	model   string   // in place of the model's section
	priced  string   // further keys of the model: ", price_in: 1"
	spend   string   // the daily cap; "": none
	policy  string   // of direct chats; "": open
	level   string   // of the log; "": info
	adapter string   // "": telegram
	listen  string   // address of the webhooks; "": a free port
	emu     []telegramtest.Option

	launch func(t testing.TB, path string, env []string, args ...string) *process // starts the gateway; nil: launch
}

// rig is a gateway between an emulator and a model. Both live in the test's own
// process, and so through every death of the gateway.
type rig struct {
	t     testing.TB
	set   settings
	bot   *telegramtest.Server
	model *agenttest.Server
	dir   string
	env   []string
	proc  *process
	race  bool // the race detector spoke in an earlier process
	polls int  // that the emulator had seen before the process started
}

func newRig(t testing.TB, set settings) *rig {
	t.Helper()
	if set.binary == "" {
		set.binary = gateway(t)
	}
	if set.launch == nil {
		set.launch = launch
	}
	r := &rig{t: t, set: set, dir: t.TempDir()}
	r.model = agenttest.NewServer(t, set.script)
	r.bot = telegramtest.NewServer(t, append([]telegramtest.Option{telegramtest.WithoutPollPenalty()}, set.emu...)...)
	r.env = bare(r.dir, set.env...)
	r.configure()
	t.Cleanup(r.end)
	return r
}

func (r *rig) data() string {
	if r.set.data != "" {
		return r.set.data
	}
	return filepath.Join(r.dir, "data")
}

func (r *rig) key() string { return cmp.Or(r.set.key, filepath.Join(r.dir, "key")) }

// replica is a second gateway for the same people, on the same database and
// with the same key.
func (r *rig) replica() *rig {
	r.t.Helper()
	set := r.set
	set.key, set.data = r.key(), ""
	x := &rig{t: r.t, set: set, bot: r.bot, model: r.model, dir: r.t.TempDir()}
	x.env = bare(x.dir, set.env...)
	x.configure()
	r.t.Cleanup(x.end)
	return x
}

func (r *rig) configPath() string { return filepath.Join(r.dir, "gatehouse.yaml") }

// configure writes the configuration.
func (r *rig) configure() {
	r.t.Helper()
	stream := "off"
	if r.set.stream {
		stream = "edit"
	}
	model := r.set.model
	if model == "" {
		model = fmt.Sprintf(`{provider: compatible, model: scripted, base_url: %q, api_key: "sk-test-123456789"%s}`, r.model.OpenAI(), r.set.priced)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\nadmin: 127.0.0.1:0\ndata: %q\nkey: %q\n",
		cmp.Or(r.set.listen, "127.0.0.1:0"), r.data(), r.key())
	fmt.Fprintf(&b, "log: {level: %s, format: text}\nmodels:\n  default: %s\n", cmp.Or(r.set.level, "info"), model)
	fmt.Fprintf(&b, "agent:\n  daily_spend: %s\n", cmp.Or(r.set.spend, "-1"))
	for _, l := range r.set.agent {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	fmt.Fprintf(&b, "channels:\n  support:\n    adapter: %s\n    base_url: %q\n    token: %q\n    dm: %s\n    groups: open\n"+
		"    send_rate: unlimited\n    stream: %q\n", cmp.Or(r.set.adapter, "telegram"), r.bot.URL(), r.bot.Token(), cmp.Or(r.set.policy, "open"), stream)
	for _, l := range r.set.channel {
		fmt.Fprintf(&b, "    %s\n", l)
	}
	if r.set.store != "" {
		fmt.Fprintf(&b, "store: %q\n", r.set.store)
	}
	b.WriteString(r.set.extra)
	if err := os.WriteFile(r.configPath(), []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start starts the gateway and does not wait for it. env is added for this
// process alone.
func (r *rig) start(env ...string) {
	r.t.Helper()
	if r.proc != nil && r.proc.running() {
		r.t.Fatal("the gateway runs already")
	}
	r.polls = r.bot.Calls("getUpdates")
	r.proc = r.set.launch(r.t, r.set.binary, append(r.env[:len(r.env):len(r.env)], env...), "run", "--config", r.configPath())
}

// up starts the gateway and waits until it receives.
func (r *rig) up(env ...string) {
	r.t.Helper()
	r.start(env...)
	if !r.receiving(patience) {
		r.t.Fatalf("the gateway does not receive\n%s", r.proc.log)
	}
}

// receiving waits until the running gateway has polled once. It reports false
// when the gateway has ended or takes too long.
func (r *rig) receiving(within time.Duration) bool {
	return eventually(within, func() bool {
		return r.bot.Calls("getUpdates") > r.polls || !r.proc.running()
	}) && r.proc.running()
}

// kill ends the gateway with SIGKILL.
func (r *rig) kill() {
	r.proc.Kill()
	r.race = r.race || r.proc.log.racy()
}

// term ends the gateway with SIGTERM, which must end it in order.
func (r *rig) term() {
	r.t.Helper()
	err := r.proc.Term()
	if err != nil && r.proc.log.String() == "" && r.proc.diedOf(syscall.SIGTERM) {
		err = nil // it came before the process could ask to be told of signals
	}
	if err != nil {
		r.t.Errorf("after SIGTERM: %v\n%s", err, r.proc.log)
	}
	r.race = r.race || r.proc.log.racy()
}

// end shows what the gateway said when the test has failed.
func (r *rig) end() {
	if r.proc == nil {
		return
	}
	r.kill()
	if r.race {
		r.t.Error("the race detector spoke")
	}
	if r.t.Failed() {
		r.t.Logf("the gateway's log:\n%s", r.proc.log)
	}
}

// person makes somebody with a private chat.
func (r *rig) person(id int64) (*telegramtest.User, *telegramtest.Chat) {
	u := r.bot.User(id, fmt.Sprintf("Person %d", id))
	return u, r.bot.Private(u)
}

// await waits until the log is as wanted.
func (r *rig) await(what string, done func(telegramtest.Log) bool) telegramtest.Log {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.bot.Wait(ctx, done); err != nil {
		r.t.Fatalf("waiting for %s: %v; delivered: %q", what, err, texts(r.bot.Delivered()))
	}
	return r.bot.Delivered()
}

// awaitText waits until a message with that text stands in the chat.
func (r *rig) awaitText(chat *telegramtest.Chat, part string) string {
	r.t.Helper()
	found := ""
	r.await(fmt.Sprintf("%q", part), func(log telegramtest.Log) bool {
		for _, d := range log.In(chat.ID()).Of(telegramtest.Sent, telegramtest.Edited) {
			if strings.Contains(d.Text, part) {
				found = d.Text
				return true
			}
		}
		return false
	})
	return found
}

func texts(log telegramtest.Log) []string {
	return log.Of(telegramtest.Sent, telegramtest.Edited).Texts()
}

// eventually polls a condition until it holds or the time is up.
func eventually(within time.Duration, condition func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(within)
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			return condition()
		}
	}
	return true
}
