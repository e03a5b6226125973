// Package identity turns senders into scopes. It is the only minter of scopes,
// and holds the one gate through which every kind of event passes.
//
// A sender is known by its immutable id on a channel, never by a name. It
// becomes a member by a start link, by a pairing code that somebody in charge
// approves, or, on the console, by having logged in.
package identity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// space holds everything that this package keeps.
const space = "identity"

// OwnerID is the member who is made at the first run.
const OwnerID = "owner"

// ErrUnknown: no such member, request or code.
var ErrUnknown = errors.New("not known here")

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
	How     string             `json:"how"` // start-link, pairing
}

// Directory knows the members of one workspace and who is who. It is safe for
// concurrent use.
type Directory struct {
	store     kv.Store
	workspace string
	now       func() time.Time
	log       *slog.Logger
}

// Open reads the directory and makes the owner if there is none yet.
func Open(ctx context.Context, store kv.Store, workspace string, now func() time.Time, log *slog.Logger) (*Directory, error) {
	d := &Directory{store: store, workspace: workspace, now: now, log: log}
	owner := Member{ID: OwnerID, Name: "Owner", Role: scope.Owner, Created: now()}
	err := store.Write(ctx, kv.Write{Space: space, Key: memberKey(OwnerID), If: kv.Absent, Value: encode(owner)})
	if err != nil && !errors.Is(err, kv.ErrConflict) {
		return nil, fmt.Errorf("make the owner: %w", err)
	}
	return d, nil
}

// Workspace is the id of the workspace that this directory is of.
func (d *Directory) Workspace() string { return d.workspace }

// Member looks a member up; ErrUnknown when there is none.
func (d *Directory) Member(ctx context.Context, id string) (Member, error) {
	return get[Member](ctx, d.store, memberKey(id))
}

// Members lists everybody.
func (d *Directory) Members(ctx context.Context) ([]Member, error) {
	return list[Member](ctx, d.store, "member/")
}

// Links lists who is known as whom.
func (d *Directory) Links(ctx context.Context) ([]Link, error) {
	return list[Link](ctx, d.store, "link/")
}

// Unlink makes a sender unknown again, from its next event on.
func (d *Directory) Unlink(ctx context.Context, by scope.Scope, l Link) error {
	if !d.administers(by) {
		return ErrForbidden
	}
	return d.store.Write(ctx, kv.Write{Space: space, Key: linkKey(l.Channel, l.Account, l.Sender)})
}

// Operator mints the scope of a member who acts outside any channel: on the
// console or on the command line of the machine.
func (d *Directory) Operator(ctx context.Context, member string) (scope.Scope, error) {
	m, err := d.Member(ctx, member)
	if err != nil {
		return scope.Scope{}, err
	}
	return scope.New(scope.Principal{Workspace: d.workspace, Member: m.ID, Role: m.Role}), nil
}

// Gateway mints the scope in which the gateway itself uses what the operator's
// configuration names: a channel's token, a model's key.
func (d *Directory) Gateway() scope.Scope {
	return scope.New(scope.Principal{Workspace: d.workspace, Member: "gateway", Role: scope.Service})
}

// AllowRoom admits a room that is not on the allow-list.
func (d *Directory) AllowRoom(ctx context.Context, by scope.Scope, at channels.Address) error {
	if !d.administers(by) {
		return ErrForbidden
	}
	return d.store.Write(ctx, kv.Write{Space: space, Key: roomKey(at), Value: []byte("{}")})
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
	next.Conversation = to
	return []kv.Write{{Space: space, Key: roomKey(next), Value: []byte("{}")}}, nil
}

// administers reports whether a scope may change this workspace.
func (d *Directory) administers(by scope.Scope) bool {
	return by.Workspace() == d.workspace && by.Role().Administers()
}

func memberKey(id string) string { return "member/" + url.PathEscape(id) }

func linkKey(c channels.ID, a channels.AccountID, sender string) string {
	return "link/" + url.PathEscape(string(c)) + "/" + url.PathEscape(string(a)) + "/" + url.PathEscape(sender)
}

func roomKey(at channels.Address) string {
	return "room/" + url.PathEscape(string(at.Channel)) + "/" + url.PathEscape(string(at.Account)) + "/" + url.PathEscape(string(at.Conversation))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("identity: own type does not encode: %v", err))
	}
	return b
}

func get[T any](ctx context.Context, r kv.Reader, key string) (T, error) {
	v, _, err := getVersion[T](ctx, r, key)
	return v, err
}

func getVersion[T any](ctx context.Context, r kv.Reader, key string) (T, int64, error) {
	var v T
	e, err := r.Get(ctx, space, key)
	switch {
	case err != nil:
		return v, 0, err
	case e.Version == 0:
		return v, 0, ErrUnknown
	}
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return v, 0, fmt.Errorf("identity: %s: %w", key, err)
	}
	return v, e.Version, nil
}

func list[T any](ctx context.Context, r kv.Reader, prefix string) ([]T, error) {
	var all []T
	after := ""
	for {
		page, err := r.List(ctx, space, prefix, after, 0)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			var v T
			if err := json.Unmarshal(e.Value, &v); err != nil {
				return nil, fmt.Errorf("identity: %s: %w", e.Key, err)
			}
			all = append(all, v)
			after = e.Key
		}
		if len(page) == 0 {
			return all, nil
		}
	}
}

// alphabet has no 0, O, 1 and I, which people confuse.
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// newCode makes a code of n characters of 5 bits each.
func newCode(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails; see crypto/rand
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}
