package store

import (
	"context"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
)

// insider reports a member who belongs to the workspace: guests and programs
// have their own memory and that of the room, and no more.
func insider(r scope.Role) bool {
	switch r {
	case scope.Owner, scope.Admin, scope.Approver, scope.Ordinary:
		return true
	case scope.Guest, scope.Service:
	}
	return false
}

// readable are the units that a scope reads in a turn. What is a member's own
// is read where nobody else reads along.
func readable(s scope.Scope) []Unit {
	if !s.Valid() {
		return nil
	}
	unit := func(r memory.Reach, name string) Unit { return Unit{Workspace: s.Workspace(), Reach: r, Name: name} }
	var out []Unit
	if s.Direct() {
		out = append(out, unit(memory.Private, s.Member()))
	} else if s.Conversation() != "" {
		out = append(out, unit(memory.Conversation, s.Conversation()))
	}
	if !insider(s.Role()) {
		return out
	}
	if s.Channel() != "" {
		out = append(out, unit(memory.Channel, s.Channel()))
	}
	return append(out, unit(memory.Workspace, ""))
}

// writable is the unit into which a scope puts items of a reach. A direct chat
// has no memory besides its member's: what is said there is theirs.
func writable(s scope.Scope, r memory.Reach) (Unit, error) {
	denied := func(why string) (Unit, error) { return Unit{}, fmt.Errorf("%w: %s", memory.ErrDenied, why) }
	if !s.Valid() {
		return Unit{}, memory.ErrDenied
	}
	u := Unit{Workspace: s.Workspace(), Reach: r}
	switch r {
	case memory.Private:
		if !s.Direct() {
			return denied("what is for you alone is kept in a direct chat")
		}
		u.Name = s.Member()
	case memory.Conversation:
		if s.Direct() || s.Conversation() == "" {
			return denied("this is no room")
		}
		u.Name = s.Conversation()
	case memory.Channel:
		if u.Name = s.Channel(); u.Name == "" {
			return denied("there is no channel here")
		}
		if !s.Role().Administers() {
			return denied("what everybody on a channel reads is written by those who administer")
		}
	case memory.Workspace:
		if !s.Role().Administers() {
			return denied("what everybody reads is written by those who administer")
		}
	default:
		return Unit{}, fmt.Errorf("%w: no reach %q", memory.ErrItem, r)
	}
	return u, nil
}

// mayChange reports whether a scope may change or remove an item that it reads:
// its author may, and those who administer. Nobody else's words are a guest's to
// remove, nor a member's.
func mayChange(s scope.Scope, r *Row) bool {
	if !s.Valid() || r.Of.Workspace != s.Workspace() {
		return false
	}
	if r.Of.Reach == memory.Private {
		return s.Direct() && r.Of.Name == s.Member()
	}
	return r.Member == s.Member() || s.Role().Administers()
}

// found looks the units of a scope up, of one reach or of all; those that hold
// nothing are left out.
func (s *Store) found(ctx context.Context, sc scope.Scope, reach memory.Reach, everywhere bool) ([]Found, error) {
	if err := valid(sc); err != nil {
		return nil, err
	}
	all, err := s.engine.Units(ctx, readable(sc), LeaveOut)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	if everywhere && sc.Role().Administers() {
		if all, err = s.overseen(ctx, sc, all); err != nil {
			return nil, err
		}
	}
	out := all[:0]
	for _, f := range all {
		if f.ID != 0 && (reach == "" || f.Reach == reach) {
			out = append(out, f)
		}
	}
	return out, nil
}

// overseen adds what the workspace shares, for those who administer it.
func (s *Store) overseen(ctx context.Context, sc scope.Scope, own []Found) ([]Found, error) {
	shared, err := s.engine.UnitsOf(ctx, sc.Workspace())
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	known := map[int64]bool{}
	for _, f := range own {
		known[f.ID] = true
	}
	for _, f := range shared {
		if f.Reach != memory.Private && !known[f.ID] {
			own = append(own, f)
		}
	}
	return own, nil
}

func idsOf(units []Found) []int64 {
	out := make([]int64, len(units))
	for i, u := range units {
		out[i] = u.ID
	}
	return out
}
