package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/policy"
)

const rules = `rules:
  - action: tool
    allow: [time, notes_*, http_request]
  - action: tool
    deny: [http_request]
    roles: [guest]
  - action: network
    allow: ["*.example.com", api.other.example]
    review: [pay.example.com]
    deny: [evil.example.com]
  - action: secret
    allow: ["*"]
    channels: [support]
    workspaces: [main]
`

func TestDecide(t *testing.T) {
	e, err := policy.Parse([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		action              policy.Action
		name, role, channel string
		want                policy.Verdict
		lines               []int
	}{
		{policy.Tool, "time", "guest", "x", policy.Allow, []int{2}},
		{policy.Tool, "notes_read", "member", "x", policy.Allow, []int{2}},
		{policy.Tool, "note", "member", "x", policy.Deny, nil},
		{policy.Tool, "http_request", "member", "x", policy.Allow, []int{2}},
		{policy.Tool, "http_request", "guest", "x", policy.Deny, []int{4}},
		{policy.Network, "a.example.com", "member", "x", policy.Allow, []int{7}},
		{policy.Network, "A.Example.com.", "member", "x", policy.Allow, []int{7}},
		{policy.Network, "example.com", "member", "x", policy.Deny, nil},
		{policy.Network, "a.b.example.com", "member", "x", policy.Deny, nil},
		{policy.Network, "evilexample.com", "member", "x", policy.Deny, nil},
		{policy.Network, "pay.example.com", "member", "x", policy.Review, []int{7}},
		{policy.Network, "evil.example.com", "member", "x", policy.Deny, []int{7}},
		{policy.Secret, "github", "member", "support", policy.Allow, []int{11}},
		{policy.Secret, "github", "member", "other", policy.Deny, nil},
		{policy.Exec, "git", "owner", "x", policy.Deny, nil},
	} {
		got := e.Decide(policy.Request{Action: tc.action, Name: tc.name, Workspace: "main", Role: tc.role, Channel: tc.channel})
		if diff := cmp.Diff(policy.Decision{Verdict: tc.want, Lines: tc.lines}, got); diff != "" {
			t.Errorf("%s %s for %s on %s: %s", tc.action, tc.name, tc.role, tc.channel, diff)
		}
	}
	if got := (&policy.Engine{}).Decide(policy.Request{Action: policy.Tool, Name: "time", Role: "owner"}); got.Verdict != policy.Deny {
		t.Error("no policy allows something")
	}
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"rules: [": "line 1:",
		"rule: []": `line 1: "rule" is not known`,
		"rules: 3": "line 1: 'rules' is a list",
		"- a":      "line 1: a policy has the keys",
		"rules:\n  - action: net\n    allow: [a.b]":                   `line 2: action "net" is not known; it is one of`,
		"rules:\n  - action: tool":                                    "line 2: the rule says nothing",
		"rules:\n  - action: tool\n    alow: [x]":                     "line 3:",
		"rules:\n  - action: tool\n    allow: [x]\n    roles: [root]": `line 2: there is no role "root"`,
		"rules:\n  - action: network\n    allow: [https://a.b/]":      "is not a host",
		"rules:\n  - action: network\n    allow: ['*.com']":           "whole top-level domain",
		"rules:\n  - action: network\n    allow: ['a.*.com']":         "is not a host",
		"rules:\n  - action: network\n    allow: [A.example.com]":     "upper-case",
		"rules:\n  - action: tool\n    allow: ['x\"y']":               "no such name has",
		"tests:\n  - action: tool\n    want: maybe":                   `want "maybe" is not known`,
	} {
		if _, err := policy.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	e, err := policy.Parse([]byte(rules + "tests:\n  - {action: tool, name: time, role: member, want: allow}\n" +
		"  - {action: tool, name: rm, role: member, want: allow}\n  - {action: tool, name: http_request, role: guest, want: allow}\n"))
	if err != nil {
		t.Fatal(err)
	}
	faults, n := e.Check()
	if n != 3 || len(faults) != 2 || !strings.Contains(faults[0].Text, "no rule speaks of it") || !strings.Contains(faults[1].Text, "line 4") {
		t.Errorf("%d tests, %v", n, faults)
	}
}

func TestGenerated(t *testing.T) {
	e, err := policy.Parse(policy.Generate([]string{"time", "notes_read"}, []string{"127.0.0.1", "api.example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]policy.Verdict{"time": policy.Allow, "http_request": policy.Deny} {
		if got := e.Decide(policy.Request{Action: policy.Tool, Name: name, Role: "member"}); got.Verdict != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := e.Decide(policy.Request{Action: policy.Tool, Name: "time", Role: "guest"}); got.Verdict != policy.Deny {
		t.Error("a guest may use tools")
	}
	if got := e.Decide(policy.Request{Action: policy.Network, Name: "127.0.0.1", Role: "member"}); got.Verdict != policy.Allow {
		t.Error("a host of the configuration is denied")
	}
	other, err := policy.Parse(policy.Generate([]string{"time"}, nil))
	if err != nil || other.Version() == e.Version() {
		t.Error("other rules have the same version")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(rules))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := policy.Parse(text)
		if err == nil {
			e.Decide(policy.Request{Action: policy.Network, Name: "a.example.com", Role: "member"})
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	e, err := policy.Parse([]byte(rules))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e.Decide(policy.Request{Action: policy.Network, Name: "a.example.com", Workspace: "main", Role: "member", Channel: "support"})
	}
}
