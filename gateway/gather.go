package gateway

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
)

// How long something that is visibly incomplete waits for its other pieces.
const (
	albumHold   = 500 * time.Millisecond
	forwardHold = time.Second
	pasteHold   = 1500 * time.Millisecond
	mostHold    = 5 * time.Second
	pasteLength = 4000 // characters; clients cut longer pastes about here
)

// incomplete returns how long after its arrival an event waits for more, and
// zero for an ordinary message.
func incomplete(e channels.Event) time.Duration {
	m, ok := e.Content.(channels.Message)
	switch {
	case !ok:
		return 0
	case m.Group != "":
		return albumHold
	case m.Forwarded != "":
		return forwardHold
	case len([]rune(m.Text)) >= pasteLength:
		return pasteHold
	}
	return 0
}

// oneThing reports whether b is a further piece of what a began.
func oneThing(a, b channels.Event) bool {
	first, ok1 := a.Content.(channels.Message)
	next, ok2 := b.Content.(channels.Message)
	if !ok1 || !ok2 {
		_, edit := b.Content.(channels.Edit)
		return edit
	}
	switch {
	case first.Group != "" || next.Group != "":
		return first.Group == next.Group
	case first.Forwarded != "":
		return true // a batch of forwards, and the comment that goes with it
	}
	return len([]rune(first.Text)) >= pasteLength
}

// goesOn reports whether an event that does not name the bot is a further piece
// of one that did: only the first photo of an album, and only the first part of
// a long paste, has the mention.
func (s *sitting) goesOn(r bus.Record, e channels.Event, j identity.Judgement) bool {
	for i := len(s.items) - 1; i >= 0; i-- {
		it := s.items[i]
		if it.scope.Scope != j.Scope {
			continue
		}
		_, message := e.Content.(channels.Message)
		return message && oneThing(it.event, e) && r.Published.Sub(it.rec.Published) <= incomplete(it.event)
	}
	return false
}

// countThings counts what a person would call messages: an album, a batch of
// forwards or a long paste is one.
func countThings(items []item) int {
	n := 0
	for i, it := range items {
		if i == 0 || !oneThing(items[i-1].event, it.event) {
			n++
		}
	}
	return n
}

// complete waits for the missing pieces of what the speaker is sending. An
// ordinary text waits for nothing.
func (s *sitting) complete(ctx context.Context, mode QueueMode) error {
	end := s.g.now().Add(mostHold)
	for {
		last := s.items[0]
		for _, it := range s.items[1:] {
			if it.scope.Scope != last.scope.Scope || mode == Followup && !oneThing(last.event, it.event) {
				break
			}
			last = it
		}
		hold := incomplete(last.event)
		left := last.rec.Published.Add(hold).Sub(s.g.now())
		if hold == 0 || left <= 0 || s.g.now().After(end) {
			return nil
		}
		if err := pause(ctx, left); err != nil {
			return err
		}
		if err := s.join(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
