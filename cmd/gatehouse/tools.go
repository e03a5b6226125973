package main

import (
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/builtin"
)

// toolset is one entry of `agent.tools`, and the tools that it stands for.
type toolset struct {
	name string
	make func(b *border) []agent.Tool
}

func toolsets() []toolset {
	return []toolset{
		{"time", func(*border) []agent.Tool { return []agent.Tool{builtin.Clock{Now: time.Now}} }},
		{"calculator", func(*border) []agent.Tool { return []agent.Tool{builtin.Calculator{}} }},
		{"notes", func(b *border) []agent.Tool { return builtin.Notes{Store: b.state, Now: time.Now}.Tools() }},
	}
}

func toolNames() []string {
	var names []string
	for _, t := range toolsets() {
		names = append(names, t.name)
	}
	return names
}

// tools makes those that the configuration names, in an order that does not
// change, so that providers can cache what describes them.
func (b *border) tools(names []string) []agent.Tool {
	var all []agent.Tool
	for _, t := range toolsets() {
		if slices.Contains(names, t.name) {
			all = append(all, t.make(b)...)
		}
	}
	return all
}
