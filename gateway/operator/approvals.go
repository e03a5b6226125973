package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Approvals is what people are asked at this moment, and what they have allowed
// for longer.
type Approvals struct {
	Questions []approval.Question `json:"questions"`
	Standings []approval.Standing `json:"standings"`
}

// Approvals lists them, for those who may answer for others.
func (p *Operator) Approvals(ctx context.Context, by scope.Scope) (Approvals, error) {
	if err := p.may(ctx, by, scope.Approve); err != nil {
		return Approvals{}, err
	}
	questions, err := p.o.Gateway.Questions(ctx)
	if err != nil {
		return Approvals{}, err
	}
	standings, err := p.o.Gateway.Standings(ctx)
	questions = slices.DeleteFunc(questions, func(q approval.Question) bool { return q.Requester.Workspace != by.Workspace() })
	standings = slices.DeleteFunc(standings, func(s approval.Standing) bool { return s.Workspace != by.Workspace() })
	return Approvals{Questions: questions, Standings: standings}, err
}

// Decide answers a question, named by its id or its code.
func (p *Operator) Decide(ctx context.Context, by scope.Scope, id string, a approval.Answer) (approval.Question, error) {
	if err := p.may(ctx, by, scope.Approve); err != nil {
		return approval.Question{}, err
	}
	all, err := p.o.Gateway.Questions(ctx)
	if err != nil {
		return approval.Question{}, err
	}
	for _, q := range all {
		if q.Code == id {
			id = q.ID
		}
	}
	q, err := p.o.Gateway.Decide(ctx, by, id, a)
	return q, said(identity.Unknown{What: "open question", Name: id, See: "approvals list"}, err)
}

// RevokeApproval ends a lasting approval, from the next call on.
func (p *Operator) RevokeApproval(ctx context.Context, by scope.Scope, id string) (_ approval.Standing, err error) {
	defer func() { p.did(ctx, by, "standing approval revoked", id, &err) }()
	if err := p.may(ctx, by, scope.Approve); err != nil {
		return approval.Standing{}, err
	}
	s, err := p.o.Gateway.RevokeStanding(ctx, by, id)
	return s, said(identity.Unknown{What: "lasting approval", Name: id, See: "approvals list"}, err)
}

// said makes an error of the approvals one on which a face branches.
func said(missing identity.Unknown, err error) error {
	switch {
	case errors.Is(err, approval.ErrUnknown):
		return missing
	case errors.Is(err, approval.ErrDenied):
		return identity.ErrForbidden
	case errors.Is(err, approval.ErrDecided), errors.Is(err, approval.ErrExpired):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, approval.ErrOnce):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}
