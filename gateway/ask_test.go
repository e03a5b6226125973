package gateway_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
)

// pay is a tool that cannot be undone.
type pay struct {
	effect agent.Effect
	calls  *int
}

func (p pay) Spec() agent.Spec {
	return agent.Spec{Name: "pay", Description: "pays", Schema: json.RawMessage(`{"type":"object"}`), Effect: p.effect}
}

func (p pay) Call(context.Context, *agent.Turn, json.RawMessage) (agent.ToolResult, error) {
	*p.calls++
	return agent.ToolResult{Text: "paid", Label: agent.Trusted}, nil
}

// paying is an agent whose model asks to pay when it is told to, and says then
// what came of it.
func paying(effect agent.Effect, calls *int) func() rigOptions {
	return func() rigOptions {
		m := agenttest.NewModel(func(r *agenttest.Request) agenttest.Answer {
			said := r.Asked()
			if got := r.Results(); len(got) > 0 {
				return agenttest.Say("result: " + got[len(got)-1])
			}
			if strings.Contains(said[len(said)-1], "pay ") {
				return agenttest.Use("c1", "pay", `{"eur":5}`)
			}
			return agenttest.Echo(r)
		})
		a := agent.New(agent.Options{
			Models: map[string]agent.Model{"default": {Provider: m, Kind: "scripted", Name: "m"}},
			Tools:  []agent.Tool{pay{effect: effect, calls: calls}},
		})
		return rigOptions{
			policy: identity.Policy{DM: identity.DMAllowlist, Groups: identity.GroupsOpen, Allow: []string{"anna"}},
			agent:  gateway.AgentSettings{Runner: a, DailySpend: -1},
		}
	}
}

var codeForm = regexp.MustCompile(`q-[a-z0-9]{6}`)

// asked waits until a question was sent, and returns its code.
func (r *rig) asked(n int) string {
	r.t.Helper()
	got := r.wait(n)
	code := codeForm.FindString(got[n-1].Text)
	if code == "" || !strings.Contains(got[n-1].Text, "May I do this?") {
		r.t.Fatalf("message %d is no question: %+v", n, got)
	}
	return code
}

func TestInvariant07AskedAndDecidedByText(t *testing.T) {
	for name, tc := range map[string]struct {
		command, args string
		ran           int
		want          string
	}{
		"approved": {"approve", "", 1, "result: paid"},
		"refused":  {"deny", "", 0, "did not allow"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			bubble(t, paying(agent.Irreversible, &calls), func(r *rig) {
				r.accept(said("anna", "1", "pay him"))
				code := r.asked(1)
				// The conversation goes on meanwhile.
				r.accept(said("anna", "2", "how are you?"))
				if got := r.wait(2)[1].Text; got != "echo: how are you?" {
					t.Errorf("meanwhile: %q", got)
				}
				if calls != 0 {
					t.Fatal("it ran before anybody decided")
				}
				r.accept(ordered("anna", "3", tc.command, code+tc.args))
				got := r.wait(4)
				if calls != tc.ran {
					t.Errorf("ran %d times, want %d", calls, tc.ran)
				}
				all := got[2].Text + "\n" + got[3].Text
				if !strings.Contains(all, tc.want) || !strings.Contains(all, "owed") {
					t.Errorf("said %q", all)
				}
				r.accept(ordered("anna", "4", "approve", code))
				if got := r.wait(5)[4].Text; !strings.Contains(got, "decided already") {
					t.Errorf("the second decision: %q", got)
				}
			})
		})
	}
}

func TestInvariant07NobodyElseDecides(t *testing.T) {
	calls := 0
	o := paying(agent.Irreversible, &calls)
	bubble(t, o, func(r *rig) {
		r.accept(saidIn("room", "anna", "1", "pay him", true))
		code := r.asked(1)
		other := ordered("bert", "2", "approve", code)
		other.Where, other.Room = saidIn("room", "bert", "2", "", true).Where, channels.Room{Title: "room"}
		r.accept(other)
		if got := r.wait(2)[1].Text; !strings.Contains(got, "not yours") {
			t.Errorf("a guest: %q", got)
		}
		elsewhere := ordered("anna", "3", "approve", code)
		r.accept(elsewhere)
		if got := r.wait(3)[2].Text; !strings.Contains(got, "no such question") {
			t.Errorf("in another conversation: %q", got)
		}
		if calls != 0 {
			t.Error("it ran")
		}
		qs, err := r.gw.Questions(t.Context())
		if err != nil || len(qs) != 1 {
			t.Fatalf("open: %v, %v", qs, err)
		}
		if _, err := r.gw.Decide(t.Context(), r.owner(), qs[0].ID, approval.Answer{Outcome: approval.Approved, Extent: approval.Once}); err != nil {
			t.Fatal(err)
		}
		r.wait(5)
		if calls != 1 {
			t.Errorf("the owner allowed it, and it ran %d times", calls)
		}
	})
}

func TestInvariant07Expires(t *testing.T) {
	calls := 0
	bubble(t, paying(agent.Irreversible, &calls), func(r *rig) {
		r.accept(said("anna", "1", "pay him"))
		code := r.asked(1)
		r.after(approval.Patience - time.Minute)
		if n := len(r.chat.sent()); n != 1 {
			t.Fatalf("%d messages before the time is up", n)
		}
		r.after(2 * time.Minute)
		got := r.wait(3)
		if all := got[1].Text + got[2].Text; !strings.Contains(all, "Nobody answered in time") || calls != 0 {
			t.Errorf("expired: %q, ran %d times", all, calls)
		}
		r.accept(ordered("anna", "2", "approve", code))
		if got := r.wait(4)[3].Text; !strings.Contains(got, "run out") || calls != 0 {
			t.Errorf("too late: %q, ran %d times", got, calls)
		}
	})
}

func TestStopEndsWhatWaits(t *testing.T) {
	calls := 0
	bubble(t, paying(agent.Irreversible, &calls), func(r *rig) {
		r.accept(said("anna", "1", "pay him"))
		code := r.asked(1)
		r.accept(ordered("anna", "2", "stop", ""))
		got := r.wait(3)
		all := got[1].Text + "\n" + got[2].Text
		if !strings.Contains(all, "Stopped.") || !strings.Contains(all, "Stopped by") {
			t.Errorf("said %q", all)
		}
		r.accept(ordered("anna", "3", "approve", code))
		r.wait(4)
		r.after(time.Minute)
		if n := len(r.chat.sent()); calls != 0 || n != 4 {
			t.Errorf("ran %d times, %d messages", calls, n)
		}
	})
}

func TestInvariant07Lasting(t *testing.T) {
	calls := 0
	bubble(t, paying(agent.External, &calls), func(r *rig) {
		first := said("anna", "1", "pay him")
		m := first.Content.(channels.Message)
		m.Forwarded = "Mallory"
		first.Content = m
		r.accept(first)
		code := r.asked(1)
		r.accept(ordered("anna", "2", "approve", code+" here"))
		r.wait(3)
		r.accept(said("anna", "3", "pay again"))
		r.wait(4)
		if calls != 2 {
			t.Fatalf("ran %d times, want 2 with one question", calls)
		}
		all, err := r.gw.Standings(t.Context())
		if err != nil || len(all) != 1 || all[0].Tool != "pay" || all[0].Conversation == "" {
			t.Fatalf("standing: %+v, %v", all, err)
		}
		if _, err := r.gw.RevokeStanding(t.Context(), r.owner(), all[0].ID); err != nil {
			t.Fatal(err)
		}
		r.accept(said("anna", "4", "pay once more"))
		r.asked(5)
		if calls != 2 {
			t.Errorf("ran %d times after the approval was revoked", calls)
		}
	})
}

func TestInvariant07NeverLastsForWhatCannotBeUndone(t *testing.T) {
	calls := 0
	bubble(t, paying(agent.Irreversible, &calls), func(r *rig) {
		r.accept(said("anna", "1", "pay him"))
		code := r.asked(1)
		r.accept(ordered("anna", "2", "approve", code+" always"))
		if got := r.wait(2)[1].Text; !strings.Contains(got, "once at a time") || calls != 0 {
			t.Errorf("said %q, ran %d times", got, calls)
		}
	})
}

// TestManyQuestions: questions are no failures, however many a turn asks.
func TestManyQuestions(t *testing.T) {
	calls := 0
	o := paying(agent.Irreversible, &calls)
	bubble(t, func() rigOptions {
		x := o()
		m := agenttest.NewModel(func(r *agenttest.Request) agenttest.Answer {
			n := 0
			for _, m := range r.Messages() {
				n += len(m.Calls)
			}
			if n < 10 {
				return agenttest.Use("c"+string(rune('a'+n)), "pay", `{"eur":5}`)
			}
			return agenttest.Say("all done")
		})
		x.agent.Runner = agent.New(agent.Options{
			Models: map[string]agent.Model{"default": {Provider: m, Kind: "scripted", Name: "m"}},
			Tools:  []agent.Tool{pay{effect: agent.Irreversible, calls: &calls}},
		})
		return x
	}, func(r *rig) {
		r.accept(said("anna", "0", "pay them all"))
		for n := range 10 {
			qs := r.openQuestion()
			if _, err := r.gw.Decide(t.Context(), r.owner(), qs.ID, approval.Answer{Outcome: approval.Approved, Extent: approval.Once}); err != nil {
				t.Fatalf("question %d: %v", n, err)
			}
		}
		got := r.wait(21)
		if calls != 10 || got[20].Text != "all done" && got[19].Text != "all done" {
			t.Errorf("ran %d times; %+v", calls, got)
		}
	})
}

func (r *rig) openQuestion() approval.Question {
	r.t.Helper()
	for range 600 {
		r.settle()
		qs, err := r.gw.Questions(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if len(qs) == 1 {
			return qs[0]
		}
		<-time.After(100 * time.Millisecond)
	}
	r.t.Fatal("nothing was asked")
	return approval.Question{}
}
