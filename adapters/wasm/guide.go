package wasm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehouse-chat/gatehouse/channels"
)

var _ channels.Guided = (*modular)(nil)

// Guide implements channels.Guided: a question for each key of the manifest's
// configuration, those that must be answered first.
func (m *modular) Guide() channels.Guide {
	g := channels.Guide{Title: m.g.pkg.Manifest.ID}
	var texts struct {
		Properties map[string]struct {
			Title       string `json:"title"`
			Description string `json:"description"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(m.g.pkg.Manifest.ConfigSchema, &texts) // it was read before
	t := m.g.terms
	secrets := t.secrets()
	for _, name := range slices.Sorted(maps.Keys(t.schema.Properties)) {
		p := t.schema.Properties[name]
		a := channels.Ask{
			Key: name, Label: name, Help: texts.Properties[name].Description, Secret: slices.Contains(secrets, name),
			Optional: p.Default != nil || !slices.Contains(t.schema.Required, name),
		}
		if title := texts.Properties[name].Title; title != "" {
			a.Label = title
		}
		if p.Default != nil {
			a.Label += fmt.Sprintf(" (%v)", p.Default)
		}
		for _, c := range p.Enum {
			a.Choices = append(a.Choices, fmt.Sprint(c))
		}
		if text, ok := p.Default.(string); ok { // the first choice is the default
			a.Choices = slices.DeleteFunc(a.Choices, func(c string) bool { return c == text })
			if len(p.Enum) > 0 {
				a.Choices = slices.Insert(a.Choices, 0, text)
			}
		}
		g.Asks = append(g.Asks, a)
	}
	slices.SortStableFunc(g.Asks, func(a, b channels.Ask) int { return rank(a) - rank(b) })
	return g
}

func rank(a channels.Ask) int {
	if a.Optional {
		return 1
	}
	return 0
}

// Guided is the guide of an installed module; nil when there is none of this
// name.
func (d *Driver) Guided(name string) channels.Guided {
	g, faults := d.named(name)
	if g == nil || len(faults) > 0 {
		return nil
	}
	return &modular{d, g}
}
