package gateway

import (
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// recordTool puts a call that is about to be made into the audit log: its
// arguments by their hash alone.
func (g *Gateway) recordTool(turn string, s scope.Scope, st agent.Step) {
	if g.audit != nil {
		g.audit.Record(audit.Entry{
			Kind: audit.Tool, Do: "called", By: s.Principal(), On: st.Tool, Turn: turn, Facts: audit.Facts{"arguments": st.Hash},
		})
	}
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

// recordRevoked puts the end of a lasting approval into the audit log.
func (g *Gateway) recordRevoked(s approval.Standing, by scope.Scope) {
	if g.audit != nil {
		g.audit.Record(audit.Entry{
			Kind: audit.Approval, Do: "revoked", By: by.Principal(), On: s.Tool, To: s.Target, For: s.Member, Facts: audit.Facts{"approval": s.ID},
		})
	}
}
