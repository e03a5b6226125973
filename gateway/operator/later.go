package operator

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Errands lists what members want taken up later, without their words: those are
// theirs. It is for those who administer the workspace.
func (p *Operator) Errands(ctx context.Context, by scope.Scope) ([]gateway.Waiting, error) {
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return nil, err
	}
	return p.o.Gateway.Errands(ctx, by.Workspace())
}

// CancelErrand takes one back.
func (p *Operator) CancelErrand(ctx context.Context, by scope.Scope, id string) (err error) {
	defer func() { p.did(ctx, by, "errand cancelled", id, &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return err
	}
	found, err := p.o.Gateway.CancelErrand(ctx, by, id)
	if err == nil && !found {
		return identity.Unknown{What: "errand", Name: id, See: "later list"}
	}
	return err
}
