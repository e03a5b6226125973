package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The bodies of what concerns people.
type (
	// People are the members and who is known as whom.
	People struct {
		Members []identity.Member `json:"members"`
		Links   []identity.Link   `json:"links"`
	}
	// Change is what to change of a member; what is empty stays.
	Change struct {
		Name string     `json:"name,omitempty"`
		Role scope.Role `json:"role,omitempty"`
	}
	// NewInvitation is an invitation to make.
	NewInvitation struct {
		Channel channels.ID `json:"channel,omitempty"`
		Name    string      `json:"name,omitempty"`
		Role    scope.Role  `json:"role"`
	}
	// Code is a code to send to a bot.
	Code struct {
		Code string `json:"code"`
	}
	// NewWorkspace is a workspace to make or rename.
	NewWorkspace struct {
		ID   string `json:"id,omitempty"`
		Name string `json:"name"`
	}
)

func (h *handler) peopleRoutes() map[string]route {
	return map[string]route{
		"GET /api/pairings": func(r *http.Request, by scope.Scope) (any, error) {
			if r.URL.Query().Has("everywhere") {
				return h.op.PairingsEverywhere(r.Context(), by)
			}
			return h.op.Pairings(r.Context(), by)
		},
		"POST /api/pairings/{ref}/approve": func(r *http.Request, by scope.Scope) (any, error) {
			return h.op.Approve(r.Context(), by, r.PathValue("ref"))
		},
		"POST /api/pairings/{ref}/deny": func(r *http.Request, by scope.Scope) (any, error) {
			return h.op.Deny(r.Context(), by, r.PathValue("ref"))
		},
		"GET /api/people":        h.people,
		"PATCH /api/people/{id}": h.changeMember,
		"DELETE /api/people/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			return h.op.RemoveMember(r.Context(), by, r.PathValue("id"))
		},
		"POST /api/people/{id}/erase": func(r *http.Request, by scope.Scope) (any, error) {
			c, err := read[Confirmation](r)
			if err != nil {
				return nil, err
			}
			if c.Member != r.PathValue("id") {
				return nil, fmt.Errorf("%w: to erase a member for good, say their id in 'member'", operator.ErrInvalid)
			}
			return h.op.EraseMember(r.Context(), by, c.Member)
		},
		"POST /api/identities/unlink": func(r *http.Request, by scope.Scope) (any, error) {
			l, err := read[identity.Link](r)
			if err != nil {
				return nil, err
			}
			return struct{}{}, h.op.Unlink(r.Context(), by, l)
		},
		"POST /api/identities/code": func(r *http.Request, by scope.Scope) (any, error) {
			code, err := h.op.OwnCode(r.Context(), by)
			return Code{Code: code}, err
		},
		"GET /api/invitations": func(r *http.Request, by scope.Scope) (any, error) { return h.op.Invitations(r.Context(), by) },
		"POST /api/invitations": func(r *http.Request, by scope.Scope) (any, error) {
			n, err := read[NewInvitation](r)
			if err != nil {
				return nil, err
			}
			return h.op.Invite(r.Context(), by, n.Channel, n.Name, n.Role)
		},
		"DELETE /api/invitations/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			return struct{}{}, h.op.Withdraw(r.Context(), by, r.PathValue("id"))
		},
		"GET /api/rooms":          func(r *http.Request, by scope.Scope) (any, error) { return h.op.Rooms(r.Context(), by) },
		"POST /api/rooms/admit":   h.room(h.op.AdmitRoom),
		"POST /api/rooms/dismiss": h.room(h.op.DismissRoom),
		"GET /api/workspaces":     func(r *http.Request, by scope.Scope) (any, error) { return h.op.Workspaces(r.Context(), by) },
		"POST /api/workspaces": func(r *http.Request, by scope.Scope) (any, error) {
			n, err := read[NewWorkspace](r)
			if err != nil {
				return nil, err
			}
			return h.op.CreateWorkspace(r.Context(), by, n.ID, n.Name)
		},
		"PATCH /api/workspaces/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			n, err := read[NewWorkspace](r)
			if err != nil {
				return nil, err
			}
			return h.op.RenameWorkspace(r.Context(), by, r.PathValue("id"), n.Name)
		},
		"DELETE /api/workspaces/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			return struct{}{}, h.op.DeleteWorkspace(r.Context(), by, r.PathValue("id"))
		},
	}
}

func (h *handler) people(r *http.Request, by scope.Scope) (any, error) {
	members, links, err := h.op.People(r.Context(), by)
	return People{Members: members, Links: links}, err
}

// changeMember changes the name first: a member who may rename themselves may
// not change their role.
func (h *handler) changeMember(r *http.Request, by scope.Scope) (any, error) {
	c, err := read[Change](r)
	if err != nil {
		return nil, err
	}
	if c == (Change{}) {
		return nil, fmt.Errorf("%w: nothing to change: a name is missing, or a role", operator.ErrInvalid)
	}
	var m identity.Member
	if c.Name != "" {
		if m, err = h.op.Rename(r.Context(), by, r.PathValue("id"), c.Name); err != nil {
			return nil, err
		}
	}
	if c.Role != "" {
		m, err = h.op.SetRole(r.Context(), by, r.PathValue("id"), c.Role)
	}
	return m, err
}

// room serves an action on a room.
func (h *handler) room(act func(context.Context, scope.Scope, channels.Address) error) route {
	return func(r *http.Request, by scope.Scope) (any, error) {
		at, err := read[channels.Address](r)
		if err != nil {
			return nil, err
		}
		return struct{}{}, act(r.Context(), by, at)
	}
}

// Pairings lists who asks to be let in, in the client's workspace, or where it
// names none in all that the caller looks after.
func (c *Client) Pairings(ctx context.Context) ([]identity.Pairing, error) {
	if c.Workspace == "" {
		return get[[]identity.Pairing](ctx, c, "/api/pairings?everywhere")
	}
	return get[[]identity.Pairing](ctx, c, "/api/pairings")
}

// Approve lets somebody in, by their code or the id of their request.
func (c *Client) Approve(ctx context.Context, ref string) (identity.Pairing, error) {
	return post[identity.Pairing](ctx, c, "/api/pairings/"+url.PathEscape(ref)+"/approve", nil)
}

// Deny refuses somebody.
func (c *Client) Deny(ctx context.Context, ref string) (identity.Pairing, error) {
	return post[identity.Pairing](ctx, c, "/api/pairings/"+url.PathEscape(ref)+"/deny", nil)
}

// People lists the members and their accounts.
func (c *Client) People(ctx context.Context) (People, error) {
	return get[People](ctx, c, "/api/people")
}

// ChangeMember changes a member's name or role.
func (c *Client) ChangeMember(ctx context.Context, id string, to Change) (identity.Member, error) {
	var m identity.Member
	err := c.send(ctx, http.MethodPatch, "/api/people/"+url.PathEscape(id), to, &m)
	return m, err
}

// RemoveMember takes a member out.
func (c *Client) RemoveMember(ctx context.Context, id string) (operator.Left, error) {
	var left operator.Left
	err := c.call(ctx, http.MethodDelete, "/api/people/"+url.PathEscape(id), nil, &left)
	return left, err
}

// Confirmation names the member once more before what cannot be undone.
type Confirmation struct {
	Member string `json:"member"`
}

// EraseMember takes a member out and erases what is kept of them.
func (c *Client) EraseMember(ctx context.Context, id string) (gateway.Erasure, error) {
	return post[gateway.Erasure](ctx, c, "/api/people/"+url.PathEscape(id)+"/erase", Confirmation{Member: id})
}

// Unlink makes an account unknown.
func (c *Client) Unlink(ctx context.Context, l identity.Link) error {
	return c.send(ctx, http.MethodPost, "/api/identities/unlink", l, nil)
}

// OwnCode makes a code that links another account to the caller.
func (c *Client) OwnCode(ctx context.Context) (string, error) {
	code, err := post[Code](ctx, c, "/api/identities/code", nil)
	return code.Code, err
}

// Invitations lists those that can still be used.
func (c *Client) Invitations(ctx context.Context) ([]identity.Invitation, error) {
	return get[[]identity.Invitation](ctx, c, "/api/invitations")
}

// Invite makes an invitation.
func (c *Client) Invite(ctx context.Context, n NewInvitation) (operator.Invited, error) {
	return post[operator.Invited](ctx, c, "/api/invitations", n)
}

// Withdraw ends an invitation.
func (c *Client) Withdraw(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/invitations/"+url.PathEscape(id), nil, nil)
}

// Rooms lists the rooms that the bots are in.
func (c *Client) Rooms(ctx context.Context) ([]operator.Room, error) {
	return get[[]operator.Room](ctx, c, "/api/rooms")
}

// AdmitRoom lets a bot answer in a room.
func (c *Client) AdmitRoom(ctx context.Context, at channels.Address) error {
	return c.send(ctx, http.MethodPost, "/api/rooms/admit", at, nil)
}

// DismissRoom takes that back.
func (c *Client) DismissRoom(ctx context.Context, at channels.Address) error {
	return c.send(ctx, http.MethodPost, "/api/rooms/dismiss", at, nil)
}

// Workspaces lists the workspaces.
func (c *Client) Workspaces(ctx context.Context) ([]identity.Workspace, error) {
	return get[[]identity.Workspace](ctx, c, "/api/workspaces")
}

// CreateWorkspace makes one.
func (c *Client) CreateWorkspace(ctx context.Context, id, name string) (identity.Workspace, error) {
	return post[identity.Workspace](ctx, c, "/api/workspaces", NewWorkspace{ID: id, Name: name})
}

// RenameWorkspace gives one another name.
func (c *Client) RenameWorkspace(ctx context.Context, id, name string) (identity.Workspace, error) {
	var w identity.Workspace
	err := c.send(ctx, http.MethodPatch, "/api/workspaces/"+url.PathEscape(id), NewWorkspace{Name: name}, &w)
	return w, err
}

// DeleteWorkspace deletes one with everything in it.
func (c *Client) DeleteWorkspace(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/workspaces/"+url.PathEscape(id), nil, nil)
}
