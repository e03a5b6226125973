package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	openbus "github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// untilStopped is an agent that ends only when it is stopped. It says which
// conversation began.
func untilStopped(began chan<- string) runner {
	return func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
		began <- string(t.Where.Conversation)
		<-ctx.Done()
		return reply("so far"), nil
	}
}

// TestStopReachesAnotherReplica: whichever of two gateways has the turn and
// whichever has the /stop, the turn ends within about a second.
func TestStopReachesAnotherReplica(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if d := stopAll(t, inprocess.New(inprocess.Options{}), 24); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		e, err := openbus.Open(t.Context(), pgtest.DSN(t), openbus.Options{})
		if err != nil {
			t.Fatal(err)
		}
		stopAll(t, e, 10)
	})
}

// stopAll begins a turn in each of n conversations, stops it, and returns how
// long that took.
func stopAll(t *testing.T, e bus.Engine, n int) time.Duration {
	t.Helper()
	began := make(chan string, n)
	o := rigOptions{engine: e, others: true, agent: gateway.AgentSettings{Runner: untilStopped(began), DailySpend: -1}}
	one, two := newRig(t, o), newRig(t, o)
	for i := range n {
		one.accept(said(fmt.Sprint("p", i), fmt.Sprint("q", i), "hello"))
	}
	for range n {
		<-began
	}
	<-time.After(time.Second)
	if a, b := turns(t, one.gw), turns(t, two.gw); a+b != n {
		t.Errorf("%d and %d turns run, want %d", a, b, n)
	}
	from := time.Now()
	for i := range n {
		two.accept(ordered(fmt.Sprint("p", i), fmt.Sprint("s", i), "stop", ""))
	}
	said := func() (stopped, ended int) {
		for _, m := range append(one.chat.sent(), two.chat.sent()...) {
			switch {
			case m.Text == "Stopped.":
				stopped++
			case strings.HasSuffix(m.Text, "(stopped)"):
				ended++
			}
		}
		return stopped, ended
	}
	until(t, "every turn to be stopped and every /stop to be answered", func() bool {
		stopped, ended := said()
		return stopped == n && ended == n
	})
	took := time.Since(from)
	rows, err := e.List(context.Background(), "stop", "", "", 0)
	if err != nil || len(rows) > 0 {
		t.Errorf("%d requests are left, %v", len(rows), err)
	}
	one.stop()
	two.stop()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	return took
}

func turns(t *testing.T, g *gateway.Gateway) int {
	t.Helper()
	s, err := g.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Turns
}

// TestLookingIsAnsweredWhileATurnRuns: what only shows something, and what is no
// command, does not wait for an answer that takes long; what changes the
// conversation does.
func TestLookingIsAnsweredWhileATurnRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := inprocess.New(inprocess.Options{})
		began := make(chan string, 4)
		r := newRig(t, rigOptions{engine: e, agent: gateway.AgentSettings{
			Runner: untilStopped(began), DailySpend: -1, Model: "default", Models: []string{"default", "other"},
		}})
		r.accept(said("anna", "1", "hello"))
		<-began
		r.accept(ordered("anna", "2", "model", "other"))
		r.accept(ordered("anna", "3", "model", ""))
		r.accept(ordered("anna", "4", "dance", ""))
		got := map[string]bool{}
		for _, m := range r.wait(2) {
			got[m.Text[:12]] = true
		}
		if len(got) != 2 || !got["The model is"] || !got["I do not kno"] {
			t.Errorf("while the turn runs, the answers are %v", got)
		}
		r.accept(ordered("anna", "5", "stop", ""))
		all := ""
		for _, m := range r.wait(5) {
			all += m.Text + "\n"
		}
		if !strings.Contains(all, "(stopped)") || !strings.Contains(all, "other") {
			t.Errorf("after the stop, all that was said is\n%s", all)
		}
		r.stop()
		_ = e.Close()
	})
}

// TestStopElsewhere: what may not be stopped, and what is not there, is said,
// and a turn that begins later is left alone.
func TestStopElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := inprocess.New(inprocess.Options{})
		began := make(chan string, 4)
		o := rigOptions{engine: e, others: true, agent: gateway.AgentSettings{Runner: untilStopped(began), DailySpend: -1}}
		one, two := newRig(t, o), newRig(t, o)
		in := func(e channels.Event) channels.Event {
			e.Where.Conversation, e.Room = "room", channels.Room{Title: "room"}
			return e
		}
		answers := map[string]int{}
		for i := range 8 { // by chance the same gateway has both now and then
			one.accept(in(ordered("ben", fmt.Sprint("nothing", i), "stop", "")))
			<-time.After(3 * time.Second)
		}
		one.accept(saidIn("room", "anna", "1", "hello", true))
		<-began
		<-time.After(time.Second)
		for i := range 8 {
			one.accept(in(ordered("ben", fmt.Sprint("foreign", i), "stop", "")))
			<-time.After(3 * time.Second)
		}
		for _, m := range append(one.chat.sent(), two.chat.sent()...) {
			answers[m.Text]++
		}
		if answers["There is nothing to stop."] != 8 || answers["I am answering somebody else; only they or an administrator can stop that."] != 8 {
			t.Errorf("answered %v", answers)
		}
		one.stop()
		two.stop()
		_ = e.Close()
	})
}
