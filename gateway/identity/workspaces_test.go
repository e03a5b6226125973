package identity_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// found makes a workspace, and mints the scope of its owner.
func (w *world) found(id string) scope.Scope {
	w.t.Helper()
	if _, err := w.dir.CreateWorkspace(w.t.Context(), w.owner(), id, ""); err != nil {
		w.t.Fatal(err)
	}
	s, err := w.dir.In(id).Machine(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestWorkspaces(t *testing.T) {
	w := newWorld(t)
	if w.dir.Home() != "main" || w.dir.In("").Workspace() != "main" || w.dir.In("acme").Home() != "main" {
		t.Error("the home is lost")
	}
	owner := w.found("acme")
	if owner.Workspace() != "acme" || owner.Role() != scope.Owner || owner.Member() == identity.OwnerID {
		t.Errorf("the owner is %v", owner.Principal())
	}
	for id, want := range map[string]error{
		"acme": identity.ErrInvalid, "main": identity.ErrInvalid, "": identity.ErrInvalid, "Acme": identity.ErrInvalid, "a/b": identity.ErrInvalid,
		"-a": identity.ErrInvalid, "_a": identity.ErrInvalid, strings.Repeat("a", 41): identity.ErrInvalid, strings.Repeat("a", 40): nil, "a-b_1": nil,
	} {
		if _, err := w.dir.CreateWorkspace(t.Context(), w.owner(), id, ""); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", id, err, want)
		}
	}
	if _, err := w.dir.CreateWorkspace(t.Context(), w.owner(), "other", "a\nb"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a name of two lines: %v", err)
	}
	for _, id := range []string{"acme", "main"} {
		if _, err := w.dir.RenameWorkspace(t.Context(), w.owner(), id, "Name of "+id); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.dir.RenameWorkspace(t.Context(), w.owner(), "nowhere", "x"); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("none is renamed: %v", err)
	}
	all, err := w.dir.Workspaces(t.Context())
	if err != nil || len(all) != 4 || all[0].ID != "main" || all[0].Name != "Name of main" {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err := w.dir.Anywhere(t.Context(), owner.Member()); err != nil || s.Workspace() != "acme" {
		t.Errorf("the owner of acme is %v, %v", s, err)
	}
	if s, err := w.dir.Anywhere(t.Context(), "m-nobody"); !errors.Is(err, identity.ErrUnknown) || s.Valid() {
		t.Errorf("nobody is %v, %v", s, err)
	}
}

// TestWorkspacesEnd: everything of one is gone, and nothing of another.
func TestWorkspacesEnd(t *testing.T) {
	w := newWorld(t)
	owner := w.found("acme")
	w.found("acm") // whose name begins the other's
	before := w.keys("")
	near := w.in("acm")
	if err := w.dir.Ended(t.Context(), "acme"); !errors.Is(err, identity.ErrInvalid) || len(w.in("acme")) == 0 {
		t.Errorf("it ended while it was in use: %v", err)
	}
	for id, want := range map[string]error{"main": identity.ErrInvalid, "nowhere": identity.ErrUnknown, "acme": nil} {
		if err := w.dir.EndWorkspace(t.Context(), w.owner(), id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	if s, err := w.dir.Anywhere(t.Context(), owner.Member()); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("its owner is %v, %v", s, err)
	}
	all, err := w.dir.Workspaces(t.Context())
	if err != nil || len(all) != 3 || !all[2].Ending {
		t.Errorf("%+v, %v", all, err)
	}
	for range 2 {
		if err := w.dir.Ended(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
	}
	if left := w.in("acme"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if d := cmp.Diff(before, w.keys("")) + cmp.Diff(near, w.in("acm")); d != "" {
		t.Error(d)
	}
	if err := w.dir.Ended(t.Context(), "main"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("the home ended: %v", err)
	}
}

func (w *world) in(workspace string) []string {
	w.t.Helper()
	rows, err := w.store.List(w.t.Context(), "identity", workspace+"/", "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var keys []string
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	return keys
}

// TestInvariant01WorkspacesAreApart: the same sender, room and code in two
// workspaces have nothing to do with each other.
func TestInvariant01WorkspacesAreApart(t *testing.T) {
	w := newWorld(t)
	acme := w.found("acme")
	there := pairing
	there.Workspace = "acme"
	w.expect(direct(senders["member"], everyContent[0]), pairing, regular)
	j := w.judge(direct(senders["member"], everyContent[0]), there)
	if j.Do != identity.Park {
		t.Fatalf("a member of one workspace in another: %+v", j)
	}
	w.commit(j)
	here, err := w.dir.Pairings(t.Context())
	if err != nil || len(here) != 0 {
		t.Errorf("the request is seen elsewhere: %+v, %v", here, err)
	}
	asked, err := w.dir.In("acme").Pairings(t.Context())
	if err != nil || len(asked) != 1 {
		t.Fatal(asked, err)
	}
	if _, err := w.dir.Approve(t.Context(), w.owner(), asked[0].ID); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("approved from elsewhere: %v", err)
	}
	if _, err := w.dir.In("acme").Approve(t.Context(), w.owner(), asked[0].ID); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("approved by the owner of elsewhere: %v", err)
	}
	p, err := w.dir.In("acme").Approve(t.Context(), acme, asked[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if passed, err := w.dir.Passed(t.Context()); err != nil || len(passed) != 1 || passed[0].Workspace != "acme" {
		t.Errorf("passed: %+v, %v", passed, err)
	}
	if err := w.dir.Forget(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if s := w.judge(direct(senders["member"], everyContent[0]), there).Scope; s.Workspace() != "acme" || s.Member() == "m-member" {
		t.Errorf("the sender there is %v", s.Principal())
	}
	for name, code := range map[string]string{"invitation": first(w.invite(w.owner(), "", scope.Owner)), "start": w.code(identity.OwnerID)} {
		e := tapped("x", code)
		if j := w.judge(e, there); j.Do == identity.Answer {
			t.Errorf("%s of one workspace works in another", name)
		}
	}
	room := direct(senders["stranger"], everyContent[0])
	room.Room.Direct, room.Where.Conversation = false, "r-admitted"
	w.expect(room, identity.Policy{Groups: identity.GroupsAllowlist}, guest)
	w.expect(room, identity.Policy{Groups: identity.GroupsAllowlist, Workspace: "acme"}, ignored)
}

func first[A, B any](a A, _ B) A { return a }

// TestEveryMethodHasARow: a method that takes a scope is in the table of acts, so
// that the matrix covers it from the day it is added.
func TestEveryMethodHasARow(t *testing.T) {
	rows := acts(t)
	typ := reflect.TypeFor[*identity.Directory]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		takes := false
		for j := range m.Type.NumIn() {
			takes = takes || m.Type.In(j) == reflect.TypeFor[scope.Scope]()
		}
		if _, ok := rows[m.Name]; takes && !ok && m.Name != "Stands" { // which grants nothing
			t.Errorf("%s has no row", m.Name)
		}
	}
}

// TestInvariant01ScopeMatrix: every method of the directory that takes a scope,
// called in one workspace with every scope that is not of it, changes nothing.
func TestInvariant01ScopeMatrix(t *testing.T) {
	for name, a := range acts(t) {
		if a.needs == scope.Own || name == "Confirm" { // these look at the scope's own workspace, or at the home
			continue
		}
		for _, role := range append(scope.Roles(), "root") {
			for _, p := range []scope.Principal{
				{Workspace: "acme", Member: identity.OwnerID, Role: role},
				{Workspace: "MAIN", Member: identity.OwnerID, Role: role},
				{Workspace: "main/", Member: identity.OwnerID, Role: role},
				{Workspace: "main", Role: role},
				{Member: identity.OwnerID, Role: role},
			} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, p.Workspace, role), func(t *testing.T) {
					w := newWorld(t)
					w.found("acme")
					err := a.do(w, scope.New(p))
					if !errors.Is(err, identity.ErrForbidden) {
						t.Errorf("it is not forbidden: %v", err)
					}
				})
			}
		}
	}
}

// TestAnEndingCrashes: what is left of a workspace whose deletion was cut in two
// is found and removed.
func TestAnEndingCrashes(t *testing.T) {
	w := newWorld(t)
	w.found("acme")
	if err := w.dir.EndWorkspace(t.Context(), w.owner(), "acme"); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Write(t.Context(), kv.Write{Space: "identity", Key: "acme/owners"}); err != nil {
		t.Fatal(err)
	}
	if err := w.dir.EndWorkspace(t.Context(), w.owner(), "acme"); err != nil {
		t.Errorf("ended again: %v", err)
	}
	if err := w.dir.Ended(t.Context(), "acme"); err != nil || len(w.in("acme")) > 0 {
		t.Errorf("%v, left %v", err, w.in("acme"))
	}
	if j := w.judge(direct(channels.Sender{ID: "x"}, everyContent[0]), identity.Policy{Workspace: "acme", DM: identity.DMAllowlist}); j.Do != identity.Ignore {
		t.Errorf("%+v", j)
	}
}
