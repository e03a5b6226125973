package wasm

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// modular is the driver of the channels of one module.
type modular struct {
	d *Driver
	g *guest
}

var _ channels.Driver = (*modular)(nil)

// Name implements channels.Driver.
func (*modular) Name() string { return driverName }

// Schema implements channels.Driver: the module's keys beside our own.
func (m *modular) Schema() []byte {
	var own, all map[string]any
	_ = json.Unmarshal([]byte(ownSchema), &own) // a constant
	_ = json.Unmarshal(m.g.pkg.Manifest.ConfigSchema, &all)
	if all == nil {
		all = map[string]any{}
	}
	properties, _ := all["properties"].(map[string]any)
	if properties == nil {
		properties = map[string]any{}
	}
	ours, _ := own["properties"].(map[string]any)
	maps.Copy(properties, ours)
	required, _ := all["required"].([]any)
	all["$schema"], all["type"], all["additionalProperties"] = own["$schema"], "object", false
	all["properties"], all["required"] = properties, append(slices.Clone(required), "module")
	b, _ := json.MarshalIndent(all, "", "  ") // it came from JSON
	return b
}

// Reaches are the destinations that the manifest names itself; those that the
// operator chooses are in the section.
func (m *modular) Reaches() []string {
	var all []string
	for _, h := range m.g.pkg.Manifest.HTTP {
		if !isVariable(h.Host) {
			all = append(all, manifestURL(h))
		}
	}
	for _, w := range m.g.pkg.Manifest.Webhooks {
		if w.Verify.KeysURL != "" && !isVariable(w.Verify.KeysURL) {
			all = append(all, w.Verify.KeysURL)
		}
	}
	for _, s := range m.g.pkg.Manifest.Sockets {
		if !isVariable(s.URL) {
			all = append(all, s.URL)
		}
	}
	return all
}

// Guest says that what the channel sends was made by code that nobody vouches
// for.
func (*modular) Guest() bool { return true }

// Edition names the code and whether it may run: where it differs, a channel is
// opened anew though its section is the same.
func (m *modular) Edition() string { return m.g.pkg.Sum + m.g.barred }

// Module is the id of the module.
func (m *modular) Module() string { return m.g.pkg.Manifest.ID }

// Check implements channels.Driver.
func (m *modular) Check(cfg json.RawMessage) []channels.Fault {
	_, faults := m.g.terms.section(cfg)
	return faults
}

// Open implements channels.Driver.
func (m *modular) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	s, faults := m.g.terms.section(cfg)
	if len(faults) > 0 {
		return nil, faultsError(h.ID(), faults)
	}
	c := &channel{d: m.d, g: m.g, h: h, s: s, health: link.Reporter{Host: h}, ration: newRation(m.g.pkg.Manifest.Emit), timers: newTimers(), strikes: &strikes{}}
	c.client = link.Client(h, "")
	var err error
	if c.proofs, err = checkers(s.proofs, c.client); err != nil {
		return nil, err
	}
	return c.capable(), nil
}
