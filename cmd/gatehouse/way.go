package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

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
