// Package identity turns senders into scopes. It is the only minter of scopes,
// and holds the one gate through which every kind of event passes.
//
// A sender is known by its immutable id on a channel, never by a name. It
// becomes a member by an invitation, by a pairing code that somebody in charge
// approves, by a code that a member sends from their other account, or, on the
// console, by having logged in.
//
// Every row lies under its workspace, and every method works in one workspace.
package identity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// space holds everything that this package keeps.
const space = "identity"

// OwnerID is the member who is made at the first run, in the home.
const OwnerID = "owner"

// ErrUnknown: no such member, request or code.
var ErrUnknown = errors.New("not known here")

// ErrForbidden: the member's role does not allow it.
var ErrForbidden = errors.New("your role does not allow this; ask an owner or an administrator")

// Directory knows the members of one workspace and who is who. It is safe for
// concurrent use.
type Directory struct {
	store     kv.Store
	home      string
	workspace string
	now       func() time.Time
	log       *slog.Logger
}

// Open reads the directory of the workspace that is there from the start, and
// makes its owner if it never had one.
func Open(ctx context.Context, store kv.Store, home string, now func() time.Time, log *slog.Logger) (*Directory, error) {
	d := &Directory{store: store, home: home, workspace: home, now: now, log: log}
	owner := Member{ID: OwnerID, Name: "Owner", Role: scope.Owner, Created: now()}
	err := store.Write(ctx, d.founding(owner)...)
	if err != nil && !errors.Is(err, kv.ErrConflict) {
		return nil, fmt.Errorf("make the owner: %w", err)
	}
	return d, nil
}

// In is the directory of another workspace; "" means the one that is there from
// the start. That there is such a workspace is not checked: one that does not
// exist has no members, and nobody can do anything in it.
func (d *Directory) In(workspace string) *Directory {
	other := *d
	if other.workspace = workspace; workspace == "" {
		other.workspace = d.home
	}
	return &other
}

// Workspace is the id of the workspace that this directory is of.
func (d *Directory) Workspace() string { return d.workspace }

// Home is the id of the workspace that is there from the start. Its owners and
// admins look after the installation: channels, models, dead letters.
func (d *Directory) Home() string { return d.home }

// Operator mints the scope of a member who acts outside any channel: on the
// console or on the command line of the machine.
func (d *Directory) Operator(ctx context.Context, member string) (scope.Scope, error) {
	m, err := d.Member(ctx, member)
	if err != nil {
		return scope.Scope{}, err
	}
	return scope.New(scope.Principal{Workspace: d.workspace, Member: m.ID, Role: m.Role}), nil
}

// Alone mints the scope in which a member looks, where nobody reads along, at
// what is theirs: on the console or on the command line.
func (d *Directory) Alone(ctx context.Context, by scope.Scope) (scope.Scope, error) {
	if err := d.Confirm(ctx, by, scope.Console); err != nil {
		return scope.Scope{}, err
	}
	return scope.New(scope.Principal{Workspace: by.Workspace(), Member: by.Member(), Role: by.Role(), Direct: true}), nil
}

// Anywhere is Operator for a member of whichever workspace: no two have a member
// of the same id.
func (d *Directory) Anywhere(ctx context.Context, member string) (scope.Scope, error) {
	s, err := d.Operator(ctx, member)
	if !errors.Is(err, ErrUnknown) {
		return s, err
	}
	all, err := d.Workspaces(ctx)
	if err != nil {
		return scope.Scope{}, err
	}
	for _, w := range all {
		if w.Ending {
			continue
		}
		if s, err := d.In(w.ID).Operator(ctx, member); !errors.Is(err, ErrUnknown) {
			return s, err
		}
	}
	return scope.Scope{}, noMember(member)
}

// Machine mints the scope of whoever controls the machine that the gateway runs
// on. They act as the owner who has been one for longest.
func (d *Directory) Machine(ctx context.Context) (scope.Scope, error) {
	o, _, err := d.owners(ctx)
	if err != nil {
		return scope.Scope{}, err
	}
	for _, id := range o.IDs {
		if s, err := d.Operator(ctx, id); err == nil && s.Role() == scope.Owner {
			return s, nil
		}
	}
	return scope.Scope{}, noWorkspace(d.workspace)
}

// Stands reports whether a scope that was minted earlier would be minted again:
// its member is still one, with the same role. Whoever is let in without being a
// member is asked anew with each event, and stands until then.
func (d *Directory) Stands(ctx context.Context, s scope.Scope) (bool, error) {
	if strings.HasPrefix(s.Member(), strangerPrefix) {
		return true, nil
	}
	m, err := d.In(s.Workspace()).Member(ctx, s.Member())
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil && m.Role == s.Role(), err
}

// Confirm checks that a scope still has a right, as the member stands now, and
// fails with ErrForbidden when it has not.
func (d *Directory) Confirm(ctx context.Context, by scope.Scope, right scope.Right) error {
	if !by.Valid() || !by.Role().May(right) {
		return ErrForbidden
	}
	m, err := d.In(by.Workspace()).Member(ctx, by.Member())
	switch {
	case errors.Is(err, ErrUnknown):
		return ErrForbidden
	case err != nil:
		return err
	case !m.Role.May(right):
		return ErrForbidden
	}
	return nil
}

// Gateway mints the scope in which the gateway itself uses what the operator's
// configuration names: a channel's token, a model's key.
func (d *Directory) Gateway() scope.Scope {
	return scope.New(scope.Principal{Workspace: d.workspace, Member: "gateway", Role: scope.Service})
}

// may reports whether a scope has a right in this workspace.
func (d *Directory) may(by scope.Scope, right scope.Right) bool {
	return by.Valid() && by.Workspace() == d.workspace && by.Role().May(right)
}

// administers reports whether a scope may change this workspace.
func (d *Directory) administers(by scope.Scope) bool { return d.may(by, scope.Administer) }

// key puts a row into this workspace.
func (d *Directory) key(of string) string { return url.PathEscape(d.workspace) + "/" + of }

// set makes the write of a row of this workspace.
func (d *Directory) set(key string, cond int64, v any) kv.Write {
	return kv.Write{Space: space, Key: d.key(key), If: cond, Value: encode(v)}
}

// unset makes the write that deletes a row of this workspace.
func (d *Directory) unset(key string, cond int64) kv.Write {
	return kv.Write{Space: space, Key: d.key(key), If: cond}
}

func memberKey(id string) string { return "member/" + url.PathEscape(id) }

func linkKey(c channels.ID, a channels.AccountID, sender string) string {
	return "link/" + url.PathEscape(string(c)) + "/" + url.PathEscape(string(a)) + "/" + url.PathEscape(sender)
}

func roomsOf(c channels.ID) string { return "room/" + url.PathEscape(string(c)) + "/" }

func roomKey(at channels.Address) string {
	return roomsOf(at.Channel) + url.PathEscape(string(at.Account)) + "/" + url.PathEscape(string(at.Conversation))
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("identity: own type does not encode: %v", err))
	}
	return b
}

func decodeWorkspace(e kv.Entry) (Workspace, error) {
	var w Workspace
	if err := json.Unmarshal(e.Value, &w); err != nil {
		return w, fmt.Errorf("identity: workspace %s: %w", e.Key, err)
	}
	return w, nil
}

// get reads a row of this workspace; ErrUnknown when there is none.
func get[T any](ctx context.Context, d *Directory, key string) (T, error) {
	v, _, err := getVersion[T](ctx, d, key)
	return v, err
}

func getVersion[T any](ctx context.Context, d *Directory, key string) (T, int64, error) {
	var v T
	e, err := d.store.Get(ctx, space, d.key(key))
	switch {
	case err != nil:
		return v, 0, err
	case e.Version == 0:
		return v, 0, ErrUnknown
	}
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return v, 0, fmt.Errorf("identity: %s: %w", e.Key, err)
	}
	return v, e.Version, nil
}

// row is a value with the key it was found under, workspace included.
type row[T any] struct {
	key     string
	version int64
	value   T
}

// rows reads everything of this workspace under a prefix, in order of the keys.
func rows[T any](ctx context.Context, d *Directory, prefix string) ([]row[T], error) {
	var all []row[T]
	after := ""
	for {
		page, err := d.store.List(ctx, space, d.key(prefix), after, 0)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			r := row[T]{key: e.Key, version: e.Version}
			if err := json.Unmarshal(e.Value, &r.value); err != nil {
				return nil, fmt.Errorf("identity: %s: %w", e.Key, err)
			}
			all = append(all, r)
			after = e.Key
		}
		if len(page) == 0 {
			return all, nil
		}
	}
}

func list[T any](ctx context.Context, d *Directory, prefix string) ([]T, error) {
	all, err := rows[T](ctx, d, prefix)
	var values []T
	for _, r := range all {
		values = append(values, r.value)
	}
	return values, err
}

// forget makes the write that deletes a row, unless it has changed since.
func (r row[T]) forget() kv.Write { return kv.Write{Space: space, Key: r.key, If: r.version} }

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
