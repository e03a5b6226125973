package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// withGuests is a gateway that has the shipped guests in it.
func withGuests(t testing.TB) string {
	t.Helper()
	if err := packGuests(); err != nil {
		t.Fatal(err)
	}
	return built.build(t, "gatehouse-guests", "cmd/gatehouse")
}

var packGuests = sync.OnceValue(func() error {
	cmd := exec.Command("make", "adapters/guests/dist/shipped.zip")
	cmd.Dir = "../.."
	return cmd.Run()
})

// shareCompiled lets a gateway find the guests that another one has compiled,
// which takes long on a machine with much to do.
func shareCompiled(t testing.TB, dir string) {
	t.Helper()
	compiled, data := filepath.Join(built.dir, "guests"), filepath.Join(dir, "data")
	if err := errors.Join(os.MkdirAll(compiled, 0o700), os.MkdirAll(data, 0o700), os.Symlink(compiled, filepath.Join(data, "guests"))); err != nil {
		t.Fatal(err)
	}
}

// TestGuestIsAChannel: two lines of the configuration make the Telegram channel
// a guest. It answers, and loses nothing to the death of the process.
func TestGuestIsAChannel(t *testing.T) {
	r := newRig(t, settings{binary: withGuests(t), adapter: "wasm", channel: []string{"module: telegram"}})
	u, chat := r.person(71)
	r.up()
	chat.Say(u, "first")
	r.awaitText(chat, "first")
	r.kill()
	chat.Say(u, "while you were away")
	r.up()
	r.awaitText(chat, "while you were away")
}
