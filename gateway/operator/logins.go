package operator

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Logins lists the browsers that are logged in to the console.
func (p *Operator) Logins(ctx context.Context, by scope.Scope) ([]login.Session, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	return p.o.Logins.List(ctx)
}

// RevokeLogin logs one browser out, at once.
func (p *Operator) RevokeLogin(ctx context.Context, by scope.Scope, id string) (err error) {
	defer func() { p.did(ctx, by, "login revoked", id, &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	return p.o.Logins.Revoke(ctx, id)
}

// RevokeLogins logs a member out everywhere, "" everybody, and makes login
// links that were not used yet worthless. It returns how many browsers it were.
func (p *Operator) RevokeLogins(ctx context.Context, by scope.Scope, member string) (_ int, err error) {
	defer func() { p.did(ctx, by, "logins revoked", member, &err) }()
	if err := p.allow(by); err != nil {
		return 0, err
	}
	return p.o.Logins.RevokeMember(ctx, member)
}
