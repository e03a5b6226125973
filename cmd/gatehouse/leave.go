package main

import (
	"context"
	"errors"

	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
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
