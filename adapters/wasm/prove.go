package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm/trial"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Faults says what is wrong with a section for the module of a package, which
// need not be installed.
func (d *Driver) Faults(pkg []byte, section json.RawMessage) ([]channels.Fault, error) {
	g, err := open(pkg)
	if err != nil {
		return nil, err
	}
	return (&modular{d, g}).Check(section), nil
}

// Prove loads the module of a package on both engines and makes its tests
// there. Afterwards it is ready to be called: a channel of it starts without
// waiting for a compiler.
func (d *Driver) Prove(ctx context.Context, pkg []byte) error {
	var all []trial.Result
	err := d.onTrial(ctx, pkg, false, func(s trial.Subject) error {
		all = trial.Tests(ctx, s)
		return ctx.Err()
	})
	errs := []error{err}
	for _, r := range all {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Name, r.Err))
		}
	}
	return errors.Join(errs...)
}

// Quick makes the tests interpreted alone, without waiting for a compiler.
func (d *Driver) Quick(ctx context.Context, pkg []byte) (all []trial.Result, err error) {
	err = d.onTrial(ctx, pkg, true, func(s trial.Subject) error {
		all = trial.Tests(ctx, s)
		return ctx.Err()
	})
	return all, err
}

// Report is what a trial found.
type Report struct {
	Loaded   time.Duration // until the module was ready, compiled or from the cache
	Results  []trial.Result
	Timings  []trial.Timing
	Manifest *module.Manifest
}

// Failed counts what did not pass.
func (r Report) Failed() (n int) {
	for _, x := range r.Results {
		if x.Err != nil {
			n++
		}
	}
	return n
}

// Try is Prove with the contract of channels, hostile inputs made from seed, and
// a look at the clock.
func (d *Driver) Try(ctx context.Context, pkg []byte, seed uint64) (Report, error) {
	var rep Report
	began := time.Now()
	err := d.onTrial(ctx, pkg, false, func(s trial.Subject) (err error) {
		rep.Loaded, rep.Manifest = time.Since(began), s.Manifest
		rep.Results = trial.Tests(ctx, s)
		rep.Results = append(rep.Results, trial.Contract(ctx, s)...)
		rep.Results = append(rep.Results, trial.Hostile(ctx, s, seed)...)
		const moment = 300 * time.Millisecond
		rep.Timings, err = trial.Speed(ctx, s, moment)
		return err
	})
	return rep, err
}

// onTrial loads a package's module on both engines for a while, or interpreted
// alone.
func (d *Driver) onTrial(ctx context.Context, pkg []byte, interpreted bool, do func(trial.Subject) error) error {
	g, err := open(pkg)
	if err != nil {
		return err
	}
	s := trial.Subject{Manifest: g.pkg.Manifest, Lists: g.lists}
	if !interpreted {
		if s.Compiled, err = d.load(ctx, g.pkg); err != nil {
			return err
		}
	}
	_, box, err := d.entry(ctx, g.pkg)
	if err != nil {
		return err
	}
	cfg := g.config()
	cfg.Interpreted = true
	cfg.Limits.Wall = max(cfg.Limits.Wall, trialWall)
	if s.Interpreted, err = box.Load(ctx, g.pkg.Module, cfg); err != nil {
		return fmt.Errorf("interpreted: %w", err)
	}
	defer s.Interpreted.Close(context.WithoutCancel(ctx))
	return do(s)
}

// trialWall bounds a call on trial, interpreted or by its author. That a machine is slow, or has
// much else to do, is no fault of the guest's; fuel ends one that loops.
const trialWall = time.Minute

// config is how the sandbox runs the module: warmed up by its own tests.
func (g *guest) config() sandbox.Config {
	cfg := g.pkg.Manifest.Config()
	for _, t := range g.pkg.Manifest.Tests {
		if op, ok := sandbox.OpNamed(t.Op); ok {
			cfg.Warm = append(cfg.Warm, sandbox.Warm{Op: op, In: sandbox.Payload{Header: t.In, Body: []byte(t.Body)}})
		}
	}
	return cfg
}

// lists returns nil if the manifest lists a request of a channel with this
// configuration.
func (g *guest) lists(config json.RawMessage, method string, u *url.URL) error {
	var keys map[string]any
	_ = json.Unmarshal(config, &keys) // without one there are the defaults
	if keys == nil {
		keys = map[string]any{}
	}
	for name, p := range g.terms.schema.Properties {
		if _, ok := keys[name]; !ok && p.Default != nil {
			keys[name] = p.Default
		}
	}
	all, faults := g.terms.requests(keys) // a test has no secrets, and nothing to check with them
	if len(faults) > 0 {
		return fmt.Errorf("the test's config: %s %s", faults[0].Path, faults[0].Text) //nolint:err113 // for people
	}
	if len(granted(all, method, u)) == 0 {
		return unlisted(method, u)
	}
	return nil
}

// unlisted says which request the manifest does not list, and the entry that
// would.
func unlisted(method string, u *url.URL) error {
	return fmt.Errorf("the manifest does not list %s %s://%s; under http it would be %s", //nolint:err113 // for people
		method, u.Scheme, u.Host, module.Entry(method, u))
}
