package main

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// leavers ends what members who were removed hold outside the gateway: the
// sessions on the console, their own secrets, and the grants to them.
type leavers struct {
	vault  *vault.Store
	logins *login.Book
}

var _ gateway.Offboarder = leavers{}

// Offboard implements gateway.Offboarder.
func (l leavers) Offboard(ctx context.Context, workspace, member string) error {
	_, first := l.logins.RevokeMember(ctx, member)
	_, second := l.vault.Offboard(ctx, workspace, member)
	return errors.Join(first, second)
}

// auditEraser buries what the audit log holds of a person. That they were erased
// stays.
type auditEraser struct{ log *audit.Log }

var _ gateway.Eraser = auditEraser{}

// Erase implements gateway.Eraser.
func (a auditEraser) Erase(ctx context.Context, p identity.Departure) (string, int, error) {
	id := p.Member.ID
	by := audit.Entry{By: scope.Principal{Workspace: p.Workspace, Member: p.By}, Err: "a person was erased"}
	n, err := a.log.Bury(ctx, by, func(e audit.Entry) bool {
		return e.Do != gateway.DoErased && e.By.Workspace == p.Workspace && (e.By.Member == id || e.On == id || strings.HasSuffix(e.On, "@"+id))
	})
	return "entries of the audit log", n, err
}
