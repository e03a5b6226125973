package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// Model is a configured model.
type Model struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Model    string `json:"model"`
	BaseURL  string `json:"base_url,omitempty"`
	Default  bool   `json:"default,omitempty"`
	Keyed    bool   `json:"keyed,omitempty"` // it was given a key of its own, which is in the vault
	Found    string `json:"found,omitempty"` // where it comes from, when it is not in the file
}

// Provider is a kind of model provider.
type Provider struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	KeysURL string `json:"keys_url,omitempty"`
	NeedKey bool   `json:"need_key"`
	NeedURL bool   `json:"need_url"`
	Model   string `json:"model,omitempty"` // default
}

// Providers lists the kinds of model provider that this build knows. It says
// nothing about this installation and needs no scope.
func (p *Operator) Providers() []Provider { return p.o.Settings.Providers() }

// Models lists the configured models; none to those who do not administer.
func (p *Operator) Models(by scope.Scope) []Model {
	if p.allow(by) != nil {
		return nil
	}
	return p.o.Settings.Models()
}

// CheckModel asks a provider with a key, in one call, and lists its models.
// Without one, a configured model that is Keyed is asked with its own. Nothing
// is kept.
func (p *Operator) CheckModel(ctx context.Context, by scope.Scope, m Model, key string) ([]string, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	return p.o.Settings.Check(ctx, m, strings.TrimSpace(key))
}

// SetModel keeps a model, and its key in the vault. An empty key leaves the
// stored one. When the model cannot be kept, neither is the key.
func (p *Operator) SetModel(ctx context.Context, by scope.Scope, m Model, key string) (err error) {
	defer func() { p.did(ctx, by, "model set", m.Name, &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	if m.Name == "" {
		m.Name = "default"
	}
	key = strings.TrimSpace(key)
	if key == "" {
		return p.o.Settings.SetModel(ctx, m, true)
	}
	undo, err := p.keepKey(ctx, by, m.Name, key)
	if err != nil {
		return fmt.Errorf("keep the key: %w", err)
	}
	m.Keyed = true
	if err := p.o.Settings.SetModel(ctx, m, true); err != nil {
		return errors.Join(err, undo(context.WithoutCancel(ctx)))
	}
	return nil
}

// keepKey stores a model's key and returns what puts the vault back to what it
// was: a new key must not stay for a model that still is the old one, whose
// endpoint would get it.
func (p *Operator) keepKey(ctx context.Context, by scope.Scope, name, key string) (undo func(context.Context) error, err error) {
	var before []byte
	_, err = p.o.Vault.Rotate(ctx, by.Workspace(), name, func(old []byte) ([]byte, error) {
		before = slices.Clone(old)
		return []byte(key), nil
	})
	if errors.Is(err, vault.ErrNotFound) {
		_, err = p.o.Vault.Set(ctx, by.Workspace(), name, []byte(key), nil)
		return func(ctx context.Context) error { return p.o.Vault.Delete(ctx, by.Workspace(), name) }, err
	}
	return func(ctx context.Context) error {
		_, err := p.o.Vault.Rotate(ctx, by.Workspace(), name, func([]byte) ([]byte, error) { return before, nil })
		return err
	}, err
}
