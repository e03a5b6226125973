package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// maySecret says whether somebody may look after a secret: who administers, and
// every member after those that are the member's own.
func (p *Operator) maySecret(ctx context.Context, by scope.Scope, name string) error {
	right := scope.Administer
	if (vault.Meta{Name: name}).Member() == by.Member() {
		right = scope.Console // every member has secrets of their own
	}
	if err := p.may(ctx, by, right); err != nil {
		return err
	}
	if err := vault.CheckSecret(name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Secrets lists what the vault holds, without values.
func (p *Operator) Secrets(ctx context.Context, by scope.Scope) ([]vault.Meta, error) {
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return nil, err
	}
	return p.o.Vault.List(ctx, by.Workspace())
}

// OwnSecrets lists the asking member's own, without values.
func (p *Operator) OwnSecrets(ctx context.Context, by scope.Scope) ([]vault.Meta, error) {
	if err := p.may(ctx, by, scope.Console); err != nil {
		return nil, err
	}
	all, err := p.o.Vault.List(ctx, by.Workspace())
	return slices.DeleteFunc(all, func(m vault.Meta) bool { return m.Member() != by.Member() }), err
}

// SecretSetting says what a secret is for; nothing said leaves what an existing
// one has.
type SecretSetting struct {
	Hosts  []string      `json:"hosts,omitempty"`  // host or host:port
	Format *vault.Format `json:"format,omitempty"` // how it is put into a request
}

// SetSecret stores a value and returns a warning where it is unwisely short.
func (p *Operator) SetSecret(ctx context.Context, by scope.Scope, name string, value []byte, to SecretSetting) (_ string, err error) {
	defer func() { p.did(ctx, by, "secret set", name, &err) }()
	if err := p.maySecret(ctx, by, name); err != nil {
		return "", err
	}
	if to.Format != nil {
		if err := to.Format.Check(); err != nil {
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	stored, err := p.o.Vault.Put(ctx, by.Workspace(), name, value, vault.Setting{Hosts: to.Hosts, Format: to.Format})
	if err == nil {
		p.o.Gateway.Mended()
	}
	return stored.Warning(), err
}

// RotateSecret gives an existing secret a new value. What it is for stays, and
// the leases on the old value end.
func (p *Operator) RotateSecret(ctx context.Context, by scope.Scope, name string, value []byte) (_ string, err error) {
	defer func() { p.did(ctx, by, "secret rotated", name, &err) }()
	if err := p.maySecret(ctx, by, name); err != nil {
		return "", err
	}
	stored, err := p.o.Vault.Rotate(ctx, by.Workspace(), name, func([]byte) ([]byte, error) { return slices.Clone(value), nil })
	if err == nil {
		p.o.Gateway.Mended()
	}
	return stored.Warning(), aboutSecret(name, err)
}

// Tried is what became of a request with a secret.
type Tried struct {
	Host   string `json:"host"`
	Status string `json:"status"` // "200 OK"
}

// TrySecret makes one request with a secret, put in as its format says, to the
// URL, which has to lie at one of its hosts; "" for the root of the first one.
// Nothing of the answer is returned but its status.
func (p *Operator) TrySecret(ctx context.Context, by scope.Scope, name, to string) (_ Tried, err error) {
	defer func() { p.did(ctx, by, "secret tried", name, &err) }()
	if err := p.maySecret(ctx, by, name); err != nil {
		return Tried{}, err
	}
	all, err := p.o.Vault.List(ctx, by.Workspace())
	if err != nil {
		return Tried{}, err
	}
	i := slices.IndexFunc(all, func(m vault.Meta) bool { return m.Name == name })
	switch {
	case i < 0:
		return Tried{}, noSecret(name)
	case len(all[i].Hosts) == 0:
		return Tried{}, fmt.Errorf("%w: %s may be sent nowhere yet; give it a host", ErrInvalid, name)
	case to == "":
		to = "https://" + all[i].Hosts[0] + "/"
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return Tried{}, fmt.Errorf("%w: the URL is not one such as https://api.example.com/v1/me", ErrInvalid)
	}
	status, err := p.o.Try(ctx, by, name, u)
	if errors.Is(err, vault.ErrDenied) {
		err = fmt.Errorf("%w: %s may not be sent to %s; it goes to %s", ErrInvalid, name, u.Host, strings.Join(all[i].Hosts, ", "))
	}
	return Tried{Host: u.Host, Status: status}, err
}

// DeleteSecret removes a secret for good.
func (p *Operator) DeleteSecret(ctx context.Context, by scope.Scope, name string) (err error) {
	defer func() { p.did(ctx, by, "secret deleted", name, &err) }()
	if err := p.maySecret(ctx, by, name); err != nil {
		return err
	}
	return aboutSecret(name, p.o.Vault.Delete(ctx, by.Workspace(), name))
}

// GrantSecret lets turns use a secret.
func (p *Operator) GrantSecret(ctx context.Context, by scope.Scope, name string, g vault.Grant) (err error) {
	defer func() { p.did(ctx, by, "secret granted", name, &err) }()
	if err := p.maySecret(ctx, by, name); err != nil {
		return err
	}
	if g.Kind != forTool || g.Name == "" {
		return fmt.Errorf("%w: a grant names a tool; channels and models are granted what the configuration names", ErrInvalid)
	}
	return aboutSecret(name, p.o.Vault.Grant(ctx, by.Workspace(), name, g))
}

func noSecret(name string) error {
	return identity.Unknown{What: "secret", Name: name, See: "secrets list", Kind: vault.ErrNotFound}
}

// aboutSecret says of a secret that is not there where to look.
func aboutSecret(name string, err error) error {
	if errors.Is(err, vault.ErrNotFound) {
		return noSecret(name)
	}
	return err
}

// forTool is the kind of purpose that a grant can name.
const forTool = "tool"

// RevokeSecret takes a grant back, or all of them when g is empty.
func (p *Operator) RevokeSecret(ctx context.Context, by scope.Scope, name string, g vault.Grant) (err error) {
	defer func() { p.did(ctx, by, "grant revoked", name, &err) }()
	if err := p.maySecret(ctx, by, name); err != nil {
		return err
	}
	all, err := p.o.Vault.List(ctx, by.Workspace())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(m vault.Meta) bool { return m.Name == name })
	if i < 0 {
		return noSecret(name)
	}
	n := 0
	for _, have := range all[i].Grants {
		end := have.Until
		have.Until = g.Until
		if g != (vault.Grant{}) && have != g {
			continue
		}
		have.Until = end
		if err := p.o.Vault.Revoke(ctx, by.Workspace(), name, have); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return identity.Unknown{What: "such grant of the secret", Name: name, See: "secrets list"}
	}
	return nil
}

// RotateKey replaces the key that locks the vault, and with data set this
// workspace's data key as well, under which its secrets are encrypted.
func (p *Operator) RotateKey(ctx context.Context, by scope.Scope, data bool) (err error) {
	defer func() { p.did(ctx, by, "keys rotated", "", &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	if data {
		if err := p.o.Vault.RotateData(ctx, by.Workspace()); err != nil {
			return err
		}
	}
	return p.o.Vault.RotateKey(ctx)
}

// maxSecret bounds what is read as a secret's value.
const maxSecret = vault.MaxValue

// ReadSecret reads a value from a stream, without the line break at its end.
func ReadSecret(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+2))
	if err != nil {
		return nil, err
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}
