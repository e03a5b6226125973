package gateway

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// recordTool puts a call that is about to be made into the audit log, durably:
// its arguments by their hash alone.
func (g *Gateway) recordTool(ctx context.Context, turn string, s scope.Scope, st agent.Step) error {
	if g.audit == nil {
		return nil
	}
	return g.audit.Keep(ctx, audit.Entry{
		Kind: audit.Tool, Do: "called", By: s.Principal(), On: st.Tool, Turn: turn, Facts: audit.Facts{"arguments": st.Hash},
	})
}

// recordQuestion puts a question, or what became of it, into the audit log.
func (g *Gateway) recordQuestion(q approval.Question, by scope.Principal) {
	if g.audit == nil {
		return
	}
	e := audit.Entry{
		Kind: audit.Approval, Do: "asked", By: by, On: q.Tool, To: q.Target, For: q.Requester.Member, Turn: q.Turn,
		Facts: audit.Facts{"question": q.ID, "bound": q.Hash},
	}
	if q.Answer != nil {
		e.Do = string(q.Answer.Outcome)
		if q.Answer.Extent != "" {
			e.Facts["extent"] = string(q.Answer.Extent)
		}
	}
	g.audit.Record(e)
}

// recordPairing puts into the audit log how somebody decided in a chat who is let
// in, or what they tried: as the operator does for the other faces. It is kept
// before they are told.
func (g *Gateway) recordPairing(ctx context.Context, by scope.Scope, command string, p identity.Pairing, failed error) error {
	if g.audit == nil {
		return nil
	}
	e := audit.Entry{Kind: audit.Admin, Do: "pairing approved", By: by.Principal(), On: p.Who.ID}
	if command == "deny" {
		e.Do = "pairing denied"
	}
	if failed != nil {
		e.Err = failed.Error()
	}
	return g.audit.Keep(context.WithoutCancel(ctx), e)
}

// recordRevoked puts the end of a lasting approval into the audit log.
func (g *Gateway) recordRevoked(s approval.Standing, by scope.Scope) {
	if g.audit != nil {
		g.audit.Record(audit.Entry{
			Kind: audit.Approval, Do: "revoked", By: by.Principal(), On: s.Tool, To: s.Target, For: s.Member, Facts: audit.Facts{"approval": s.ID},
		})
	}
}
