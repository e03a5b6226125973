package identity_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// acts is every method that takes the scope of whoever asks, with the right that
// it needs. TestEveryMethodHasARow keeps the table whole.
func acts(t *testing.T) map[string]struct {
	needs scope.Right
	do    func(w *world, by scope.Scope) error
} {
	at := channels.Address{Channel: "chat", Conversation: "r"}
	ctx := t.Context()
	type act = struct {
		needs scope.Right
		do    func(w *world, by scope.Scope) error
	}
	return map[string]act{
		"Approve": {scope.Approve, func(w *world, by scope.Scope) error {
			_, err := w.dir.Approve(ctx, by, w.ask("x").ID)
			return err
		}},
		"Deny": {scope.Approve, func(w *world, by scope.Scope) error {
			_, err := w.dir.Deny(ctx, by, w.ask("x").ID)
			return err
		}},
		"Asks": {scope.Approve, func(w *world, by scope.Scope) error {
			asks, err := w.dir.Asks(ctx, by, w.ask("x").ID)
			if err == nil && !asks {
				t.Error("an open request is not found")
			}
			return err
		}},
		"StartCode": {scope.Administer, func(w *world, by scope.Scope) error {
			_, err := w.dir.StartCode(ctx, by, "m-member")
			return err
		}},
		"Alone": {scope.Console, func(w *world, by scope.Scope) error {
			_, err := w.dir.Alone(ctx, by)
			return err
		}},
		"OwnCode": {scope.Console, func(w *world, by scope.Scope) error {
			_, err := w.dir.OwnCode(ctx, by)
			return err
		}},
		"Invite": {scope.Administer, func(w *world, by scope.Scope) error {
			_, _, err := w.dir.Invite(ctx, by, "", scope.Ordinary)
			return err
		}},
		"Withdraw": {scope.Administer, func(w *world, by scope.Scope) error {
			_, inv, err := w.dir.Invite(ctx, w.owner(), "", scope.Ordinary)
			if err != nil {
				t.Fatal(err)
			}
			return w.dir.Withdraw(ctx, by, inv.ID)
		}},
		"Unlink": {scope.Administer, func(w *world, by scope.Scope) error {
			return w.dir.Unlink(ctx, by, identity.Link{Channel: "chat", Account: "a", Sender: "s-member"})
		}},
		"Rename": {scope.Administer, func(w *world, by scope.Scope) error {
			_, err := w.dir.Rename(ctx, by, "m-member", "Other")
			return err
		}},
		"SetRole": {scope.Administer, func(w *world, by scope.Scope) error {
			_, err := w.dir.SetRole(ctx, by, "m-member", scope.Guest)
			return err
		}},
		"Remove": {scope.Administer, func(w *world, by scope.Scope) error {
			_, err := w.dir.Remove(ctx, by, "m-member")
			return err
		}},
		"Erase": {scope.Administer, func(w *world, by scope.Scope) error {
			_, err := w.dir.Erase(ctx, by, "m-member")
			return err
		}},
		"AllowRoom":   {scope.Administer, func(w *world, by scope.Scope) error { return w.dir.AllowRoom(ctx, by, at) }},
		"DismissRoom": {scope.Administer, func(w *world, by scope.Scope) error { return w.dir.DismissRoom(ctx, by, at) }},
		"CreateWorkspace": {scope.Own, func(w *world, by scope.Scope) error {
			_, err := w.dir.CreateWorkspace(ctx, by, "acme", "")
			return err
		}},
		"RenameWorkspace": {scope.Own, func(w *world, by scope.Scope) error {
			_, err := w.dir.RenameWorkspace(ctx, by, "main", "House")
			return err
		}},
		"EndWorkspace": {scope.Own, func(w *world, by scope.Scope) error {
			if _, err := w.dir.CreateWorkspace(ctx, w.owner(), "acme", ""); err != nil {
				t.Fatal(err)
			}
			return w.dir.EndWorkspace(ctx, by, "acme")
		}},
		"Confirm": {scope.See, func(w *world, by scope.Scope) error {
			return w.dir.Confirm(ctx, by, scope.See)
		}},
	}
}

// TestInvariant01RolesDecide: every role, in this workspace, in another and in
// none, against every method that takes a scope.
func TestInvariant01RolesDecide(t *testing.T) {
	everyRole := append(scope.Roles(), "root", "", "Owner")
	for name, a := range acts(t) {
		for _, workspace := range []string{"main", "other", ""} {
			for _, role := range everyRole {
				t.Run(fmt.Sprintf("%s/%s/%s", name, workspace, role), func(t *testing.T) {
					w := newWorld(t)
					w.put("member/by-"+string(role), identity.Member{ID: "by-" + string(role), Role: role})
					may := workspace == "main" && role.May(a.needs)
					if err := a.do(w, w.as(role, workspace)); may != (err == nil) || !may && !errors.Is(err, identity.ErrForbidden) {
						t.Errorf("allowed is %v: %v", may, err)
					}
				})
			}
		}
	}
}
