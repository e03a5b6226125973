package agent_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

func long(n int) []agent.Entry {
	var h []agent.Entry
	for i := range n {
		h = append(h,
			agent.Entry{Role: agent.User, Name: "Ada", Text: fmt.Sprintf("question %d %s", i, strings.Repeat("x", 400)), Keys: []string{fmt.Sprint("old", i)}},
			agent.Entry{Role: agent.Assistant, Text: fmt.Sprintf("answer %d %s", i, strings.Repeat("y", 400))})
	}
	return h
}

func small(m *agenttest.Model) agent.Options {
	o := one(m)
	d := o.Models["default"]
	d.Context = 2000
	o.Models["default"] = d
	return o
}

// summarising answers the call that asks for a summary.
func summarising(summary agenttest.Answer, otherwise agenttest.Script) agenttest.Script {
	return func(r *agenttest.Request) agenttest.Answer {
		if strings.HasPrefix(r.System(), "You keep the memory") {
			return summary
		}
		return otherwise(r)
	}
}

// TestSummarySaysWhose: a summary names the members whose words it stands for,
// those of an earlier one included, and that there are some it does not know.
func TestSummarySaysWhose(t *testing.T) {
	for name, c := range map[string]struct {
		before agent.Entry
		want   []string
	}{
		"a summary":                   {agent.Entry{Role: agent.Summary, Text: "s", Of: []string{"zoe", "bob"}}, []string{"ada", "bob", "zoe"}},
		"a summary that does not say": {agent.Entry{Role: agent.Summary, Text: "s"}, []string{"", "ada"}},
		"somebody else":               {agent.Entry{Role: agent.User, Member: "bob", Text: "s"}, []string{"ada", "bob"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := agenttest.NewModel(summarising(agenttest.Say("Ada likes soup."), agenttest.Echo))
			tn := turn("and now?")
			tn.History = append([]agent.Entry{c.before}, long(20)...)
			for i := range tn.History[1:] {
				if e := &tn.History[i+1]; e.Role == agent.User {
					e.Member = "ada"
				}
			}
			if diff := cmp.Diff(c.want, run(t, small(m), tn, &port{}).Entries[0].Of); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAHistoryStaysAsItIs: what the model is shown otherwise is changed in a
// copy, since a history is read by others at the same time; what it is shown as
// it is, is not copied for each request.
func TestAHistoryStaysAsItIs(t *testing.T) {
	kinds := []agent.Entry{
		{Role: agent.Summary, Text: "soup was spoken of"},
		{Role: agent.User, Name: "Eve", Member: "eve", Text: "what is soup?"},
		{Role: agent.Assistant, Calls: []agent.ToolCall{{ID: "c1", Name: "look", Args: []byte(`{}`)}}},
		{Role: agent.ToolRole, CallID: "c1", Text: "a liquid"},
		{Role: agent.Assistant, Text: "a liquid"},
	}
	for _, direct := range []bool{true, false} {
		history := slices.Clone(kinds)
		shown := asked(t, history, direct)
		if diff := cmp.Diff(kinds, history); diff != "" {
			t.Errorf("direct %v: the history was changed: %s", direct, diff)
		}
		name := map[bool]string{true: "", false: "Eve: "}[direct]
		if shown[0].Role != agent.User || shown[1].Text != name+"what is soup?" || shown[3].Text == "a liquid" || shown[4].Text != "a liquid" {
			t.Errorf("direct %v: the model is shown %+v", direct, shown)
		}
	}
	plain := []agent.Entry{{Role: agent.User, Name: "Ada", Text: "soup"}, {Role: agent.Assistant, Text: "a liquid"}}
	for i, e := range asked(t, plain, true)[:len(plain)] {
		if e != &plain[i] {
			t.Errorf("entry %d was copied", i)
		}
	}
}

// asked is what a model is shown in a turn with that history.
func asked(t *testing.T, history []agent.Entry, direct bool) []*agent.Entry {
	var shown []*agent.Entry
	m := agenttest.NewModel(nil)
	o := one(m)
	d := o.Models["default"]
	d.Provider = watching{Model: m, see: func(r agent.ModelRequest) *agent.Error {
		shown = r.Messages
		return nil
	}}
	o.Models["default"] = d
	tn := turn("and now?")
	tn.Room.Direct, tn.History = direct, history
	run(t, o, tn, &port{})
	return shown
}

func TestCompaction(t *testing.T) {
	m := agenttest.NewModel(summarising(agenttest.Say("Ada likes soup."), agenttest.Echo))
	tn := turn("and now?")
	tn.History = long(20)
	res := run(t, small(m), tn, &port{})
	if text(res) != "echo: and now?" || m.Calls() != 2 || len(res.Usage) != 2 {
		t.Fatalf("reply %q after %d calls", text(res), m.Calls())
	}
	first := res.Entries[0]
	if first.Role != agent.Summary || first.Text != "Ada likes soup." {
		t.Errorf("entries begin with %+v", first)
	}
	kept := res.Entries[1 : len(res.Entries)-2]
	if len(kept) == 0 || kept[0].Role != agent.User {
		t.Errorf("kept %s", roles(kept))
	}
	if diff := cmp.Diff(tn.History[len(tn.History)-len(kept):], kept); diff != "" {
		t.Errorf("the newest are not kept as they were: %s", diff)
	}
	asked := m.Requests()[1].Messages()
	if asked[0].Text != agent.ContextMark+"What was said before, summarised: Ada likes soup." {
		t.Errorf("the model reads %q", asked[0].Text)
	}
	if tr := m.Requests()[0].Messages()[0].Text; !strings.Contains(tr, "Ada: question 15") || strings.Contains(tr, kept[0].Text) {
		t.Errorf("transcript %.200q", tr)
	}

	// The next turn reads the history from the summary on, and has no need of another.
	next := turn("and then?")
	next.History = append(append([]agent.Entry{}, tn.History...), res.Entries...)
	m.Follow(nil)
	if res := run(t, small(m), next, &port{}); m.Calls() != 1 || len(res.Entries) != 2 {
		t.Errorf("%d calls, entries %d", m.Calls(), len(res.Entries))
	}
	if n := len(m.Requests()[0].Messages()); n != 1+len(kept)+3 {
		t.Errorf("%d messages", n)
	}
}

func TestCompactionThatFailsLosesNothing(t *testing.T) {
	for name, a := range map[string]agenttest.Answer{"error": agenttest.Refuse(400, ""), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			m := agenttest.NewModel(summarising(a, agenttest.Echo))
			tn := turn("and now?")
			tn.History = long(20)
			res := run(t, small(m), tn, &port{})
			if text(res) != "echo: and now?" || len(res.Entries) != 2 {
				t.Errorf("reply %q, %d entries", text(res), len(res.Entries))
			}
		})
	}
}

func TestTooLongIsShortenedOnce(t *testing.T) {
	refuse := func(r *agenttest.Request) agenttest.Answer {
		if len(r.Messages()) > 3 {
			return agenttest.Refuse(http.StatusBadRequest, "context_length_exceeded")
		}
		return agenttest.Echo(r)
	}
	m := agenttest.NewModel(summarising(agenttest.Say("short"), refuse))
	tn := turn("and now?")
	tn.History = long(4)
	res := run(t, one(m), tn, &port{})
	if text(res) != "echo: and now?" || m.Calls() != 3 || res.Entries[0].Role != agent.Summary {
		t.Errorf("reply %q after %d calls, entries\n%.300s", text(res), m.Calls(), roles(res.Entries))
	}

	always := func(*agenttest.Request) agenttest.Answer {
		return agenttest.Refuse(http.StatusBadRequest, "context_length_exceeded")
	}
	m.Follow(summarising(agenttest.Say("short"), always))
	if res := run(t, one(m), tn, &port{}); res.Failed == nil || res.Failed.Kind != agent.TooLong || m.Calls() != 3 {
		t.Errorf("failed %v after %d calls", res.Failed, m.Calls())
	}
}

// TestAnyHistoryIsMadeWhole: whatever was cut off a history, each call in a
// request is followed by its result, and no result stands alone.
func TestAnyHistoryIsMadeWhole(t *testing.T) {
	id := rapid.SampledFrom([]string{"a", "b", ""})
	rapid.Check(t, func(rt *rapid.T) {
		entry := rapid.Custom(func(rt *rapid.T) agent.Entry {
			switch rapid.IntRange(0, 3).Draw(rt, "role") {
			case 0:
				return agent.Entry{Role: agent.User, Text: "u"}
			case 1:
				return agent.Entry{Role: agent.ToolRole, CallID: id.Draw(rt, "id"), Text: "r"}
			}
			e := agent.Entry{Role: agent.Assistant, Text: "s"}
			for range rapid.IntRange(0, 3).Draw(rt, "calls") {
				e.Calls = append(e.Calls, agent.ToolCall{ID: id.Draw(rt, "id"), Name: "f", Args: []byte("{}")})
			}
			return e
		})
		m := agenttest.NewModel(nil)
		tn := turn("x")
		tn.History = rapid.SliceOf(entry).Draw(rt, "history")
		if _, err := agent.New(one(m)).Run(t.Context(), tn, &port{}); err != nil {
			rt.Fatal(err)
		}
		open := map[string]int{}
		for _, e := range m.Requests()[0].Messages() {
			if e.Role == agent.ToolRole {
				if open[e.CallID]--; open[e.CallID] < 0 {
					rt.Fatalf("a result for %q without a call", e.CallID)
				}
				continue
			}
			for id, n := range open {
				if n != 0 {
					rt.Fatalf("call %q has no result before %s", id, e.Role)
				}
			}
			for _, c := range e.Calls {
				open[c.ID]++
			}
		}
	})
}
