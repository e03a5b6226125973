package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

func modelsCommand(f *flags) *cobra.Command {
	list := listing(f, "List the configured models",
		"there is no model, so only commands are answered; add one with `gatehouse models set openai` (or another provider)",
		"NAME | PROVIDER | MODEL | NOTE",
		func(ctx context.Context, d *desk) ([]operator.Model, error) {
			s, err := d.Status(ctx)
			return s.Models, err
		},
		func(m operator.Model) []string { return []string{m.Name, m.Provider, m.Model, orDash(m.Found)} })
	return group("models", "Choose what answers", modelsSet(f), list)
}

// defaultModel is the name of the model that answers.
const defaultModel = "default"

func modelsSet(f *flags) *cobra.Command {
	m := operator.Model{Name: defaultModel}
	c := &cobra.Command{
		Use: "set PROVIDER", Short: "Set a model: asks for the key, checks it, keeps it", Args: args(cobra.ExactArgs(1)),
		Long: "Set a model that answers. Its key is asked for without showing it, or read from\n" +
			"standard input, checked with the provider before anything is kept, and stored\n" +
			"in the vault. A running gateway uses it at once.\n\n" +
			"Providers: " + strings.Join(kindNames(), ", ") + ".",
		ValidArgsFunction: suggestions(f, false, providerNames),
		Example:           "  gatehouse models set openai\n  gatehouse models set anthropic --model claude-haiku-5-5 <key.txt",
	}
	c.Flags().StringVar(&m.Model, "model", "", "the provider's name for the model (default: asked for)")
	c.Flags().StringVar(&m.Name, "name", m.Name, "name in the configuration")
	c.Flags().StringVar(&m.BaseURL, "base-url", "", "another endpoint than the provider's own")
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		m.Provider = a[0]
		return setModel(ctx, c, d, m)
	})
	return c
}

func kindNames() []string {
	var names []string
	for _, k := range provider.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

var errNoProvider = errors.New("there is no such provider")

// setModel asks for what is missing, tries it with the provider and keeps it.
func setModel(ctx context.Context, c *cobra.Command, d *desk, m operator.Model) error {
	p, err := findProvider(ctx, d, m.Provider)
	if err != nil {
		return err
	}
	if p.NeedURL && m.BaseURL == "" {
		return usageError{fmt.Errorf("%s needs an address: --base-url https://host/v1", p.Name)}
	}
	key, err := askKey(c, p)
	if err != nil {
		return err
	}
	known, err := d.CheckModel(ctx, m, key)
	if err != nil {
		return fmt.Errorf("%w\nNothing was changed. Try again with `gatehouse models set %s`", err, callFor(m))
	}
	if m.Model == "" {
		if m.Model, err = askModel(c, p, known); err != nil {
			return err
		}
	}
	if len(known) > 0 && !slices.Contains(known, m.Model) {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %s does not list a model %q\n", p.Title, m.Model)
	}
	if err := d.SetModel(ctx, m, key); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s answers from now on, with %s\n", p.Title, m.Model)
	return nil
}

// callFor is the call that sets this model.
func callFor(m operator.Model) string {
	call := m.Provider
	if m.Name != defaultModel {
		call += " --name " + m.Name
	}
	if m.BaseURL != "" {
		call += " --base-url " + m.BaseURL
	}
	if m.Model != "" {
		call += " --model " + m.Model
	}
	return call
}

func findProvider(ctx context.Context, d *desk, name string) (operator.Provider, error) {
	all, err := d.Providers(ctx)
	if err != nil {
		return operator.Provider{}, err
	}
	names := make([]string, len(all))
	for i, p := range all {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return operator.Provider{}, usageError{fmt.Errorf("%w: %q; there are: %s", errNoProvider, name, strings.Join(names, ", "))}
}

// askKey asks for the key where the provider wants one, or may want one.
func askKey(c *cobra.Command, p operator.Provider) (string, error) {
	var b []byte
	var err error
	switch {
	case p.NeedKey:
		fmt.Fprintf(c.ErrOrStderr(), "A key for %s can be made at %s\n", p.Title, p.KeysURL)
		b, err = askSecret(c, "Key")
	case p.NeedURL:
		b, err = askOptionalSecret(c, "Key (it is not shown; empty if the endpoint wants none): ")
	}
	return strings.TrimSpace(string(b)), err
}

// shownModels bounds the models that are listed before a question.
const shownModels = 12

func askModel(c *cobra.Command, p operator.Provider, known []string) (string, error) {
	otherwise := provider.Pick(p.Name, known)
	if otherwise == "" {
		return "", fmt.Errorf("%s lists no model; name one with --model", p.Title)
	}
	if isTerminal(c.InOrStdin()) && len(known) > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "%s has %d models, among them:\n", p.Title, len(known))
		for _, n := range known[:min(len(known), shownModels)] {
			fmt.Fprintln(c.ErrOrStderr(), "  "+printable(n))
		}
	}
	return ask(c, "Model", otherwise)
}
