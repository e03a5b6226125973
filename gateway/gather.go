package gateway

import (
	"context"
	"slices"
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

// gather takes the items that head's turn may answer out of the waiting ones.
func (s *sitting) gather(head item, mode QueueMode, already int) (taken []item) {
	taken, s.items = split(s.items, head, mode, already)
	return taken
}

// split finds the items that head's turn may answer: head, and what the same
// person added. Nothing is taken across that person's own command, whose place
// in the order means something. One thing, such as an album, is not cut in two
// by the limit, within reason.
func split(items []item, head item, mode QueueMode, already int) (taken, rest []item) {
	closed := false
	for _, it := range items {
		if closed || it.scope.Scope != head.scope.Scope {
			rest = append(rest, it)
			continue
		}
		goesOn := len(taken) > 0 && oneThing(taken[len(taken)-1].event, it.event)
		n := already + len(taken)
		switch {
		case !joinable(it.event),
			len(taken) > 0 && mode == Followup && !goesOn,
			n >= maxGathered && !goesOn, n >= 2*maxGathered:
			closed = true
			rest = append(rest, it)
		default:
			taken = append(taken, it)
		}
	}
	return taken, rest
}

// joinable reports whether an event may be answered together with others.
func joinable(e channels.Event) bool {
	if _, command := commandOf(e); command {
		return false
	}
	_, message := e.Content.(channels.Message)
	_, edit := e.Content.(channels.Edit)
	return message || edit
}

// events are what the agent sees of items: not the paths by which they are
// answered.
func events(items []item) []channels.Event {
	out := make([]channels.Event, len(items))
	for i, it := range items {
		out[i] = it.event
		out[i].Via, out[i].Raw = nil, nil
	}
	return out
}

// applyEdits puts corrected texts in the place of those they correct; an edit
// of a message that was answered before stands for itself.
func applyEdits(all []channels.Event) []channels.Event {
	out := make([]channels.Event, 0, len(all))
	for _, e := range all {
		edit, ok := e.Content.(channels.Edit)
		if !ok {
			out = append(out, e)
			continue
		}
		i := slices.IndexFunc(out, func(o channels.Event) bool {
			m, ok := o.Content.(channels.Message)
			return ok && m.ID == edit.ID
		})
		if i < 0 {
			out = append(out, e)
			continue
		}
		m := out[i].Content.(channels.Message) //nolint:forcetypeassert // IndexFunc saw it
		m.Text = edit.Text
		out[i].Content = m
	}
	return out
}
