package e2e_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	guests "github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// silence is a platform that takes what is sent to it, and never answers.
func silence(t testing.TB) string {
	t.Helper()
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(gone) })
	return srv.URL
}

// write packs and signs a module for a channel whose section names the file.
func (v villain) write(t testing.TB, dir, name string, key ed25519.PrivateKey) (path string) {
	t.Helper()
	manifest := fmt.Appendf(nil, `{"id": %q, "version": "1.0.0", "abi": "gw1", "kind": ["channel"], "sha256": "%x", "poll": {"min_interval": "1s"},
		"limits": {"fuel": %d, "wall_ms": %d}%s}`, name, sha256.Sum256(v.code), cmp.Or(v.fuel, 20_000_000), cmp.Or(v.wall, 60_000), v.more)
	b, err := guests.Pack(manifest, v.code, key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name+".gwm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHostileModules: channels whose modules do their worst beside one that
// works. Every message to that one is answered, the process lives, and people
// are told which module does what: in the status, the metrics, the log and, where it
// wanted more than was granted, in the audit.
func TestHostileModules(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	bad := villains(silence(t))
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var sections strings.Builder
	for name, v := range bad {
		fmt.Fprintf(&sections, "\n  %s:\n    adapter: wasm\n    module: %q\n    publisher: %q\n    dm: open\n    %s", name, v.write(t, r.dir, name, key), guests.Publisher(public), v.keys)
	}
	r.set.channel = []string{sections.String()}
	r.configure()
	admin := porttest.Keep(t)
	text, err := os.ReadFile(r.configPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.configPath(), bytes.Replace(text, []byte("admin: 127.0.0.1:0"), []byte("admin: "+admin), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	r.up()
	t.Logf("answers beside %d hostile modules: %s", len(bad), spread(r.answers(901)))
	r.accused(bad)
	t.Logf("answers beside those that are in quarantine: %s", spread(r.answers(902)))
	r.told(admin, bad)
	r.believed()
	for name, said := range r.statuses() {
		if strings.Contains(said, "I LEARNED SOMETHING") {
			t.Errorf("%s learned what is none of its business", name)
		}
	}
	r.term()
}

// accused waits until people are told what each module does, and until those
// that fail are left alone.
func (r *rig) accused(bad map[string]villain) {
	r.t.Helper()
	waiting := maps.Clone(bad)
	if eventually(3*patience, func() bool {
		all := r.statuses()
		maps.DeleteFunc(waiting, func(name string, v villain) bool {
			return strings.Contains(all[name], v.fault) && (v.kind == "" || strings.HasPrefix(all[name], string(channels.Broken)))
		})
		return len(waiting) == 0
	}) {
		return
	}
	all := r.statuses()
	for name, v := range waiting {
		r.t.Errorf("the status of %s has no %q, or it is not left alone:\n%s", name, v.fault, all[name])
	}
}

// told looks for the faults in the metrics and in the log, and for the refusals
// in the audit.
func (r *rig) told(admin string, bad map[string]villain) {
	r.t.Helper()
	resp, err := http.Get("http://" + admin + "/metrics") //nolint:noctx // loopback
	if err != nil {
		r.t.Fatal(err)
	}
	metrics, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	logged := strings.Split(r.proc.log.lines(), "\n")
	for name, v := range bad {
		if want := fmt.Sprintf(`kind=%q,module=%q`, v.kind, name); v.kind != "" && !strings.Contains(string(metrics), want) {
			r.t.Errorf("the metrics have no %s", want)
		}
		if !slices.ContainsFunc(logged, func(line string) bool {
			return strings.Contains(line, " channel="+name+" ") && strings.Contains(line, v.fault)
		}) {
			r.t.Errorf("the log does not say %q of %s", v.fault, name)
		}
		if v.audit != "" {
			r.audited(func(said string) bool {
				return slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool {
					return strings.Contains(line, v.audit) && strings.Contains(line, name)
				})
			}, "--kind", "egress", "--failed")
		}
	}
}

// believed looks at what became of the answers of modules that lie about them: one
// that is said to be sent is not sent again. One that may be is repeated once and
// set aside, and so is the word to the person that it was. Nothing of it reaches the
// channel whose messages they name.
func (r *rig) believed() {
	r.t.Helper()
	for name, want := range map[string]int{"lies-sent": 1, "lies-elsewhere": 1, "lies-lost": 4, "lies-long": 4} {
		times := func() (n int) {
			for line := range strings.Lines(r.proc.log.lines()) {
				if strings.Contains(line, " channel="+name+" ") && strings.Contains(line, sendsIt) {
					n++
				}
			}
			return n
		}
		dead := func() int { return strings.Count(r.verb("dead", "list"), name) }
		if !eventually(patience, func() bool { return times() >= want && dead() == want/2 }) || times() != want {
			r.t.Errorf("%s was asked %d times to send something, want %d; set aside is\n%s", name, times(), want, r.verb("dead", "list"))
		}
	}
	for _, d := range r.bot.Delivered().Of(telegramtest.Sent, telegramtest.Edited, telegramtest.Deleted) {
		if !strings.HasPrefix(d.Text, "echo: message ") {
			r.t.Errorf("in the channel beside them there is %q (%v)", d.Text, d.Kind)
		}
	}
}

// answers writes messages one after the other and returns how long each answer
// took.
func (r *rig) answers(id int64) []time.Duration {
	r.t.Helper()
	who, chat := r.person(id)
	var all []time.Duration
	for n := range 60 {
		text := fmt.Sprintf("message %d of %d", n, id)
		began := time.Now()
		chat.Say(who, text)
		r.awaitText(chat, "echo: "+text)
		all = append(all, time.Since(began))
	}
	return all
}

func spread(all []time.Duration) string {
	slices.Sort(all)
	return fmt.Sprintf("p50 %s, p99 %s", all[len(all)/2].Round(time.Millisecond), all[len(all)*99/100].Round(time.Millisecond))
}

// statuses are what people are told of each channel.
func (r *rig) statuses() map[string]string {
	var s struct {
		Channels []struct{ ID, Phase, Error, Fix string } `json:"channels"`
	}
	if err := json.Unmarshal([]byte(r.verb("status", "--json")), &s); err != nil {
		r.t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range s.Channels {
		all[c.ID] = fmt.Sprintf("%s: %s (%s)", c.Phase, c.Error, c.Fix)
	}
	return all
}
