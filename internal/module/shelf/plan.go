package shelf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// Plan is what installing a package would do, for the person who decides.
type Plan struct {
	ID        string   `json:"id"`
	Version   string   `json:"version"`
	From      string   `json:"from,omitempty"` // the version in use; "": it is new here
	Sum       string   `json:"sum"`            // of the package; names what was looked at
	Publisher string   `json:"publisher,omitempty"`
	Name      string   `json:"name,omitempty"` // of the publisher, as the operator calls it
	Wishes    []string `json:"wishes"`         // what it wants, in words
	More      []string `json:"more,omitempty"` // of these, what the version in use was not granted
	Less      []string `json:"less,omitempty"` // what the version in use was granted and this one does not want
	// Dev: it can be installed for development only, because of Why.
	Dev bool   `json:"dev,omitempty"`
	Why string `json:"why,omitempty"`
}

// Plan looks at a package and changes nothing. It refuses what could not be
// installed: a faulty package, a revoked publisher, another publisher than that
// of the version in use, an older version. dev says that a package without a
// trusted signature is meant to be used.
func (s *Shelf) Plan(ctx context.Context, pkg []byte, dev bool) (Plan, error) {
	p, _, _, err := s.plan(ctx, pkg, dev)
	return p, err
}

func (s *Shelf) plan(ctx context.Context, pkg []byte, dev bool) (Plan, Module, int64, error) {
	opened, err := module.Open(pkg)
	if err != nil {
		return Plan{}, Module{}, 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	m := opened.Manifest
	p := Plan{ID: m.ID, Version: m.Version, Sum: Sum(pkg), Wishes: m.Wishes()}
	if opened.Publisher != nil {
		p.Publisher = opened.Publisher.String()
		known, _, err := s.publisher(ctx, p.Publisher)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return Plan{}, Module{}, 0, err
		}
		p.Name = known.Name
	}
	err = opened.Check(ctx, s)
	switch {
	case errors.Is(err, module.ErrUnsigned):
		p.Dev, p.Why = true, "it is not signed"
	case errors.Is(err, module.ErrUntrusted):
		p.Dev, p.Why = true, "its publisher, "+p.Publisher+", is not trusted here"
	case err != nil:
		return Plan{}, Module{}, 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	old, version, err := s.find(ctx, m.ID)
	if errors.Is(err, ErrUnknown) {
		err = nil
	}
	if err != nil {
		return Plan{}, Module{}, 0, err
	}
	if err := p.follow(old, dev); err != nil {
		return Plan{}, Module{}, 0, err
	}
	if p.Dev && !dev {
		return p, old, version, fmt.Errorf("%w: %s; %s", ErrRefused, p.Why, p.remedy())
	}
	return p, old, version, nil
}

// remedy says what makes a package acceptable.
func (p Plan) remedy() string {
	if p.Publisher == "" {
		return "have its author sign it (gatehouse adapter sign), or use --dev on a machine where you develop it"
	}
	return "if you know that this key is the author's, `gatehouse adapter trust add " + p.Publisher + "`"
}

// follow holds a package to the version that is in use.
func (p *Plan) follow(old Module, dev bool) error {
	if old.ID == "" {
		p.More = p.Wishes
		return nil
	}
	now := old.Current
	p.From = now.Version
	p.More = without(p.Wishes, now.Grants)
	p.Less = without(now.Grants, p.Wishes)
	switch {
	case now.Publisher != "" && now.Publisher != p.Publisher:
		return fmt.Errorf("%w: the module %s that is installed is by %s, and this package is not; remove the module first if you mean to change its publisher", ErrRefused, p.ID, now.Publisher)
	case now.Sum == p.Sum:
		return fmt.Errorf("%w: this version of %s, %s, is in use already", ErrRefused, p.ID, p.Version)
	case !dev && !newer(p.Version, now.Version):
		return fmt.Errorf("%w: version %s of %s is not newer than %s, which is in use; `gatehouse adapter rollback %s` goes back", ErrRefused, p.Version, p.ID, now.Version, p.ID)
	}
	return nil
}

func without(all, some []string) []string {
	var out []string
	for _, x := range all {
		if !slices.Contains(some, x) {
			out = append(out, x)
		}
	}
	return out
}

// newer compares versions of three numbers.
func newer(a, b string) bool { return slices.Compare(numbers(a), numbers(b)) > 0 }

func numbers(version string) []int {
	var out []int
	for _, s := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(s) // the manifest was checked; what is too large is the largest
		out = append(out, n)
	}
	return out
}

// Install puts a package into use, in one commit. It holds it to everything that
// Plan does; sum is that of the plan which somebody agreed to. The version that
// was in use is kept for Rollback.
func (s *Shelf) Install(ctx context.Context, pkg []byte, sum string, dev bool) (Module, error) {
	return settle(ctx, func() (Module, error) { return s.install(ctx, pkg, sum, dev) })
}

func (s *Shelf) install(ctx context.Context, pkg []byte, sum string, dev bool) (Module, error) {
	p, old, version, err := s.plan(ctx, pkg, dev)
	if err != nil {
		return Module{}, err
	}
	if p.Sum != sum {
		return Module{}, fmt.Errorf("%w: this is not the package that was agreed to", ErrRefused)
	}
	m := Module{ID: p.ID, Dev: old.Dev || p.Dev, Current: Edition{
		Version: p.Version, Sum: p.Sum, Size: len(pkg), Publisher: p.Publisher, Grants: p.Wishes, Installed: s.now().UTC(),
	}}
	writes := pieces(m.Current, pkg)
	if old.ID != "" {
		m.Before = slices.DeleteFunc(slices.Insert(old.Before, 0, old.Current), func(e Edition) bool { return e.Sum == p.Sum })
		writes = append(writes, m.shorten()...)
	}
	if err := s.commit(ctx, m, version, writes); err != nil {
		return Module{}, err
	}
	return m, nil
}

// shorten drops the oldest versions, and returns the writes that remove them.
func (m *Module) shorten() (out []kv.Write) {
	for len(m.Before) > kept {
		last := len(m.Before) - 1
		out = append(out, pieces(m.Before[last], nil)...)
		m.Before = m.Before[:last]
	}
	return out
}
