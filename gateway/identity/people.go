package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Errors on which a caller branches.
var (
	// ErrLastOwner: a workspace without an owner could never be administered again.
	ErrLastOwner = errors.New("this is the last owner; make somebody else an owner first")
	// ErrInvalid: a name, a role or an id that cannot be.
	ErrInvalid = errors.New("it cannot be done like this")
)

// MaxName is how many characters a member's or a workspace's name has at most.
const MaxName = 64

// Member is a person in the workspace.
type Member struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Role    scope.Role `json:"role"`
	Created time.Time  `json:"created"`
}

// Link says which member a sender is.
type Link struct {
	Channel channels.ID        `json:"channel"`
	Account channels.AccountID `json:"account,omitempty"`
	Sender  string             `json:"sender"`
	Name    string             `json:"name,omitempty"` // for show
	Member  string             `json:"member"`
	At      time.Time          `json:"at"`
	How     string             `json:"how"` // start-link, pairing, invitation, code
}

// ownersKey is the one row through which every change of the owners goes, so
// that two owners who remove each other at the same moment cannot both succeed.
const ownersKey = "owners"

// owners are the members who own the workspace, longest first.
type owners struct {
	IDs []string `json:"ids"`
}

// founding makes the writes that give a workspace its first owner, once.
func (d *Directory) founding(owner Member) []kv.Write {
	return []kv.Write{
		d.set(ownersKey, kv.Absent, owners{IDs: []string{owner.ID}}),
		d.set(memberKey(owner.ID), kv.Absent, owner),
	}
}

func (d *Directory) owners(ctx context.Context) (owners, int64, error) {
	o, version, err := getVersion[owners](ctx, d, ownersKey)
	if errors.Is(err, ErrUnknown) {
		return owners{}, 0, nil
	}
	return o, version, err
}

// Member looks a member up; ErrUnknown when there is none.
func (d *Directory) Member(ctx context.Context, id string) (Member, error) {
	m, err := get[Member](ctx, d, memberKey(id))
	return m, named(err, noMember(id))
}

// Members lists everybody.
func (d *Directory) Members(ctx context.Context) ([]Member, error) {
	return list[Member](ctx, d, "member/")
}

// Links lists who is known as whom.
func (d *Directory) Links(ctx context.Context) ([]Link, error) {
	return list[Link](ctx, d, "link/")
}

// Rename gives a member another name. Members may rename themselves.
func (d *Directory) Rename(ctx context.Context, by scope.Scope, id, name string) (Member, error) {
	m, version, err := getVersion[Member](ctx, d, memberKey(id))
	self := by.Valid() && by.Workspace() == d.workspace && by.Member() == id
	switch {
	case !self && !d.administers(by):
		return Member{}, ErrForbidden
	case err != nil:
		return Member{}, named(err, noMember(id))
	case !self && !d.masters(by, m.Role):
		return Member{}, ErrForbidden
	}
	if m.Name, err = checkName(name); err != nil {
		return Member{}, err
	}
	return m, d.store.Write(ctx, d.set(memberKey(id), version, m))
}

// SetRole gives a member another role, from the next event and the next request
// on. Only an owner makes or unmakes those who administer, and the last owner
// stays one: ErrLastOwner.
func (d *Directory) SetRole(ctx context.Context, by scope.Scope, id string, role scope.Role) (Member, error) {
	if !d.administers(by) {
		return Member{}, ErrForbidden
	}
	if !slices.Contains(scope.Roles(), role) {
		return Member{}, refuse("there is no role %q; there are owner, admin, approver, member, guest and service", role)
	}
	m, version, err := getVersion[Member](ctx, d, memberKey(id))
	if err != nil {
		return Member{}, named(err, noMember(id))
	}
	if !d.masters(by, m.Role) || !d.masters(by, role) {
		return Member{}, ErrForbidden
	}
	writes, err := d.ownership(ctx, id, role == scope.Owner)
	if err != nil {
		return Member{}, err
	}
	m.Role = role
	return m, d.store.Write(ctx, append(writes, d.set(memberKey(id), version, m))...)
}

// masters reports whether a scope that administers may also decide about those
// who have a role.
func (d *Directory) masters(by scope.Scope, role scope.Role) bool {
	return !role.Administers() || d.may(by, scope.Own)
}

// ownership makes the write that puts a member among the owners, or takes them
// out, where that changes anything.
func (d *Directory) ownership(ctx context.Context, id string, owns bool) ([]kv.Write, error) {
	o, version, err := d.owners(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.Index(o.IDs, id)
	switch {
	case owns == (i >= 0):
		return nil, nil
	case owns:
		o.IDs = append(o.IDs, id)
	case len(o.IDs) == 1:
		return nil, ErrLastOwner
	default:
		o.IDs = slices.Delete(o.IDs, i, i+1)
	}
	return []kv.Write{d.set(ownersKey, condition(version), o)}, nil
}

// Unlink makes a sender unknown again, from its next event on. Members may
// unlink their own accounts.
func (d *Directory) Unlink(ctx context.Context, by scope.Scope, l Link) error {
	own := by.Valid() && by.Workspace() == d.workspace
	if !own {
		return ErrForbidden
	}
	key := linkKey(l.Channel, l.Account, l.Sender)
	stored, version, err := getVersion[Link](ctx, d, key)
	switch {
	case errors.Is(err, ErrUnknown) && !d.administers(by):
		return ErrForbidden // nobody learns who is known here
	case err != nil:
		return named(err, Unknown{What: "account", Name: l.Sender, See: "identities list"})
	case stored.Member == by.Member():
		return d.store.Write(ctx, d.unset(key, version))
	case !d.administers(by):
		return ErrForbidden
	}
	m, err := d.Member(ctx, stored.Member)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if !d.masters(by, m.Role) {
		return ErrForbidden
	}
	return d.store.Write(ctx, d.unset(key, version))
}

// checkName refuses what could not be shown in one line.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0 || n > MaxName:
		return "", refuse("a name has 1 to %d characters", MaxName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "", refuse("a name consists of characters that can be seen")
	}
	return name, nil
}

// Departure is a member who was removed, and what has still to be ended for
// them.
type Departure struct {
	Workspace string    `json:"workspace"`
	Member    Member    `json:"member"`
	Links     []Link    `json:"links,omitempty"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	Erase     bool      `json:"erase,omitempty"` // what is kept of them, too
}

// Remove takes a member out of the workspace: from here on they are a stranger,
// and no code, link or invitation of theirs works. What they hold elsewhere
// (sessions, grants, approvals, turns) is ended by whoever works off
// [Directory.Departures]; the record of it stands in the same commit.
func (d *Directory) Remove(ctx context.Context, by scope.Scope, id string) (Departure, error) {
	if !d.administers(by) {
		return Departure{}, ErrForbidden
	}
	return d.remove(ctx, by, id, false)
}

// Erase is Remove, with the order to erase what is kept of the member. It takes
// also the id of somebody who is no member any more.
func (d *Directory) Erase(ctx context.Context, by scope.Scope, id string) (Departure, error) {
	if !d.administers(by) {
		return Departure{}, ErrForbidden
	}
	if id == "" {
		return Departure{}, refuse("say who")
	}
	left, err := d.remove(ctx, by, id, true)
	if !errors.Is(err, ErrUnknown) {
		return left, err
	}
	left, version, err := getVersion[Departure](ctx, d, departureKey(id))
	switch {
	case errors.Is(err, ErrUnknown):
		left = Departure{Workspace: d.workspace, Member: Member{ID: id}, By: by.Member(), At: d.now()}
	case err != nil:
		return left, err
	}
	left.Erase = true
	return left, d.store.Write(ctx, d.set(departureKey(id), condition(version), left))
}

func (d *Directory) remove(ctx context.Context, by scope.Scope, id string, erase bool) (Departure, error) {
	m, version, err := getVersion[Member](ctx, d, memberKey(id))
	if err != nil {
		return Departure{}, named(err, noMember(id))
	}
	if !d.masters(by, m.Role) {
		return Departure{}, ErrForbidden
	}
	writes, err := d.ownership(ctx, id, false)
	if err != nil {
		return Departure{}, err
	}
	left := Departure{Workspace: d.workspace, Member: m, By: by.Member(), At: d.now(), Erase: erase}
	links, err := rows[Link](ctx, d, "link/")
	if err != nil {
		return Departure{}, err
	}
	for _, l := range links {
		if l.value.Member == id {
			left.Links, writes = append(left.Links, l.value), append(writes, kv.Write{Space: space, Key: l.key})
			if erase {
				writes = append(writes, d.unset(askKey(l.value.Channel, l.value.Account, l.value.Sender), 0))
			}
		}
	}
	writes = append(writes, d.unset(memberKey(id), version), d.set(departureKey(id), 0, left))
	return left, d.store.Write(ctx, writes...)
}

// Departures lists those who were removed from any workspace and for whom
// something may still have to be ended.
func (d *Directory) Departures(ctx context.Context) ([]Departure, error) {
	return everywhere(ctx, d, func(d *Directory) ([]Departure, error) { return list[Departure](ctx, d, "gone/") })
}

// Departing mints the scope in which what somebody held is ended. It may do
// nothing but that: it is of the member alone.
func (d *Directory) Departing(left Departure) scope.Scope {
	return scope.New(scope.Principal{Workspace: left.Workspace, Member: left.Member.ID, Role: scope.Guest})
}

// Departed notes that everything was ended for a member who was removed.
func (d *Directory) Departed(ctx context.Context, left Departure) error {
	d = d.In(left.Workspace)
	return d.store.Write(ctx, d.unset(departureKey(left.Member.ID), 0))
}

func departureKey(id string) string { return "gone/" + memberKey(id)[len("member/"):] }
