package main

import (
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/builtin"
	"github.com/gatehouse-chat/gatehouse/agent/tool/request"
	"github.com/gatehouse-chat/gatehouse/config"
)

// toolset is one entry of `agent.tools`, and the tools that it stands for.
type toolset struct {
	name string
	make func(b *border, c config.Agent) []agent.Tool
}

func toolsets() []toolset {
	return []toolset{
		{"time", func(*border, config.Agent) []agent.Tool { return []agent.Tool{builtin.Clock{Now: time.Now}} }},
		{"calculator", func(*border, config.Agent) []agent.Tool { return []agent.Tool{builtin.Calculator{}} }},
		{"files", func(*border, config.Agent) []agent.Tool { return []agent.Tool{builtin.SendFile{}} }},
		{"notes", func(b *border, _ config.Agent) []agent.Tool {
			return builtin.Notes{Store: b.state, Now: time.Now}.Tools()
		}},
		{"memory", func(b *border, _ config.Agent) []agent.Tool {
			return builtin.Memory{Store: b.memory, Now: time.Now}.Tools()
		}},
		{request.Name, func(b *border, c config.Agent) []agent.Tool {
			return []agent.Tool{request.Tool{Gate: newPasses(b, c.Hosts)}}
		}},
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
func (b *border) tools(c config.Agent) []agent.Tool {
	var all []agent.Tool
	for _, t := range toolsets() {
		if slices.Contains(c.Tools, t.name) {
			all = append(all, t.make(b, c)...)
		}
	}
	for _, name := range c.Tools {
		if id, is := strings.CutPrefix(name, config.ModuleTool); is && !slices.Contains(toolNames(), wasm.ToolName(id)) {
			all = append(all, b.guestTool(id, c.Hosts))
		}
	}
	return all
}
