package kek_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// keyringTest tells the process that the test starts within a session of its own.
const keyringTest = "GATEHOUSE_KEYRING_TEST_CHILD"

// busConfig is a session's bus that starts no services by itself: the usual
// session starts a keyring without a password for whoever asks before ours has
// its name, and that one keeps the name.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// TestTheSystemsKeyring keeps the key in a real Secret Service: gnome-keyring on a
// bus of its own. The keyring's library connects to the session's bus once in a
// process, so that the test runs itself again inside of that session.
func TestTheSystemsKeyring(t *testing.T) {
	if os.Getenv(keyringTest) != "" {
		inTheSession(t)
		return
	}
	if os.Getenv("GATEHOUSE_TEST_KEYRING") == "skip" {
		t.Skip("GATEHOUSE_TEST_KEYRING=skip")
	}
	for _, name := range []string{"dbus-daemon", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is missing: install dbus and gnome-keyring, or set GATEHOUSE_TEST_KEYRING=skip", name)
		}
	}
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "share", "keyrings"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	env := append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME="+filepath.Join(home, "share"), keyringTest+"=1")
	config := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(home, "bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.CommandContext(ctx, "dbus-daemon", "--nofork", "--print-address", "--config-file="+config)
	bus.Env = env
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, bus)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the bus does not start: %v", err)
	}
	env = append(env, "DBUS_SESSION_BUS_ADDRESS="+strings.TrimSpace(address))
	// It takes the password of the keyring that it makes from its input, and has
	// read it to its end before it answers anybody.
	ring := exec.CommandContext(ctx, "gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground")
	ring.Env, ring.Stdin = env, strings.NewReader("a password of this test")
	begin(t, ring)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestTheSystemsKeyring$", "-test.v") //nolint:gosec // this program
	child.Env = env
	if said, err := child.CombinedOutput(); err != nil {
		t.Errorf("in the session: %v\n%s", err, said)
	}
}

// begin starts a program and ends it with the test.
func begin(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

// TestABusThatNeverAnswers is a session whose bus takes connections and says
// nothing, as one whose keyring hangs does.
func TestABusThatNeverAnswers(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "bus"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+l.Addr().String())
	came := make(chan net.Conn, 8)
	go func() {
		defer close(came)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- c
		}
	}()
	t.Cleanup(func() { // lets the library's call end
		_ = l.Close()
		for c := range came {
			_ = c.Close()
		}
	})
	k := kek.NewKeyring("of this test", kek.Patience{Most: 50 * time.Millisecond})
	var silence *kek.Silence
	if _, err := k.Load(t.Context()); !errors.As(err, &silence) {
		t.Errorf("load: %v", err)
	}
	if err := k.Create(t.Context(), []byte("x")); !errors.As(err, &silence) {
		t.Errorf("create: %v", err)
	}
}

func inTheSession(t *testing.T) {
	k := kek.NewKeyring("of this test", kek.Patience{})
	first := func() error { // the keyring may still be opening
		_, err := k.Load(t.Context())
		return err
	}
	end := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for err := first(); !errors.Is(err, vault.ErrNoKey); err = first() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("the keyring does not open: %v", err)
		}
	}
	marks := vault.NewMarks(filepath.Join(t.TempDir(), "versions"), "")
	source := func() vault.Source { return vault.Source{Wrapper: vault.NewRing(k), Watermark: marks} }
	state := &vaulttest.State{}
	v := vaulttest.Open(t, state, source())
	if _, err := v.Set(t.Context(), "home", "bot", []byte(value), nil); err != nil {
		t.Fatal(err)
	}
	if err := v.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(t, vaulttest.Open(t, state, source())); got != value {
		t.Errorf("got %q", got)
	}
	if err := k.Create(t.Context(), []byte("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
}
