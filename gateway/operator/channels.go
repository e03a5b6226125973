package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// Added is a channel that was added.
type Added struct {
	ID       channels.ID       `json:"id"`
	Identity channels.Identity `json:"identity"`
	Link     string            `json:"link,omitempty"`     // makes whoever opens it and taps Start the owner
	Live     bool              `json:"live"`               // it receives already; else with the next start
	Unlinked bool              `json:"unlinked,omitempty"` // a person has to link an account yet, with LinkChannel
}

// Platform is a kind of channel that can be added with questions and answers.
type Platform struct {
	Adapter string         `json:"adapter"` // or the module, by whose name it is added
	Module  bool           `json:"module,omitempty"`
	Guide   channels.Guide `json:"guide"`
}

// section is the section of a channel of this kind before anything is answered,
// and the adapter that runs it.
func (x Platform) section(section map[string]any) (string, map[string]any) {
	full := maps.Clone(section)
	if full == nil {
		full = map[string]any{}
	}
	if !x.Module {
		return x.Adapter, full
	}
	full["module"] = x.Adapter
	return "wasm", full
}

// Platforms lists the kinds of channels that can be added; none to those who do
// not administer.
func (p *Operator) Platforms(by scope.Scope) []Platform {
	if p.allow(by) != nil {
		return nil
	}
	return p.o.Settings.Platforms()
}

func (p *Operator) platform(adapter string) (Platform, error) {
	all := p.o.Settings.Platforms()
	i := slices.IndexFunc(all, func(x Platform) bool { return x.Adapter == adapter })
	if i < 0 {
		return Platform{}, fmt.Errorf("%w: %q is no platform that can be added here", ErrInvalid, adapter)
	}
	return all[i], nil
}

// AddChannel keeps the secrets among the answers to the platform's questions in
// the vault, asks the platform who the bot is, and adds the channel. Nothing is
// kept when the platform refuses, and no secret that was there before is
// touched. A section with a workspace adds it to that one, whose owner the link
// makes: only an owner may.
func (p *Operator) AddChannel(ctx context.Context, by scope.Scope, id channels.ID, adapter string, answers map[string]string, section map[string]any) (_ Added, err error) {
	defer func() { p.did(ctx, by, "channel added", string(id), &err) }()
	if err := p.allow(by); err != nil {
		return Added{}, err
	}
	if p.configured(id) {
		return Added{}, fmt.Errorf("%w: there is a channel %q already", ErrConflict, id)
	}
	platform, err := p.platform(adapter)
	if err != nil {
		return Added{}, err
	}
	settled, err := platform.Guide.Settle(answers)
	if err != nil {
		return Added{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	home, _ := section["workspace"].(string)
	as, err := p.ownerOf(ctx, by, home)
	if err != nil {
		return Added{}, err
	}
	driver, full := platform.section(section)
	var kept []string
	defer func() {
		if err == nil || p.configured(id) {
			return
		}
		for _, name := range kept {
			_ = p.o.Vault.Delete(context.WithoutCancel(ctx), as.Workspace(), name)
		}
	}()
	err = platform.Guide.Section(full, settled, func(a channels.Ask, value string) (string, error) {
		name, err := p.freeName(ctx, as, secretName(id, a.Key))
		if err != nil {
			return "", err
		}
		if _, err := p.o.Vault.Set(ctx, as.Workspace(), name, []byte(value), nil); err != nil {
			return "", fmt.Errorf("keep %s: %w", a.Label, err)
		}
		kept = append(kept, name)
		return "secret://" + name, nil
	})
	if err != nil {
		return Added{}, err
	}
	return p.add(ctx, as, id, driver, platform.Guide.Link, full)
}

// secretName is how a channel's secret is called where nobody chose: support-token.
func secretName(id channels.ID, key string) string {
	return strings.ToLower(string(id)) + "-" + strings.NewReplacer("_", "-", ".", "-").Replace(key)
}

// ownerOf is who a channel of a workspace is set up for: whoever asks, or the
// owner of the other workspace.
func (p *Operator) ownerOf(ctx context.Context, by scope.Scope, id string) (scope.Scope, error) {
	if id == "" || id == by.Workspace() {
		return by, nil
	}
	if err := p.may(ctx, by, scope.Own); err != nil {
		return scope.Scope{}, err
	}
	all, err := p.o.Directory.Workspaces(ctx)
	if err != nil {
		return scope.Scope{}, err
	}
	if !slices.ContainsFunc(all, func(w identity.Workspace) bool { return w.ID == id && !w.Ending }) {
		return scope.Scope{}, fmt.Errorf("%w: there is no workspace %q; make it first", ErrInvalid, id)
	}
	return p.o.Directory.In(id).Machine(ctx)
}

func (p *Operator) configured(id channels.ID) bool {
	return slices.ContainsFunc(p.o.Settings.Channels(), func(c gateway.ChannelConfig) bool { return c.ID == id })
}

// freeName finds a name that no secret has. A channel that was removed has left
// its token behind, and somebody may have chosen the name for another purpose.
func (p *Operator) freeName(ctx context.Context, by scope.Scope, name string) (string, error) {
	if err := vault.CheckName(name); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	all, err := p.o.Vault.List(ctx, by.Workspace())
	if err != nil {
		return "", err
	}
	free := name
	for n := 2; slices.ContainsFunc(all, func(m vault.Meta) bool { return m.Name == free }); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free, nil
}

// add adds a channel whose token is kept already. Once it stands in the
// configuration, a missing link is no failure: there is another way to get one.
// linked says that a person links its account later.
func (p *Operator) add(ctx context.Context, by scope.Scope, id channels.ID, adapter string, linked bool, section map[string]any) (Added, error) {
	c, err := p.o.Settings.Channel(id, adapter, section)
	if err != nil {
		return Added{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	who, err := p.o.Gateway.Probe(ctx, c)
	if errors.Is(err, errors.ErrUnsupported) { // a module need not offer it
		who, err = channels.Identity{Name: "added; its first messages show whether it works"}, nil
	}
	unlinked := linked && channels.KindOf(err) == channels.Unauthorized
	if err != nil && !unlinked {
		return Added{}, err
	}
	if err := p.o.Settings.AddChannel(ctx, id, adapter, section); err != nil {
		return Added{}, err
	}
	out := Added{ID: id, Identity: who, Live: p.o.Running, Unlinked: unlinked}
	if unlinked {
		return out, nil
	}
	if code, err := p.directory(by).StartCode(ctx, by, by.Member()); err == nil {
		out.Link, _ = p.startLink(ctx, c, code)
	}
	return out, nil
}

func (p *Operator) startLink(ctx context.Context, c gateway.ChannelConfig, code string) (string, error) {
	if p.o.Running {
		return p.o.Gateway.StartLink(ctx, c.ID, code)
	}
	return p.o.Gateway.StartLinkOf(ctx, c, code)
}

// Removed is what a channel that was removed has left behind.
type Removed struct {
	Workspace string   `json:"workspace"`         // that it belonged to
	Secrets   []string `json:"secrets,omitempty"` // there, which no other section names
}

// RemoveChannel takes a channel out of the configuration; its secrets stay in
// the vault until they are deleted.
func (p *Operator) RemoveChannel(ctx context.Context, by scope.Scope, id channels.ID) (_ Removed, err error) {
	defer func() { p.did(ctx, by, "channel removed", string(id), &err) }()
	if err := p.allow(by); err != nil {
		return Removed{}, err
	}
	before := slices.Clone(p.o.Settings.Channels())
	if err := p.o.Settings.RemoveChannel(ctx, id); err != nil {
		return Removed{}, err
	}
	return p.leftBy(ctx, id, before)
}

// leftBy finds the secrets that a channel has left in the vault and that no other
// channel of its workspace names.
func (p *Operator) leftBy(ctx context.Context, id channels.ID, before []gateway.ChannelConfig) (r Removed, err error) {
	i := slices.IndexFunc(before, func(c gateway.ChannelConfig) bool { return c.ID == id })
	if i < 0 {
		return r, nil
	}
	r.Workspace = p.workspaceOf(before[i])
	var named []string
	for _, c := range p.o.Settings.Channels() {
		if p.workspaceOf(c) == r.Workspace {
			for _, ref := range vault.RefsIn(c.Section) {
				named = append(named, ref.Name())
			}
		}
	}
	kept, err := p.o.Vault.List(ctx, r.Workspace)
	for _, ref := range vault.RefsIn(before[i].Section) {
		there := slices.ContainsFunc(kept, func(m vault.Meta) bool { return m.Name == ref.Name() })
		if there && !slices.Contains(named, ref.Name()) && !slices.Contains(r.Secrets, ref.Name()) {
			r.Secrets = append(r.Secrets, ref.Name())
		}
	}
	return r, err
}

// LinkChannel links an account to a configured channel by a person's hand. It
// blocks until that is done or has failed; show gets each code. With a phone's
// number the code is typed into it, without one it is the content of a QR code.
func (p *Operator) LinkChannel(ctx context.Context, by scope.Scope, id channels.ID, number string, show func(code string)) (err error) {
	defer func() { p.did(context.WithoutCancel(ctx), by, "channel linked", string(id), &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	for _, c := range p.o.Settings.Channels() {
		if c.ID == id {
			return p.o.Gateway.Link(ctx, c, number, show)
		}
	}
	return identity.NoChannel(string(id))
}

// ProbeChannel asks the platform of a configured channel whether it works.
func (p *Operator) ProbeChannel(ctx context.Context, by scope.Scope, id channels.ID) (channels.Identity, error) {
	if err := p.allow(by); err != nil {
		return channels.Identity{}, err
	}
	for _, c := range p.o.Settings.Channels() {
		if c.ID == id {
			return p.o.Gateway.Probe(ctx, c)
		}
	}
	return channels.Identity{}, identity.NoChannel(string(id))
}
