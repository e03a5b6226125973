package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// register is the space that lists the workspaces by id.
const register = "workspaces"

// Workspace is a tenant: members, channels, secrets and memory of its own.
type Workspace struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Ending is set from the moment it is deleted until everything of it is gone.
	Ending bool `json:"ending,omitempty"`
}

// Workspaces lists all of them, the home first. Those that are being deleted
// are among them.
func (d *Directory) Workspaces(ctx context.Context) ([]Workspace, error) {
	all := []Workspace{{ID: d.home, Name: "Home"}}
	after := ""
	for {
		page, err := d.store.List(ctx, register, "", after, 0)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return all, nil
		}
		for _, e := range page {
			after = e.Key
			w, err := decodeWorkspace(e)
			if err != nil {
				return nil, err
			}
			if w.ID == d.home {
				all[0] = w
				continue
			}
			all = append(all, w)
		}
	}
}

// CreateWorkspace makes a workspace with an owner of its own. Only an owner of
// the home may.
func (d *Directory) CreateWorkspace(ctx context.Context, by scope.Scope, id, name string) (Workspace, error) {
	if !d.ownsHouse(by) {
		return Workspace{}, ErrForbidden
	}
	if err := checkWorkspaceID(id); err != nil {
		return Workspace{}, err
	}
	if name == "" {
		name = id
	}
	name, err := checkName(name)
	if err != nil {
		return Workspace{}, err
	}
	w := Workspace{ID: id, Name: name, Created: d.now()}
	if id == d.home {
		return Workspace{}, refuse("the workspace %q is there already", id)
	}
	// No two workspaces have a member of the same id.
	owner := Member{ID: newMemberID(), Name: "Owner", Role: scope.Owner, Created: d.now()}
	err = d.store.Write(ctx, append(d.In(id).founding(owner), kv.Write{Space: register, Key: id, If: kv.Absent, Value: encode(w)})...)
	if errors.Is(err, kv.ErrConflict) {
		return Workspace{}, refuse("the workspace %q is there already", id)
	}
	return w, err
}

// RenameWorkspace gives a workspace another name; its id stays.
func (d *Directory) RenameWorkspace(ctx context.Context, by scope.Scope, id, name string) (Workspace, error) {
	if !d.ownsHouse(by) {
		return Workspace{}, ErrForbidden
	}
	name, err := checkName(name)
	if err != nil {
		return Workspace{}, err
	}
	w, version, err := d.registered(ctx, id)
	if err != nil {
		return Workspace{}, err
	}
	w.Name = name
	return w, d.store.Write(ctx, kv.Write{Space: register, Key: id, If: condition(version), Value: encode(w)})
}

// EndWorkspace begins the deletion of a workspace, which no channel may belong
// to any more. The caller ends everything that is kept of it elsewhere and then
// calls [Directory.Ended]; all of it may be repeated.
func (d *Directory) EndWorkspace(ctx context.Context, by scope.Scope, id string) error {
	if !d.ownsHouse(by) {
		return ErrForbidden
	}
	if id == d.home {
		return refuse("the workspace %q is the one that looks after all others; it cannot be deleted", id)
	}
	w, version, err := d.registered(ctx, id)
	if err != nil {
		return err
	}
	w.Ending = true
	return d.store.Write(ctx, kv.Write{Space: register, Key: id, If: condition(version), Value: encode(w)})
}

// Ended removes what this package keeps of a workspace that was deleted.
func (d *Directory) Ended(ctx context.Context, id string) error {
	w, _, err := d.registered(ctx, id)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if !w.Ending || id == d.home {
		return refuse("the workspace %q is in use", id)
	}
	for {
		page, err := d.store.List(ctx, space, d.In(id).key(""), "", 0)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return d.store.Write(ctx, kv.Write{Space: register, Key: id})
		}
		writes := make([]kv.Write, len(page))
		for i, e := range page {
			writes[i] = kv.Write{Space: space, Key: e.Key}
		}
		if err := d.store.Write(ctx, writes...); err != nil {
			return err
		}
	}
}

// registered looks a workspace up; the home is there even before it was named.
func (d *Directory) registered(ctx context.Context, id string) (Workspace, int64, error) {
	e, err := d.store.Get(ctx, register, id)
	if err != nil {
		return Workspace{}, 0, err
	}
	if e.Version == 0 {
		if id == d.home {
			return Workspace{ID: id, Name: "Home"}, 0, nil
		}
		return Workspace{}, 0, noWorkspace(id)
	}
	w, err := decodeWorkspace(e)
	return w, e.Version, err
}

// ownsHouse reports whether a scope may make and delete workspaces.
func (d *Directory) ownsHouse(by scope.Scope) bool { return d.In(d.home).may(by, scope.Own) }

// everywhere gathers what one question brings in each workspace.
func everywhere[T any](ctx context.Context, d *Directory, ask func(*Directory) ([]T, error)) ([]T, error) {
	all, err := d.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	var found []T
	for _, w := range all {
		some, err := ask(d.In(w.ID))
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// checkWorkspaceID says what is wrong with a workspace's id.
func checkWorkspaceID(id string) error {
	ok := id != "" && len(id) <= 40 && !slices.Contains([]byte("-_"), id[0]) &&
		strings.IndexFunc(id, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
		}) < 0
	if !ok {
		return refuse("a workspace's id has 1 to 40 of a-z, 0-9, - and _ and begins with a letter or digit")
	}
	return nil
}
