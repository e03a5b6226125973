package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Modules is what the gateway can do with modules, beside keeping them.
type Modules struct {
	Shelf *shelf.Shelf
	// Prove loads the module of a package and makes its tests, on both engines.
	Prove func(ctx context.Context, pkg []byte) error
	// Faults says what is wrong with a channel's section for a package.
	Faults func(pkg []byte, section json.RawMessage) ([]channels.Fault, error)
	// Fetch gets a package from an https URL.
	Fetch func(ctx context.Context, by scope.Scope, url string) ([]byte, error)
	// Failures counts the failed calls of each module since the process began; nil:
	// they are not counted.
	Failures func() map[string]int64
	// Shipped are the modules that are part of the program.
	Shipped []string
}

// Module is an installed module, for people.
type Module struct {
	shelf.Module
	Channels []channels.ID `json:"channels,omitempty"` // that use it
	Faults   int64         `json:"faults,omitempty"`   // failed calls since the process began
}

// Modules lists the installed modules.
func (p *Operator) Modules(ctx context.Context, by scope.Scope) ([]Module, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	return p.modules(ctx)
}

func (p *Operator) modules(ctx context.Context) ([]Module, error) {
	if p.o.Modules.Shelf == nil {
		return nil, nil
	}
	all, err := p.o.Modules.Shelf.List(ctx)
	out := make([]Module, len(all))
	for i, m := range all {
		out[i] = p.module(m)
	}
	return out, err
}

// module adds the channels that use a module.
func (p *Operator) module(m shelf.Module) Module {
	out := Module{Module: m}
	if p.o.Modules.Failures != nil {
		out.Faults = p.o.Modules.Failures()[m.ID]
	}
	for _, c := range p.o.Settings.Channels() {
		if d, ok := c.Driver.(interface{ Module() string }); ok && d.Module() == m.ID {
			out.Channels = append(out.Channels, c.ID)
		}
	}
	return out
}

// PlanModule looks at a package and says what installing it would do.
func (p *Operator) PlanModule(ctx context.Context, by scope.Scope, pkg []byte, dev bool) (shelf.Plan, error) {
	if err := p.allow(by); err != nil {
		return shelf.Plan{}, err
	}
	plan, err := p.o.Modules.Shelf.Plan(ctx, pkg, dev)
	return plan, moduleError(plan.ID, err)
}

// FetchModule gets a package from an https URL, and refuses what has not the
// SHA-256 that was said beforehand.
func (p *Operator) FetchModule(ctx context.Context, by scope.Scope, url, sum string) (_ []byte, err error) {
	defer func() { p.did(ctx, by, "module fetched", url, &err) }()
	if err := p.allow(by); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(url, "https://") || len(sum) != 64 {
		return nil, fmt.Errorf("%w: a module comes from https://..., with #sha256= and the 64 digits of the package's sum behind it", ErrInvalid)
	}
	b, err := p.o.Modules.Fetch(ctx, by, url)
	if err != nil {
		return nil, err
	}
	if got := shelf.Sum(b); got != strings.ToLower(sum) {
		return nil, fmt.Errorf("%w: what %s gives has the SHA-256 %s and not the one that was named; nothing was installed", ErrInvalid, url, got)
	}
	return b, nil
}

// InstallModule puts a package into use, for the first time or in place of an
// earlier version. sum is that of the plan that somebody agreed to. The module is
// loaded and tested, and the sections of the channels that use it are held to it,
// before anything changes; the running channels then go over to it, with nothing
// lost. When they cannot, the version before is put back.
func (p *Operator) InstallModule(ctx context.Context, by scope.Scope, pkg []byte, sum string, dev bool) (_ Module, err error) {
	on := ""
	defer func() { p.did(ctx, by, "module installed", on, &err) }()
	if err := p.allow(by); err != nil {
		return Module{}, err
	}
	s := p.o.Modules.Shelf
	plan, err := s.Plan(ctx, pkg, dev)
	on = strings.TrimSpace(plan.ID + " " + plan.Version)
	if err != nil {
		return Module{}, moduleError(plan.ID, err)
	}
	for _, name := range p.o.Modules.Shipped {
		if name == plan.ID {
			return Module{}, fmt.Errorf("%w: a module %s is part of the program; give this one another id", ErrConflict, name)
		}
	}
	if err := p.o.Modules.Prove(ctx, pkg); err != nil {
		return Module{}, fmt.Errorf("%w: the module does not pass its own tests here; nothing was changed:\n%w", ErrInvalid, err)
	}
	if err := p.suits(plan.ID, pkg); err != nil {
		return Module{}, err
	}
	m, err := s.Install(ctx, pkg, sum, dev)
	if err != nil {
		return Module{}, moduleError(plan.ID, err)
	}
	if err := p.renew(ctx); err != nil {
		return Module{}, errors.Join(fmt.Errorf("%s was not put into use: %w", on, err), p.takeBack(ctx, plan))
	}
	return p.module(m), nil
}

// suits holds the channels of a module to the package that is to come.
func (p *Operator) suits(id string, pkg []byte) error {
	var errs []error
	for _, c := range p.o.Settings.Channels() {
		d, ok := c.Driver.(interface{ Module() string })
		if !ok || d.Module() != id {
			continue
		}
		faults, err := p.o.Modules.Faults(pkg, c.Section)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		for _, f := range faults {
			errs = append(errs, fmt.Errorf("channels.%s.%s: %s", c.ID, f.Path, f.Text)) //nolint:err113 // for people
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: the configuration does not suit the new version; change it first:\n%w", ErrInvalid, errors.Join(errs...))
	}
	return nil
}

// renew makes the channels follow what is installed.
func (p *Operator) renew(ctx context.Context) error { return p.o.Settings.Renew(ctx) }

func (p *Operator) takeBack(ctx context.Context, plan shelf.Plan) error {
	ctx = context.WithoutCancel(ctx)
	if plan.From == "" {
		return p.o.Modules.Shelf.Remove(ctx, plan.ID)
	}
	_, err := p.o.Modules.Shelf.Rollback(ctx, plan.ID, plan.From)
	return errors.Join(err, p.renew(ctx))
}

// RollbackModule goes back to an earlier version, the last one for "".
func (p *Operator) RollbackModule(ctx context.Context, by scope.Scope, id, to string) (_ Module, err error) {
	defer func() { p.did(ctx, by, "module rolled back", strings.TrimSpace(id+" "+to), &err) }()
	if err := p.allow(by); err != nil {
		return Module{}, err
	}
	m, err := p.o.Modules.Shelf.Rollback(ctx, id, to)
	if err != nil {
		return Module{}, moduleError(id, err)
	}
	return p.module(m), p.renew(ctx)
}

// RemoveModule takes a module away that no channel uses.
func (p *Operator) RemoveModule(ctx context.Context, by scope.Scope, id string) (err error) {
	defer func() { p.did(ctx, by, "module removed", id, &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	m, err := p.o.Modules.Shelf.Find(ctx, id)
	if err != nil {
		return moduleError(id, err)
	}
	if used := p.module(m).Channels; len(used) > 0 {
		return fmt.Errorf("%w: the channels %s use module %s; remove them first (gatehouse channels remove)", ErrConflict, joined(used), id)
	}
	return moduleError(id, p.o.Modules.Shelf.Remove(ctx, id))
}

func joined(ids []channels.ID) string {
	var all []string
	for _, id := range ids {
		all = append(all, string(id))
	}
	return strings.Join(all, ", ")
}

// Publishers lists whose modules are trusted, or were revoked.
func (p *Operator) Publishers(ctx context.Context, by scope.Scope) ([]shelf.Publisher, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	return p.o.Modules.Shelf.Publishers(ctx)
}

// TrustPublisher lets a publisher's modules be installed, and run again after a
// revocation.
func (p *Operator) TrustPublisher(ctx context.Context, by scope.Scope, key, name string) (err error) {
	defer func() { p.did(ctx, by, "publisher trusted", key, &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	if err := p.o.Modules.Shelf.Trust(ctx, key, name); err != nil {
		return moduleError("", err)
	}
	return p.renew(ctx)
}

// RevokePublisher quarantines all modules of a publisher: their channels stop,
// and what is to be sent there waits.
func (p *Operator) RevokePublisher(ctx context.Context, by scope.Scope, key string) (err error) {
	defer func() { p.did(ctx, by, "publisher revoked", key, &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	if err := p.o.Modules.Shelf.Revoke(ctx, key); err != nil {
		return moduleError("", err)
	}
	return p.renew(ctx)
}

// moduleError says in this package's terms what the shelf refused.
func moduleError(id string, err error) error {
	switch {
	case errors.Is(err, shelf.ErrRefused):
		return fmt.Errorf("%w: %s", ErrInvalid, strings.TrimPrefix(err.Error(), shelf.ErrRefused.Error()+": "))
	case errors.Is(err, shelf.ErrUnknown):
		return identity.Unknown{What: "module", Name: id, See: "adapter list", Kind: ErrUnknownModule}
	}
	return err
}
