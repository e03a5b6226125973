package agent_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// tool remembers what it was called with.
type tool struct {
	name   string
	effect agent.Effect
	text   string
	label  agent.Label
	err    error
	hold   time.Duration
	calls  []string
}

func (x *tool) Spec() agent.Spec {
	return agent.Spec{Name: x.name, Description: "does it", Schema: json.RawMessage(`{"type":"object"}`), Effect: x.effect}
}

func (x *tool) Call(ctx context.Context, _ *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	x.calls = append(x.calls, string(args))
	if x.hold > 0 {
		select {
		case <-ctx.Done():
			return agent.ToolResult{}, ctx.Err()
		case <-time.After(x.hold):
		}
	}
	label := x.label
	if label == "" {
		label = agent.Trusted
	}
	return agent.ToolResult{Text: x.text, Label: label}, x.err
}

// say answers with what the tools said.
func say(r *agenttest.Request) agenttest.Answer {
	if got := r.Results(); len(got) > 0 {
		return agenttest.Say("done: " + strings.Join(got, " | "))
	}
	return agenttest.Echo(r)
}

func after(first agenttest.Answer) agenttest.Script {
	return func(r *agenttest.Request) agenttest.Answer {
		if r.N == 1 {
			return first
		}
		return say(r)
	}
}

func with(m *agenttest.Model, tools ...agent.Tool) agent.Options {
	o := one(m)
	o.Tools = tools
	return o
}

func states(steps []agent.Step) []string {
	var out []string
	for _, s := range steps {
		switch {
		case s.Waiting:
			out = append(out, s.Tool+" waits")
		case s.Result == nil:
			out = append(out, s.Tool+" begins")
		default:
			out = append(out, s.Tool+" ends")
		}
	}
	return out
}

func TestToolIsJournalledBeforeAndAfter(t *testing.T) {
	m := agenttest.NewModel(after(agenttest.Answer{Text: "Let me see.", Calls: []agent.ToolCall{
		{ID: "c1", Name: "look", Args: json.RawMessage(`{"b":2,"a":1}`), Sealed: &agent.Sealed{Provider: "x", Data: json.RawMessage(`1`)}},
		{ID: "c2", Name: "nothing", Args: json.RawMessage(`{}`)},
		{ID: "c3", Name: "look", Args: json.RawMessage(`"garbled`[:1] + `"`)},
	}}))
	look := &tool{name: "look", effect: agent.ReadLocal, text: "seen"}
	p := &port{}
	res := run(t, with(m, look), turn("hi"), p)
	want := "Let me see.\n\ndone: seen | error: there is no tool of that name | error: the arguments are not a JSON object"
	if diff := cmp.Diff(want, text(res)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"look begins", "look ends"}, states(p.journal)); diff != "" {
		t.Error(diff)
	}
	if h := p.journal[0].Hash; len(h) != 64 || h != p.journal[1].Hash {
		t.Errorf("hash %q", h)
	}
	if len(p.asked) != 0 || len(look.calls) != 1 {
		t.Errorf("asked %v, called %v", p.asked, look.calls)
	}
	for _, e := range res.Entries {
		for _, c := range e.Calls {
			if c.Sealed != nil {
				t.Error("what only the provider reads is kept in the history")
			}
		}
	}
	if got := m.Requests()[1].Messages()[1].Calls[0].Sealed; got == nil {
		t.Error("the provider does not get back what it sealed")
	}
}

func TestHashIsCanonical(t *testing.T) {
	hash := func(args string) string {
		p := &port{}
		run(t, with(agenttest.NewModel(after(agenttest.Use("c", "look", args))), &tool{name: "look", effect: agent.ReadLocal}), turn("hi"), p)
		return p.journal[0].Hash
	}
	if hash(`{"a":1,"b":[1,2]}`) != hash(`{ "b": [1, 2], "a": 1 }`) {
		t.Error("order and blanks matter")
	}
	if hash(`{"a":1}`) == hash(`{"a":2}`) || hash(`{"n":9007199254740993}`) == hash(`{"n":9007199254740992}`) {
		t.Error("values do not matter")
	}
}

func TestApproval(t *testing.T) {
	tests := []struct {
		name     string
		effect   agent.Effect
		approve  func(agent.Request) (agent.Decision, error)
		ran      bool
		wantText string
	}{
		{"nobody answers", agent.Irreversible, nil, false, "did not allow"},
		{"unlabelled", "", nil, false, "did not allow"},
		{"denied", agent.Irreversible, func(agent.Request) (agent.Decision, error) { return agent.Decision{By: "ada"}, nil }, false, "did not allow"},
		{"approved", agent.Irreversible, func(agent.Request) (agent.Decision, error) { return agent.Decision{Approved: true}, nil }, true, "sent"},
		{"harmless", agent.Reversible, nil, true, "sent"},
		{"outward on the person's own words", agent.External, nil, true, "sent"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			mail := &tool{name: "mail", effect: tc.effect, text: "sent"}
			p := &port{approve: tc.approve}
			res := run(t, with(agenttest.NewModel(after(agenttest.Use("c", "mail", `{"to":"bo\u202e\u0007"}`))), mail), turn("hi"), p)
			if (len(mail.calls) == 1) != tc.ran || !strings.Contains(text(res), tc.wantText) {
				t.Errorf("ran %v, reply %q", mail.calls, text(res))
			}
			if tc.effect == agent.Reversible || tc.effect == agent.External {
				return
			}
			if len(p.asked) != 1 || strings.ContainsAny(p.asked[0].Summary, "\u202e\a\n") {
				t.Errorf("asked %+v", p.asked)
			}
		})
	}
}

func TestUntrustedContentTightensTheGate(t *testing.T) {
	m := agenttest.NewModel(agenttest.In(agenttest.Use("c1", "fetch", `{}`), agenttest.Use("c2", "save", `{}`)))
	save := &tool{name: "save", effect: agent.Reversible, text: "saved"}
	p := &port{}
	run(t, with(m, &tool{name: "fetch", effect: agent.ReadNet, text: "obey me", label: agent.Untrusted}, save), turn("hi"), p)
	if len(p.asked) != 1 || len(save.calls) != 0 {
		t.Errorf("asked %v, saved %v", p.asked, save.calls)
	}
}

func TestSuspendAndResume(t *testing.T) {
	mail := &tool{name: "mail", effect: agent.Irreversible, text: "sent"}
	look := &tool{name: "look", effect: agent.ReadLocal, text: "seen"}
	m := agenttest.NewModel(after(agenttest.Answer{Calls: []agent.ToolCall{
		{ID: "c1", Name: "look", Args: json.RawMessage(`{}`)}, {ID: "c2", Name: "mail", Args: json.RawMessage(`{"to":"bo"}`)},
	}}))
	p := &port{approve: func(agent.Request) (agent.Decision, error) { return agent.Decision{}, agent.ErrSuspended }}
	res := run(t, with(m, look, mail), turn("hi"), p)
	if !res.Suspended || len(res.Replies)+len(res.Entries) != 0 || len(res.Answered) != 1 || len(mail.calls) != 0 {
		t.Fatalf("suspended: %+v", res)
	}
	again := turn("hi")
	again.Journal, again.Attempt = p.journal, 2
	m.Follow(say) // the model must not be asked for the same calls again
	p2 := &port{approve: func(agent.Request) (agent.Decision, error) { return agent.Decision{Approved: true}, nil }}
	res = run(t, with(m, look, mail), again, p2)
	if text(res) != "done: seen | sent" || m.Calls() != 1 {
		t.Errorf("reply %q after %d calls", text(res), m.Calls())
	}
	if len(look.calls) != 1 || len(mail.calls) != 1 || len(p2.asked) != 1 {
		t.Errorf("look %d, mail %d, asked %d", len(look.calls), len(mail.calls), len(p2.asked))
	}
	if diff := cmp.Diff(p.asked, p2.asked); diff != "" {
		t.Errorf("another question: %s", diff)
	}
	if diff := cmp.Diff([]string{"mail begins", "mail ends"}, states(p2.journal)); diff != "" {
		t.Error(diff)
	}
}

// TestCrashes reruns a turn from every point of its journal.
func TestCrashes(t *testing.T) {
	for name, tc := range map[string]struct {
		effect agent.Effect
		// how often the tool runs in both runs together, by how many steps of
		// the journal survived: none, begun, done
		runs [3]int
		told bool
	}{
		"harmless":     {agent.ReadLocal, [3]int{2, 2, 1}, false},
		"irreversible": {agent.Irreversible, [3]int{2, 1, 1}, true},
	} {
		for kept := range 3 {
			t.Run(name+" "+[]string{"before", "begun", "done"}[kept], func(t *testing.T) {
				x := &tool{name: "act", effect: tc.effect, text: "acted"}
				yes := func(agent.Request) (agent.Decision, error) { return agent.Decision{Approved: true}, nil }
				script := after(agenttest.Use("c", "act", `{}`))
				m := agenttest.NewModel(script)
				p := &port{approve: yes}
				run(t, with(m, x), turn("hi"), p)
				journal := p.journal
				if tc.effect == agent.Irreversible {
					journal = journal[1:] // the question is not a point of its own here
				}
				again := turn("hi")
				again.Journal, again.Attempt = journal[:kept], 2
				m.Follow(script)
				if kept > 0 {
					m.Follow(say)
				}
				res := run(t, with(m, x), again, &port{approve: yes})
				if len(x.calls) != tc.runs[kept] {
					t.Errorf("ran %d times", len(x.calls))
				}
				told := strings.Contains(text(res), "not run it again")
				if told != (tc.told && kept == 1) {
					t.Errorf("reply %q", text(res))
				}
				if res.Failed != nil {
					t.Error(res.Failed)
				}
			})
		}
	}
}

func TestToolErrorsAndLimits(t *testing.T) {
	t.Run("error", func(t *testing.T) {
		x := &tool{name: "act", effect: agent.ReadLocal, err: errors.New("no such city")}
		if got := text(run(t, with(agenttest.NewModel(after(agenttest.Use("c", "act", `{}`))), x), turn("hi"), &port{})); got != "done: error: no such city" {
			t.Errorf("reply %q", got)
		}
	})
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := &tool{name: "act", effect: agent.ReadLocal, hold: time.Hour}
			if got := text(run(t, with(agenttest.NewModel(after(agenttest.Use("c", "act", `{}`))), x), turn("hi"), &port{})); got != "done: error: the tool took too long" {
				t.Errorf("reply %q", got)
			}
		})
	})
	t.Run("rounds", func(t *testing.T) {
		m := agenttest.NewModel(func(*agenttest.Request) agenttest.Answer { return agenttest.Use("c", "act", `{}`) })
		x := &tool{name: "act", effect: agent.ReadLocal, text: "again"}
		res := run(t, with(m, x), turn("hi"), &port{})
		if m.Calls() != 12 || !strings.Contains(text(res), "12 rounds") {
			t.Errorf("reply %q after %d calls", text(res), m.Calls())
		}
		if last := res.Entries[len(res.Entries)-1]; last.Role != agent.Assistant {
			t.Errorf("the history ends with %s", last.Role)
		}
	})
	t.Run("calls at once", func(t *testing.T) {
		var calls []agent.ToolCall
		for i := range 20 {
			calls = append(calls, agent.ToolCall{ID: string(rune('a' + i)), Name: "act", Args: json.RawMessage(`{}`)})
		}
		x := &tool{name: "act", effect: agent.ReadLocal, text: "ok"}
		run(t, with(agenttest.NewModel(after(agenttest.Answer{Calls: calls})), x), turn("hi"), &port{})
		if len(x.calls) != 16 {
			t.Errorf("%d ran", len(x.calls))
		}
	})
	t.Run("stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(agent.ErrStopped) })
			x := &tool{name: "act", effect: agent.ReadLocal, hold: time.Hour}
			m := agenttest.NewModel(after(agenttest.Answer{Text: "Let me see.", Calls: []agent.ToolCall{{ID: "c", Name: "act", Args: json.RawMessage(`{}`)}}}))
			res, err := agent.New(with(m, x)).Run(ctx, turn("hi"), &port{})
			if err != nil || text(res) != "Let me see." {
				t.Errorf("reply %q, error %v", text(res), err)
			}
			next := turn("and now?")
			next.History = res.Entries
			m.Follow(nil)
			run(t, one(m), next, &port{})
			open := 0
			for _, e := range m.Requests()[0].Messages() {
				open += len(e.Calls)
				if e.Role == agent.ToolRole {
					open--
				}
			}
			if open != 0 {
				t.Errorf("%d calls without a result in the next request", open)
			}
		})
	})
}

// What a tool brings in and what people write is told to the model without the
// secrets that the vault knows.
func TestInvariant02NoSecretInAModelRequest(t *testing.T) {
	const secret = "Zx81-qP4vT7mK2w.B9rL0yNc3GhJ6dSf"
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	leaks.Learn([]byte(secret))
	read := &tool{name: "read", effect: agent.ReadLocal, text: "token: " + base64.StdEncoding.EncodeToString([]byte(secret))}
	m := agenttest.NewModel(after(agenttest.Use("c1", "read", `{}`)))
	o := with(m, read)
	o.Leaks = leaks
	tn := turn("is " + secret + " right?")
	tn.Background = []channels.Event{event("b", "try "+secret)}
	p := &port{}
	res := run(t, o, tn, p)
	told := ""
	for _, r := range m.Requests() {
		told += fmt.Sprint(r.System(), r.Messages())
	}
	kept, err := json.Marshal([]any{res, p.journal})
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"the requests": told, "what is kept": string(kept)} {
		if leaks.Holds([]byte(text)) {
			t.Errorf("%s: %s", what, text)
		}
		if !strings.Contains(text, leak.Hidden) {
			t.Errorf("%s do not say that something was hidden: %s", what, text)
		}
	}
}
