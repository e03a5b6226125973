package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// rule is one entry of the file.
type rule struct {
	Action     Action   `yaml:"action"`
	Allow      []string `yaml:"allow"`
	Deny       []string `yaml:"deny"`
	Review     []string `yaml:"review"`
	Workspaces []string `yaml:"workspaces"`
	Roles      []string `yaml:"roles"`
	Channels   []string `yaml:"channels"`

	line int
}

// Test is a case that a policy carries with it.
type Test struct {
	Action    Action `yaml:"action"`
	Name      string `yaml:"name"`
	Workspace string `yaml:"workspace"`
	Role      string `yaml:"role"`
	Channel   string `yaml:"channel"`
	Want      string `yaml:"want"`

	Line int `yaml:"-"`
}

// Fault is one mistake, with what would be right.
type Fault struct {
	Line int
	Text string
}

// String writes a fault as an editor would show it.
func (f Fault) String() string { return fmt.Sprintf("line %d: %s", f.Line, f.Text) }

// Faults are all mistakes of one policy.
type Faults []Fault

// Error implements error.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// maxFile bounds a policy, in bytes.
const maxFile = 1 << 20

// roles are those that a rule may name.
var roles = []string{"owner", "admin", "approver", "member", "guest", "service"}

// Parse reads a policy. The error is of type Faults.
func Parse(text []byte) (e *Engine, err error) {
	defer func() { // a parser is not worth the gateway's life
		if recover() != nil {
			e, err = nil, Faults{{Line: 1, Text: "this is not YAML"}}
		}
	}()
	if len(text) > maxFile {
		return nil, Faults{{Line: 1, Text: fmt.Sprintf("a policy has at most %d bytes", maxFile)}}
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, Faults{syntax(err)}
	}
	r := &reader{}
	for _, d := range f.Docs {
		r.document(d.Body)
	}
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, r.faults
	}
	e, err = compile(r.rules, r.tests)
	if err != nil {
		return nil, Faults{{Line: 1, Text: err.Error()}}
	}
	return e, nil
}

func syntax(err error) Fault {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
		return Fault{Line: y.GetToken().Position.Line, Text: y.GetMessage()}
	}
	return Fault{Line: 1, Text: "this is not YAML"}
}

type reader struct {
	rules  []rule
	tests  []Test
	faults Faults
}

func (r *reader) fault(line int, format string, args ...any) {
	r.faults = append(r.faults, Fault{Line: line, Text: fmt.Sprintf(format, args...)})
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

func (r *reader) document(n ast.Node) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.CommentGroupNode:
		return
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.fault(lineOf(n), "a policy has the keys 'rules' and 'tests'")
		return
	}
	for _, p := range pairs {
		key := p.Key.String()
		list, ok := p.Value.(*ast.SequenceNode)
		switch {
		case key != "rules" && key != "tests":
			r.fault(lineOf(p.Key), "%q is not known; a policy has the keys 'rules' and 'tests'", key)
		case !ok:
			r.fault(lineOf(p.Key), "'%s' is a list: each entry begins with '- '", key)
		case key == "rules":
			each(r, list, func(x *rule, line int) { x.line = line; r.rule(*x) })
		default:
			each(r, list, func(x *Test, line int) { x.Line = line; r.test(*x) })
		}
	}
}

// each decodes the entries of a list, those of them that can be.
func each[T any](r *reader, list *ast.SequenceNode, use func(*T, int)) {
	for _, n := range list.Values {
		var v T
		if err := yaml.NodeToValue(n, &v, yaml.Strict()); err != nil {
			f := syntax(err)
			if f.Line < lineOf(n) {
				f.Line = lineOf(n)
			}
			r.faults = append(r.faults, f)
			continue
		}
		use(&v, firstLine(n))
	}
}

// firstLine is where an entry begins: at its first key, not at a colon.
func firstLine(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return lineOf(m.Values[0].Key)
	}
	return lineOf(n)
}

func (r *reader) rule(x rule) {
	if !slices.Contains(Actions(), string(x.Action)) {
		r.fault(x.line, "action %q is not known; it is one of %s", x.Action, strings.Join(Actions(), ", "))
		return
	}
	if len(x.Allow)+len(x.Deny)+len(x.Review) == 0 {
		r.fault(x.line, "the rule says nothing; give it 'allow', 'deny' or 'review' with a list of names")
	}
	for _, role := range x.Roles {
		if !slices.Contains(roles, role) {
			r.fault(x.line, "there is no role %q; there are: %s", role, strings.Join(roles, ", "))
		}
	}
	for _, n := range slices.Concat(x.Workspaces, x.Channels) {
		if !plain(n) {
			r.fault(x.line, "%q is no id", n)
		}
	}
	for _, n := range slices.Concat(x.Allow, x.Deny, x.Review) {
		if why := wrongName(x.Action, n); why != "" {
			r.fault(x.line, "%q %s", n, why)
		}
	}
	r.rules = append(r.rules, x)
}

// wrongName says why a name cannot stand in a rule, or "".
func wrongName(a Action, n string) string {
	body := n
	switch {
	case n == "*":
		return ""
	case a == Network && strings.HasPrefix(n, "*."):
		body = n[2:]
		if !strings.Contains(body, ".") {
			return "covers a whole top-level domain; name the domain that you mean"
		}
	case a != Network:
		body = strings.TrimSuffix(n, "*")
	}
	switch {
	case a == Network && (strings.ContainsAny(n, "/:") || strings.Contains(body, "*")):
		return "is not a host such as api.example.com or *.example.com"
	case !plain(body):
		return "has characters that no such name has"
	case n != strings.ToLower(n):
		return "has upper-case letters, which never match; write it in lower case"
	}
	return ""
}

// plain reports whether a name consists of letters, digits and -._@ only.
func plain(n string) bool {
	return n != "" && len(n) <= 253 && !strings.ContainsFunc(n, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._@", c)
	})
}

func (r *reader) test(x Test) {
	if !slices.Contains(Actions(), string(x.Action)) {
		r.fault(x.Line, "action %q is not known; it is one of %s", x.Action, strings.Join(Actions(), ", "))
	}
	if !slices.Contains([]string{"allow", "deny", "review"}, x.Want) {
		r.fault(x.Line, "want %q is not known; it is allow, deny or review", x.Want)
	}
	r.tests = append(r.tests, x)
}

// Check runs the tests that the policy carries, and says which fail, and how
// many there are.
func (e *Engine) Check() (Faults, int) {
	var out Faults
	for _, x := range e.tests {
		d := e.Decide(Request{Action: x.Action, Name: x.Name, Workspace: x.Workspace, Role: x.Role, Channel: x.Channel})
		if d.Verdict.String() != x.Want {
			out = append(out, Fault{Line: x.Line, Text: fmt.Sprintf("%s %s for role %q on channel %q is %s, not %s%s",
				x.Action, x.Name, x.Role, x.Channel, d.Verdict, x.Want, because(d))})
		}
	}
	return out, len(e.tests)
}

func because(d Decision) string {
	if len(d.Lines) == 0 {
		return ": no rule speaks of it"
	}
	return fmt.Sprintf(": the rule on line %d says so", d.Lines[0])
}

// Generate writes the policy of a configuration that has none: everybody but
// guests may use the tools and reach the hosts that it names, and the secrets
// that were granted to them. Everything else is denied.
func Generate(tools, hosts []string) []byte {
	var b strings.Builder
	b.WriteString("# Made from agent.tools and agent.hosts. What no rule allows is denied.\nrules:\n")
	for _, r := range []struct {
		action Action
		names  []string
	}{{Tool, tools}, {Network, hosts}, {Secret, []string{"*"}}} {
		if len(r.names) > 0 {
			fmt.Fprintf(&b, "  - action: %s\n    allow: [%s]\n    roles: [owner, admin, approver, member, service]\n", r.action, quoted(r.names))
		}
	}
	return []byte(b.String())
}
