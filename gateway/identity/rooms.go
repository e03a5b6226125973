package identity

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// MostRooms is how many rooms a channel remembers that were not admitted.
// Anybody can add a bot to a room.
const MostRooms = 50

// seenAgain is how exactly the last sight of a room is kept.
const seenAgain = 24 * time.Hour

// RoomState says how a room stands. The set is closed.
type RoomState string

// The states of a room.
const (
	RoomSeen      RoomState = "seen" // the bot is in it and was not admitted
	RoomAdmitted  RoomState = "admitted"
	RoomDismissed RoomState = "dismissed" // somebody in charge does not want to see it any more
)

// Room is a room in which a bot is, as far as it was told to this package. Rooms
// that the configuration admits are not among them.
type Room struct {
	At    channels.Address `json:"at"` // without a thread
	Title string           `json:"title,omitempty"`
	State RoomState        `json:"state"`
	First time.Time        `json:"first"`
	Last  time.Time        `json:"last"`
}

// Rooms lists the rooms that were seen or admitted, newest first; dismissed
// ones too.
func (d *Directory) Rooms(ctx context.Context) ([]Room, error) {
	all, err := list[Room](ctx, d, "room/")
	slices.SortStableFunc(all, func(a, b Room) int { return cmp.Compare(b.First.UnixNano(), a.First.UnixNano()) })
	return all, err
}

// AllowRoom admits a room that is not on the allow-list.
func (d *Directory) AllowRoom(ctx context.Context, by scope.Scope, at channels.Address) error {
	return d.setRoom(ctx, by, at, RoomAdmitted)
}

// DismissRoom takes a room's admission back, and does not offer it again.
func (d *Directory) DismissRoom(ctx context.Context, by scope.Scope, at channels.Address) error {
	return d.setRoom(ctx, by, at, RoomDismissed)
}

func (d *Directory) setRoom(ctx context.Context, by scope.Scope, at channels.Address, state RoomState) error {
	if !d.administers(by) {
		return ErrForbidden
	}
	at.Thread = ""
	r, version, err := getVersion[Room](ctx, d, roomKey(at))
	if errors.Is(err, ErrUnknown) {
		r = Room{At: at, First: d.now(), Last: d.now()}
	} else if err != nil {
		return err
	}
	r.State = state
	return d.store.Write(ctx, d.set(roomKey(at), condition(version), r))
}

// admitted reports whether a room is let in by the policy or by hand.
func (d *Directory) admitted(ctx context.Context, at channels.Address, p Policy) (bool, error) {
	switch p.Groups {
	case GroupsOpen:
		return true, nil
	case GroupsAllowlist:
		if p.listsRoom(at.Conversation) {
			return true, nil
		}
		r, err := get[Room](ctx, d, roomKey(at))
		if errors.Is(err, ErrUnknown) {
			return false, nil
		}
		return r.State == RoomAdmitted, err
	}
	return false, nil
}

// sight makes the write that remembers a room which was not admitted, so that
// nobody has to find out its id.
func (d *Directory) sight(ctx context.Context, e channels.Event, p Policy) ([]kv.Write, error) {
	if p.Groups != GroupsAllowlist || e.Where.Conversation == "" {
		return nil, nil
	}
	at := e.Where
	at.Thread = ""
	r, version, err := getVersion[Room](ctx, d, roomKey(at))
	switch {
	case errors.Is(err, ErrUnknown):
		all, err := list[Room](ctx, d, roomsOf(at.Channel))
		if err != nil || len(all) >= MostRooms {
			return nil, err
		}
		r = Room{At: at, State: RoomSeen, First: d.now()}
	case err != nil:
		return nil, err
	case d.now().Sub(r.Last) < seenAgain && (r.Title == e.Room.Title || e.Room.Title == ""):
		return nil, nil
	}
	r.Last = d.now()
	if e.Room.Title != "" {
		r.Title = e.Room.Title
	}
	return []kv.Write{d.set(roomKey(at), condition(version), r)}, nil
}

// moveRoom carries an admission over to a room's new id, also that of a list
// that still names the old one.
func (d *Directory) moveRoom(ctx context.Context, at channels.Address, to channels.ConversationID, p Policy) ([]kv.Write, error) {
	if p.Groups != GroupsAllowlist || to == "" {
		return nil, nil
	}
	ok, err := d.admitted(ctx, at, p)
	if err != nil || !ok {
		return nil, err
	}
	next := at
	next.Conversation, next.Thread = to, ""
	r, err := get[Room](ctx, d, roomKey(at))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return nil, err
	}
	if r.First.IsZero() {
		r.First = d.now()
	}
	r.At, r.State, r.Last = next, RoomAdmitted, d.now()
	return []kv.Write{d.set(roomKey(next), 0, r)}, nil
}
