//go:build !nowhatsapp

package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// waRig is a gateway with a linked device of an emulated WhatsApp. The emulator
// and the model live through every death of the gateway.
type waRig struct {
	t     *testing.T
	wa    *whatsapptest.Server
	model *agenttest.Server
	dir   string
	store string // URL of a Postgres database; "": a file

	channel []string // further lines of the channel's section

	proc *process
	race bool
}

func newWARig(t *testing.T, script agenttest.Script, store string, channel ...string) *waRig {
	t.Helper()
	r := &waRig{t: t, wa: whatsapptest.NewServer(t), model: agenttest.NewServer(t, script), dir: t.TempDir(), store: store, channel: channel}
	r.configure(r.path("key"))
	t.Cleanup(r.end)
	return r
}

// replica is a second gateway for the same device, on the same database and with
// the same key.
func (r *waRig) replica() *waRig {
	r.t.Helper()
	x := &waRig{t: r.t, wa: r.wa, model: r.model, dir: r.t.TempDir(), store: r.store, channel: r.channel}
	x.configure(r.path("key"))
	r.t.Cleanup(x.end)
	return x
}

func (r *waRig) configure(key string) {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ndata: %q\nkey: %q\nlog: {level: info, format: text}\n", r.path("data"), key)
	fmt.Fprintf(&b, "models:\n  default: {provider: compatible, model: scripted, base_url: %q, api_key: \"sk-test-123456789\"}\n", r.model.OpenAI())
	fmt.Fprintf(&b, "agent: {daily_spend: -1}\nstore: %q\n", cmp.Or(r.store, "sqlite"))
	fmt.Fprintf(&b, "channels:\n  wa:\n    adapter: whatsapp\n    base_url: %q\n    trust: %q\n    send_rate: unlimited\n", r.wa.URL(), whatsapptest.Key())
	for _, l := range r.channel {
		fmt.Fprintf(&b, "    %s\n", l)
	}
	if err := os.WriteFile(r.path("gatehouse.yaml"), []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *waRig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *waRig) start() {
	r.t.Helper()
	r.proc = launch(r.t, gateway(r.t), bare(r.dir), "run", "--config", r.path("gatehouse.yaml"))
}

// up starts the gateway and waits until the device has logged in.
func (r *waRig) up() {
	r.t.Helper()
	before := r.wa.Logins()
	r.start()
	r.await("the device to log in", func() bool { return r.wa.Logins() > before })
}

func (r *waRig) await(what string, done func() bool) {
	r.t.Helper()
	if !eventually(patience, func() bool { return done() || r.proc != nil && !r.proc.running() }) || !done() {
		said := ""
		if r.proc != nil {
			said = r.proc.log.String()
		}
		r.t.Fatalf("waited for %s\n%s", what, said)
	}
}

func (r *waRig) kill() {
	r.proc.Kill()
	r.race = r.race || r.proc.log.racy()
}

func (r *waRig) end() {
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

var phoneCode = regexp.MustCompile(`(?m)^\s+([1-9A-Z]{4}-[1-9A-Z]{4})$`)

// link links the owner's phone on the command line, with a code that is typed.
func (r *waRig) link() {
	r.t.Helper()
	p := launch(r.t, gateway(r.t), bare(r.dir), "channels", "link", "wa", "--phone", "+"+r.wa.Owner().PN.User, "--config", r.path("gatehouse.yaml"))
	typed := false
	if !eventually(patience, func() bool {
		if m := phoneCode.FindStringSubmatch(p.log.lines()); m != nil && !typed {
			typed = true
			if err := r.wa.Enter(m[1]); err != nil {
				r.t.Error(err)
			}
		}
		return !p.running()
	}) || p.err != nil || !p.log.contains("linked") {
		r.t.Fatalf("link: %v\n%s", p.err, p.log)
	}
	if p.log.racy() {
		r.t.Errorf("the race detector spoke:\n%s", p.log)
	}
}

// run runs a command of the gateway and returns what it says.
func (r *waRig) run(args ...string) string {
	r.t.Helper()
	p := launch(r.t, gateway(r.t), bare(r.dir), append(args, "--config", r.path("gatehouse.yaml"))...)
	if !eventually(patience, func() bool { return !p.running() }) {
		r.t.Fatalf("%v does not end", args)
	}
	return p.log.String()
}

// answers counts how often each text of the bot is shown in a chat.
func (r *waRig) answers(chat types.JID) map[string]int {
	n := map[string]int{}
	for _, m := range r.wa.Messages(chat) {
		if m.From == nil {
			n[m.Text]++
		}
	}
	return n
}
