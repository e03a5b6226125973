package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// TestRepliesAreDiscreet: every failure has words of its own, and none of them
// come from the provider.
func TestRepliesAreDiscreet(t *testing.T) {
	kinds := []agent.ErrorKind{
		agent.NoModel, agent.Unauthorized, agent.UnknownModel, agent.RateLimited, agent.Quota, agent.Overloaded, agent.Unreachable,
		agent.Interrupted, agent.Stalled, agent.Garbled, agent.TooLong, agent.BadRequest, agent.OverBudget,
	}
	seen := map[string]agent.ErrorKind{}
	for _, k := range append(kinds, "a kind of tomorrow") {
		for _, m := range []agent.Model{{}, {Kind: "openai", Title: "OpenAI", Secret: "openai"}} {
			e := &agent.Error{Kind: k, Provider: "openai", Model: "gpt`-5", Status: 400, RetryAfter: time.Minute, Err: errors.New("sk-secret")}
			got := agent.ReplyFor(e, m)
			if got == "" || strings.Contains(got, "sk-secret") || strings.Contains(got, "gpt`") || strings.Contains(got, "%!") {
				t.Errorf("%s: %q", k, got)
			}
			if other, ok := seen[got]; ok && other != k {
				t.Errorf("%s and %s say the same", k, other)
			}
			seen[got] = k
		}
	}
}
