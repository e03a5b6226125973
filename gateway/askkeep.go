package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// resume makes the turn of a decided question due, and shows the decision.
// Doing it again is harmless.
func (g *Gateway) resume(ctx context.Context, q approval.Question) error {
	if _, err := g.bus.Unpark(ctx, q.Tag()); err != nil {
		return err
	}
	rec, err := g.answered(ctx, q)
	if err != nil {
		return err
	}
	return g.bus.Publish(ctx, bus.Batch{Records: []bus.Record{rec}})
}

// Questions lists what people are asked at this moment.
func (g *Gateway) Questions(ctx context.Context) ([]approval.Question, error) {
	all, err := g.approvals.Questions(ctx)
	if err != nil {
		return nil, err
	}
	open := all[:0]
	for _, q := range all {
		if q.Open(g.now()) {
			open = append(open, q)
		}
	}
	return open, nil
}

// Standings lists the approvals that last.
func (g *Gateway) Standings(ctx context.Context) ([]approval.Standing, error) {
	return g.approvals.Standings(ctx)
}

// RevokeStanding ends one of them.
func (g *Gateway) RevokeStanding(ctx context.Context, by scope.Scope, id string) (approval.Standing, error) {
	s, err := g.approvals.Revoke(ctx, by, id)
	if err == nil {
		g.recordRevoked(s, by)
	}
	return s, err
}

// EndStandings ends every standing approval, of all workspaces, and returns how
// many. by is on record as who ended them.
func (g *Gateway) EndStandings(ctx context.Context, by scope.Scope) (n int, err error) {
	all, err := g.approvals.Standings(ctx)
	errs := []error{err}
	for _, s := range all {
		err := g.approvals.End(ctx, s)
		if err == nil {
			g.recordRevoked(s, by)
			n++
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// resumeAgain is how long after a decision the housekeeping makes sure that the
// turn is due: whoever decided may have died before it was.
const resumeAgain = 5 * time.Second

// resumeUnheard makes a decided question's turn due, unless it has ended.
func (g *Gateway) resumeUnheard(ctx context.Context, q approval.Question) error {
	last, err := g.approvals.Of(ctx, q.Turn, q.Step)
	switch {
	case errors.Is(err, approval.ErrUnknown):
		return nil
	case err != nil:
		return err
	case last.ID != q.ID:
		return nil
	}
	return g.resume(ctx, q)
}

// answerForPeople says no where nobody answered in time, and completes
// decisions that a crash cut in two.
func (g *Gateway) answerForPeople(ctx context.Context) error {
	all, err := g.approvals.Questions(ctx)
	if err != nil {
		return err
	}
	for _, q := range all {
		switch {
		case q.Answer == nil && !q.Open(g.now()):
			expired, w := g.approvals.Expire(q)
			err = g.bus.Write(ctx, w)
			if errors.Is(err, bus.ErrConflict) {
				err = nil // somebody answered at this moment
				continue
			}
			if err == nil {
				g.recordQuestion(expired, g.dir.Gateway().Principal())
				err = g.resume(ctx, expired)
			}
		case q.Answer != nil && g.now().Sub(q.Answer.At) > resumeAgain:
			err = g.resumeUnheard(ctx, q)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
