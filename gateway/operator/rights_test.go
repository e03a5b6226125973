package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// unscoped are the methods that everybody may call.
var unscoped = []string{"Providers"}

// rights are what the methods need that need another right than to administer.
var rights = map[string]scope.Right{
	"Pairings": scope.See, "PairingsEverywhere": scope.See, "People": scope.See, "Invitations": scope.See, "Rooms": scope.See, "Workspaces": scope.See,
	"Approve": scope.Approve, "Deny": scope.Approve, "Approvals": scope.Approve, "Decide": scope.Approve, "RevokeApproval": scope.Approve,
	"Memory": scope.Console, "MemoryItem": scope.Console, "SearchMemory": scope.Console, "KeepMemory": scope.Console, "ForgetMemory": scope.Console,
	"OwnCode": scope.Console, "OwnSecrets": scope.Console, "Bots": scope.Console,
	"CreateWorkspace": scope.Own, "RenameWorkspace": scope.Own, "DeleteWorkspace": scope.Own,
}

// TestEveryMethodRefusesThoseNotInCharge is generated from the methods that
// there are: every role, in this workspace and in another, and nobody at all.
func TestEveryMethodRefusesThoseNotInCharge(t *testing.T) {
	scopeType := reflect.TypeFor[scope.Scope]()
	typ := reflect.TypeFor[*operator.Operator]()
	if typ.NumMethod() < 20 {
		t.Fatalf("only %d methods were found", typ.NumMethod())
	}
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		t.Run(m.Name, func(t *testing.T) {
			takes := slices.ContainsFunc(inputs(m.Type), func(x reflect.Type) bool { return x == scopeType })
			if takes == slices.Contains(unscoped, m.Name) {
				t.Fatalf("it takes a scope: %v", takes)
			}
			if !takes {
				return
			}
			for _, workspace := range []string{"main", "other", ""} {
				for _, role := range []scope.Role{scope.Owner, scope.Admin, scope.Approver, scope.Ordinary, scope.Guest, scope.Service, "root", ""} {
					right, ok := rights[m.Name]
					if !ok {
						right = scope.Administer
					}
					may := workspace == "main" && role.May(right)
					by := scope.New(scope.Principal{Workspace: workspace, Member: identity.OwnerID, Role: role})
					if got := refused(t, m.Func, newRig(t).Operator, by); got == may {
						t.Errorf("%s of %q: refused is %v", role, workspace, got)
					}
				}
			}
		})
	}
}

// reads are the methods that change nothing, so that nothing is recorded.
var reads = []string{
	"Approvals", "Errands", "AuditEntries", "VerifyAudit", "Logins", "Status", "DeadLetters", "DeadLetter", "TurnFailed", "Providers", "Platforms",
	"Models", "CheckModel", "ProbeChannel", "Pairings", "PairingsEverywhere", "People", "Invitations", "Rooms", "Workspaces", "Secrets", "OwnSecrets", "Bots",
	"Modules", "PlanModule", "Publishers", "Memory", "MemoryItem", "SearchMemory", "ReindexMemory",
	"Decide", // recorded as an approval, where it is decided
}

// TestInvariant08EveryChangeIsRecorded is generated as well: whatever changes
// something leaves an entry that says who, also when it was refused or failed.
func TestInvariant08EveryChangeIsRecorded(t *testing.T) {
	typ := reflect.TypeFor[*operator.Operator]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		t.Run(m.Name, func(t *testing.T) {
			for _, role := range []scope.Role{scope.Owner, scope.Guest} {
				r := newRig(t)
				by := scope.New(scope.Principal{Workspace: "main", Member: "somebody", Role: role})
				if m.Type.NumIn() > 2 {
					refused(t, m.Func, r.Operator, by)
				}
				all, err := r.audit.Last(t.Context(), audit.Query{Member: "somebody", Kinds: []audit.Kind{audit.Admin, audit.Record}}, 10)
				want := 1
				if slices.Contains(reads, m.Name) || m.Name == "ReadAudit" && role == scope.Guest {
					want = 0
				}
				if err != nil || len(all) != want {
					t.Errorf("called by the %s it recorded %+v, %v", role, all, err)
				}
			}
		})
	}
}

func inputs(f reflect.Type) []reflect.Type {
	var all []reflect.Type
	for i := range f.NumIn() {
		all = append(all, f.In(i))
	}
	return all
}

// refused calls a method with zero values and the given scope.
func refused(t *testing.T, f reflect.Value, p *operator.Operator, by scope.Scope) bool {
	t.Helper()
	in := []reflect.Value{reflect.ValueOf(p)}
	for _, x := range inputs(f.Type())[1:] {
		switch x {
		case reflect.TypeFor[context.Context]():
			in = append(in, reflect.ValueOf(t.Context()))
		case reflect.TypeFor[scope.Scope]():
			in = append(in, reflect.ValueOf(by))
		default:
			in = append(in, reflect.Zero(x))
		}
	}
	call := f.Call
	if f.Type().IsVariadic() {
		call = f.CallSlice
	}
	out := call(in)
	last := out[len(out)-1]
	err, isErr := last.Interface().(error)
	if last.Type() != reflect.TypeFor[error]() {
		return last.IsZero() // it says nothing
	}
	if isErr && errors.Is(err, identity.ErrForbidden) {
		for _, o := range out[:len(out)-1] {
			if !o.IsZero() {
				t.Errorf("refused, and yet it returns %v", o)
			}
		}
		return true
	}
	return false
}

func TestEverythingIsRevokedAtOnce(t *testing.T) {
	r := newRig(t)
	if _, err := r.SetSecret(t.Context(), r.owner, "api", []byte("a-value-that-is-long"), operator.SecretSetting{}); err != nil {
		t.Fatal(err)
	}
	if err := r.vault.Grant(t.Context(), "main", "api", vault.Grant{Kind: "tool", Name: "http_request"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateWorkspace(t.Context(), r.owner, "guild", "The guild"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.vault.Set(t.Context(), "guild", "till", []byte("another-long-value"), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.vault.Grant(t.Context(), "guild", "till", vault.Grant{Kind: "tool", Name: "http_request"}); err != nil {
		t.Fatal(err)
	}
	for _, workspace := range []string{"main", "guild"} {
		v, err := json.Marshal(approval.Standing{ID: "s-" + workspace, Workspace: workspace, Member: "m-1", Tool: "pay", Expires: time.Now().Add(time.Hour)})
		if err == nil {
			err = r.store.Write(t.Context(), kv.Write{Space: "approval", Key: "s/m-1/s-" + workspace, Value: v})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	link, err := r.logins.Invite(t.Context(), identity.OwnerID)
	if err != nil {
		t.Fatal(err)
	}
	session, err := r.logins.Redeem(t.Context(), link, login.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	for key, e := range map[string]gateway.Errand{
		"main/m-1/l1":  {ID: "l1", Maker: "m-1", Event: channels.Event{Content: channels.Message{}}},
		"guild/m-2/l2": {ID: "l2", Maker: "m-2", Event: channels.Event{Content: channels.Message{}}},
	} {
		v, err := json.Marshal(e)
		if err == nil {
			err = r.store.Write(t.Context(), kv.Write{Space: "errand", Key: key, Value: v})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if all, err := r.Errands(t.Context(), r.owner); err != nil || len(all) != 1 || all[0].ID != "l1" {
		t.Errorf("the owner is shown %+v, %v", all, err)
	}
	if err := r.CancelErrand(t.Context(), r.owner, "l2"); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("one of another workspace: %v", err)
	}
	got, err := r.RevokeAll(t.Context(), r.owner)
	if d := cmp.Diff(operator.Revoked{Logins: 1, Approvals: 2, Grants: 2, Errands: 2}, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err := r.logins.Member(t.Context(), session); !errors.Is(err, login.ErrNobody) {
		t.Errorf("the session lives: %v", err)
	}
	all, err := r.Secrets(t.Context(), r.owner)
	if err != nil || len(all) != 1 || len(all[0].Grants) != 0 {
		t.Errorf("the secret is %+v, %v", all, err)
	}
	if all, err := r.vault.List(t.Context(), "guild"); err != nil || len(all) != 1 || len(all[0].Grants) != 0 {
		t.Errorf("the guild's secret is %+v, %v", all, err)
	}
	if left, err := r.store.List(t.Context(), "approval", "s/", "", 0); err != nil || len(left) != 0 {
		t.Errorf("%d approvals stand, %v", len(left), err)
	}
	if again, err := r.RevokeAll(t.Context(), r.owner); err != nil || again != (operator.Revoked{}) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if s, err := r.Status(t.Context(), r.owner); err != nil || s.Paused.IsZero() {
		t.Errorf("the workspace is not paused: %v", err)
	}
}
