package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// found says where the model comes from that turns start with.
type found struct {
	models map[string]config.Model
	how    string // for people: "from the configuration"
	env    string // the variable that holds the key, when it came from there
}

// noModel is where the model comes from when there is none.
const noModel = "none"

// localProbe bounds the look for a model server on this machine.
const localProbe = 400 * time.Millisecond

// findModel takes the configured models, else a key in the environment, else
// an Ollama on its usual port or where OLLAMA_HOST says, else none.
func (b *border) findModel(ctx context.Context, c config.Config, getenv func(string) (string, bool)) found {
	if len(c.Models) > 0 {
		return found{models: c.Models, how: "from the configuration"}
	}
	for _, k := range provider.Kinds() {
		key, ok := getenv(k.Env)
		if c.Vault.Strict || k.Env == "" || !ok || strings.TrimSpace(key) == "" {
			continue
		}
		m := config.Model{Provider: k.Name, Model: k.Model, APIKey: strings.TrimSpace(key)}
		return found{models: map[string]config.Model{c.Agent.Model: m}, how: "with the key in " + k.Env, env: k.Env}
	}
	if m, ok := b.localModel(ctx); ok {
		return found{models: map[string]config.Model{c.Agent.Model: m}, how: "found on this machine"}
	}
	return found{how: noModel}
}

// ollama is where the environment says that Ollama is, "" when it does not.
func ollama(getenv func(string) (string, bool)) string {
	host, ok := getenv("OLLAMA_HOST")
	if !ok || strings.TrimSpace(host) == "" {
		return ""
	}
	return provider.OllamaURL(host)
}

func (b *border) localModel(ctx context.Context) (config.Model, bool) {
	ctx, cancel := context.WithTimeout(ctx, localProbe)
	defer cancel()
	m := config.Model{Provider: "ollama", BaseURL: b.ollama}
	p, err := b.provider("probe", m)
	if err != nil {
		return m, false
	}
	names, err := p.Models(ctx)
	if err != nil || len(names) == 0 {
		return m, false
	}
	m.Model = provider.Pick(m.Provider, names)
	return m, true
}

// base is where a model's API is.
func (b *border) base(m config.Model, k provider.Kind) string {
	switch {
	case m.BaseURL != "":
		return m.BaseURL
	case k.Name == "ollama" && b.ollama != "":
		return b.ollama
	}
	return k.BaseURL
}

// provider opens a model's provider with a client of its own, which puts the
// key in and reaches nothing but its endpoint.
func (b *border) provider(name string, m config.Model) (provider.Provider, error) {
	k, ok := provider.Find(m.Provider)
	if !ok {
		return nil, fmt.Errorf("model %s: no provider %q", name, m.Provider)
	}
	base := b.base(m, k)
	to, err := egress.ParseDestination(base)
	if err != nil {
		return nil, fmt.Errorf("model %s: base_url: %w", name, err)
	}
	policy := egress.Policy{
		Name: ofModel + name, Allow: []egress.Destination{to}, Timeouts: egress.Timeouts{Header: 5 * time.Minute},
	}
	if m.BaseURL != "" || k.Local { // somebody meant exactly this address, wherever it lies
		policy.Operator = []string{hostPort(base)}
	}
	c := provider.Config{BaseURL: base}
	if m.APIKey != "" {
		c.Key = egress.NewPlaceholder()
		policy.Inject = []egress.Injection{{
			Placeholder: c.Key, In: egress.InHeader,
			Lease: b.lease(b.workspace, m.APIKey, vault.Purpose{Kind: vault.ForProvider, Name: name}),
		}}
	}
	c.Client = b.gate.Client(policy)
	c.Client.Transport = keyed{next: c.Client.Transport, provider: m.Provider, model: m.Model}
	return k.Open(c)
}

// keyed tells a key that is not there, and a limit of our own, from a provider
// that cannot be reached: trying again at once helps against the last only.
type keyed struct {
	next            http.RoundTripper
	provider, model string
}

// RoundTrip implements http.RoundTripper.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(r)
	if errors.Is(err, vault.ErrNotFound) {
		err = &agent.Error{Kind: agent.NoKey, Provider: k.provider, Model: k.model, Err: err}
	}
	if limited := (*egress.Limited)(nil); errors.As(err, &limited) {
		err = &agent.Error{Kind: agent.RateLimited, Provider: k.provider, Model: k.model, RetryAfter: limited.After, Err: err}
	}
	return resp, err
}

// modelBindings tells the vault which secrets the configured models name.
func modelBindings(models map[string]config.Model) []vault.Binding {
	var all []vault.Binding
	for name, m := range models {
		r, ok := vault.ParseRef(m.APIKey)
		if !ok {
			continue
		}
		base := m.BaseURL
		if k, known := provider.Find(m.Provider); base == "" && known {
			base = k.BaseURL
		}
		all = append(all, vault.Binding{Ref: r, Kind: vault.ForProvider, Name: name, Hosts: []string{hostPort(base)}})
	}
	return all
}

// agentSettings builds the agent that turns run on.
func (b *border) agentSettings(c config.Config, f found, log *slog.Logger) (gateway.AgentSettings, error) {
	models := map[string]agent.Model{}
	var unpriced []string
	for name, m := range f.models {
		k, _ := provider.Find(m.Provider)
		if m.Model == "" {
			m.Model = k.Model
		}
		am := agent.Model{
			Kind: m.Provider, Title: k.Title, Name: m.Model, Context: m.Context, MaxOutput: m.MaxOutput,
			Fallbacks: m.Fallbacks, Price: price(m), Vision: k.Sees(m.Model),
		}
		if m.Vision != nil {
			am.Vision = *m.Vision
		}
		if r, ok := vault.ParseRef(m.APIKey); ok {
			am.Secret = r.Name()
		}
		if m.Provider != provider.None {
			p, err := b.provider(name, m)
			if err != nil {
				return gateway.AgentSettings{}, err
			}
			am.Provider = p
			if am.Price.Guessed {
				unpriced = append(unpriced, name)
			}
		}
		models[name] = am
	}
	voice, err := transcriber(c.Agent.Transcribe, models)
	if err != nil {
		return gateway.AgentSettings{}, err
	}
	tools := b.tools(c.Agent)
	rules, err := readPolicy(c, tools)
	if err != nil {
		return gateway.AgentSettings{}, err
	}
	return gateway.AgentSettings{
		Gate: func(s scope.Scope) agent.Gate { return newGate(rules, s, c.Policy != "") }, Rules: rules.Version(),
		Runner: agent.New(agent.Options{Models: models, Tools: tools, Voice: voice, Log: log, Leaks: b.leaks, Recall: b.recall(c.Memory)}), Model: c.Agent.Model,
		Models: slices.Sorted(maps.Keys(models)), Instructions: c.Agent.Instructions,
		Digests: c.Memory.Digests,
		Queue:   gateway.QueueMode(c.Agent.Queue), MaxTurns: c.Agent.MaxTurns, DailySpend: c.Agent.DailySpend,
		Unpriced: slices.Sorted(slices.Values(unpriced)),
		Describe: func(name string) string { return describe(models, name) },
	}, nil
}

// transcriber is who writes voice messages down; nil for nobody.
func transcriber(name string, models map[string]agent.Model) (*agent.Voice, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // nobody is no failure
	}
	m, ok := models[name]
	if !ok {
		return nil, nil //nolint:nilnil // the model comes from the environment; the check of a configuration names a mistake
	}
	t, ok := m.Provider.(agent.Transcriber)
	if !ok {
		return nil, fmt.Errorf("agent.transcribe: %s does not transcribe; name a model of a provider that speaks OpenAI's dialect", m.Kind)
	}
	return &agent.Voice{Transcriber: t, Model: m}, nil
}

func describe(models map[string]agent.Model, name string) string {
	m, ok := models[name]
	if !ok || m.Provider == nil {
		return "none yet; choose one in the console under Models, or with `gatehouse models set openai`"
	}
	return fmt.Sprintf("`%s` (%s)", m.Name, m.Title)
}

func price(m config.Model) agent.Price {
	p := provider.Price(m.Provider, m.Model)
	if m.PriceIn != nil {
		p.Input, p.Cached, p.Guessed = *m.PriceIn, *m.PriceIn, false
	}
	if m.PriceOut != nil {
		p.Output = *m.PriceOut
	}
	return p
}

// checkTimeout bounds the one call that checks a key.
const checkTimeout = 20 * time.Second

// checkModel lists a provider's models in one call. name is for whom a key of
// the vault is lent out.
func (b *border) checkModel(ctx context.Context, name string, m config.Model) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	p, err := b.provider(name, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", operator.ErrInvalid, err)
	}
	names, err := p.Models(ctx)
	if err == nil {
		return names, nil
	}
	k, _ := provider.Find(m.Provider)
	who := agent.Model{Kind: m.Provider, Title: k.Title, Name: m.Model}
	if r, ok := vault.ParseRef(m.APIKey); ok {
		who.Secret = r.Name()
	}
	var e *agent.Error
	switch {
	case errors.Is(err, vault.ErrNotFound):
		return nil, fmt.Errorf("%w: its key is not in the vault; `gatehouse secrets set %s` puts it there", operator.ErrInvalid, who.Secret)
	case errors.As(err, &e) && e.Kind == agent.Unauthorized && m.APIKey != "" && who.Secret == "":
		return nil, fmt.Errorf("%w: %s", operator.ErrInvalid, wrongKey(k, e.Status))
	case errors.As(err, &e) && (e.Kind == agent.UnknownModel || e.Kind == agent.Unreachable):
		return nil, fmt.Errorf("%w: %s", operator.ErrInvalid, wrongAddress(k, m.BaseURL, e))
	case errors.As(err, &e):
		return nil, fmt.Errorf("%w: %s", operator.ErrInvalid, agent.ReplyFor(e, who))
	}
	return nil, err
}

// wrongAddress is said when a provider's list of models was not to be had: no model
// was named yet that it could not know.
func wrongAddress(k provider.Kind, base string, e *agent.Error) string {
	at := ""
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		at = " at " + u.Host + u.Path
	}
	switch {
	case e.Kind == agent.Unreachable && at != "":
		return fmt.Sprintf("%s cannot be reached%s. Check that the server runs, and that the address is right.", k.Title, at)
	case e.Kind == agent.Unreachable:
		return k.Title + " cannot be reached. Check this machine's network."
	}
	return fmt.Sprintf("there is no list of models%s (%d). Check the base URL: it is the one before /models, and mostly ends in /v1.", at, e.Status)
}

// wrongKey is said to whoever has just typed a key.
func wrongKey(k provider.Kind, status int) string {
	said := fmt.Sprintf("%s refuses this key (%d). Copy it again, whole", k.Title, status)
	if k.KeysURL == "" {
		return said + "."
	}
	return said + ", or make another one at " + k.KeysURL
}
