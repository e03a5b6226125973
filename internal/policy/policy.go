// Package policy says what turns may do at all: which tools they are offered,
// which destinations they reach, which secrets they use. A policy is a list of
// rules in YAML, and is compiled to Cedar. What no rule allows is denied, and a
// denial wins over everything.
//
// The policy stands before the gate that asks a person after untrusted content,
// and does not open it: what is allowed here may still have to be approved.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Action is what is judged. The set is closed.
type Action string

// The actions.
const (
	Tool    Action = "tool"    // the name of a tool
	Network Action = "network" // a host
	Secret  Action = "secret"  // the name of a secret
	Exec    Action = "exec"    // a command
)

// Actions lists them.
func Actions() []string { return []string{string(Tool), string(Network), string(Secret), string(Exec)} }

// Verdict is what a decision comes to. The zero Verdict denies.
type Verdict string

// The verdicts.
const (
	Deny   Verdict = ""
	Review Verdict = "review" // a person is asked first
	Allow  Verdict = "allow"
)

// String names a verdict as the file does.
func (v Verdict) String() string {
	if v == Deny {
		return "deny"
	}
	return string(v)
}

// Request asks about one name, for one speaker.
type Request struct {
	Action    Action
	Name      string // a tool, a host without its port, a secret, a command
	Workspace string
	Role      string
	Channel   string
}

// Decision is the answer, with the lines of the rules that made it.
type Decision struct {
	Verdict Verdict
	Lines   []int // none: no rule speaks of it
}

// Engine decides. It is not changed after it was made, and is safe for
// concurrent use. The zero Engine denies everything.
type Engine struct {
	set     *cedar.PolicySet
	lines   map[cedar.PolicyID]int
	version string
	tests   []Test
}

// Version names the rules: it changes with everything that they say.
func (e *Engine) Version() string { return e.version }

// asked is the action of the rules that want a person, beside the action itself.
func asked(a Action) string { return "review-" + string(a) }

// compile makes the engine of rules that were checked.
func compile(rules []rule, tests []Test) (*Engine, error) {
	e := &Engine{set: cedar.NewPolicySet(), lines: map[cedar.PolicyID]int{}, tests: tests}
	sum := sha256.New()
	for i, r := range rules {
		for _, part := range []struct {
			what  string
			names []string
			head  string
		}{
			{"allow", r.Allow, fmt.Sprintf("permit (principal, action == Action::%q, resource)", string(r.Action))},
			{"review", r.Review, fmt.Sprintf("permit (principal, action == Action::%q, resource)", asked(r.Action))},
			{"deny", r.Deny, fmt.Sprintf("forbid (principal, action in [Action::%q, Action::%q], resource)", string(r.Action), asked(r.Action))},
		} {
			if len(part.names) == 0 {
				continue
			}
			text := part.head + " when { " + strings.Join(append(r.who(), matching(part.names)), " && ") + " };"
			var p cedar.Policy
			if err := p.UnmarshalCedar([]byte(text)); err != nil {
				return nil, fmt.Errorf("line %d: %w", r.line, err)
			}
			id := cedar.PolicyID(fmt.Sprintf("%d.%s", i, part.what))
			e.set.Add(id, &p)
			e.lines[id] = r.line
			fmt.Fprintln(sum, text)
		}
	}
	e.version = hex.EncodeToString(sum.Sum(nil))[:16]
	return e, nil
}

// who are the conditions on the speaker.
func (r rule) who() []string {
	var out []string
	for _, c := range []struct {
		what  string
		names []string
	}{{"workspace", r.Workspaces}, {"role", r.Roles}, {"channel", r.Channels}} {
		if len(c.names) > 0 {
			out = append(out, fmt.Sprintf("[%s].contains(context.%s)", quoted(c.names), c.what))
		}
	}
	return out
}

// matching is the condition on the name: it is one of these, or covered by a
// wildcard. "*.example.com" covers one label in front, and nothing else; any
// other "*" at the end covers what begins so.
func matching(names []string) string {
	var parts, exact []string
	for _, n := range names {
		switch {
		case n == "*":
			return "true"
		case strings.HasPrefix(n, "*."):
			parts = append(parts, fmt.Sprintf("context.parent == %q", n[2:]))
		case strings.HasSuffix(n, "*"):
			parts = append(parts, fmt.Sprintf("context.name like %q", n))
		default:
			exact = append(exact, n)
		}
	}
	if len(exact) > 0 {
		parts = append(parts, fmt.Sprintf("[%s].contains(context.name)", quoted(exact)))
	}
	return "(" + strings.Join(parts, " || ") + ")"
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n) // names were checked: nothing in them is escaped
	}
	return strings.Join(out, ", ")
}

// Decide answers one request. It does no I/O.
func (e *Engine) Decide(r Request) Decision {
	if e == nil || e.set == nil {
		return Decision{}
	}
	name := strings.TrimSuffix(strings.ToLower(r.Name), ".")
	_, parent, _ := strings.Cut(name, ".")
	req := cedar.Request{
		Principal: types.NewEntityUID("Role", types.String(r.Role)),
		Action:    types.NewEntityUID("Action", types.String(asked(r.Action))),
		Resource:  types.NewEntityUID("Thing", types.String(name)),
		Context: types.NewRecord(types.RecordMap{
			"name": types.String(name), "parent": types.String(parent), "workspace": types.String(r.Workspace),
			"role": types.String(r.Role), "channel": types.String(r.Channel),
		}),
	}
	ok, why := cedar.Authorize(e.set, nil, req)
	switch {
	case ok == cedar.Allow:
		return e.decision(Review, why)
	case len(why.Reasons) > 0 || len(why.Errors) > 0:
		return e.decision(Deny, why)
	}
	req.Action = types.NewEntityUID("Action", types.String(string(r.Action)))
	ok, why = cedar.Authorize(e.set, nil, req)
	if ok == cedar.Allow && len(why.Errors) == 0 {
		return e.decision(Allow, why)
	}
	return e.decision(Deny, why)
}

func (e *Engine) decision(v Verdict, d cedar.Diagnostic) Decision {
	out := Decision{Verdict: v}
	for _, r := range d.Reasons {
		out.Lines = append(out.Lines, e.lines[r.PolicyID])
	}
	slices.Sort(out.Lines)
	return out
}
