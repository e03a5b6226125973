package gateway

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// A room that gets a new id is moved by an event of its old one, where it waits
// for the turn that runs there. What is said under the new id stands in another
// order, of which the bus knows nothing; so the same event stands there, too, as
// a barrier: what came after it is looked at when the move is committed, and
// finds the room admitted, and its history and memory there.

// How long a barrier stands when its move does not come: it may have become a
// dead letter, and a turn in the old room may wait for something slow.
const (
	moveAgain = 200 * time.Millisecond
	moveWaits = 600 // leases; two minutes of a gateway that works
)

// barrierKey names the record that stands in the order of the new id.
func barrierKey(key string) string { return key + "/there" }

// newPlace is where a room goes; false when nothing is moved.
func newPlace(e channels.Event) (channels.Address, bool) {
	m, ok := e.Content.(channels.Moved)
	to := e.Where
	to.Conversation = m.To
	return to, ok && m.To != "" && !e.Room.Direct && m.To != e.Where.Conversation
}

// barrier is the record that stands in the order of a room's new id, if an event
// moves one.
func barrier(r bus.Record, e channels.Event) (bus.Record, bool) {
	e.Where.Channel, e.Where.Account = channels.ID(r.Channel), channels.AccountID(r.Account)
	to, moves := newPlace(e)
	r.Key, r.Order = barrierKey(r.Key), to.Order()
	return r, moves
}

// standsBefore works on a barrier: it lets what follows pass when the move is
// committed.
func (s *sitting) standsBefore(ctx context.Context, r bus.Record, e channels.Event) error {
	done, err := s.g.bus.Get(ctx, turnSpace, turnID(r.Channel, r.Account, e.Key))
	if err != nil {
		return err
	}
	if done.Version > 0 || r.Attempt > moveWaits {
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: "conversation moved"}
		return nil
	}
	note, err := waited(r)
	if err != nil {
		return err
	}
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Retry, At: s.g.now().Add(moveAgain), Reason: "the conversation is being moved", Progress: note}
	s.decided = true
	return nil
}

// moved gives what a room has to its new id, and says so to the barrier there.
func (s *sitting) moved(ctx context.Context, r bus.Record, e channels.Event) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: "conversation moved"}
	to, moves := newPlace(e)
	if !moves {
		return nil
	}
	workspace := s.g.workspaceOf(e.Where.Channel)
	if s.g.memory != nil { // before the commit: done again it does no harm
		if err := s.g.memory.Move(ctx, workspace, e.Where.Order(), to.Order()); err != nil {
			return err
		}
	}
	w, err := s.g.book.Move(ctx, workspace, e.Where, to)
	if err != nil {
		return err
	}
	s.state, s.decided = append(s.state, w...), true
	return s.ended(r)
}
