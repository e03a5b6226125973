package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
)

// TestWebhookWays: answers come at the callback, in the same request, to whoever
// asks again after a restart, and in another channel.
func TestWebhookWays(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, settings{script: delayed(300 * time.Millisecond), extra: fmt.Sprintf(`  alerts:
    adapter: webhook
    verify: {kind: bearer, secret: %q}
    reply_to: {channel: support, conversation: "77"}
`, hookToken)})
	_, chat := r.person(77)
	r.up()
	r.ask("ci", "hello")
	if r.program.Refused() != 0 {
		t.Error("a callback was not signed")
	}
	status, a := r.wait("q1", "how are you?", "30s")
	if status != 200 || a.Status != "answered" || len(a.Replies) != 1 || !strings.Contains(a.Replies[0].Text, "how are you?") {
		t.Errorf("%d %+v", status, a)
	}
	if !strings.Contains(a.Replies[0].Text, "forwarded from webhook") {
		t.Errorf("the model does not read that it is the content of others: %q", a.Replies[0].Text)
	}
	if status, a := r.wait("q2", "and you?", "10ms"); status != 202 || a.Status != "pending" {
		t.Errorf("%d %+v", status, a)
	}
	r.kill()
	r.up()
	for _, q := range []string{"q1", "q2"} {
		if status, a := r.wait(q, "asked again", "30s"); status != 200 || len(a.Replies) != 1 || strings.Contains(a.Replies[0].Text, "again") {
			t.Errorf("after a restart: %d %+v", status, a)
		}
	}
	if status := r.post("alerts", "the disk is full"); status != 202 {
		t.Errorf("an alert: %d", status)
	}
	r.awaitText(chat, "the disk is full")
	r.term()
}

// TestWebhookCrash kills the gateway in the middle of answers. Each request is
// answered exactly once: a repetition is recognised by its id.
func TestWebhookCrash(t *testing.T) {
	t.Parallel()
	crashHooks(t, newHookRig(t, settings{script: delayed(80 * time.Millisecond)}))
}

// TestWebhookGuestCrash does the same to the channels that run as guests, and asks
// again after the last restart for what was said in the request.
func TestWebhookGuestCrash(t *testing.T) {
	t.Parallel()
	r := newGuestHookRig(t, settings{script: delayed(80 * time.Millisecond)})
	r.up()
	if status, a := r.wait("q1", "how are you?", "2m"); status != 200 || a.Status != "answered" || len(a.Replies) != 1 || !strings.Contains(a.Replies[0].Text, "how are you?") {
		t.Errorf("%d %+v", status, a)
	}
	r.kill()
	crashHooks(t, r)
	r.up()
	if status, a := r.wait("q1", "asked again", "2m"); status != 200 || len(a.Replies) != 1 || strings.Contains(a.Replies[0].Text, "again") {
		t.Errorf("after a restart: %d %+v", status, a)
	}
	if r.program.Refused() != 0 {
		t.Error("a callback was not signed")
	}
	r.term()
}

// crashHooks kills a gateway that is not up yet in the middle of its answers.
func crashHooks(t *testing.T, r *hookRig) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed(t), 4)) //nolint:gosec // repeatable on purpose
	r.up()
	const places, each = 4, 8
	texts := map[string][]string{}
	var writing sync.WaitGroup
	for i := range places {
		at := fmt.Sprintf("place-%d", i)
		for n := range each {
			texts[at] = append(texts[at], fmt.Sprintf("text %d of %d.", n, i))
		}
		mine := texts[at]
		writing.Go(func() {
			for _, text := range mine {
				r.ask(at, text)
			}
		})
	}
	for range 4 {
		<-time.After(time.Duration(50+rng.IntN(400)) * time.Millisecond) // the moment is what is tried out
		r.kill()
		r.up()
	}
	writing.Wait()
	r.term()
	for at, all := range texts {
		if n := len(r.program.Shown(at)); n != len(all) {
			t.Errorf("%s: %d answers to %d requests: %+v", at, n, len(all), r.program.Shown(at))
		}
	}
}

// TestWebhookOutages: every way in which a callback fails heals by itself, and
// neither loses nor doubles an answer.
func TestWebhookOutages(t *testing.T) {
	t.Parallel()
	eachWay(t, outagesOfWebhooks)
}

func outagesOfWebhooks(t *testing.T, guest bool) {
	t.Helper()
	start := newHookRig
	if guest {
		start = newGuestHookRig
	}
	for _, c := range []struct {
		name   string
		faults []webhooktest.Fault
	}{
		{"429 storm", []webhooktest.Fault{{Status: 429, RetryAfter: time.Second}, {Status: 429, RetryAfter: time.Second}}},
		{"5xx storm", []webhooktest.Fault{{Status: 503}, {Status: 500}, {Status: 502}, {Status: 504}}},
		{"half open", []webhooktest.Fault{{Lose: true}, {Lose: true}, {Lose: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, settings{})
			r.up()
			r.program.Fail(c.faults...)
			r.ask("ci", "one.")
			r.ask("ci", "two.")
			if n := len(r.program.Shown("ci")); n != 2 {
				t.Errorf("%d answers: %+v", n, r.program.Shown("ci"))
			}
		})
	}
	t.Run("refused and hung", func(t *testing.T) {
		t.Parallel()
		r := start(t, settings{})
		r.up()
		up := r.program.Down()
		r.program.Say(webhooktest.Message{Conversation: "ci", Sender: "ci", Text: "while you were away."})
		<-time.After(2 * time.Second) // of an outage
		up()
		if !eventually(patience, func() bool { return r.answered("ci", "while you were away.") }) {
			t.Errorf("it is not answered: %+v", r.program.Shown("ci"))
		}
		release := r.program.Stall()
		r.ask("ci", "hung.")
		<-time.After(time.Second)
		release()
		r.ask("ci", "after.")
		if n := len(r.program.Shown("ci")); n != 3 {
			t.Errorf("%d answers: %+v", n, r.program.Shown("ci"))
		}
	})
}
