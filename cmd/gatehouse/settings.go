package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// settings is the configuration file and what it makes of the running parts.
type settings struct {
	path      string
	explicit  bool // the path was named; a missing file is an error
	flags     flags
	getenv    func(string) (string, bool)
	drivers   drivers
	strict    bool // fault what is allowed but unwise, as well
	border    *border
	gateway   *gateway.Gateway
	directory *identity.Directory
	installed *shelf.Shelf // nil: nothing is known of modules

	proxyLogin atomic.Pointer[config.ProxyLogin] // of cfg; asked for by every request of a proxy

	mu    sync.Mutex    // one change at a time
	began config.Config // what this process started with
	cfg   config.Config
	found found
	bound map[string]bool // workspaces whose secrets the configuration names
}

var _ operator.Settings = (*settings)(nil)

// read reads the file, the environment and the flags.
func (s *settings) read() (config.Config, config.Faults, error) {
	text, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !s.explicit:
		text = nil
	case errors.Is(err, os.ErrNotExist):
		return config.Config{}, nil, fmt.Errorf("there is no configuration %s, which --config or GATEHOUSE_CONFIG names; correct the path, or begin with an empty file: touch %s", s.path, s.path)
	case err != nil:
		return config.Config{}, nil, fmt.Errorf("read the configuration: %w", err)
	}
	return s.parse(text)
}

func (s *settings) parse(text []byte) (config.Config, config.Faults, error) {
	c, faults := config.Parse(text, config.Options{
		Adapters: s.drivers, Providers: provider.Names(), Tools: toolNames(), Getenv: s.getenv, Override: s.flags.override(s.getenv), Strict: s.strict, Embedder: fits,
	})
	if bad := faults.Errors(); len(bad) > 0 {
		return c, faults, fmt.Errorf("the configuration %s has mistakes:\n%w", s.path, bad)
	}
	return c, faults, nil
}

// apply makes the running parts follow a configuration.
func (s *settings) apply(ctx context.Context, c config.Config) error {
	f := s.border.findModel(ctx, c, s.getenv)
	list := s.channels(c)
	if err := s.bind(f.models, list); err != nil {
		return err
	}
	a, err := s.border.agentSettings(c, f, s.gateway.Log())
	if err != nil {
		return err
	}
	s.gateway.SetAgent(a)
	if err := s.gateway.Apply(ctx, list); err != nil {
		return err
	}
	s.cfg, s.found = c, f
	s.proxyLogin.Store(&c.ProxyLogin)
	return nil
}

// stamps are those of the files that make the running parts, as they are now.
func (s *settings) stamps() stamps {
	s.mu.Lock()
	policy := s.cfg.Policy
	s.mu.Unlock()
	return stamps{stampOf(s.path), stampOf(policy)}
}

// start applies the configuration for the first time.
func (s *settings) start(ctx context.Context, c config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = c
	if err := s.apply(ctx, c); err != nil {
		return err
	}
	warnings, err := s.homeless(ctx)
	for _, w := range warnings {
		s.gateway.Log().Warn("configuration", "err", w)
	}
	return err
}

// bindings tells the vault which secrets the configuration names, and where
// each may go.
func bindings(models map[string]config.Model, list []gateway.ChannelConfig) []vault.Binding {
	all := modelBindings(models)
	for _, c := range list {
		var hosts []string
		for _, u := range reaches(c.Driver, c.Section) {
			hosts = append(hosts, hostPort(u))
		}
		for _, r := range vault.RefsIn(c.Section) {
			all = append(all, vault.Binding{Ref: r, Kind: vault.ForChannel, Name: string(c.ID), Hosts: hosts})
		}
	}
	return all
}

// channels makes the running form of the configured channels, and of the
// console, which is always there.
func (s *settings) channels(c config.Config) []gateway.ChannelConfig {
	var list []gateway.ChannelConfig
	if s.drivers.named(consoleID) != nil {
		list = append(list, consoleChannel(s.drivers))
	}
	for _, id := range slices.Sorted(maps.Keys(c.Channels)) {
		list = append(list, s.channel(c, channels.ID(id), c.Channels[id]))
	}
	return list
}

func (s *settings) channel(c config.Config, id channels.ID, ch config.Channel) gateway.ChannelConfig {
	out := gateway.ChannelConfig{
		ID: id, Driver: s.drivers.driver(ch.Adapter, ch.Section), Section: ch.Section,
		Unlimited: ch.SendRate == "unlimited", Stream: ch.Stream == "edit",
		Policy: policyOf(ch),
	}
	if e, ok := out.Driver.(interface{ Edition() string }); ok {
		out.Edition = e.Edition()
	}
	if r := ch.ReplyTo; r.Channel != "" {
		out.ReplyTo = &channels.Address{
			Channel: channels.ID(r.Channel), Account: channels.AccountID(r.Account),
			Conversation: channels.ConversationID(r.Conversation), Thread: channels.ThreadID(r.Thread),
		}
	}
	if c.Public != "" {
		out.Public = strings.TrimRight(c.Public, "/") + "/hooks/" + string(id)
	}
	return out
}

// Channels implements operator.Settings.
func (s *settings) Channels() []gateway.ChannelConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.channels(s.cfg), func(c gateway.ChannelConfig) bool { return c.ID == consoleID })
}

// Models implements operator.Settings.
func (s *settings) Models() []operator.Model {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []operator.Model
	for name, m := range s.found.models {
		o := operator.Model{Name: name, Provider: m.Provider, Model: m.Model, BaseURL: m.BaseURL, Default: name == s.cfg.Agent.Model, Keyed: m.APIKey != ""}
		if len(s.cfg.Models) == 0 {
			o.Found = s.found.how
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b operator.Model) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// modelSource says where the models come from.
func (s *settings) modelSource() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found.how
}

// Providers implements operator.Settings.
func (s *settings) Providers() []operator.Provider {
	var list []operator.Provider
	for _, k := range provider.Kinds() {
		list = append(list, operator.Provider{
			Name: k.Name, Title: k.Title, KeysURL: k.KeysURL, NeedKey: k.Env != "", NeedURL: k.BaseURL == "", Model: k.Model,
		})
	}
	return list
}

// Platforms implements operator.Settings.
func (s *settings) Platforms() []operator.Platform {
	return append(s.drivers.platforms(), s.modules()...)
}

// Check implements operator.Settings.
func (s *settings) Check(ctx context.Context, m operator.Model, key string) ([]string, error) {
	s.mu.Lock()
	own, ok := s.found.models[m.Name]
	s.mu.Unlock()
	if ok && key == "" && m.Keyed && own.Provider == m.Provider {
		return s.border.checkModel(ctx, m.Name, own)
	}
	return s.border.checkModel(ctx, "check", config.Model{Provider: m.Provider, Model: m.Model, BaseURL: m.BaseURL, APIKey: key})
}

// Channel implements operator.Settings. The vault is told of the section, so
// that it can be tried out; the next change of the configuration forgets it.
func (s *settings) Channel(id channels.ID, adapter string, section map[string]any) (gateway.ChannelConfig, error) {
	edited, err := s.with("channels", string(id), channelSection(adapter, section))
	if err != nil {
		return gateway.ChannelConfig{}, err
	}
	c, _, err := s.parse(edited)
	if err != nil {
		return gateway.ChannelConfig{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.channels(c)
	if err := s.bind(s.found.models, list); err != nil {
		return gateway.ChannelConfig{}, err
	}
	return s.channel(c, id, c.Channels[string(id)]), nil
}

func channelSection(adapter string, section map[string]any) map[string]any {
	m := map[string]any{"adapter": adapter}
	maps.Copy(m, section)
	return m
}

// AddChannel implements operator.Settings.
func (s *settings) AddChannel(ctx context.Context, id channels.ID, adapter string, section map[string]any) error {
	return s.change(ctx, func() ([]byte, error) {
		return s.with("channels", string(id), channelSection(adapter, section))
	})
}

// RemoveChannel implements operator.Settings.
func (s *settings) RemoveChannel(ctx context.Context, id channels.ID) error {
	return s.change(ctx, func() ([]byte, error) {
		if _, ok := s.cfg.Channels[string(id)]; !ok {
			return nil, identity.NoChannel(string(id))
		}
		return s.with("channels", string(id), nil)
	})
}

// SetModel implements operator.Settings.
func (s *settings) SetModel(ctx context.Context, m operator.Model, def bool) error {
	return s.change(ctx, func() ([]byte, error) {
		section := map[string]any{"provider": m.Provider, "model": m.Model}
		if m.BaseURL != "" {
			section["base_url"] = m.BaseURL
		}
		// A key that was stored for another provider is never sent to an
		// endpoint that can do without one.
		if k, ok := provider.Find(m.Provider); ok && (k.Env != "" || m.Keyed) {
			section["api_key"] = "secret://" + m.Name
		}
		text, err := s.with("models", m.Name, section)
		if err != nil || !def || m.Name == s.cfg.Agent.Model {
			return text, err
		}
		return config.Edit(text, []string{"agent", "model"}, m.Name)
	})
}

// with returns the file's text with one entry set, or removed for nil.
func (s *settings) with(section, name string, value any) ([]byte, error) {
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if text, err = config.Edit(text, []string{section, name}, value); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return text, nil
}

// change edits the file and applies it. A file that would not be valid is not
// written; one that cannot be applied is put back as it was.
func (s *settings) change(ctx context.Context, edit func() ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := edit()
	if err != nil {
		return err
	}
	c, _, err := s.parse(text)
	if err != nil {
		return fmt.Errorf("%w: %w", operator.ErrInvalid, err)
	}
	before, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if err := config.Replace(s.path, text); err != nil {
		return err
	}
	if err := s.apply(ctx, c); err != nil {
		return errors.Join(err, s.restore(ctx, before))
	}
	return nil
}

// restore puts the file and the running parts back to what they were.
func (s *settings) restore(ctx context.Context, before []byte) error {
	ctx = context.WithoutCancel(ctx)
	if err := config.Replace(s.path, before); err != nil {
		return err
	}
	return s.apply(ctx, s.cfg)
}

// Renew implements operator.Settings.
func (s *settings) Renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apply(ctx, s.cfg)
}

// Reload implements operator.Settings.
func (s *settings) Reload(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, faults, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("%w: nothing was changed: %w", operator.ErrInvalid, err)
	}
	var warnings []string
	for _, f := range faults.Warnings() {
		warnings = append(warnings, f.String())
	}
	for _, f := range fixed(s.began, c) {
		warnings = append(warnings, f+" takes effect with the next start")
	}
	if err := s.apply(ctx, c); err != nil {
		return warnings, err
	}
	more, err := s.homeless(ctx)
	return append(warnings, more...), err
}

// fixed names the keys that cannot change while the gateway runs.
func fixed(old, next config.Config) []string {
	var keys []string
	for _, k := range []struct{ name, a, b string }{
		{"listen", old.Listen, next.Listen},
		{"admin", old.Admin, next.Admin},
		{"admin_url", old.AdminURL, next.AdminURL},
		{"egress", fmt.Sprint(old.Egress), fmt.Sprint(next.Egress)},
		{"tls", fmt.Sprint(old.TLS), fmt.Sprint(next.TLS)},
		{"proxy_login (except 'people')", proxyOf(old), proxyOf(next)},
		{"trusted_proxies", fmt.Sprint(old.TrustedProxies), fmt.Sprint(next.TrustedProxies)},
		{"data", old.Data, next.Data},
		{"key", fmt.Sprint(old.Key, old.KeyFrom), fmt.Sprint(next.Key, next.KeyFrom)},
		{"store", old.Store, next.Store},
		{"encrypt", old.Encrypt, next.Encrypt},
		{"memory", fmt.Sprint(old.Memory), fmt.Sprint(next.Memory)},
	} {
		if k.a != k.b {
			keys = append(keys, k.name)
		}
	}
	if old.Agent.MaxTurns != next.Agent.MaxTurns {
		keys = append(keys, "agent.max_turns")
	}
	return keys
}

// proxyOf is the part of the proxy's login that stays as it was at the start.
func proxyOf(c config.Config) string {
	p := c.ProxyLogin
	p.People = nil
	return fmt.Sprint(p)
}

// drivers are the adapters of this build.
type drivers []channels.Driver

var _ config.Adapters = drivers(nil)

// Names implements config.Adapters; the console is not configured.
func (d drivers) Names() []string {
	var names []string
	for _, x := range d {
		if x.Name() != consoleID {
			names = append(names, x.Name())
		}
	}
	return names
}

// Check implements config.Adapters.
func (d drivers) Check(adapter string, section json.RawMessage) []config.Fault {
	x := d.named(adapter)
	if x == nil {
		return nil
	}
	var out []config.Fault
	for _, f := range x.Check(section) {
		out = append(out, config.Fault{Path: f.Path, Text: f.Text})
	}
	return out
}

// platforms are the adapters whose channels are added by questions and answers.
func (d drivers) platforms() []operator.Platform {
	var all []operator.Platform
	for _, x := range d {
		if g, ok := x.(channels.Guided); ok {
			all = append(all, operator.Platform{Adapter: x.Name(), Guide: g.Guide()})
		}
	}
	return all
}

// DM implements config.Adapters.
func (d drivers) DM(adapter string) string {
	if a, ok := d.named(adapter).(channels.Admitting); ok {
		return a.DM()
	}
	return ""
}

func (d drivers) named(name string) channels.Driver {
	for _, x := range d {
		if x.Name() == name {
			return x
		}
	}
	return nil
}

// driver is the adapter of one section: some differ with what stands in it.
func (d drivers) driver(name string, section json.RawMessage) channels.Driver {
	x := d.named(name)
	if g, ok := x.(interface {
		For(section json.RawMessage) channels.Driver
	}); ok {
		return g.For(section)
	}
	return x
}

// consoleID is the console's channel and adapter.
const consoleID = "console"

func consoleChannel(d drivers) gateway.ChannelConfig {
	return gateway.ChannelConfig{
		ID: consoleID, Driver: d.named(consoleID), Section: json.RawMessage("{}"), Unlimited: true, Stream: true,
		Policy: identity.Policy{DM: identity.DMAllowlist, Authenticated: true},
	}
}
