package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

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
		return fmt.Sprintf(textNoQuestionCode, code), nil
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
