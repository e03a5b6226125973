package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// directory is the one of the workspace in which somebody asks.
func (p *Operator) directory(by scope.Scope) *identity.Directory {
	return p.o.Directory.In(by.Workspace())
}

// Pairings lists who asks to be let in.
func (p *Operator) Pairings(ctx context.Context, by scope.Scope) ([]identity.Pairing, error) {
	if err := p.may(ctx, by, scope.See); err != nil {
		return nil, err
	}
	return p.directory(by).Pairings(ctx)
}

// PairingsEverywhere is Pairings of every workspace for owners of the home, who
// look after them all. For others it is their own.
func (p *Operator) PairingsEverywhere(ctx context.Context, by scope.Scope) ([]identity.Pairing, error) {
	if err := p.may(ctx, by, scope.See); err != nil {
		return nil, err
	}
	all, err := p.ownedBy(ctx, by)
	if err != nil {
		return nil, err
	}
	var open []identity.Pairing
	for _, w := range all {
		some, err := p.o.Directory.In(w).Pairings(ctx)
		if err != nil {
			return nil, err
		}
		open = append(open, some...)
	}
	return open, nil
}

// ownedBy lists the workspaces in which somebody may do what they do in their
// own, that one first.
func (p *Operator) ownedBy(ctx context.Context, by scope.Scope) ([]string, error) {
	own := []string{by.Workspace()}
	if by.Workspace() != p.o.Directory.Home() {
		return own, nil
	}
	if err := p.may(ctx, by, scope.Own); errors.Is(err, identity.ErrForbidden) {
		return own, nil
	} else if err != nil {
		return nil, err
	}
	all, err := p.o.Directory.Workspaces(ctx)
	for _, w := range all {
		if w.ID != by.Workspace() && !w.Ending {
			own = append(own, w.ID)
		}
	}
	return own, err
}

// Approve lets a stranger in, by the code that they were told or by the id of
// their request; what they wrote is answered at once. An owner of the home lets
// them into whichever workspace they ask for.
func (p *Operator) Approve(ctx context.Context, by scope.Scope, ref string) (out identity.Pairing, err error) {
	did := "pairing approved"
	defer func() { p.did(ctx, by, did, out.Who.ID, &err) }()
	if err := p.may(ctx, by, scope.Approve); err != nil {
		return identity.Pairing{}, err
	}
	as, err := p.askedOf(ctx, by, ref)
	if err != nil {
		return identity.Pairing{}, err
	}
	did += elsewhere(by, as)
	return p.o.Gateway.ApprovePairing(ctx, as, ref)
}

// Deny refuses a stranger, wherever Approve would let them in.
func (p *Operator) Deny(ctx context.Context, by scope.Scope, ref string) (out identity.Pairing, err error) {
	did := "pairing denied"
	defer func() { p.did(ctx, by, did, out.Who.ID, &err) }()
	if err := p.may(ctx, by, scope.Approve); err != nil {
		return identity.Pairing{}, err
	}
	as, err := p.askedOf(ctx, by, ref)
	if err != nil {
		return identity.Pairing{}, err
	}
	did += elsewhere(by, as)
	return p.o.Gateway.DenyPairing(ctx, as, ref)
}

// askedOf is who decides about a request: whoever asks, or the owner of the other
// workspace that it is for.
func (p *Operator) askedOf(ctx context.Context, by scope.Scope, ref string) (scope.Scope, error) {
	all, err := p.ownedBy(ctx, by)
	if err != nil {
		return scope.Scope{}, err
	}
	for _, w := range all {
		as, err := p.ownerOf(ctx, by, w)
		if errors.Is(err, identity.ErrUnknown) {
			continue // nobody owns it
		}
		if err != nil {
			return scope.Scope{}, err
		}
		if asks, err := p.directory(as).Asks(ctx, as, ref); err != nil || asks {
			return as, err
		}
	}
	return by, nil
}

// elsewhere says for the record in which workspace something was done, where that
// is another than the one of who did it.
func elsewhere(by, as scope.Scope) string {
	if by.Workspace() == as.Workspace() {
		return ""
	}
	return " in " + as.Workspace()
}

// People lists the members and who is known as whom.
func (p *Operator) People(ctx context.Context, by scope.Scope) ([]identity.Member, []identity.Link, error) {
	if err := p.may(ctx, by, scope.See); err != nil {
		return nil, nil, err
	}
	members, err := p.directory(by).Members(ctx)
	if err != nil {
		return nil, nil, err
	}
	links, err := p.directory(by).Links(ctx)
	return members, links, err
}

// Rename gives a member another name.
func (p *Operator) Rename(ctx context.Context, by scope.Scope, member, name string) (_ identity.Member, err error) {
	defer func() { p.did(ctx, by, "member renamed", member, &err) }()
	if err := p.may(ctx, by, scope.Console); err != nil {
		return identity.Member{}, err
	}
	m, err := p.directory(by).Rename(ctx, by, member, name)
	return m, invalid(err)
}

// SetRole gives a member another role.
func (p *Operator) SetRole(ctx context.Context, by scope.Scope, member string, role scope.Role) (_ identity.Member, err error) {
	defer func() { p.did(ctx, by, "role set to "+string(role), member, &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return identity.Member{}, err
	}
	m, err := p.directory(by).SetRole(ctx, by, member, role)
	return m, invalid(err)
}

// Left says what was ended with a member's removal, and what the operator has to
// do themselves.
type Left struct {
	Member identity.Member `json:"member"`
	Links  []identity.Link `json:"links,omitempty"`
	// Listed are the channels whose configuration names one of the accounts
	// under 'allow': there they are still let in.
	Listed []channels.ID `json:"listed,omitempty"`
}

// RemoveMember takes a member out, and ends everything that they hold.
func (p *Operator) RemoveMember(ctx context.Context, by scope.Scope, member string) (_ Left, err error) {
	defer func() { p.did(ctx, by, "member removed", member, &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return Left{}, err
	}
	d, err := p.o.Gateway.RemoveMember(ctx, by, member)
	left := Left{Member: d.Member, Links: d.Links}
	for _, c := range p.o.Settings.Channels() {
		if slices.ContainsFunc(d.Links, func(l identity.Link) bool { return l.Channel == c.ID && slices.Contains(c.Policy.Allow, l.Sender) }) {
			left.Listed = append(left.Listed, c.ID)
		}
	}
	return left, invalid(err)
}

// EraseMember takes a member out and erases what is kept of them. It takes also
// the id of somebody who was removed before.
func (p *Operator) EraseMember(ctx context.Context, by scope.Scope, member string) (_ gateway.Erasure, err error) {
	defer func() { p.did(ctx, by, "erasure asked for", member, &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return gateway.Erasure{}, err
	}
	done, err := p.o.Gateway.EraseMember(ctx, by, member)
	return done, invalid(err)
}

// Unlink makes an account unknown again.
func (p *Operator) Unlink(ctx context.Context, by scope.Scope, l identity.Link) (err error) {
	defer func() { p.did(ctx, by, "identity unlinked", l.Sender, &err) }()
	if err := p.may(ctx, by, scope.Console); err != nil {
		return err
	}
	return p.directory(by).Unlink(ctx, by, l)
}

// Invited is an invitation with what to hand on: the link where the channel has
// one, and the code, which the person may also send to the bot as it is.
type Invited struct {
	identity.Invitation
	Code string `json:"code"`
	Link string `json:"link,omitempty"`
}

// Invite makes an invitation for one person. channel may be empty: then there is
// a code alone, which works on every channel of the workspace.
func (p *Operator) Invite(ctx context.Context, by scope.Scope, channel channels.ID, name string, role scope.Role) (_ Invited, err error) {
	defer func() { p.did(ctx, by, "invited as "+string(role), name, &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return Invited{}, err
	}
	c, err := p.channelOf(by, channel)
	if channel != "" && err != nil {
		return Invited{}, err
	}
	code, inv, err := p.directory(by).Invite(ctx, by, name, role)
	out := Invited{Invitation: inv, Code: code}
	if err == nil && channel != "" {
		out.Link, err = p.startLink(ctx, c, code)
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil // the code is enough
		}
	}
	return out, invalid(err)
}

// Invitations lists the invitations that can still be used.
func (p *Operator) Invitations(ctx context.Context, by scope.Scope) ([]identity.Invitation, error) {
	if err := p.may(ctx, by, scope.See); err != nil {
		return nil, err
	}
	return p.directory(by).Invitations(ctx)
}

// Withdraw ends an invitation.
func (p *Operator) Withdraw(ctx context.Context, by scope.Scope, id string) (err error) {
	defer func() { p.did(ctx, by, "invitation withdrawn", id, &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return err
	}
	return p.directory(by).Withdraw(ctx, by, id)
}

// OwnCode makes a code that links another account to whoever asks, once they
// send it from there.
func (p *Operator) OwnCode(ctx context.Context, by scope.Scope) (_ string, err error) {
	defer func() { p.did(ctx, by, "own code made", by.Member(), &err) }()
	if err := p.may(ctx, by, scope.Console); err != nil {
		return "", err
	}
	return p.directory(by).OwnCode(ctx, by)
}

// StartLink makes a new link that makes whoever taps Start the asking member. For
// a channel of another workspace, which only owners of the home look after, it is
// the owner of that one.
func (p *Operator) StartLink(ctx context.Context, by scope.Scope, id channels.ID) (_ string, err error) {
	defer func() { p.did(ctx, by, "start link made", string(id), &err) }()
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return "", err
	}
	c, err := p.startable(by, id)
	if err != nil {
		return "", err
	}
	as, err := p.ownerOf(ctx, by, p.workspaceOf(c))
	if err != nil {
		return "", err
	}
	code, err := p.directory(as).StartCode(ctx, as, as.Member())
	if err != nil {
		return "", err
	}
	return p.startLink(ctx, c, code)
}

// Bot is a channel, as far as somebody has to know it to write there.
type Bot struct {
	Channel channels.ID `json:"channel"`
	As      string      `json:"as,omitempty"` // what the platform calls it, such as @hall_bot; "" while it is not connected
}

// Bots lists the channels of the workspace in which somebody asks.
func (p *Operator) Bots(ctx context.Context, by scope.Scope) ([]Bot, error) {
	if err := p.may(ctx, by, scope.Console); err != nil {
		return nil, err
	}
	s, err := p.o.Gateway.Status(ctx)
	if err != nil {
		return nil, err
	}
	called := map[channels.ID]string{}
	for _, c := range s.Channels {
		called[c.ID] = c.As
	}
	var all []Bot
	for _, c := range p.o.Settings.Channels() {
		if p.workspaceOf(c) == by.Workspace() {
			all = append(all, Bot{Channel: c.ID, As: called[c.ID]})
		}
	}
	return all, nil
}

// channelOf finds a channel of the workspace in which somebody asks.
func (p *Operator) channelOf(by scope.Scope, id channels.ID) (gateway.ChannelConfig, error) {
	for _, c := range p.o.Settings.Channels() {
		if c.ID == id && p.workspaceOf(c) == by.Workspace() {
			return c, nil
		}
	}
	return gateway.ChannelConfig{}, identity.NoChannel(string(id))
}

// startable is channelOf, and any channel for those who look after them all.
func (p *Operator) startable(by scope.Scope, id channels.ID) (gateway.ChannelConfig, error) {
	if p.allow(by) == nil {
		for _, c := range p.o.Settings.Channels() {
			if c.ID == id {
				return c, nil
			}
		}
	}
	return p.channelOf(by, id)
}

func (p *Operator) workspaceOf(c gateway.ChannelConfig) string {
	return cmp.Or(c.Policy.Workspace, p.o.Directory.Home())
}

// Room is a room that a bot is in.
type Room struct {
	Channel  channels.ID             `json:"channel"`
	Account  channels.AccountID      `json:"account,omitempty"`
	ID       channels.ConversationID `json:"id"`
	Title    string                  `json:"title,omitempty"`
	State    identity.RoomState      `json:"state"`
	Settings bool                    `json:"settings,omitempty"` // the configuration names it
	First    time.Time               `json:"first,omitzero"`
	Last     time.Time               `json:"last,omitzero"`
}

// Rooms lists the rooms in which the bots of a workspace are, those that wait to
// be admitted first.
func (p *Operator) Rooms(ctx context.Context, by scope.Scope) ([]Room, error) {
	if err := p.may(ctx, by, scope.See); err != nil {
		return nil, err
	}
	seen, err := p.directory(by).Rooms(ctx)
	if err != nil {
		return nil, err
	}
	var out []Room
	for _, r := range seen {
		out = append(out, Room{
			Channel: r.At.Channel, Account: r.At.Account, ID: r.At.Conversation, Title: r.Title, State: r.State, First: r.First, Last: r.Last,
		})
	}
	out = p.withConfigured(by, out)
	rank := func(r Room) int {
		return slices.Index([]identity.RoomState{identity.RoomSeen, identity.RoomAdmitted, identity.RoomDismissed}, r.State)
	}
	slices.SortStableFunc(out, func(a, b Room) int { return cmp.Compare(rank(a), rank(b)) })
	return out, nil
}

// withConfigured adds the rooms that the configuration names.
func (p *Operator) withConfigured(by scope.Scope, out []Room) []Room {
	for _, c := range p.o.Settings.Channels() {
		if p.workspaceOf(c) != by.Workspace() {
			continue
		}
		for id := range c.Policy.Rooms {
			i := slices.IndexFunc(out, func(r Room) bool { return r.Channel == c.ID && r.ID == id })
			if i < 0 {
				out, i = append(out, Room{Channel: c.ID, ID: id}), len(out)
			}
			out[i].State, out[i].Settings = identity.RoomAdmitted, true
		}
	}
	return out
}

// AdmitRoom lets a bot answer in a room from now on. account may be empty where
// only one room has the id.
func (p *Operator) AdmitRoom(ctx context.Context, by scope.Scope, at channels.Address) (err error) {
	defer func() { p.did(ctx, by, "room admitted", string(at.Conversation), &err) }()
	return p.setRoom(ctx, by, at, p.directory(by).AllowRoom)
}

// DismissRoom takes a room's admission back, and does not offer it again.
func (p *Operator) DismissRoom(ctx context.Context, by scope.Scope, at channels.Address) (err error) {
	defer func() { p.did(ctx, by, "room dismissed", string(at.Conversation), &err) }()
	return p.setRoom(ctx, by, at, p.directory(by).DismissRoom)
}

func (p *Operator) setRoom(ctx context.Context, by scope.Scope, at channels.Address,
	set func(context.Context, scope.Scope, channels.Address) error,
) error {
	if err := p.may(ctx, by, scope.Administer); err != nil {
		return err
	}
	c, err := p.channelOf(by, at.Channel)
	if err != nil {
		return err
	}
	if _, named := c.Policy.Rooms[at.Conversation]; named || slices.Contains(c.Policy.Allow, string(at.Conversation)) {
		return fmt.Errorf("%w: the configuration admits this room; change it under channels.%s", ErrInvalid, at.Channel)
	}
	all, err := p.directory(by).Rooms(ctx)
	if err != nil {
		return err
	}
	var found []identity.Room
	for _, r := range all {
		if r.At.Channel == at.Channel && r.At.Conversation == at.Conversation && (at.Account == "" || at.Account == r.At.Account) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("%w; a room is listed once somebody has written there", identity.Unknown{What: fmt.Sprintf("room on %s with the id", at.Channel), Name: string(at.Conversation), See: "rooms list"})
	case 1:
		return set(ctx, by, found[0].At)
	}
	return fmt.Errorf("%w: several accounts have a room %q; name the account", ErrInvalid, at.Conversation)
}

// Workspaces lists the workspaces: all of them for those who administer the
// installation, else the own one.
func (p *Operator) Workspaces(ctx context.Context, by scope.Scope) ([]identity.Workspace, error) {
	if err := p.may(ctx, by, scope.See); err != nil {
		return nil, err
	}
	all, err := p.o.Directory.Workspaces(ctx)
	if p.allow(by) != nil {
		all = slices.DeleteFunc(all, func(w identity.Workspace) bool { return w.ID != by.Workspace() })
	}
	return all, err
}

// CreateWorkspace makes a workspace with an owner of its own.
func (p *Operator) CreateWorkspace(ctx context.Context, by scope.Scope, id, name string) (_ identity.Workspace, err error) {
	defer func() { p.did(ctx, by, "workspace made", id, &err) }()
	if err := p.may(ctx, by, scope.Own); err != nil {
		return identity.Workspace{}, err
	}
	w, err := p.o.Directory.CreateWorkspace(ctx, by, id, name)
	return w, invalid(err)
}

// RenameWorkspace gives a workspace another name; its id stays.
func (p *Operator) RenameWorkspace(ctx context.Context, by scope.Scope, id, name string) (_ identity.Workspace, err error) {
	defer func() { p.did(ctx, by, "workspace renamed", id, &err) }()
	if err := p.may(ctx, by, scope.Own); err != nil {
		return identity.Workspace{}, err
	}
	w, err := p.o.Directory.RenameWorkspace(ctx, by, id, name)
	return w, invalid(err)
}

// DeleteWorkspace deletes a workspace for good: its key first, then its members
// and conversations. No channel may belong to it any more.
func (p *Operator) DeleteWorkspace(ctx context.Context, by scope.Scope, id string) (err error) {
	defer func() { p.did(ctx, by, "workspace deleted", id, &err) }()
	if err := p.may(ctx, by, scope.Own); err != nil {
		return err
	}
	for _, c := range p.o.Settings.Channels() {
		if p.workspaceOf(c) == id {
			return fmt.Errorf("%w: the channel %q belongs to the workspace; remove it or move it first", ErrInvalid, c.ID)
		}
	}
	return invalid(p.o.Gateway.DeleteWorkspace(ctx, by, id))
}

// invalid marks what cannot be carried out, for the faces.
func invalid(err error) error {
	if errors.Is(err, identity.ErrInvalid) || errors.Is(err, identity.ErrLastOwner) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}
