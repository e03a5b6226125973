package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// A turn that needs a person asks, is parked, and lets the conversation go on.
// The decision is one compare-and-swap; then the turn's events are due again,
// it replays its journal, asks again and hears the answer.

// parkedFor is how long the events of an asking turn are kept, beyond the time
// at which the housekeeping answers for people who do not.
const parkedFor = approval.Patience + 24*time.Hour

// Approve implements agent.Port: it hears the answer to what an earlier run of
// the turn has asked, or a standing approval; else it asks, which suspends the
// turn.
func (p *port) Approve(ctx context.Context, r agent.Request) (agent.Decision, error) {
	hash := p.bound(r)
	q, err := p.s.g.approvals.Of(ctx, p.t.ID, r.Step)
	switch {
	case errors.Is(err, approval.ErrUnknown):
	case err != nil:
		return agent.Decision{}, fmt.Errorf("approval: %w", err)
	case q.Hash != hash || q.Requester.Member != p.t.Scope.Member():
	case q.Answer != nil:
		p.heard = append(p.heard, r.Step)
		return p.hear(q)
	default: // asked, and not answered yet
		p.question, p.standing = &q, true
		return agent.Decision{}, agent.ErrSuspended
	}
	if r.Aim.Effect != agent.Irreversible && r.Aim.Effect != "" {
		s, ok, err := p.s.g.approvals.Stands(ctx, p.t.Scope, r.Tool, r.Aim.Target)
		if ok || err != nil {
			return agent.Decision{Approved: ok, By: s.By}, err
		}
	}
	fresh := p.s.g.approvals.Fill(approval.Question{
		Turn: p.t.ID, Step: r.Step, Requester: p.t.Scope.Principal(), Where: p.head.event.Where, Direct: p.head.event.Room.Direct,
		Tool: r.Tool, Target: r.Aim.Target, Hash: hash, Summary: r.Summary,
		OnceOnly: r.Aim.Effect == agent.Irreversible || r.Aim.Effect == "",
	})
	p.question, p.why = &fresh, r.Why
	return agent.Decision{}, agent.ErrSuspended
}

// hear tells the agent what was decided. A question that was stopped ends the
// turn as /stop does.
func (p *port) hear(q approval.Question) (agent.Decision, error) {
	switch q.Answer.Outcome {
	case approval.Approved:
		return agent.Decision{Approved: true, By: q.Answer.By}, nil
	case approval.Stopped:
		p.cancel(agent.ErrStopped)
		return agent.Decision{}, agent.ErrStopped
	case approval.Expired:
		return agent.Decision{Why: "A person was asked for permission, and nobody answered in time."}, nil
	case approval.Refused:
	}
	return agent.Decision{By: q.Answer.By}, nil
}

// bound is the SHA-256 of everything that a decision is about: the tool, its
// canonical arguments, and the rules that stood when it was asked.
func (p *port) bound(r agent.Request) string {
	h := sha256.New()
	for _, part := range []string{r.Tool, r.Hash, p.rules} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var errNoQuestion = errors.New("the agent waits for a person, but has asked nothing")

// suspend parks the events of a turn that waits for a person, and asks.
func (s *sitting) suspend(taken []item, t *sat, result agent.Result) error {
	q := t.port.question
	if q == nil {
		return errNoQuestion
	}
	for _, it := range append(taken, t.port.joined...) {
		note, err := waited(it.rec)
		if err != nil {
			return err
		}
		s.verdicts[it.rec.Key] = bus.Verdict{Fate: bus.Park, Tag: q.Tag(), At: s.g.now().Add(parkedFor), Progress: note}
	}
	s.g.recordCalls(t.ID, t.Scope, result.Usage)
	s.state = append(s.state, s.g.spend.record(t.ID+"/"+q.ID, t.Scope, result.Usage, s.tab)...)
	if t.port.standing {
		return nil
	}
	s.state = append(s.state, s.g.approvals.Ask(*q)...)
	s.g.recordQuestion(*q, q.Requester)
	head := taken[0].event
	buttons := s.g.buttons(*q)
	out := s.outbound(head)
	out.Markdown, out.Plain, out.Buttons = questionText(*q, t.port.why, len(buttons) == 0), true, buttons
	out.Via, out.Turn, out.Stage = nil, questionName(q.ID), delivery.Question
	rec, err := delivery.Record(s.g.dir.Workspace(), fmt.Sprintf("%s/r-ask-%s", t.ID, q.ID), out)
	s.emit = append(s.emit, rec)
	return err
}

// waited notes that an event was set aside for a person, which is no attempt of
// its own.
func waited(r bus.Record) (json.RawMessage, error) {
	n := trialOf(r)
	n.Waited = r.Attempt - attempts(r) + 1
	return json.Marshal(n)
}
