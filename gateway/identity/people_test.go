package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// join makes a member with a role, and returns their scope.
func (w *world) join(id string, role scope.Role) scope.Scope {
	w.t.Helper()
	w.put("member/"+id, identity.Member{ID: id, Name: id, Role: scope.Ordinary})
	if role != scope.Ordinary {
		if _, err := w.dir.SetRole(w.t.Context(), w.owner(), id, role); err != nil {
			w.t.Fatal(err)
		}
	}
	s, err := w.dir.Operator(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) role(id string) scope.Role {
	w.t.Helper()
	m, err := w.dir.Member(w.t.Context(), id)
	if err != nil && !errors.Is(err, identity.ErrUnknown) {
		w.t.Fatal(err)
	}
	return m.Role
}

// TestRolesChange: at the next event and the next request, and only by those who
// stand above.
func TestRolesChange(t *testing.T) {
	w := newWorld(t)
	admin := w.join("m-admin", scope.Admin)
	second := w.join("m-second", scope.Admin)
	e := direct(senders["member"], everyContent[0])
	for _, role := range []scope.Role{scope.Approver, scope.Guest, scope.Service, scope.Ordinary} {
		if _, err := w.dir.SetRole(t.Context(), admin, "m-member", role); err != nil {
			t.Fatal(err)
		}
		w.expect(e, identity.Policy{DM: identity.DMAllowlist}, verdict{identity.Run, role})
	}
	for name, tt := range map[string]struct {
		by     scope.Scope
		member string
		role   scope.Role
		want   error
	}{
		"an admin makes an owner":    {admin, "m-member", scope.Owner, identity.ErrForbidden},
		"an admin makes an admin":    {admin, "m-member", scope.Admin, identity.ErrForbidden},
		"an admin unmakes an admin":  {admin, "m-second", scope.Ordinary, identity.ErrForbidden},
		"an admin unmakes the owner": {admin, identity.OwnerID, scope.Ordinary, identity.ErrForbidden},
		"an admin raises themselves": {admin, "m-admin", scope.Owner, identity.ErrForbidden},
		"a role that is none":        {w.owner(), "m-member", "root", identity.ErrInvalid},
		"no role":                    {w.owner(), "m-member", "", identity.ErrInvalid},
		"nobody":                     {w.owner(), "m-nobody", scope.Guest, identity.ErrUnknown},
		"the last owner":             {w.owner(), identity.OwnerID, scope.Admin, identity.ErrLastOwner},
	} {
		before := w.keys("")
		if _, err := w.dir.SetRole(t.Context(), tt.by, tt.member, tt.role); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if d := cmp.Diff(before, w.keys("")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if second.Role() != scope.Admin || w.role("m-second") != scope.Admin || w.role(identity.OwnerID) != scope.Owner {
		t.Error("somebody's role changed")
	}
}

// TestTheLastOwnerStays: whichever way, also when two leave at the same moment.
func TestTheLastOwnerStays(t *testing.T) {
	w := newWorld(t)
	other := w.join("m-other", scope.Owner)
	if _, err := w.dir.SetRole(t.Context(), other, identity.OwnerID, scope.Ordinary); err != nil {
		t.Fatalf("one of two owners: %v", err)
	}
	for name, err := range map[string]error{
		"removed": func() error { _, err := w.dir.Remove(t.Context(), other, "m-other"); return err }(),
		"demoted": func() error { _, err := w.dir.SetRole(t.Context(), other, "m-other", scope.Admin); return err }(),
	} {
		if !errors.Is(err, identity.ErrLastOwner) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := w.dir.Machine(t.Context()); err != nil || s.Member() != "m-other" || s.Role() != scope.Owner {
		t.Errorf("the machine is %v, %v", s, err)
	}
	// The member of the first run is not made again, nor an owner again.
	again, err := identity.Open(t.Context(), w.store, "main", time.Now, nil)
	if err != nil || w.role(identity.OwnerID) != scope.Ordinary {
		t.Errorf("opened again: %v, %s", err, w.role(identity.OwnerID))
	}
	if _, err := again.Remove(t.Context(), other, identity.OwnerID); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(t.Context(), w.store, "main", time.Now, nil); err != nil || w.role(identity.OwnerID) != "" {
		t.Errorf("the removed owner is back: %v, %q", err, w.role(identity.OwnerID))
	}
	// A role that was set twice is one owner, and not two.
	if _, err := w.dir.SetRole(t.Context(), other, "m-other", scope.Owner); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dir.Remove(t.Context(), other, "m-other"); !errors.Is(err, identity.ErrLastOwner) {
		t.Errorf("counted twice: %v", err)
	}
}

// racing is a store in which somebody else does something between a read of the
// owners and the write that follows.
type racing struct {
	kv.Store
	meanwhile func()
}

func (r *racing) Write(ctx context.Context, all ...kv.Write) error {
	if f := r.meanwhile; f != nil {
		r.meanwhile = nil
		f()
	}
	return r.Store.Write(ctx, all...)
}

func TestTwoOwnersRemoveEachOther(t *testing.T) {
	w := newWorld(t)
	other := w.join("m-other", scope.Owner)
	slow := &racing{Store: w.store}
	dir, err := identity.Open(t.Context(), slow, "main", func() time.Time { return w.now }, nil)
	if err != nil {
		t.Fatal(err)
	}
	slow.meanwhile = func() {
		if _, err := w.dir.Remove(t.Context(), w.owner(), "m-other"); err != nil {
			t.Errorf("the first: %v", err)
		}
	}
	if _, err := dir.Remove(t.Context(), other, identity.OwnerID); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("the second: %v", err)
	}
	if w.role(identity.OwnerID) != scope.Owner || w.role("m-other") != "" {
		t.Error("there is no owner left")
	}
}

func TestRename(t *testing.T) {
	w := newWorld(t)
	admin, member := w.join("m-admin", scope.Admin), w.join("m-ben", scope.Ordinary)
	long := strings.Repeat("ä", identity.MaxName)
	for name, tt := range map[string]struct {
		by       scope.Scope
		id, name string
		want     error
	}{
		"themselves":            {member, "m-ben", " Ben ", nil},
		"an admin, a member":    {admin, "m-ben", "Benno", nil},
		"as long as may be":     {member, "m-ben", long, nil},
		"too long":              {member, "m-ben", long + "x", identity.ErrInvalid},
		"nothing":               {member, "m-ben", " \t", identity.ErrInvalid},
		"a line break":          {member, "m-ben", "a\nb", identity.ErrInvalid},
		"no text":               {member, "m-ben", "a\xffb", identity.ErrInvalid},
		"another":               {member, "m-member", "x", identity.ErrForbidden},
		"the owner by an admin": {admin, identity.OwnerID, "x", identity.ErrForbidden},
		"nobody":                {admin, "m-nobody", "x", identity.ErrUnknown},
		"from elsewhere":        {scope.New(scope.Principal{Workspace: "other", Member: "m-ben", Role: scope.Owner}), "m-ben", "x", identity.ErrForbidden},
	} {
		m, err := w.dir.Rename(t.Context(), tt.by, tt.id, tt.name)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if stored, _ := w.dir.Member(t.Context(), tt.id); err == nil && (m.Name != strings.TrimSpace(tt.name) || stored != m) {
			t.Errorf("%s: %+v, stored %+v", name, m, stored)
		}
	}
}

// TestRemove: whoever is removed is a stranger in the same commit, and the
// record of what is still to be ended stands until it was ended.
func TestRemove(t *testing.T) {
	w := newWorld(t)
	admin := w.join("m-admin", scope.Admin)
	w.link("s-second", "m-member")
	e := direct(senders["member"], everyContent[0])
	p := identity.Policy{DM: identity.DMAllowlist}
	w.expect(e, p, regular)
	code := w.code("m-member")
	left, err := w.dir.Remove(t.Context(), admin, "m-member")
	if err != nil {
		t.Fatal(err)
	}
	if len(left.Links) != 2 || left.Member.ID != "m-member" || left.By != "m-admin" || left.Workspace != "main" || left.At != w.now {
		t.Errorf("%+v", left)
	}
	w.expect(e, p, ignored)
	w.expect(direct(channels.Sender{ID: "s-second"}, everyContent[0]), p, ignored)
	if j := w.judge(tapped("s-member", code), pairing); j.Do != identity.Answer || len(j.State) != 0 {
		t.Errorf("a code of theirs still works: %+v", j)
	}
	links, err := w.dir.Links(t.Context())
	if err != nil || len(links) != 1 || links[0].Sender != "s-removed" {
		t.Errorf("links %+v, %v", links, err)
	}
	all, err := w.dir.Departures(t.Context())
	if err != nil || len(all) != 1 || !cmp.Equal(all[0].Member, left.Member) {
		t.Fatalf("departures %+v, %v", all, err)
	}
	if by := w.dir.Departing(left); by.Member() != "m-member" || by.Role().May(scope.Console) {
		t.Errorf("what they hold is ended as %v", by.Principal())
	}
	for range 2 {
		if err := w.dir.Departed(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := w.dir.Departures(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("departures %+v, %v", all, err)
	}
	for name, tt := range map[string]struct {
		id   string
		want error
	}{
		"again": {"m-member", identity.ErrUnknown}, "the owner, by an admin": {identity.OwnerID, identity.ErrForbidden},
		"an admin, by an admin": {"m-admin", identity.ErrForbidden},
	} {
		if _, err := w.dir.Remove(t.Context(), admin, tt.id); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnlink(t *testing.T) {
	w := newWorld(t)
	member, admin := w.join("m-ben", scope.Ordinary), w.join("m-admin", scope.Admin)
	w.link("s-ben", "m-ben")
	w.link("s-owner", identity.OwnerID)
	link := func(sender string) identity.Link {
		return identity.Link{Channel: "chat", Account: "a", Sender: sender, Member: "m-ben"}
	}
	for _, tt := range []struct {
		name, sender string
		by           scope.Scope
		want         error
	}{
		{"another's", "s-member", member, identity.ErrForbidden},
		{"nobody's, by a member", "s-x", member, identity.ErrForbidden},
		{"nobody's", "s-x", admin, identity.ErrUnknown},
		{"the owner's, by an admin", "s-owner", admin, identity.ErrForbidden},
		{"own", "s-ben", member, nil},
		{"of somebody who is gone", "s-removed", admin, nil},
		{"a member's", "s-member", admin, nil},
		{"the owner's", "s-owner", w.owner(), nil},
		{"from elsewhere", "s-ben", scope.New(scope.Principal{Workspace: "other", Member: "m-ben", Role: scope.Owner}), identity.ErrForbidden},
	} {
		if err := w.dir.Unlink(t.Context(), tt.by, link(tt.sender)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if links, err := w.dir.Links(t.Context()); err != nil || len(links) != 0 {
		t.Errorf("%+v, %v", links, err)
	}
}

// TestScopesStand: a scope that was minted earlier stands as long as it would be
// minted again.
func TestScopesStand(t *testing.T) {
	w := newWorld(t)
	s := w.judge(direct(senders["member"], everyContent[0]), identity.Policy{DM: identity.DMAllowlist}).Scope
	guest := w.judge(direct(senders["stranger"], everyContent[0]), identity.Policy{DM: identity.DMOpen}).Scope
	stands := func(want bool) {
		t.Helper()
		if got, err := w.dir.Stands(t.Context(), s); err != nil || got != want {
			t.Errorf("it stands: %v, %v", got, err)
		}
		if got, err := w.dir.Stands(t.Context(), guest); err != nil || !got {
			t.Errorf("a guest stands: %v, %v", got, err)
		}
	}
	stands(true)
	if _, err := w.dir.SetRole(t.Context(), w.owner(), "m-member", scope.Guest); err != nil {
		t.Fatal(err)
	}
	stands(false)
	if _, err := w.dir.SetRole(t.Context(), w.owner(), "m-member", scope.Ordinary); err != nil {
		t.Fatal(err)
	}
	stands(true)
	if _, err := w.dir.Remove(t.Context(), w.owner(), "m-member"); err != nil {
		t.Fatal(err)
	}
	stands(false)
	if ok, err := w.dir.Stands(t.Context(), scope.Scope{}); ok || err != nil {
		t.Errorf("the zero scope stands: %v, %v", ok, err)
	}
}
