package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
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
	out := delivery.Outbound{
		To: head.Where, Direct: head.Room.Direct, Markdown: questionText(*q, t.port.why, len(buttons) == 0), Plain: true, Buttons: buttons,
		ReplyTo: quoted(head), Turn: questionName(q.ID), Stage: delivery.Question, Made: s.g.now(),
	}
	rec, err := delivery.Record(s.g.dir.Workspace(), fmt.Sprintf("%s/r-ask-%s", t.ID, q.ID), out)
	s.emit = append(s.emit, rec)
	return err
}

// questionName stands for a question where messages are known by their turns.
func questionName(id string) string { return "ask-" + id }

// pressAnswer marks a button that answers a question: the id and a letter
// follow.
const pressAnswer = "gw:ask:"

// letters are what the buttons of a question say.
var letters = map[string]approval.Answer{
	"o": {Outcome: approval.Approved, Extent: approval.Once},
	"c": {Outcome: approval.Approved, Extent: approval.Conversation},
	"a": {Outcome: approval.Approved, Extent: approval.Always},
	"n": {Outcome: approval.Refused},
}

// buttons are those of a question; none where the place cannot carry them all.
func (g *Gateway) buttons(q approval.Question) []channels.Button {
	make1 := func(label, letter, style string) channels.Button {
		return channels.Button{Label: label, Data: pressAnswer + q.ID + ":" + letter, Style: style}
	}
	all := []channels.Button{make1("Allow once", "o", "success"), make1("Deny", "n", "danger")}
	if !q.OnceOnly {
		all = append(all, make1("Allow here", "c", ""), make1("Allow for 30 days", "a", ""))
	}
	l := g.line(q.Where.Channel)
	if l == nil {
		return nil
	}
	f := l.ch.Features(q.Where)
	if f.MaxButtons < len(all) || f.MaxButtonData < len(all[0].Data) {
		return nil
	}
	return all
}

// questionText is literal: nothing in it is formatted, so that what is shown is
// what will run.
func questionText(q approval.Question, why string, typed bool) string {
	var b strings.Builder
	b.WriteString("May I do this?")
	if why != "" {
		b.WriteString(" " + why)
	}
	fmt.Fprintf(&b, "\n\n%s", q.Tool)
	if q.Target != "" {
		fmt.Fprintf(&b, " → %s", q.Target)
	}
	fmt.Fprintf(&b, "\n%s\n\nWithout an answer within %d minutes I leave it.", q.Summary, int(approval.Patience.Minutes()))
	if !q.Direct {
		b.WriteString(" Whoever asked can decide, or somebody who approves.")
	}
	if typed {
		fmt.Fprintf(&b, "\n\nWrite /approve %s to allow it once, or /deny %s.", q.Code, q.Code)
		if !q.OnceOnly {
			fmt.Fprintf(&b, " /approve %s here allows this tool and destination in this conversation, /approve %s always for 30 days wherever you write.", q.Code, q.Code)
		}
	}
	return b.String()
}

// answerText is what stands in the place of a question once it is decided.
func answerText(q approval.Question, who string) string {
	what := q.Tool
	if q.Target != "" {
		what += " → " + q.Target
	}
	says := map[approval.Outcome]string{
		approval.Approved: "✓ Allowed by " + who, approval.Refused: "✗ Not allowed: " + who + " said no",
		approval.Expired: "Nobody answered in time, so I left it", approval.Stopped: "Stopped by " + who,
	}[q.Answer.Outcome]
	switch q.Answer.Extent {
	case approval.Conversation:
		says += ", from now on in this conversation"
	case approval.Always:
		says += ", for 30 days"
	case approval.Once:
	}
	return fmt.Sprintf("%s.\n\n%s\n%s", says, what, q.Summary)
}

// decider names whoever decided a question, for those who read along.
func (g *Gateway) decider(ctx context.Context, q approval.Question) string {
	own := q.Answer.By == q.Requester.Member
	if own && q.Direct {
		return "you"
	}
	if m, err := g.dir.Member(ctx, q.Answer.By); err == nil && m.Name != "" {
		return m.Name
	}
	if own {
		return "whoever asked"
	}
	return "somebody who may"
}

// answered makes the record that edits a question into its answer.
func (g *Gateway) answered(ctx context.Context, q approval.Question) (bus.Record, error) {
	who := g.decider(ctx, q)
	return delivery.Record(g.dir.Workspace(), questionName(q.ID)+"/answer", delivery.Outbound{
		To: q.Where, Direct: q.Direct, Markdown: answerText(q, who), Plain: true,
		Turn: questionName(q.ID), Stage: delivery.Final, Made: g.now(),
	})
}

// decide answers a question on the word of somebody whose event is worked on.
// It commits the decision, then makes the turn due, then leaves the rest to the
// settlement of the event: a crash in between repeats what is harmless.
func (s *sitting) decide(ctx context.Context, it item, q approval.Question, a approval.Answer) (string, error) {
	a.Event = it.rec.Key
	q, writes, err := s.g.approvals.Decide(q, it.scope.Scope, a)
	if err == nil && len(writes) > 0 {
		if err = s.hold(ctx, bus.Hold{State: writes}); err == nil {
			s.g.recordQuestion(q, it.scope.Scope.Principal())
		}
	}
	switch {
	case errors.Is(err, bus.ErrConflict):
		return textDecided, nil
	case err != nil:
		text, known := decideTexts[cause(err)]
		if !known {
			return "", err
		}
		return text, nil
	}
	if _, err := s.g.bus.Unpark(ctx, q.Tag()); err != nil {
		return "", err
	}
	rec, err := s.g.answered(ctx, q)
	s.emit = append(s.emit, rec)
	return "", err
}

// cause finds the error of the approvals that another one wraps.
func cause(err error) error {
	for known := range decideTexts {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

// pressed answers a question by its button; "" when there is nothing more to
// say than what becomes of the question.
func (s *sitting) pressed(ctx context.Context, it item, rest string) (string, error) {
	id, letter, _ := strings.Cut(rest, ":")
	a, ok := letters[letter]
	q, err := s.g.approvals.Get(ctx, id)
	switch {
	case !ok, errors.Is(err, approval.ErrUnknown):
		return textNoQuestion, nil
	case err != nil:
		return "", err
	}
	return s.decide(ctx, it, q, a)
}

// extents are the words that follow a code in /approve.
var extents = map[string]approval.Extent{
	"": approval.Once, "once": approval.Once, "here": approval.Conversation, "always": approval.Always,
}

// answer obeys /approve and /deny.
func (s *sitting) approveOrDeny(ctx context.Context, it item, name, args string) (string, error) {
	code, word, _ := strings.Cut(strings.TrimSpace(args), " ")
	extent, ok := extents[strings.ToLower(strings.TrimSpace(word))]
	if !ok || !approval.IsCode(code) {
		return textApproveHow, nil
	}
	q, err := s.g.approvals.ByCode(ctx, it.scope.Scope.Conversation(), code)
	switch {
	case errors.Is(err, approval.ErrUnknown):
		return textNoQuestion, nil
	case err != nil:
		return "", err
	}
	a := approval.Answer{Outcome: approval.Approved, Extent: extent}
	if name == "deny" {
		a = approval.Answer{Outcome: approval.Refused}
	}
	return s.decide(ctx, it, q, a)
}

// stopAsking ends the turns of a conversation that wait for a person, when they
// are the speaker's own or the speaker administers the workspace.
func (s *sitting) stopAsking(ctx context.Context, it item) (stopped, error) {
	all, err := s.g.approvals.Questions(ctx)
	if err != nil {
		return nothingRuns, err
	}
	by, found := it.scope.Scope, nothingRuns
	for _, q := range all {
		if q.Requester.Conversation != by.Conversation() || !q.Open(s.g.now()) {
			continue
		}
		if q.Requester.Member != by.Member() && !by.Role().Administers() {
			found = max(found, notTheirs)
			continue
		}
		stop := approval.Answer{Outcome: approval.Stopped, Event: it.rec.Key}
		q, w := s.g.approvals.Stop(q, by, stop)
		err := s.hold(ctx, bus.Hold{State: []bus.Write{w}})
		if errors.Is(err, bus.ErrConflict) {
			continue // it was decided at this moment
		}
		if err == nil {
			_, err = s.g.bus.Unpark(ctx, q.Tag())
		}
		if err != nil {
			return found, err
		}
		s.g.recordQuestion(q, by.Principal())
		rec, err := s.g.answered(ctx, q)
		if err != nil {
			return found, err
		}
		s.emit, found = append(s.emit, rec), wasStopped
	}
	return found, nil
}

// Decide answers a question for somebody outside any channel: on the console or
// on the command line.
func (g *Gateway) Decide(ctx context.Context, by scope.Scope, id string, a approval.Answer) (approval.Question, error) {
	q, err := g.approvals.Get(ctx, id)
	if err != nil {
		return q, err
	}
	q, writes, err := g.approvals.Decide(q, by, a)
	if err != nil {
		return q, err
	}
	err = g.bus.Write(ctx, writes...)
	if errors.Is(err, bus.ErrConflict) {
		return q, approval.ErrDecided
	}
	if err != nil {
		return q, err
	}
	g.recordQuestion(q, by.Principal())
	return q, g.resume(ctx, q)
}

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

// waited notes that an event was set aside for a person, which is no attempt of
// its own.
func waited(r bus.Record) (json.RawMessage, error) {
	n := trialOf(r)
	n.Waited = r.Attempt - attempts(r) + 1
	return json.Marshal(n)
}
