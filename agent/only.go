package agent

import "slices"

// only is the agent with some of its tools: nil means all, an empty list none. A
// name that is no tool's is nothing.
func (a *Agent) only(names []string) *Agent {
	if names == nil {
		return a
	}
	some := *a
	some.tools, some.specs = map[string]Tool{}, nil
	for _, s := range a.specs {
		if slices.Contains(names, s.Name) {
			some.tools[s.Name] = a.tools[s.Name]
			some.specs = append(some.specs, s)
		}
	}
	return &some
}
