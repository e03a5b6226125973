package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// ErrNotInstalled is what Options.Installed returns for a name that nothing is
// installed under.
var ErrNotInstalled = errors.New("no such module is installed")

// named finds a module by its name: one that is part of the program, or one
// that is installed. That there is none is no fault: it may be installed later.
func (d *Driver) named(name string) (*guest, []channels.Fault) {
	g, err := d.findShipped(name)
	if errors.Is(err, os.ErrNotExist) {
		if d.o.Installed == nil {
			return nil, nil // whoever knows what is installed says more
		}
		g, err = d.findInstalled(context.Background(), name)
	}
	switch {
	case errors.Is(err, ErrNotInstalled):
		return nil, nil
	case err != nil:
		return nil, []channels.Fault{{Path: "module", Text: err.Error()}}
	}
	return g, nil
}

// nowhere says that there is no such module.
func (d *Driver) nowhere(name string) error {
	return fmt.Errorf("the module %q is neither installed nor part of this program, which has %s", //nolint:err113 // for people
		name, cmp.Or(strings.Join(d.o.Names, ", "), "none: make builds it with its modules"))
}

func (d *Driver) findShipped(name string) (*guest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.shipped[name]; g != nil {
		return g, nil
	}
	if d.o.Shipped == nil {
		return nil, os.ErrNotExist
	}
	b, err := d.o.Shipped(name)
	if err != nil {
		return nil, err
	}
	g, err := open(b)
	if err == nil {
		d.shipped[name] = g
	}
	return g, err
}

func (d *Driver) findInstalled(ctx context.Context, name string) (*guest, error) {
	in, err := d.o.Installed(ctx, name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.known[in.Sum]
	if g == nil {
		b, err := in.Open(ctx)
		if err != nil {
			return nil, err
		}
		if g, err = open(b); err != nil {
			return nil, err
		}
		d.known[in.Sum] = g
	}
	g = &guest{pkg: g.pkg, terms: g.terms, barred: in.Barred}
	return g, nil
}

// standing bars a package from a file whose publisher was revoked.
func (d *Driver) standing(g *guest) (*guest, []channels.Fault) {
	if d.o.Trust == nil {
		return g, nil
	}
	if err := g.pkg.Check(context.Background(), d.o.Trust); errors.Is(err, module.ErrRevoked) {
		g.barred = err.Error()
	}
	return g, nil
}

func barredError(why string) error {
	return fmt.Errorf("the module is in quarantine: %s", why) //nolint:err113 // for people
}
