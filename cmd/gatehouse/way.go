package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// proxyUser is under which name the vault lends the proxy's login.
const proxyUser = "egress proxy"

// openGate makes the way out. The proxy's login comes from the vault, which is
// opened later and asked for each connection.
func (a *app) openGate() (*egress.Gate, error) {
	o := egress.Options{Log: a.log, Leaks: a.leaks, Report: a.reportEgress}
	var err error
	if o.Terms, err = terms(a.cfg.Egress); err != nil {
		return nil, err
	}
	if o.Roots, err = roots(a.cfg.Egress.CA); err != nil {
		return nil, err
	}
	if a.cfg.Egress.Proxy == "" {
		return egress.New(o), nil
	}
	if o.Proxy, err = egress.ParseProxy(a.cfg.Egress.Proxy); err != nil {
		return nil, fmt.Errorf("egress.proxy: %w", err)
	}
	if ref, ok := vault.ParseRef(a.cfg.Egress.ProxyLogin); ok {
		addr := o.Proxy.Addr
		o.Proxy.Login = func(ctx context.Context) (egress.Lease, error) {
			return a.vault.LeaseConfigured(ctx, workspace, ref, vault.Purpose{Kind: vault.ForProvider, Name: proxyUser, Host: addr})
		}
	}
	return egress.New(o), nil
}

// The kinds of policies, which begin their names.
const (
	ofTool    = "tool "
	ofChannel = "channel "
	ofModel   = "provider "
)

// terms is what the configuration says of single tools, channels and models.
func terms(e config.Egress) (func(policy string) egress.Terms, error) {
	all := map[string]egress.Terms{}
	for kind, ways := range map[string]map[string]config.Way{
		ofTool: e.Tools, ofChannel: e.Channels, ofModel: e.Models,
	} {
		for name, w := range ways {
			if kind == ofTool {
				w = e.Tool(name)
			}
			t, err := termsOf(w, e.CA)
			if err != nil {
				return nil, fmt.Errorf("%s%s: %w", kind, name, err)
			}
			all[kind+name] = t
		}
	}
	return func(policy string) egress.Terms {
		t, named := all[policy]
		if tool, is := strings.CutPrefix(policy, ofTool); is && !named {
			return egress.Terms{Limits: limits(e.Tool(tool))}
		}
		return t
	}, nil
}

func termsOf(w config.Way, everywhere []string) (t egress.Terms, err error) {
	t.Limits = limits(w)
	if len(w.CA) > 0 {
		if t.Roots, err = roots(slices.Concat(everywhere, w.CA)); err != nil {
			return t, err
		}
	}
	if w.Proxy != "" {
		t.Proxy = &egress.Proxy{}
	}
	if w.Proxy != "" && w.Proxy != config.Off {
		if *t.Proxy, err = egress.ParseProxy(w.Proxy); err != nil {
			return t, fmt.Errorf("proxy: %w", err)
		}
	}
	places, err := w.Places()
	t.Inside = inside(places)
	return t, err
}

func inside(places map[string][]netip.Prefix) []egress.Inside {
	var all []egress.Inside
	for host, networks := range places {
		all = append(all, egress.Inside{Host: host, Within: networks})
	}
	return all
}

// near is what the configuration says of requests with single secrets: which
// internal hosts these may reach.
type near []config.Near

// of is what holds for a secret, named in full or without its member. A faulty
// entry, which the configuration's check reports, allows nothing.
func (n near) of(ws, secret string) []egress.Inside {
	name, _, _ := strings.Cut(secret, "@")
	var all []egress.Inside
	for _, x := range n {
		if x.Name != name || cmp.Or(x.Workspace, workspace) != ws {
			continue
		}
		if places, err := x.Places(); err == nil {
			all = append(all, inside(places)...)
		}
	}
	return all
}

// limits of a way; what is not above 0 bounds nothing.
func limits(w config.Way) egress.Limits {
	const megabyte = 1_000_000
	return egress.Limits{
		RequestsPerMinute: int64(w.RequestsPerMinute), RequestsPerDay: int64(w.RequestsPerDay),
		BytesPerMinute: int64(w.MegabytesMinute) * megabyte, BytesPerDay: int64(w.MegabytesDay) * megabyte,
	}
}

// proxyBinding lets the proxy have its login.
func proxyBinding(e config.Egress) []vault.Binding {
	ref, ok := vault.ParseRef(e.ProxyLogin)
	p, err := egress.ParseProxy(e.Proxy)
	if !ok || err != nil {
		return nil
	}
	return []vault.Binding{{Ref: ref, Kind: vault.ForProvider, Name: proxyUser, Hosts: []string{p.Addr}}}
}

// roots are the authorities to trust: nil, which is the system's, or those and
// the ones in the files.
func roots(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("egress.ca: read the system's certificates: %w", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f) //nolint:gosec // the operator names it
		if err != nil {
			return nil, fmt.Errorf("egress.ca: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("egress.ca: %s holds no certificate in PEM", f)
		}
	}
	return pool, nil
}
