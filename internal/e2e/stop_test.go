package e2e_test

import (
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// TestStopWhileThePlatformIsSlow: an orderly stop waits for the answer to a send
// that is under way, so that the next start need not repeat it.
func TestStopWhileThePlatformIsSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	user, chat := r.person(1001)
	const slow = 8 * time.Second // longer than the gateway waits for a turn
	r.up()
	r.bot.SetLatency(slow, "sendMessage")
	chat.Say(user, "hello")
	if !eventually(patience, func() bool { return r.bot.Calls("sendMessage") > 0 }) {
		t.Fatal("nothing was sent")
	}
	r.term()
	r.bot.SetLatency(0, "sendMessage")
	if left := r.remains(); len(left.sends) != 0 {
		t.Errorf("an orderly end left %d sends under way", len(left.sends))
	}
	r.up()
	chat.Say(user, "again")
	r.awaitText(chat, "echo: again")
	if n := len(r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent)); n != 2 {
		t.Errorf("two messages got %d answers: %q", n, texts(r.bot.Delivered()))
	}
	r.term()
}
