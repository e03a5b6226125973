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
		optional := p.Default != nil || !slices.Contains(t.schema.Required, name)
		if p.Format == formatProof {
			g.Asks = append(g.Asks, proofAsks(name, optional)...)
		}
		if p.Type == "object" {
			continue // what is no single value is written into the configuration by hand
		}
		a := channels.Ask{
			Key: name, Label: name, Help: texts.Properties[name].Description, Secret: slices.Contains(secrets, name),
			Optional: optional,
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

// proofAsks ask for a proof of the kinds that need a secret and nothing else.
func proofAsks(name string, optional bool) []channels.Ask {
	return []channels.Ask{
		{
			Key: name + ".kind", Label: "Proof", Help: "How a request proves whose it is.", Optional: optional,
			Choices: []string{"bearer", "github", "standard-webhooks", "stripe", "slack", "meta"},
		},
		{Key: name + ".secret", Label: "Secret", Help: "What the sender signs with, or shows as its token.", Secret: true, Optional: optional},
	}
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
