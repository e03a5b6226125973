package e2e_test

import (
	"os/exec"
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
	cmd := exec.Command("go", "run", "./internal/module/pack", "-o", "adapters/guests/dist/telegram.gwm", "./adapters/guests/telegram")
	cmd.Dir = "../.."
	return cmd.Run()
})

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
