package identity

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Do says what becomes of an event. The set is closed; the zero Do ignores.
type Do string

// What may become of an event.
const (
	Run        Do = "run"        // it may act, in Judgement.Scope
	Background Do = "background" // it was not meant for the bot, but is context
	Park       Do = "park"       // it waits under Judgement.Tag until its sender is approved
	Answer     Do = "answer"     // it is done with; Judgement.Reply is the answer
	Ignore     Do = "ignore"     // Judgement.Reason says why
)

// Judgement is the gate's word on one event. State is to be committed together
// with the verdict on the event's record.
type Judgement struct {
	Do     Do
	Scope  scope.Scope // Run and Background
	Reason string      // Ignore
	Tag    string      // Park
	Until  time.Time   // Park
	Reply  string      // Markdown for the sender; may accompany Park
	Passed *Pairing    // a request that this settles; what it parked is to be released
	// State decides about later events too: none of the same conversation may
	// be judged before it is committed.
	State []kv.Write
}

func ignore(why string) Judgement { return Judgement{Do: Ignore, Reason: why} }

// Judge decides what an event may do. It is the one gate for messages, edits,
// reactions, presses, commands and everything else. It reads, and writes
// nothing itself; judging the same event again is harmless.
func (d *Directory) Judge(ctx context.Context, e channels.Event, p Policy) (Judgement, error) {
	d = d.In(p.Workspace)
	if m, ok := e.Content.(channels.Moved); ok { // nobody's act: the platform says so, whoever stands beside it
		w, err := d.moveRoom(ctx, e.Where, m.To, p)
		return Judgement{Do: Ignore, Reason: "conversation moved", State: w}, err
	}
	switch {
	case e.Who.Self:
		return ignore("own message"), nil
	case e.Who.Bot:
		return ignore("another bot"), nil
	case e.Who.ID == "":
		return ignore("no sender"), nil
	}
	member, err := d.who(ctx, e, p)
	if err != nil {
		return Judgement{}, err
	}
	if e.Room.Direct {
		return d.judgeDirect(ctx, e, p, member)
	}
	return d.judgeRoom(ctx, e, p, member)
}

// who finds the member behind the sender; the zero Member when there is none.
func (d *Directory) who(ctx context.Context, e channels.Event, p Policy) (Member, error) {
	id := e.Who.ID
	if !p.Authenticated {
		l, err := get[Link](ctx, d, linkKey(e.Where.Channel, e.Account, e.Who.ID))
		if errors.Is(err, ErrUnknown) {
			return Member{}, nil
		}
		if err != nil {
			return Member{}, err
		}
		id = l.Member
	}
	m, err := d.Member(ctx, id)
	if errors.Is(err, ErrUnknown) { // linked once, removed since
		return Member{}, nil
	}
	return m, err
}

func (d *Directory) judgeDirect(ctx context.Context, e channels.Event, p Policy, m Member) (Judgement, error) {
	if p.DM == DMSelf && !e.Who.Owner { // not even a code is taken, so that nobody notices the bot
		return ignore("not the account's own chat"), nil
	}
	j, ok, missed, err := d.redeem(ctx, e, p, m)
	if ok || err != nil {
		return j, err
	}
	j, err = d.judgeSender(ctx, e, p, m)
	j.State = append(j.State, missed...)
	return j, err
}

func (d *Directory) judgeSender(ctx context.Context, e channels.Event, p Policy, m Member) (Judgement, error) {
	switch {
	case p.DM == DMDisabled || p.DM == "":
		return ignore("direct chats are disabled"), nil
	case m.ID != "":
		return d.run(e, m.ID, m.Role), nil
	case p.allows(e.Who.ID), e.Who.Owner:
		return d.run(e, strangerID(e), scope.Ordinary), nil
	case p.DM == DMOpen:
		return d.run(e, strangerID(e), scope.Guest), nil
	case p.DM == DMPairing:
		return d.ask(ctx, e)
	}
	return ignore("sender is not on the allow-list"), nil
}

// judgeRoom never looks at how a sender was let into direct chats: a room is
// admitted by itself, and a pairing counts for nothing in it.
func (d *Directory) judgeRoom(ctx context.Context, e channels.Event, p Policy, m Member) (Judgement, error) {
	ok, err := d.admitted(ctx, e.Where, p)
	if err != nil {
		return Judgement{}, err
	}
	if !ok {
		j := ignore("room is not on the allow-list")
		j.State, err = d.sight(ctx, e, p)
		return j, err
	}
	room := p.In(e.Where.Conversation)
	if !room.lets(e.Who.ID, m.ID) {
		return ignore("sender is not on the room's allow-list"), nil
	}
	id, role := m.ID, m.Role
	if id == "" {
		id, role = strangerID(e), scope.Guest
	}
	j := d.run(e, id, role)
	if j.Do == Run && *room.Mention && !addressed(e) {
		j.Do = Background
	}
	return j, nil
}

// addressed reports whether the bot is meant. Its own buttons always mean it.
func addressed(e channels.Event) bool {
	_, press := e.Content.(channels.Press)
	return press || e.Addressed
}

// run lets an event act, if the role of whoever is behind it may.
func (d *Directory) run(e channels.Event, member string, role scope.Role) Judgement {
	if !role.May(scope.Speak) {
		return ignore("role may not speak")
	}
	return Judgement{Do: Run, Scope: scope.New(scope.Principal{
		Workspace: d.workspace, Channel: string(e.Where.Channel), Account: string(e.Account),
		Conversation: e.Where.Order(), Member: member, Role: role, Direct: e.Room.Direct,
	})}
}

// strangerPrefix keeps those who are let in without being a member apart from
// every member's id.
const strangerPrefix = "sender:"

func strangerID(e channels.Event) string {
	return strangerPrefix + linkKey(e.Where.Channel, e.Account, e.Who.ID)[len("link/"):]
}
