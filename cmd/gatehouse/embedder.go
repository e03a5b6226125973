package main

import (
	"fmt"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/chunk"
	"github.com/gatehouse-chat/gatehouse/memory/embed"
	"github.com/gatehouse-chat/gatehouse/memory/embed/endpoint"
	"github.com/gatehouse-chat/gatehouse/memory/embed/local"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// ofVectors is the purpose of the embedder's key. No model can have this name.
const ofVectors = "memory (vectors)"

// chunker cuts as the configuration says.
func chunker(m config.Memory) memory.Chunker {
	return chunk.Cutter(chunk.Size{Tokens: m.ChunkTokens, Overlap: m.ChunkOverlap})
}

// embedder opens what makes vectors; nil where nothing does. It does no I/O.
func (b *border) embedder(m config.Memory) (memory.Embedder, error) {
	switch m.Embedder {
	case config.EmbedderNone:
		return nil, nil //nolint:nilnil // memory takes nil for none
	case config.EmbedderLocal:
		return local.New()
	}
	o, k, err := b.vectors(m)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	to, err := egress.ParseDestination(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("memory.base_url: %w", err)
	}
	policy := egress.Policy{Name: ofVectors, Allow: []egress.Destination{to}}
	if m.BaseURL != "" || k.AtHome { // somebody meant exactly this address, wherever it lies
		policy.Operator = []string{hostPort(o.BaseURL)}
	}
	if m.APIKey != "" {
		o.Key = egress.NewPlaceholder()
		policy.Inject = []egress.Injection{{
			Placeholder: o.Key, In: egress.InHeader,
			Lease: b.lease(b.workspace, m.APIKey, vault.Purpose{Kind: vault.ForProvider, Name: ofVectors}),
		}}
	}
	o.Client = b.gate.Client(policy)
	return endpoint.New(o)
}

// vectors says what an endpoint is asked for, without the way there.
func (b *border) vectors(m config.Memory) (endpoint.Options, embed.Kind, error) {
	k, ok := embed.Find(m.Embedder)
	if !ok || !k.Remote {
		return endpoint.Options{}, k, fmt.Errorf("there is no endpoint %q", m.Embedder)
	}
	o := endpoint.Options{Name: k.Name, BaseURL: m.BaseURL, Model: m.Model, Dimensions: m.Dimensions}
	switch {
	case o.BaseURL != "":
	case k.Name == "ollama" && b.ollama != "":
		o.BaseURL = b.ollama
	default:
		o.BaseURL = k.BaseURL
	}
	if o.Model == "" {
		o.Model = k.Model
	}
	if k.NeedKey && m.APIKey == "" && m.BaseURL == "" {
		return o, k, fmt.Errorf("%s wants a key: set api_key", k.Title)
	}
	known, ok := embed.Known(o.Model)
	if !ok && o.Dimensions == 0 {
		return o, k, fmt.Errorf("how long the vectors of %s are is not known here: set dimensions", o.Model)
	}
	if o.Dimensions == 0 {
		o.Dimensions = known.Dimensions
	}
	// A length that is not the model's own has to be asked for.
	o.Shorten = ok && o.Dimensions != known.Dimensions
	o.Query, o.Passage, o.Latin = known.Query, known.Passage, known.Latin
	return o, k, nil
}

// vectorBinding tells the vault where the embedder's key may go.
func (b *border) vectorBinding(m config.Memory) []vault.Binding {
	r, ok := vault.ParseRef(m.APIKey)
	if !ok {
		return nil
	}
	o, _, err := b.vectors(m)
	if err != nil {
		return nil // the start has said so
	}
	return []vault.Binding{{Ref: r, Kind: vault.ForProvider, Name: ofVectors, Hosts: []string{hostPort(o.BaseURL)}}}
}

// fits says what an embedder that is configured lacks.
func fits(m config.Memory) error {
	_, _, err := (&border{}).vectors(m)
	return err
}
