package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// safe is a data folder with secrets, and the command line over it.
type safe struct {
	t      *testing.T
	binary string
	env    []string
	dir    string
}

const safeSecrets = 6

func newSafe(t *testing.T, binary string) *safe {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(config, []byte("models:\n  default: {provider: none}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &safe{t: t, binary: binary, dir: dir, env: bare(dir,
		"GATEHOUSE_CONFIG="+config, "GATEHOUSE_DATA="+filepath.Join(dir, "data"), "GATEHOUSE_KEY="+filepath.Join(dir, "keys", "key"),
		"GORACE=atexit_sleep_ms=0")}
	for i := range safeSecrets {
		s.must(fmt.Sprintf("the value of secret %d\n", i), "", "secrets", "set", fmt.Sprintf("s%d", i))
	}
	return s
}

// call runs a command and says whether SIGKILL ended it.
func (s *safe) call(in, arm string, args ...string) (out string, killed bool, err error) {
	c := exec.Command(s.binary, args...) //nolint:gosec,noctx // a binary of ours that ends by itself
	c.Env = s.env
	if arm != "" {
		c.Env = append(c.Env[:len(c.Env):len(c.Env)], failpoint.Env+"="+arm)
	}
	c.Stdin = strings.NewReader(in)
	b, err := c.CombinedOutput()
	if ws, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok {
		killed = ws.Signaled() && ws.Signal() == syscall.SIGKILL
	}
	return string(b), killed, err
}

func (s *safe) must(in, arm string, args ...string) string {
	s.t.Helper()
	out, _, err := s.call(in, arm, args...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// whole checks that the vault opens, which decrypts every secret, and that one
// key is left.
func (s *safe) whole(want int) {
	s.t.Helper()
	list := s.must("", "", "secrets", "list")
	if n := strings.Count(list, "\ns"); n != want {
		s.t.Errorf("%d secrets, want %d:\n%s", n, want, list)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "keys", "key"))
	if err != nil {
		s.t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\ngatehouse-key-v1 ")); n != 1 {
		s.t.Errorf("%d keys are left", n)
	}
}

// TestVaultFailpoints kills the real binary where it replaces keys and restores
// backups, and looks whether every secret is there afterwards.
func TestVaultFailpoints(t *testing.T) {
	for _, name := range failpoint.Names() {
		if !strings.HasPrefix(string(name), "vault.") {
			continue
		}
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			s := newSafe(t, armed(t))
			if strings.HasPrefix(string(name), "vault.restore-") {
				s.dieRestoring(name)
				return
			}
			arm := string(name)
			if name == failpoint.KeyRelocked {
				arm += ":2" // the first is at the start: nothing was left to do
			}
			if out, killed, _ := s.call("", arm, "key", "rotate", "--data"); !killed {
				t.Fatalf("it was not killed: %s", out)
			}
			s.whole(safeSecrets)
			s.must("", "", "key", "rotate", "--data")
			s.whole(safeSecrets)
		})
	}
}

// dieRestoring kills a restore of an older backup. Before the folders change
// places the newer data stands; after it the backup does, and waits for a yes.
func (s *safe) dieRestoring(name failpoint.Name) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		s.t.Fatal(err)
	}
	identity, file := filepath.Join(s.dir, "identity"), filepath.Join(s.dir, "backup.age")
	if err := os.WriteFile(identity, []byte(id.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.must("", "", "backup", "--to", file, "--recipient", id.Recipient().String())
	s.must("the value of a later secret\n", "", "secrets", "set", "s-later")
	restore := []string{"restore", file, "--identity", identity, "--accept-older"}
	if out, killed, _ := s.call("", string(name), restore...); !killed {
		s.t.Fatalf("it was not killed: %s", out)
	}
	if name == failpoint.RestoreUnpacked {
		s.whole(safeSecrets + 1)
	} else if out, _, err := s.call("", "", "secrets", "list"); err == nil || !strings.Contains(out, "not the newest") {
		s.t.Errorf("an older database opens without a yes: %v\n%s", err, out)
	}
	s.must("", "", restore...)
	s.whole(safeSecrets)
}

// TestVaultRandomKills kills rotations at moments that nobody chose.
func TestVaultRandomKills(t *testing.T) {
	s := newSafe(t, gateway(t))
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secret depends on it
	for range 12 {
		p := launch(t, s.binary, s.env, "key", "rotate", "--data")
		select {
		case <-time.After(time.Duration(r.IntN(120)) * time.Millisecond):
		case <-p.done:
		}
		p.Kill()
		s.whole(safeSecrets)
	}
}
