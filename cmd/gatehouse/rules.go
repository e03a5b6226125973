package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/internal/policy"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// readPolicy reads the policy that a configuration names, or generates the one
// that follows from it.
func readPolicy(c config.Config, tools []agent.Tool) (*policy.Engine, error) {
	if c.Policy == "" {
		return policy.Parse(generated(c, tools))
	}
	text, err := os.ReadFile(c.Policy)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	e, err := policy.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the policy %s has mistakes:\n%w", c.Policy, err)
	}
	return e, nil
}

func generated(c config.Config, tools []agent.Tool) []byte {
	var names, hosts []string
	for _, t := range tools {
		names = append(names, t.Spec().Name)
	}
	for _, h := range c.Agent.Hosts {
		if u, err := url.Parse(h); err == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	return policy.Generate(names, hosts)
}

// gate is the policy for one speaker.
type gate struct {
	engine *policy.Engine
	who    policy.Request // without the action and the name
	hosts  bool           // destinations of secrets need a rule as well
}

var _ agent.Gate = gate{}

func newGate(e *policy.Engine, s scope.Scope, named bool) agent.Gate {
	return gate{engine: e, hosts: named, who: policy.Request{Workspace: s.Workspace(), Role: string(s.Role()), Channel: s.Channel()}}
}

func (g gate) decide(a policy.Action, name string) policy.Verdict {
	r := g.who
	r.Action, r.Name = a, name
	return g.engine.Decide(r).Verdict
}

// Offers implements agent.Gate.
func (g gate) Offers(s agent.Spec) bool { return g.decide(policy.Tool, s.Name) != policy.Deny }

// Rule implements agent.Gate: the strictest word on the tool, its destination
// and its secret counts.
func (g gate) Rule(c agent.Call) agent.Ruling {
	verdicts := map[policy.Action]policy.Verdict{policy.Tool: g.decide(policy.Tool, c.Tool)}
	if c.Secret != "" {
		verdicts[policy.Secret] = g.decide(policy.Secret, c.Secret)
	}
	if c.Target != "" && (c.Secret == "" || g.hosts) { // without a policy of its own, a secret's hosts speak for themselves
		verdicts[policy.Network] = g.decide(policy.Network, hostOf(c.Target))
	}
	out := agent.Ruling{Verdict: agent.Allow}
	for a, v := range verdicts {
		switch v {
		case policy.Deny:
			return agent.Ruling{Why: fmt.Sprintf("The policy does not allow this %s here.", noun(a))}
		case policy.Review:
			out = agent.Ruling{Verdict: agent.Ask, Why: fmt.Sprintf("The policy wants a person to look at this %s.", noun(a))}
		case policy.Allow:
		}
	}
	return out
}

func noun(a policy.Action) string {
	if a == policy.Network {
		return "destination"
	}
	return string(a)
}

func hostOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(u.Host); err == nil {
		return host
	}
	return u.Hostname()
}

func policyCommand(f *flags) *cobra.Command {
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Check a policy, and say every mistake with its line", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if _, err := rulesOf(*f, a); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "the policy is valid")
			return nil
		},
	}
	test := &cobra.Command{
		Use: "test [FILE]", Short: "Run the tests that a policy carries", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			e, err := rulesOf(*f, a)
			if err != nil {
				return err
			}
			faults, n := e.Check()
			if len(faults) > 0 {
				return fmt.Errorf("%d of %d tests fail:\n%w", len(faults), n, faults)
			}
			if n == 0 {
				fmt.Fprintln(c.OutOrStdout(), "the policy carries no tests; docs/tools.md says how they are written")
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "%d tests pass\n", n)
			return nil
		},
	}
	return group("policy", "Say what the agent may do, for whom and where", check, test, explainCommand(f))
}

func explainCommand(f *flags) *cobra.Command {
	r := policy.Request{Workspace: workspace}
	c := &cobra.Command{
		Use: "explain ACTION NAME [FILE]", Short: "Say what a policy decides, and by which rule", Args: args(cobra.RangeArgs(2, 3)),
		Example: "  gatehouse policy explain network api.example.com --role member --channel support",
		RunE: func(c *cobra.Command, a []string) error {
			e, err := rulesOf(*f, a[2:])
			if err != nil {
				return err
			}
			r.Action, r.Name = policy.Action(a[0]), a[1]
			d := e.Decide(r)
			fmt.Fprintf(c.OutOrStdout(), "%s\n", d.Verdict)
			if len(d.Lines) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "no rule speaks of it, and what no rule allows is denied")
			}
			for _, l := range d.Lines {
				fmt.Fprintf(c.OutOrStdout(), "the rule on line %d says so\n", l)
			}
			return nil
		},
		PreRunE: func(_ *cobra.Command, a []string) error {
			for _, known := range policy.Actions() {
				if a[0] == known {
					return nil
				}
			}
			return usageError{fmt.Errorf("%q is no action; there are: %s", a[0], strings.Join(policy.Actions(), ", "))}
		},
	}
	c.Flags().StringVar(&r.Role, "role", "member", "of the person who speaks")
	c.Flags().StringVar(&r.Channel, "channel", "", "that they speak on")
	return c
}

// rulesOf reads the named file, or what the configuration has.
func rulesOf(f flags, named []string) (*policy.Engine, error) {
	if len(named) == 1 {
		text, err := os.ReadFile(named[0])
		if err != nil {
			return nil, err
		}
		return policy.Parse(text)
	}
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	c, _, err := s.read()
	if err != nil {
		return nil, err
	}
	e, err := readPolicy(c, (&border{}).tools(c.Agent))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; write it, or take `policy` out of the configuration", err)
	}
	return e, err
}
