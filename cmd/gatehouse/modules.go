package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// openModules lets the configuration name what is installed, and reads it again:
// what stood there of modules could not be checked before.
func (a *app) openModules() (err error) {
	a.shelf = shelf.New(a.engine, time.Now)
	a.guests = newGuests(wasm.Options{
		CacheDir: filepath.Join(a.cfg.Data, "guests"), Trust: a.shelf,
		Installed: func(ctx context.Context, name string) (wasm.Installed, error) {
			m, err := a.shelf.Find(ctx, name)
			if errors.Is(err, shelf.ErrUnknown) {
				err = wasm.ErrNotInstalled
			}
			return wasm.Installed{
				Sum: m.Current.Sum, Barred: m.Quarantined,
				Open: func(ctx context.Context) ([]byte, error) { return a.shelf.Package(ctx, m.Current) },
			}, err
		},
	})
	a.closers = append(a.closers, a.guests.Close)
	a.settings.drivers, a.settings.installed = driversWith(a.guests), a.shelf
	_, _, err = a.settings.read()
	return err
}

// fetchFor bounds the download of a package.
const fetchFor = 2 * time.Minute

// fetchModule gets a package from an https URL, through the egress. Redirects
// are not followed: the URL that was pinned is the one that is asked.
func (b *border) fetchModule(ctx context.Context, by scope.Scope, from string) ([]byte, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "https" || u.User != nil {
		return nil, fmt.Errorf("%w: a module comes from an https URL without a user", operator.ErrInvalid)
	}
	to, err := egress.ParseDestination(u.Scheme + "://" + u.Host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", operator.ErrInvalid, err)
	}
	client := b.gate.Client(egress.Policy{
		Name: "adapter install", By: speaker(by), Allow: []egress.Destination{to}, Operator: []string{hostPort(to.String())},
		Methods: []string{http.MethodGet}, Timeouts: egress.Timeouts{Total: fetchFor}, MaxResponse: module.MaxPackage,
	})
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no URL to fetch a module from", operator.ErrInvalid, u.Redacted())
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: fetch the module: %w", operator.ErrInvalid, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answers %s", operator.ErrInvalid, u.Host, resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("fetch the module: %w", err)
	}
	return body, nil
}

// modules are the installed modules of which channels can be added.
func (s *settings) modules() []operator.Platform {
	if s.installed == nil {
		return nil
	}
	all, err := s.installed.List(context.Background())
	if err != nil {
		s.gateway.Log().Error("list the installed modules", "err", err)
	}
	var out []operator.Platform
	for _, m := range all {
		d, _ := s.drivers.named("wasm").(*wasm.Driver)
		if g := d.Guided(m.ID); g != nil {
			out = append(out, operator.Platform{Adapter: m.ID, Module: true, Guide: g.Guide()})
		}
	}
	return out
}
