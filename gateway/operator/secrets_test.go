package operator_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// Members look after their own secrets, and after nobody else's.
func TestInvariant01MembersSecretsAreTheirOwn(t *testing.T) {
	r := newRig(t)
	as := func(member string, role scope.Role) scope.Scope {
		return r.join(t, "main", member, role)
	}
	anna, ben, guest := as("m-anna", scope.Ordinary), as("m-ben", scope.Approver), as("m-guest", scope.Guest)
	set := func(by scope.Scope, name string) error {
		_, err := r.SetSecret(t.Context(), by, name, []byte("the value of "+name), operator.SecretSetting{})
		return err
	}
	tests := []struct {
		name   string
		by     scope.Scope
		secret string
		want   error
	}{
		{"own", anna, "github@m-anna", nil},
		{"own of another", ben, "github@m-ben", nil},
		{"somebody else's", anna, "github@m-ben", identity.ErrForbidden},
		{"the workspace's", anna, "github", identity.ErrForbidden},
		{"a trick", anna, "github@m-ben@m-anna", identity.ErrForbidden},
		{"a bad name", anna, "GIT@m-anna", operator.ErrInvalid},
		{"a guest's", guest, "github@m-guest", identity.ErrForbidden},
		{"anybody's, by the owner", r.owner, "gitlab@m-anna", nil},
	}
	for _, tt := range tests {
		if err := set(tt.by, tt.secret); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	own, err := r.OwnSecrets(t.Context(), anna)
	if err != nil || len(own) != 2 || slices.ContainsFunc(own, func(m vault.Meta) bool { return m.Member() != "m-anna" }) {
		t.Errorf("anna sees %v, %v", own, err)
	}
	if _, err := r.OwnSecrets(t.Context(), guest); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a guest: %v", err)
	}
	g := vault.Grant{Kind: "tool", Name: "http_request"}
	for _, err := range []error{
		r.GrantSecret(t.Context(), ben, "github@m-anna", g),
		r.RevokeSecret(t.Context(), ben, "github@m-anna", g),
		r.DeleteSecret(t.Context(), ben, "github@m-anna"),
	} {
		if !errors.Is(err, identity.ErrForbidden) {
			t.Errorf("ben changes anna's: %v", err)
		}
	}
	if _, err := r.RotateSecret(t.Context(), ben, "github@m-anna", []byte("of ben")); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("ben rotates anna's: %v", err)
	}
	if err := r.GrantSecret(t.Context(), anna, "github@m-anna", vault.Grant{Kind: "channel", Name: "support"}); !errors.Is(err, operator.ErrInvalid) {
		t.Errorf("a grant to a channel: %v", err)
	}
	if err := r.GrantSecret(t.Context(), anna, "github@m-anna", g); err != nil {
		t.Error(err)
	}
	if err := r.RevokeSecret(t.Context(), anna, "github@m-anna", vault.Grant{}); err != nil {
		t.Error(err)
	}
	if err := r.RevokeSecret(t.Context(), anna, "github@m-anna", vault.Grant{}); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("nothing to revoke: %v", err)
	}
	if err := r.RevokeSecret(t.Context(), anna, "none@m-anna", vault.Grant{}); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("no such secret: %v", err)
	}
}
