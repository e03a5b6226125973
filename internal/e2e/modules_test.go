package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	guests "github.com/gatehouse-chat/gatehouse/internal/module"
)

// editions are packages of the Telegram guest under another name, one for each
// version, signed by one publisher.
func editions(t testing.TB, dir string, versions ...string) (packages []string, publisher string) {
	t.Helper()
	if err := packGuests(); err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile("../../adapters/guests/dist/shipped.zip")
	if err != nil {
		t.Fatal(err)
	}
	b, err := guests.Unbundle(bundle, "telegram")
	if err != nil {
		t.Fatal(err)
	}
	p, err := guests.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../adapters/guests/telegram/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	who, err := guests.NewKey(filepath.Join(dir, "publisher.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := guests.ReadKey(filepath.Join(dir, "publisher.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		m["id"], m["version"], m["sha256"] = "courier", v, p.Manifest.SHA256
		manifest, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := guests.Pack(manifest, p.Module, key)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "courier-"+v+".gwm")
		if err := os.WriteFile(path, pkg, 0o600); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, path)
	}
	return packages, who.String()
}

// TestUpgradeUnderLoad: while people write, the module of their channel is
// upgraded, rolled back, and its publisher revoked and trusted again. Every message
// is answered, once.
func TestUpgradeUnderLoad(t *testing.T) {
	// An installation compiles and tries a guest, in which the race detector has nothing to see.
	r := newRig(t, settings{verbs: release(t), adapter: "wasm", channel: []string{"module: courier"}})
	packages, publisher := editions(t, r.dir, "1.0.0", "1.1.0", "1.2.0")
	r.verb("adapter", "trust", "add", publisher)
	r.verb("adapter", "install", packages[0], "--yes")
	r.up()
	const people, each = 6, 12
	chats := make([]*telegramtest.Chat, people)
	var all sync.WaitGroup
	for i := range chats {
		user, chat := r.person(int64(2000 + i))
		chats[i] = chat
		all.Go(func() {
			for n := range each {
				chat.Say(user, fmt.Sprintf("message %d.", n))
				r.awaitText(chat, fmt.Sprintf("message %d.", n))
			}
		})
	}
	r.verb("adapter", "upgrade", packages[1])
	r.verb("adapter", "upgrade", packages[2])
	r.verb("adapter", "rollback", "courier")
	r.verb("adapter", "trust", "revoke", publisher)
	if s := ""; !eventually(patience, func() bool { s = r.verb("status"); return strings.Contains(s, "in quarantine") }) {
		t.Errorf("after the revocation: %s", s)
	}
	r.verb("adapter", "trust", "add", publisher)
	all.Wait()
	for i, chat := range chats {
		sent := r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent).Texts()
		if len(sent) != each {
			t.Errorf("person %d got %d answers to %d messages: %q", i, len(sent), each, sent)
		}
	}
	if got := r.verb("adapter", "list"); !strings.Contains(got, "1.1.0") {
		t.Errorf("in use: %s", got)
	}
	r.term()
}

// TestKilledInstall: however an installation ends, what is installed is a whole
// version: the one before or the new one.
func TestKilledInstall(t *testing.T) {
	r := newRig(t, settings{binary: release(t)}) // the race detector has nothing to see in a guest
	packages, publisher := editions(t, r.dir, "1.0.0", "1.1.0")
	r.verb("adapter", "trust", "add", publisher)
	r.verb("adapter", "install", packages[0], "--yes")
	for n := range 4 {
		cmd := exec.Command(r.set.binary, "adapter", "upgrade", packages[1], "--config", r.configPath()) //nolint:gosec,noctx // killed below
		cmd.Env = r.env
		out := &tail{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It has shown what it is about to do; from there on any moment may be the last.
		shown := eventually(patience, func() bool { return strings.Contains(out.String(), "in place of") })
		_ = eventually(time.Duration(n)*100*time.Millisecond, func() bool { return false })
		_ = cmd.Process.Kill()
		err := cmd.Wait()
		list := r.verb("adapter", "list")
		if !strings.Contains(list, "1.0.0") && !strings.Contains(list, "1.1.0") || !shown {
			t.Fatalf("killed (%v), it lists %s\n%s", err, list, out)
		}
		if strings.Contains(list, "1.1.0") {
			r.verb("adapter", "rollback", "courier")
			r.verb("adapter", "remove", "courier")
			r.verb("adapter", "install", packages[0], "--yes")
		}
	}
}
