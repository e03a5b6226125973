package agent_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// purse is a budget of one turn.
type purse struct {
	left, aside float64
}

func (p *purse) Reserve(_ context.Context, least, most float64) (float64, func(float64), error) {
	if p.left < least || p.left <= 0 {
		return 0, nil, agent.ErrOverBudget
	}
	usd := min(p.left, most)
	p.left, p.aside = p.left-usd, p.aside+usd
	return usd, func(cost float64) { p.left, p.aside = p.left+usd-cost, p.aside-usd }, nil
}

func priced(m *agenttest.Model, p agent.Price) agent.Options {
	o := one(m)
	d := o.Models["default"]
	d.Price = p
	o.Models["default"] = d
	o.Tools = []agent.Tool{&tool{name: "note", effect: agent.ReadLocal, text: "noted"}}
	return o
}

func TestBudget(t *testing.T) {
	price := agent.Price{Input: 1, Output: 10}
	tn := turn("hi")
	tn.Budget = &purse{}
	m := agenttest.NewModel(nil)
	res := run(t, priced(m, price), tn, &port{})
	if res.Failed == nil || res.Failed.Kind != agent.OverBudget || m.Calls() != 0 || !strings.Contains(text(res), "daily spending cap") {
		t.Errorf("at once: %q after %d calls", text(res), m.Calls())
	}
	// The first call costs all that is left: a second one is not made.
	m = agenttest.NewModel(agenttest.In(agenttest.Answer{
		Text: "Let me see.", Calls: []agent.ToolCall{{ID: "c", Name: "note", Args: json.RawMessage("{}")}},
		Usage: agenttest.Tokens{Input: 100, Output: 10_000},
	}))
	p := &purse{left: 0.1}
	tn.Budget = p
	res = run(t, priced(m, price), tn, &port{})
	if res.Failed == nil || res.Failed.Kind != agent.OverBudget || m.Calls() != 1 || !strings.HasPrefix(text(res), "Let me see.") {
		t.Errorf("after one: %q after %d calls", text(res), m.Calls())
	}
	if u := res.Usage[0]; u.USD != 0.1001 || math.Abs(p.left+0.0001) > 1e-9 || p.aside != 0 {
		t.Errorf("usage %+v, left %v, set aside %v", u, p.left, p.aside)
	}
	// A local model costs nothing and goes on.
	tn.Budget = &purse{}
	if res := run(t, one(agenttest.NewModel(nil)), tn, &port{}); res.Failed != nil {
		t.Errorf("local: %v", res.Failed)
	}
}

// TestBudgetLimitsOutput: the model is asked for no more than is left, and is
// not told a limit where there is plenty. What is set aside covers the answer.
func TestBudgetLimitsOutput(t *testing.T) {
	for _, tt := range []struct {
		left       float64
		configured int
		most, more int // of the request's limit: at most, at least
	}{
		{100, 0, 0, 0},
		{100, 700, 700, 700},
		{0.01, 0, 1000, 512},
		{0.01, 700, 700, 700},
		{0.0062, 4000, 620, 512},
	} {
		var asked int
		m := agenttest.NewModel(func(r *agenttest.Request) agenttest.Answer {
			asked = r.MaxOutput()
			return agenttest.Answer{Text: "yes", Usage: agenttest.Tokens{Input: 10, Output: max(1, r.MaxOutput())}}
		})
		o := priced(m, agent.Price{Input: 1, Output: 10})
		d := o.Models["default"]
		d.MaxOutput = tt.configured
		o.Models["default"] = d
		p := &purse{left: tt.left}
		tn := turn("hi")
		tn.Budget = p
		run(t, o, tn, &port{})
		if asked > tt.most || asked < tt.more || p.left < 0 || p.aside != 0 {
			t.Errorf("%v left, configured %d: asked for %d tokens, %v is left, %v set aside", tt.left, tt.configured, asked, p.left, p.aside)
		}
	}
}

func TestUsageIsGuessedWithoutFigures(t *testing.T) {
	m := agenttest.NewModel(agenttest.In(agenttest.Answer{Text: strings.Repeat("word ", 40), NoUsage: true}))
	u := run(t, one(m), turn("hi"), &port{}).Usage[0]
	if !u.Guessed || u.Input < 10 || u.Output < 40 || u.At.IsZero() {
		t.Errorf("usage %+v", u)
	}
}
