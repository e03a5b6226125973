package gateway_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// TestModelThatGivesNoAnswer: who waits is told so where a message can be
// changed afterwards, and sees one message in the end, whatever it says. Where it
// cannot, there is that one message alone.
func TestModelThatGivesNoAnswer(t *testing.T) {
	const (
		notice = "OpenAI gives no answer (500). I keep trying, for another 75 seconds at most."
		fault  = "OpenAI is overloaded or has a fault (500). I tried several times; please try again in a minute."
	)
	failing := func(n int) agenttest.Script {
		return func(r *agenttest.Request) agenttest.Answer {
			if r.N <= n {
				return agenttest.Refuse(500, "")
			}
			return agenttest.Say("here I am")
		}
	}
	for _, tt := range []struct {
		name   string
		script agenttest.Script
		stream bool
		want   []sent
	}{
		{"it comes back", failing(6), true, []sent{{To: "dm-anna", Text: notice}, {To: "dm-anna", Text: "here I am", Replaces: "m1"}}},
		{"it stays away", failing(1000), true, []sent{{To: "dm-anna", Text: notice}, {To: "dm-anna", Text: fault, Replaces: "m1"}}},
		{"nothing can be changed afterwards", failing(1000), false, []sent{{To: "dm-anna", Text: fault}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func() rigOptions {
				a := agent.New(agent.Options{Models: map[string]agent.Model{
					"default": {Provider: agenttest.NewModel(tt.script), Kind: "openai", Title: "OpenAI", Name: "main"},
				}})
				return rigOptions{stream: tt.stream, agent: gateway.AgentSettings{Runner: a}}
			}, func(r *rig) {
				r.accept(said("anna", "1", "hi"))
				r.after(5 * time.Minute)
				if d := cmp.Diff(tt.want, slices.Compact(r.chat.sent())); d != "" {
					t.Error(d)
				}
			})
		})
	}
}
