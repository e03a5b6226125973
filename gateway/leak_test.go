package gateway_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

const (
	longSecret  = "Zx81-qP4vT7mK2w.B9rL0yNc3GhJ6dSf"
	shortSecret = "q8Xw2mZk4T9bVn3Rj7Lc" // neither half is enough to be known by itself
)

func guarded(t *testing.T) *leak.Guard {
	t.Helper()
	g, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	g.Learn([]byte(longSecret))
	g.Learn([]byte(shortSecret))
	return g
}

func TestInvariant02SecretsInReplies(t *testing.T) {
	answers := map[string]string{
		"plain": "It is " + longSecret + ".", "first": "It begins with " + shortSecret[:10], "second": shortSecret[10:] + " ends it",
	}
	bubble(t, func() rigOptions {
		return rigOptions{leaks: guarded(t), agent: gateway.AgentSettings{
			Queue: gateway.Followup,
			Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
				text := answers[texts(t.Events)]
				res := reply(text)
				res.Entries = []agent.Entry{{Role: agent.Assistant, Text: text}}
				return res, nil
			}),
		}}
	}, func(r *rig) {
		for i, text := range []string{"plain", "first", "second"} {
			r.accept(said("anna", string(rune('1'+i)), text))
			r.wait(i + 1)
		}
		want := []sent{
			{To: "dm-anna", Text: "It is [secret]."},
			{To: "dm-anna", Text: "It begins with " + shortSecret[:10]},
			{To: "dm-anna", Text: "[secret] ends it"},
		}
		if d := cmp.Diff(want, r.chat.sent()); d != "" {
			t.Error(d)
		}
		for _, space := range []string{"session", "turn", "step"} {
			all, err := r.bus.List(t.Context(), space, "", "", 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				if strings.Contains(string(e.Value), longSecret) {
					t.Errorf("%s/%s holds the secret: %s", space, e.Key, e.Value)
				}
			}
		}
	})
}

func TestInvariant02SecretsInDrafts(t *testing.T) {
	growing := runner(func(ctx context.Context, _ agent.Turn, p agent.Port) (agent.Result, error) {
		whole := "The key that you have asked me for is " + longSecret + " and nothing else"
		for i := 1; i <= len(whole); i += 3 {
			p.Draft(whole[:i])
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
		return reply(whole), nil
	})
	bubble(t, func() rigOptions {
		return rigOptions{stream: true, leaks: guarded(t), agent: gateway.AgentSettings{Runner: growing}}
	}, func(r *rig) {
		r.accept(said("anna", "1", "go"))
		r.after(20 * time.Second)
		all := r.chat.sent()
		shown, err := json.Marshal(all)
		if err != nil || len(all) < 3 {
			t.Fatalf("%d messages, %v", len(all), err)
		}
		if strings.Contains(string(shown), longSecret[:4]) {
			t.Errorf("a draft shows a part of the secret: %s", shown)
		}
		if last := all[len(all)-1].Text; last != "The key that you have asked me for is [secret] and nothing else" {
			t.Errorf("the final is %q", last)
		}
	})
}
