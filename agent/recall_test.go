package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
)

// shelf is a memory that finds what it is told to.
type shelf struct {
	hits  []memory.Hit
	err   error
	asked []memory.Query
}

func (s *shelf) Remember(context.Context, scope.Scope, ...memory.Item) ([]string, error) {
	return nil, s.err
}

func (s *shelf) Forget(context.Context, scope.Scope, ...string) (int, error) { return 0, s.err }

func (s *shelf) Recall(_ context.Context, _ scope.Scope, q memory.Query) ([]memory.Hit, error) {
	s.asked = append(s.asked, q)
	return s.hits, s.err
}

func found(id, member string, label memory.Label, text string) memory.Hit {
	return memory.Hit{
		Item:  memory.Item{ID: id, Kind: memory.Fact, Member: member, Label: label, At: time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)},
		Chunk: memory.Chunk{Text: text},
	}
}

func recalling(m *agenttest.Model, s memory.Store, tokens int, tools ...agent.Tool) agent.Options {
	o := with(m, tools...)
	o.Recall = agent.Recall{Memory: s, Tokens: tokens, HalfLife: time.Hour}
	return o
}

// told is what the model is told besides what was said.
func told(r *agenttest.Request) string {
	var out []string
	for _, m := range r.Messages() {
		if strings.HasPrefix(m.Text, agent.ContextMark) {
			out = append(out, m.Text)
		}
	}
	return strings.Join(out, "\n")
}

func TestRecallBeforeATurn(t *testing.T) {
	s := &shelf{hits: []memory.Hit{
		found("a", "ada", memory.Trusted, "the key is under the mat"), found("b", "bob", memory.Trusted, "bob has the other key"),
		found("c", "ada", memory.Trusted, strings.Repeat("too much ", 200)),
	}}
	m := agenttest.NewModel(agenttest.In(agenttest.Say("Under the mat [1].")))
	res := run(t, recalling(m, s, 200), turn("where is the key?"), &port{})
	want := []memory.Query{{Text: "where is the key?", Limit: 8, HalfLife: time.Hour, Diversity: 0.5}}
	if d := cmp.Diff(want, s.asked); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	got := told(m.Requests()[0])
	for _, part := range []string{"[1] (fact, 4 May 2026) the key is under the mat", "[2] (fact, 4 May 2026, said by another member) bob"} {
		if !strings.Contains(got, part) {
			t.Errorf("the model is not told %q but %q", part, got)
		}
	}
	if strings.Contains(got, "too much") {
		t.Error("more is told than the budget allows")
	}
	if !strings.HasPrefix(text(res), "Under the mat [1].") || !strings.Contains(text(res), "/sources") {
		t.Errorf("the person reads %q", text(res))
	}
	last := res.Entries[len(res.Entries)-1]
	if d := cmp.Diff([]agent.Source{{Mark: 1, Item: "a"}}, last.Sources); d != "" {
		t.Errorf("sources (-want +got):\n%s", d)
	}
	if strings.Contains(last.Text, "/sources") {
		t.Error("the history holds the hint")
	}
}

func TestRecallIsNeverInTheWay(t *testing.T) {
	s := &shelf{err: errors.New("down")}
	m := agenttest.NewModel(agenttest.Echo)
	res := run(t, recalling(m, s, 200), turn("hi"), &port{})
	if text(res) != "echo: hi" || !strings.Contains(told(m.Requests()[0]), "could not be searched") {
		t.Errorf("%q, told %q", text(res), told(m.Requests()[0]))
	}
	s = &shelf{hits: []memory.Hit{found("a", "ada", memory.Trusted, "x")}}
	run(t, recalling(agenttest.NewModel(agenttest.Echo), s, 0), turn("hi"), &port{})
	if len(s.asked) != 0 {
		t.Error("it is asked without a budget")
	}
	m = agenttest.NewModel(agenttest.Echo)
	res = run(t, recalling(m, s, 200), turn("hi"), &port{})
	if text(res) != "echo: hi" {
		t.Errorf("without a mark in the answer: %q", text(res))
	}
	if got := res.Entries[len(res.Entries)-1].Sources; len(got) != 1 {
		t.Errorf("sources %v", got)
	}
}

// TestInvariant06RecallTaints: what was kept of a stranger's words makes the
// turn that recalls it ask a person, and the turns after it, however long ago it
// was kept.
func TestInvariant06RecallTaints(t *testing.T) {
	for name, c := range map[string]struct {
		hit    memory.Hit
		effect agent.Effect
		asks   bool
	}{
		"own":                   {found("a", "ada", memory.Trusted, "x"), agent.External, false},
		"another's":             {found("a", "bob", memory.Trusted, "x"), agent.Reversible, false},
		"another's, outward":    {found("a", "bob", memory.Trusted, "x"), agent.External, true},
		"a member's":            {found("a", "ada", memory.ByMember, "x"), agent.External, true},
		"untrusted":             {found("a", "ada", memory.Untrusted, "x"), agent.Reversible, true},
		"of a label not known":  {found("a", "ada", "odd", "x"), agent.Reversible, true},
		"untrusted, outward":    {found("a", "ada", memory.Untrusted, "x"), agent.External, true},
		"untrusted, read alone": {found("a", "ada", memory.Untrusted, "x"), agent.ReadNet, false},
	} {
		t.Run(name, func(t *testing.T) {
			save := &tool{name: "save", effect: c.effect, text: "saved"}
			m := agenttest.NewModel(after(agenttest.Use("c1", "save", `{}`)))
			p := &port{}
			res := run(t, recalling(m, &shelf{hits: []memory.Hit{c.hit}}, 100, save), turn("do"), p)
			if (len(p.asked) == 1) != c.asks {
				t.Errorf("asked %d times", len(p.asked))
			}
			if c.hit.Label == memory.Untrusted != strings.Contains(told(m.Requests()[0]), "<untrusted ") && c.hit.Label != "odd" {
				t.Errorf("told %q", told(m.Requests()[0]))
			}
			if c.hit.Label != memory.Untrusted {
				return
			}
			again := turn("and again")
			again.History = res.Entries
			p = &port{}
			run(t, with(agenttest.NewModel(after(agenttest.Use("c1", "save", `{}`))), &tool{name: "save", effect: agent.Reversible}), again, p)
			if len(p.asked) != 1 {
				t.Error("the next turn does not ask")
			}
		})
	}
}

// TestRecallOfNothing: a message without anything for the model asks nobody.
func TestRecallOfNothing(t *testing.T) {
	s := &shelf{}
	tn := turn("x")
	tn.Events[0].Content = channels.Message{Files: []channels.File{{Kind: channels.Voice}}}
	run(t, recalling(agenttest.NewModel(agenttest.Echo), s, 100), tn, &port{})
	if len(s.asked) != 0 {
		t.Errorf("asked %v", s.asked)
	}
}
