package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Offboarder ends what a member who was removed still holds somewhere: console
// sessions, grants, approvals.
type Offboarder interface {
	// Offboard blocks until nothing of the member is left. It is called again
	// after a failure or a crash, and does no harm then.
	Offboard(ctx context.Context, workspace, member string) error
}

// Shredder forgets a workspace that was deleted.
type Shredder interface {
	// Shred blocks until nothing of the workspace is left. It is called again
	// after a failure or a crash, and does no harm then.
	Shred(ctx context.Context, workspace string) error
}

// errLeft is the cause of a turn whose member was removed or has another role
// meanwhile. To the agent it is a stop; what it had so far is not sent.
var errLeft = fmt.Errorf("the member left: %w", agent.ErrStopped)

// workspaceOf is the workspace that a channel belongs to.
func (g *Gateway) workspaceOf(id channels.ID) string {
	l := g.line(id)
	if l == nil {
		return g.dir.Home()
	}
	return g.dir.In(l.config().Policy.Workspace).Workspace()
}

// stands returns errLeft when a scope would not be minted again.
func (g *Gateway) stands(ctx context.Context, s scope.Scope) error {
	ok, err := g.dir.Stands(ctx, s)
	if err == nil && !ok {
		return errLeft
	}
	return err
}

// ApprovePairing lets a stranger in and releases what they wrote.
func (g *Gateway) ApprovePairing(ctx context.Context, by scope.Scope, ref string) (identity.Pairing, error) {
	p, err := g.dir.In(by.Workspace()).Approve(ctx, by, ref)
	if err != nil {
		return p, err
	}
	return p, g.finishPairing(ctx, p)
}

// DenyPairing refuses a stranger and drops what they wrote.
func (g *Gateway) DenyPairing(ctx context.Context, by scope.Scope, ref string) (identity.Pairing, error) {
	p, err := g.dir.In(by.Workspace()).Deny(ctx, by, ref)
	if err != nil {
		return p, err
	}
	_, err = g.bus.Discard(ctx, p.Tag())
	return p, err
}

func (g *Gateway) finishPairing(ctx context.Context, p identity.Pairing) error {
	if _, err := g.bus.Unpark(ctx, p.Tag()); err != nil {
		return err
	}
	return g.dir.Forget(ctx, p)
}

// finishPairings completes approvals that a crash cut in two.
func (g *Gateway) finishPairings(ctx context.Context) error {
	passed, err := g.dir.Passed(ctx)
	if err != nil {
		return err
	}
	for _, p := range passed {
		if err := g.finishPairing(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// RemoveMember takes a member out of a workspace and ends everything they hold:
// turns that run, messages that wait, sessions, grants and approvals. They are
// out when it returns, even with an error; what failed is tried again.
func (g *Gateway) RemoveMember(ctx context.Context, by scope.Scope, id string) (identity.Departure, error) {
	left, err := g.dir.In(by.Workspace()).Remove(ctx, by, id)
	if err != nil {
		return left, err
	}
	return left, g.finishDeparture(ctx, left)
}

func (g *Gateway) finishDeparture(ctx context.Context, left identity.Departure) error {
	_, err := g.depart(ctx, left)
	return err
}

// depart ends what somebody held, and erases what is kept of them if that was
// asked for.
func (g *Gateway) depart(ctx context.Context, left identity.Departure) (done Erasure, err error) {
	g.running.end(left.Workspace, left.Member.ID)
	failpoint.Hit(failpoint.LeaveStep)
	ends := g.endErrands(ctx, left.Workspace, left.Member.ID, g.dir.Departing(left).Principal())
	if err := errors.Join(ends, g.discardParked(ctx, left), g.endApprovals(ctx, left)); err != nil {
		return done, err
	}
	for _, o := range g.leave {
		failpoint.Hit(failpoint.LeaveStep)
		if err := o.Offboard(ctx, left.Workspace, left.Member.ID); err != nil {
			return done, fmt.Errorf("end what %s holds: %w", left.Member.ID, err)
		}
	}
	failpoint.Hit(failpoint.LeaveStep)
	if left.Erase {
		if done, err = g.erase(ctx, left); err != nil || done.Waiting > 0 {
			return done, err // the housekeeping goes on
		}
		if err := g.erased(ctx, left, done); err != nil {
			return done, err
		}
	}
	return done, g.dir.Departed(ctx, left)
}

// discardParked drops what the accounts of somebody who left wrote while they
// waited to be let in.
func (g *Gateway) discardParked(ctx context.Context, left identity.Departure) error {
	open, err := g.dir.In(left.Workspace).Pairings(ctx)
	if err != nil {
		return err
	}
	for _, p := range open {
		for _, l := range left.Links {
			if p.Where.Channel != l.Channel || p.Account != l.Account || p.Who.ID != l.Sender {
				continue
			}
			if err := g.dir.Forget(ctx, p); err != nil {
				return err
			}
			if _, err := g.bus.Discard(ctx, p.Tag()); err != nil {
				return err
			}
		}
	}
	return nil
}

// endApprovals ends what somebody who left was asked, and what they had allowed
// for longer.
func (g *Gateway) endApprovals(ctx context.Context, left identity.Departure) error {
	by := g.dir.Departing(left)
	asked, err := g.approvals.Questions(ctx)
	if err != nil {
		return err
	}
	for _, q := range asked {
		if q.Requester.Member != left.Member.ID || q.Requester.Workspace != left.Workspace {
			continue
		}
		// First what waits for the answer, also for one that is given: once a
		// question is closed, its messages come up again, as a stranger's.
		if _, err := g.bus.Discard(ctx, q.Tag()); err != nil {
			return err
		}
		if !q.Open(g.now()) {
			continue
		}
		_, w := g.approvals.Stop(q, by, approval.Answer{Outcome: approval.Stopped})
		if err := g.bus.Write(ctx, w); err != nil && !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
	stand, err := g.approvals.Standings(ctx)
	if err != nil {
		return err
	}
	for _, s := range stand {
		if s.Member != left.Member.ID {
			continue
		}
		if _, err := g.approvals.Revoke(ctx, by, s.ID); err != nil && !errors.Is(err, approval.ErrUnknown) {
			return err
		}
	}
	return nil
}

// finishDepartures completes what a crash, or a failure, left to be ended.
func (g *Gateway) finishDepartures(ctx context.Context) error {
	all, err := g.dir.Departures(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, left := range all {
		errs = append(errs, g.finishDeparture(ctx, left))
	}
	return errors.Join(errs...)
}

// DeleteWorkspace deletes a workspace with everything in it. No channel may
// belong to it any more. What fails is tried again.
func (g *Gateway) DeleteWorkspace(ctx context.Context, by scope.Scope, id string) error {
	if err := g.dir.EndWorkspace(ctx, by, id); err != nil {
		return err
	}
	return g.finishWorkspace(ctx, id)
}

// finishWorkspace destroys the key first: from then on nothing sealed under it
// can be read, wherever a copy of it may be.
func (g *Gateway) finishWorkspace(ctx context.Context, id string) error {
	if err := g.forgetErrands(ctx, id); err != nil {
		return err
	}
	for _, s := range g.shred {
		failpoint.Hit(failpoint.ShredStep)
		if err := s.Shred(ctx, id); err != nil {
			return fmt.Errorf("delete workspace %s: %w", id, err)
		}
	}
	for {
		writes, err := g.book.Erase(ctx, id)
		if err != nil {
			return err
		}
		failpoint.Hit(failpoint.ShredStep)
		if len(writes) == 0 {
			return g.dir.Ended(ctx, id)
		}
		if err := g.bus.Write(ctx, writes...); err != nil {
			return err
		}
	}
}

// finishWorkspaces completes deletions that a crash, or a failure, cut in two.
func (g *Gateway) finishWorkspaces(ctx context.Context) error {
	all, err := g.dir.Workspaces(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range all {
		if w.Ending {
			errs = append(errs, g.finishWorkspace(ctx, w.ID))
		}
	}
	return errors.Join(errs...)
}

// asksToBeLetIn reports whether the argument of /approve or /deny is the code of
// somebody who asks to be let in. The codes of questions look otherwise.
func asksToBeLetIn(code string) bool {
	code = strings.ReplaceAll(strings.TrimSpace(code), "-", "")
	return len(code) == identity.CodeLength && !strings.Contains(code, " ")
}

// letInOrNot answers /approve and /deny for a request to be let in: by somebody
// who approves, in the direct chat that they have with the bot themselves.
func (s *sitting) letInOrNot(ctx context.Context, it item, c channels.Command) (string, error) {
	by := it.scope.Scope
	if !by.Direct() {
		return textNotHere, nil
	}
	do, said := s.g.ApprovePairing, textIsIn
	if c.Name == "deny" {
		do, said = s.g.DenyPairing, textIsRefused
	}
	var p identity.Pairing
	err := identity.ErrForbidden
	if by.Role().May(scope.Approve) {
		p, err = do(ctx, by, c.Args)
	}
	if missing := s.g.recordPairing(ctx, by, c.Name, p, err); missing != nil {
		return "", missing
	}
	switch {
	case errors.Is(err, identity.ErrUnknown), errors.Is(err, bus.ErrConflict):
		return fmt.Sprintf(textNoSuchCode, c.Args), nil
	case errors.Is(err, identity.ErrForbidden):
		return textNotYours, nil
	case err != nil:
		return "", err
	}
	name := p.Who.Name
	if name == "" {
		name = p.Who.ID
	}
	return fmt.Sprintf(said, name, p.Where.Channel), nil
}

// furnish gives a turn in a room what the configuration says of the room.
func (s *sitting) furnish(t *agent.Turn, head item) {
	l := s.g.line(head.event.Where.Channel)
	if l == nil || head.event.Room.Direct {
		return
	}
	room := l.config().Policy.In(head.event.Where.Conversation)
	if room.Model != "" {
		t.Model = room.Model
	}
	t.Instructions = strings.TrimSpace(t.Instructions + "\n\n" + room.Instructions)
	t.Tools = room.Tools
}
