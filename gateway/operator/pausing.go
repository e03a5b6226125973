package operator

import (
	"context"
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Pause lets what comes in on a channel wait, on all of them for "". It is
// accepted and kept; turns that run come to their end.
func (p *Operator) Pause(ctx context.Context, by scope.Scope, id channels.ID) (err error) {
	defer func() { p.did(ctx, by, "paused", string(id), &err) }()
	if err := p.allowOn(by, id); err != nil {
		return err
	}
	return p.o.Gateway.Pause(ctx, id)
}

// Resume ends a pause and returns how many events it has held back, which are
// answered from now on.
func (p *Operator) Resume(ctx context.Context, by scope.Scope, id channels.ID) (_ int, err error) {
	defer func() { p.did(ctx, by, "resumed", string(id), &err) }()
	if err := p.allowOn(by, id); err != nil {
		return 0, err
	}
	return p.o.Gateway.Resume(ctx, id)
}

// allowOn is allow, for something that is done to a channel, or to all for "".
func (p *Operator) allowOn(by scope.Scope, id channels.ID) error {
	if err := p.allow(by); err != nil {
		return err
	}
	if id != "" && !p.configured(id) {
		return identity.NoChannel(string(id))
	}
	return nil
}

// Revoked counts what RevokeAll has ended.
type Revoked struct {
	Logins    int `json:"logins"`    // browsers
	Turns     int `json:"turns"`     // turns under way
	Approvals int `json:"approvals"` // permissions that stood for later
	Grants    int `json:"grants"`    // rights of turns to use a secret
	Errands   int `json:"errands"`   // what members wanted taken up later
}

// RevokeAll is for the moment in which something is wrong and nobody knows yet
// what: nothing new begins, what runs is stopped, everybody is logged out of the
// console, and no permission stands any more, in any workspace. It goes on after
// a failure, so that as much as can be is revoked. Secrets, members and messages
// stay.
func (p *Operator) RevokeAll(ctx context.Context, by scope.Scope) (_ Revoked, err error) {
	defer func() { p.did(ctx, by, "everything revoked", "", &err) }()
	if err := p.allow(by); err != nil {
		return Revoked{}, err
	}
	var r Revoked
	errs := []error{p.o.Gateway.Pause(ctx, "")}
	r.Turns = p.o.Gateway.StopTurns()
	r.Logins, err = p.o.Logins.RevokeMember(ctx, "")
	errs = append(errs, err)
	r.Approvals, err = p.o.Gateway.EndStandings(ctx, by)
	errs = append(errs, err)
	r.Errands, err = p.o.Gateway.EndErrands(ctx, by)
	errs = append(errs, err)
	r.Grants, err = p.revokeGrants(ctx)
	return r, errors.Join(append(errs, err)...)
}

// revokeGrants takes the grants of all workspaces back.
func (p *Operator) revokeGrants(ctx context.Context) (n int, err error) {
	all, err := p.o.Directory.Workspaces(ctx)
	errs := []error{err}
	for _, w := range all {
		if w.Ending {
			continue // its key goes first, and with it whatever could be used
		}
		secrets, err := p.o.Vault.List(ctx, w.ID)
		errs = append(errs, err)
		for _, m := range secrets {
			for _, g := range m.Grants {
				err := p.o.Vault.Revoke(ctx, w.ID, m.Name, g)
				if err == nil {
					n++
				}
				errs = append(errs, err)
			}
		}
	}
	return n, errors.Join(errs...)
}
