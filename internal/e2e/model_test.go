package e2e_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// TestModelFails: whatever the model does, a person gets one answer, which is
// the model's or says honestly what is wrong. All fail at the same time, each
// in a chat of its own, and none waits for another.
func TestModelFails(t *testing.T) {
	t.Parallel()
	cases := []struct{ say, want string }{
		{"!401", "key was refused"},
		{"!404", "does not know the model"},
		{"!quota", "no credit left"},
		{"!empty", "empty answer"},
		{"!long", "more than the model"},
		{"!400", "refused the request"},
		{"once !500", "echo: once !500"},
		{"once !429 1", "echo: once !429 1"},
		{"once !cut", "echo: once !cut"},
		{"once !garbage", "echo: once !garbage"},
		// These are given up after a minute and a half of trying.
		{"!500", "overloaded or has a fault"},
		{"!cut", "broke off"},
		{"!finish", "broke off"},
		{"!garbage", "The answer broke off here."},
		{"!stall", "stopped sending"},
		{"fine", "echo: fine"},
	}
	r := newRig(t, settings{script: onceOrAlways()})
	r.up()
	for i, c := range cases {
		u, chat := r.person(int64(1001 + i))
		chat.Say(u, c.say)
	}
	last := r.bot.Private(r.bot.User(int64(1000+len(cases)), ""))
	r.awaitText(last, "echo: fine")
	for i, c := range cases {
		if got := r.shown(1001 + i); c.say == "!stall" && strings.Contains(got, c.want) {
			t.Error("a chat whose model works waited for one whose model does not")
		}
	}
	eventually(patience, func() bool {
		for i, c := range cases {
			if !strings.Contains(r.shown(1001+i), c.want) {
				return false
			}
		}
		return true
	})
	r.term()
	for i, c := range cases {
		// A line that says that it is tried again may have stood in its place.
		in := r.bot.Delivered().In(int64(1001 + i))
		got := texts(in)
		if len(in.Of(telegramtest.Sent)) != 1 || !strings.Contains(r.shown(1001+i), c.want) {
			t.Errorf("%q was answered with %q, want one answer with %q", c.say, got, c.want)
		}
		if strings.Contains(strings.Join(got, ""), "sk-test") {
			t.Errorf("%q: the answer shows the key", c.say)
		}
	}
}

// shown is what a chat shows last; "" for nothing.
func (r *rig) shown(chat int) string {
	got := texts(r.bot.Delivered().In(int64(chat)))
	if len(got) == 0 {
		return ""
	}
	return got[len(got)-1]
}

// onceOrAlways obeys a text like agenttest.Directed, one that begins with
// "once" only the first time that it is asked.
func onceOrAlways() agenttest.Script {
	var mu sync.Mutex
	asked := map[string]bool{}
	return func(r *agenttest.Request) agenttest.Answer {
		texts := r.Asked()
		if len(texts) == 0 {
			return agenttest.Echo(r)
		}
		text := texts[len(texts)-1]
		verb, ok := strings.CutPrefix(text, "once !")
		if !ok {
			return agenttest.Directed(r)
		}
		mu.Lock()
		again := asked[text]
		asked[text] = true
		mu.Unlock()
		switch {
		case again:
			return agenttest.Echo(r)
		case verb == "cut" || verb == "garbage":
			return agenttest.Dying("one two", agenttest.Break(verb))
		case strings.HasPrefix(verb, "429"):
			return agenttest.Limit(time.Second)
		}
		return agenttest.Refuse(500, "")
	}
}

// TestKilledWhileAnswering: a gateway that dies while an answer grows on the
// screen finishes that very message after the restart.
func TestKilledWhileAnswering(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{stream: true, script: closed(slowly)})
	r.up()
	u, chat := r.person(1001)
	const text = "a question whose answer takes a while to write down"
	chat.Say(u, text)
	r.await("a draft that grows", func(log telegramtest.Log) bool { return len(log.Of(telegramtest.Edited)) > 0 })
	r.kill()
	r.up()
	r.awaitText(chat, closing)
	r.term()
	f := judge(ledger{chat.ID(): {text}}, r.bot.Delivered())
	if len(f.Faults) > 0 || f.Turns != 1 || f.Drafts != 0 || f.Repeated+f.Doubted != 0 {
		t.Errorf("%+v; %q", f, texts(r.bot.Delivered()))
	}
}
