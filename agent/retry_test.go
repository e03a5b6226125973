package agent_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := agenttest.NewModel(agenttest.In(
			agenttest.Refuse(500, ""), agenttest.Limit(5*time.Second), agenttest.Dying("wrong words", agenttest.Cut)))
		p := &port{}
		start := time.Now()
		res := run(t, one(m), turn("hi"), p)
		if text(res) != "echo: hi" || m.Calls() != 4 || res.Failed != nil {
			t.Errorf("reply %q after %d calls", text(res), m.Calls())
		}
		at := m.Requests()
		if d := at[1].At.Sub(at[0].At); d < 400*time.Millisecond || d > 700*time.Millisecond {
			t.Errorf("first wait %v", d)
		}
		if d := at[2].At.Sub(at[1].At); d != 5*time.Second {
			t.Errorf("Retry-After: waited %v", d)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
		if p.drafts[len(p.drafts)-1] != "echo: hi" {
			t.Errorf("the draft was not replaced: %q", p.drafts)
		}
	})
}

func TestRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := agenttest.NewModel(func(r *agenttest.Request) agenttest.Answer {
			if r.N == 2 {
				return agenttest.Dying("one two", agenttest.Cut)
			}
			return agenttest.Refuse(503, "")
		})
		start := time.Now()
		res := run(t, one(m), turn("hi"), &port{})
		if d := time.Since(start); d > 2*time.Minute || d < 45*time.Second {
			t.Errorf("gave up after %v", d)
		}
		got := text(res)
		if !strings.HasPrefix(got, "one \n\n*The answer broke off here.* OpenAI is overloaded") || res.Failed.Kind != agent.Overloaded {
			t.Errorf("reply %q, failed %v", got, res.Failed)
		}
		if len(res.Usage) != 1 || !res.Usage[0].Guessed {
			t.Errorf("the answer that broke off is not booked: %+v", res.Usage)
		}
	})
}

// TestTheWaitIsSaid: a model that gives no answer for long is not waited for in
// silence. What is shown stands in the place of the answer, once a question.
func TestTheWaitIsSaid(t *testing.T) {
	notices := func(drafts []string) (said []string) {
		for _, d := range drafts {
			if strings.Contains(d, "I keep trying") {
				said = append(said, d)
			}
		}
		return said
	}
	for _, tt := range []struct {
		name   string
		script agenttest.Script
		want   []string
		last   string // draft
	}{
		{
			"it fails on and on", func(*agenttest.Request) agenttest.Answer { return agenttest.Refuse(500, "") },
			[]string{"*OpenAI gives no answer (500). I keep trying, for another 75 seconds at most.*"},
			"*OpenAI gives no answer (500). I keep trying, for another 75 seconds at most.*",
		},
		{
			"what it had said before stands above", agenttest.In(agenttest.Dying("one two", agenttest.Cut), agenttest.Limit(30*time.Second)),
			[]string{"one \n\n*OpenAI gives no answer (429). I keep trying, for another 75 seconds at most.*"},
			"echo: hi",
		},
		{"it is over soon", agenttest.In(agenttest.Refuse(500, ""), agenttest.Refuse(500, ""), agenttest.Refuse(500, "")), nil, "echo: hi"},
		{
			"a call comes at last", agenttest.In(agenttest.Limit(30*time.Second), agenttest.Use("c1", "gone", "{}"), agenttest.Say("")),
			[]string{"*OpenAI gives no answer (429). I keep trying, for another 75 seconds at most.*"},
			"*The model answers again; I am at work.*",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &port{}
				run(t, one(agenttest.NewModel(tt.script)), turn("hi"), p)
				if diff := cmp.Diff(tt.want, notices(p.drafts)); diff != "" {
					t.Error(diff)
				}
				if got := p.drafts[len(p.drafts)-1]; got != tt.last {
					t.Errorf("the last draft is %q", got)
				}
			})
		})
	}
}

// clocked notes when something was drafted.
type clocked struct {
	port
	at []time.Time
}

func (c *clocked) Draft(string) { c.at = append(c.at, time.Now()) }

// TestTheWaitIsSaidInTime: a quarter of a minute after the question.
func TestTheWaitIsSaidInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := &clocked{}, time.Now()
		m := agenttest.NewModel(func(*agenttest.Request) agenttest.Answer { return agenttest.Refuse(500, "") })
		if _, err := agent.New(one(m)).Run(t.Context(), turn("hi"), p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]time.Time{start.Add(15 * time.Second)}, p.at); diff != "" {
			t.Error(diff)
		}
	})
}

func two(a, b *agenttest.Model) agent.Options {
	return agent.Options{Models: map[string]agent.Model{
		"default": {Provider: a, Kind: "openai", Title: "OpenAI", Secret: "openai", Name: "main", Fallbacks: []string{"spare", "missing", "spare"}},
		"spare":   {Provider: b, Kind: "anthropic", Title: "Anthropic", Secret: "anthropic", Name: "other"},
	}}
}

func TestFailover(t *testing.T) {
	for name, answer := range map[string]agenttest.Answer{
		"overloaded": agenttest.Refuse(529, ""), "wrong key": agenttest.Refuse(401, ""), "quota": agenttest.Refuse(402, ""),
		"limited": agenttest.Limit(time.Hour), "garbage": agenttest.Dying("abc", agenttest.Garbage),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := agenttest.NewModel(func(*agenttest.Request) agenttest.Answer { return answer })
				second := agenttest.NewModel(nil)
				p := &port{}
				start := time.Now()
				res := run(t, two(first, second), turn("hi"), p)
				if text(res) != "echo: hi" || time.Since(start) != 0 {
					t.Errorf("reply %q after %v", text(res), time.Since(start))
				}
				if u := res.Usage[len(res.Usage)-1]; u.Provider != "anthropic" || u.Model != "other" {
					t.Errorf("usage %+v", u)
				}
				if d := p.drafts[len(p.drafts)-1]; d != "echo: hi" {
					t.Errorf("draft %q", d)
				}
			})
		})
	}
}

func TestFailoverTellsTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := agenttest.NewModel(func(*agenttest.Request) agenttest.Answer { return agenttest.Refuse(401, "") })
		second := agenttest.NewModel(func(*agenttest.Request) agenttest.Answer { return agenttest.Refuse(500, "") })
		res := run(t, two(first, second), turn("hi"), &port{})
		if !strings.Contains(text(res), "key was refused (OpenAI, 401)") || first.Calls() != 1 || second.Calls() < 3 {
			t.Errorf("reply %q after %d and %d calls", text(res), first.Calls(), second.Calls())
		}
	})
}

func TestALongRetryAfterDoesNotHoldUpTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := agenttest.NewModel(agenttest.In(agenttest.Limit(60*time.Second), agenttest.Say("too soon")))
		second := agenttest.NewModel(agenttest.In(agenttest.Refuse(500, ""), agenttest.Say("from the spare")))
		start := time.Now()
		res := run(t, two(first, second), turn("hi"), &port{})
		if text(res) != "from the spare" || first.Calls() != 1 || time.Since(start) > time.Second {
			t.Errorf("reply %q after %v", text(res), time.Since(start))
		}
	})
}

// TestAnOutageIsLoggedOnce for a turn, and a failure of another kind anew.
func TestAnOutageIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := agenttest.NewModel(func(r *agenttest.Request) agenttest.Answer {
			if r.N == 3 {
				return agenttest.Limit(time.Second)
			}
			return agenttest.Refuse(503, "")
		})
		o := one(m)
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		run(t, o, turn("hi"), &port{})
		if n := strings.Count(log.String(), "model call failed"); n != 3 || m.Calls() < 5 {
			t.Errorf("%d lines for %d calls, want 3 for more:\n%s", n, m.Calls(), log.String())
		}
	})
}
