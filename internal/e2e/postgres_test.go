package e2e_test

import (
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// TestPostgresStore kills the gateway in the middle of a streamed answer and
// starts it again, with everything kept in Postgres.
func TestPostgresStore(t *testing.T) {
	t.Parallel() // it waits until the dead gateway is known to be dead
	r := newRig(t, settings{
		store:  pgtest.DSN(t),
		script: agenttest.Slow(agenttest.Echo, 200*time.Millisecond, 50*time.Millisecond, 4),
	})
	u, chat := r.person(1)
	r.up()
	chat.Say(u, "first")
	r.awaitText(chat, "first")
	chat.Say(u, "second")
	r.await("a model call", func(telegramtest.Log) bool { return len(r.model.Requests()) > 1 })
	r.kill()
	chat.Say(u, "third")
	r.up()
	r.awaitText(chat, "second")
	r.awaitText(chat, "third")
	if !r.proc.log.contains("a replica has died") {
		t.Errorf("the work of the dead gateway was not taken over before its lease ran out\n%s", r.proc.log)
	}
	r.term()
	for _, d := range r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent) {
		t.Logf("delivered: %q", d.Text)
	}
	if n := len(r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent)); n > 3 {
		t.Errorf("%d messages for three questions", n)
	}
}
