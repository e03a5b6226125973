package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory/sqlite/sqlitetest"
	memstore "github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an operator of a gateway that does not run.
type rig struct {
	*operator.Operator
	store    kv.Store
	vault    *vault.Store
	settings *settings
	logins   *login.Book
	audit    *audit.Log
	owner    scope.Scope
}

func newRig(t *testing.T) *rig {
	t.Helper()
	store := inprocess.New(inprocess.Options{})
	log := slog.New(slog.DiscardHandler)
	dir, err := identity.Open(t.Context(), store, "main", time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	v, err := vault.Open(t.Context(), vault.Options{
		State: store, Key: vault.NewKeyFile(filepath.Join(folder, "conf", "key"), filepath.Join(folder, "data")),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{store: store, vault: v, settings: &settings{}, logins: login.NewBook(store, nil), audit: audit.Open(audit.Options{Store: store})}
	if r.owner, err = dir.Operator(t.Context(), identity.OwnerID); err != nil {
		t.Fatal(err)
	}
	var memory *memstore.Store
	if strings.Contains(t.Name(), "Memory") {
		memory = sqlitetest.Open(t)
	}
	r.Operator = operator.New(operator.Options{
		Memory:  memory,
		Gateway: gateway.New(gateway.Options{Bus: store, Directory: dir, Log: log}),
		Bus:     store, Directory: dir, Vault: v, Settings: r.settings, Logins: r.logins, Audit: r.audit, Now: time.Now,
		Modules: operator.Modules{
			Shelf: shelf.New(store, time.Now), Prove: func(context.Context, []byte) error { return nil },
			Faults: func([]byte, json.RawMessage) ([]channels.Fault, error) { return nil, nil },
			Fetch:  func(context.Context, scope.Scope, string) ([]byte, error) { return nil, nil },
		},
	})
	return r
}

// join makes a member, and mints their scope.
func (r *rig) join(t *testing.T, workspace, id string, role scope.Role) scope.Scope {
	t.Helper()
	b, err := json.Marshal(identity.Member{ID: id, Name: id, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Write(t.Context(), kv.Write{Space: "identity", Key: workspace + "/member/" + id, Value: b}); err != nil {
		t.Fatal(err)
	}
	return scope.New(scope.Principal{Workspace: workspace, Member: id, Role: role})
}

func (r *rig) secrets(t *testing.T) []string {
	t.Helper()
	all, err := r.Secrets(t.Context(), r.owner)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range all {
		out = append(out, m.Name)
	}
	slices.Sort(out)
	return out
}

// value reads a secret as the channel does that is configured with it.
func (r *rig) value(t *testing.T, name string) string {
	t.Helper()
	b := vault.Binding{Ref: vault.Ref(name), Kind: vault.ForChannel, Name: "c"}
	if err := r.vault.Configure("main", b); err != nil {
		t.Fatal(err)
	}
	l, err := r.vault.LeaseConfigured(t.Context(), "main", b.Ref, vault.Purpose{Kind: vault.ForChannel, Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	if err := l.Use(func(plain []byte) error { got = string(plain); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// settings is a configuration file in memory.
type settings struct {
	list    []gateway.ChannelConfig
	section map[string]any // of the last AddChannel
	invalid error          // of Channel
	apply   error          // of AddChannel, after or instead of writing
	written bool           // AddChannel writes before it fails
	probe   error
	model   error // of SetModel
}

func (s *settings) Channels() []gateway.ChannelConfig { return s.list }
func (s *settings) Channel(id channels.ID, _ string, _ map[string]any) (gateway.ChannelConfig, error) {
	return gateway.ChannelConfig{ID: id, Driver: driver{s}, Section: json.RawMessage("{}")}, s.invalid
}

func (s *settings) AddChannel(_ context.Context, id channels.ID, _ string, section map[string]any) error {
	if s.apply == nil || s.written {
		s.section = section
		s.list = append(s.list, gateway.ChannelConfig{ID: id, Driver: driver{s}})
	}
	return s.apply
}

func (s *settings) RemoveChannel(_ context.Context, id channels.ID) error {
	s.list = slices.DeleteFunc(s.list, func(c gateway.ChannelConfig) bool { return c.ID == id })
	return nil
}

func (*settings) Models() []operator.Model                               { return []operator.Model{{Name: "default"}} }
func (s *settings) SetModel(context.Context, operator.Model, bool) error { return s.model }
func (*settings) Check(context.Context, operator.Model, string) ([]string, error) {
	return nil, nil
}
func (*settings) Reload(context.Context) ([]string, error) { return nil, nil }
func (*settings) Renew(context.Context) error              { return nil }
func (*settings) Providers() []operator.Provider           { return nil }
func (*settings) Platforms() []operator.Platform {
	return []operator.Platform{{Adapter: "fake", Guide: channels.Guide{Asks: []channels.Ask{
		{Key: "token", Label: "Token", Secret: true},
		{Key: "app_token", Label: "Token of the app", Secret: true, Optional: true},
	}}}}
}

type driver struct{ s *settings }

func (driver) Name() string                           { return "fake" }
func (driver) Schema() []byte                         { return []byte("{}") }
func (driver) Check(json.RawMessage) []channels.Fault { return nil }
func (d driver) Open(context.Context, channels.Host, json.RawMessage) (channels.Channel, error) {
	return channel{s: d.s}, nil
}

type channel struct {
	channels.Channel
	s *settings
}

func (c channel) Probe(context.Context) (channels.Identity, error) {
	return channels.Identity{Handle: "bot"}, c.s.probe
}

func (channel) StartLink(_ context.Context, code string) (string, error) {
	return "https://example.org/" + code, nil
}

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

func TestAddChannel(t *testing.T) {
	r := newRig(t)
	added, err := r.AddChannel(t.Context(), r.owner, "Support", "fake", map[string]string{"token": " token-of-the-bot \n", "app_token": "token-of-the-app"}, map[string]any{"mode": "poll"})
	if err != nil {
		t.Fatal(err)
	}
	if added.Identity.Handle != "bot" || !strings.HasPrefix(added.Link, "https://example.org/") {
		t.Errorf("added %+v", added)
	}
	want := map[string]any{"token": "secret://support-token", "app_token": "secret://support-app-token", "mode": "poll"}
	if d := cmp.Diff(want, r.settings.section); d != "" {
		t.Error(d)
	}
	if got := r.value(t, "support-token"); got != "token-of-the-bot" {
		t.Errorf("the vault holds %q", got)
	}
	if _, err := r.AddChannel(t.Context(), r.owner, "Support", "fake", map[string]string{"token": "another-token-x"}, nil); !errors.Is(err, operator.ErrConflict) {
		t.Errorf("added twice: %v", err)
	}
}

// TestAddChannelLeavesNothingBehind, and touches no secret that is not its own.
func TestAddChannelLeavesNothingBehind(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name  string
		id    channels.ID
		token string
		set   settings
		want  []string
	}{
		{"invalid", "c", "token-of-the-bot", settings{invalid: broken}, []string{"c-token"}},
		{"refused by the platform", "c", "token-of-the-bot", settings{probe: broken}, []string{"c-token"}},
		{"not applied", "c", "token-of-the-bot", settings{apply: broken}, []string{"c-token"}},
		{"written and not applied", "c", "token-of-the-bot", settings{apply: broken, written: true}, []string{"c-token", "c-token-2"}},
		{"added", "c", "token-of-the-bot", settings{}, []string{"c-token", "c-token-2"}},
		{"no token", "c", " \n", settings{}, []string{"c-token"}},
		{"no name for a secret", "../c", "token-of-the-bot", settings{}, []string{"c-token"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			*r.settings = tt.set
			if _, err := r.SetSecret(t.Context(), r.owner, "c-token", []byte("somebody else's secret"), operator.SecretSetting{}); err != nil {
				t.Fatal(err)
			}
			_, err := r.AddChannel(t.Context(), r.owner, tt.id, "fake", map[string]string{"token": tt.token}, map[string]any{"token": "in plain sight"})
			if (err == nil) != (tt.name == "added") {
				t.Errorf("error %v", err)
			}
			if d := cmp.Diff(tt.want, r.secrets(t)); d != "" {
				t.Error(d)
			}
			if got := r.value(t, "c-token"); got != "somebody else's secret" {
				t.Errorf("the secret that was there is now %q", got)
			}
			if tt.name == "added" && r.settings.section["token"] != "secret://c-token-2" {
				t.Errorf("the channel is given %v", r.settings.section["token"])
			}
		})
	}
}

// TestAModelThatCannotBeKeptLeavesNoKey: the old model's endpoint must not get
// the new one's key.
func TestAModelThatCannotBeKeptLeavesNoKey(t *testing.T) {
	r := newRig(t)
	refused := errors.New("the file cannot be written")
	r.settings.model = refused
	set := func(key string) error {
		return r.SetModel(t.Context(), r.owner, operator.Model{Name: "default", Provider: "openai"}, key)
	}
	if err := set("sk-the-first-key-000001"); !errors.Is(err, refused) {
		t.Errorf("a new model: %v", err)
	}
	if got := r.secrets(t); len(got) != 0 {
		t.Errorf("the vault holds %v", got)
	}
	r.settings.model = nil
	if err := set("sk-the-first-key-000001"); err != nil {
		t.Fatal(err)
	}
	r.settings.model = refused
	if err := set("sk-the-second-key-00002"); !errors.Is(err, refused) {
		t.Errorf("another key: %v", err)
	}
	if got := r.value(t, "default"); got != "sk-the-first-key-000001" {
		t.Errorf("the key is now %q", got)
	}
	r.settings.model = nil
	if err := set("sk-the-second-key-00002"); err != nil {
		t.Fatal(err)
	}
	if got := r.value(t, "default"); got != "sk-the-second-key-00002" {
		t.Errorf("the key is now %q", got)
	}
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

// asks makes a request to be let into a workspace.
func (r *rig) asks(t *testing.T, workspace, id string) {
	t.Helper()
	v, err := json.Marshal(identity.Pairing{
		ID: id, Workspace: workspace, Where: channels.Address{Channel: "hall", Conversation: "dm"}, Who: channels.Sender{ID: "who-" + id, Name: id},
		Created: time.Now(), Expires: time.Now().Add(time.Hour), Status: "open",
	})
	if err == nil {
		err = r.store.Write(t.Context(), kv.Write{Space: "identity", Key: workspace + "/pair/hall/" + id, Value: v})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The home's owners find a request in whichever workspace it is; others see their
// own alone.
func TestARequestIsFoundInEveryWorkspace(t *testing.T) {
	r := newRig(t)
	for _, workspace := range []string{"guild", "shop"} {
		if _, err := r.CreateWorkspace(t.Context(), r.owner, workspace, workspace); err != nil {
			t.Fatal(err)
		}
	}
	guild := r.join(t, "guild", "gwen", scope.Owner)
	admin := r.join(t, "main", "anna", scope.Admin)
	for id, workspace := range map[string]string{"aaaaaa": "main", "bbbbbb": "guild", "cccccc": "shop", "dddddd": "shop"} {
		r.asks(t, workspace, id)
	}
	for _, test := range []struct {
		name string
		by   scope.Scope
		want []string
	}{
		{"the home's owner", r.owner, []string{"guild/bbbbbb", "main/aaaaaa", "shop/cccccc", "shop/dddddd"}},
		{"the home's admin", admin, []string{"main/aaaaaa"}},
		{"the guild's owner", guild, []string{"guild/bbbbbb"}},
	} {
		all, err := r.PairingsEverywhere(t.Context(), test.by)
		var got []string
		for _, p := range all {
			got = append(got, p.Workspace+"/"+p.ID)
		}
		slices.Sort(got)
		if d := cmp.Diff(test.want, got); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", test.name, err, d)
		}
	}
	for _, by := range []scope.Scope{admin, guild} {
		if _, err := r.Approve(t.Context(), by, "cccccc"); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("%s lets somebody into the shop: %v", by.Member(), err)
		}
		if _, err := r.Deny(t.Context(), by, "dddddd"); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("%s refuses somebody in the shop: %v", by.Member(), err)
		}
	}
	if p, err := r.Approve(t.Context(), r.owner, "cccccc"); err != nil || p.Workspace != "shop" {
		t.Errorf("approved %+v, %v", p, err)
	}
	if p, err := r.Deny(t.Context(), r.owner, "dddddd"); err != nil || p.Workspace != "shop" {
		t.Errorf("denied %+v, %v", p, err)
	}
	if left, err := r.PairingsEverywhere(t.Context(), r.owner); err != nil || len(left) != 2 {
		t.Errorf("left %+v, %v", left, err)
	}
	recorded, err := r.audit.Last(t.Context(), audit.Query{Member: identity.OwnerID, Kinds: []audit.Kind{audit.Admin}}, 2)
	var did []string
	for _, e := range recorded {
		did = append(did, e.Do+" "+e.On)
	}
	slices.Sort(did)
	if d := cmp.Diff([]string{"pairing approved in shop who-cccccc", "pairing denied in shop who-dddddd"}, did); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

// What a channel has left in the vault is said by name, unless another one uses it.
func TestARemovedChannelSaysWhatItLeaves(t *testing.T) {
	r := newRig(t)
	if _, err := r.CreateWorkspace(t.Context(), r.owner, "guild", "The guild"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hall-token", "shared"} {
		if _, err := r.vault.Set(t.Context(), "guild", name, []byte("a-value-that-is-long"), nil); err != nil {
			t.Fatal(err)
		}
	}
	section := json.RawMessage(`{"token":"secret://hall-token","again":{"x":["secret://hall-token"]},"app":"secret://shared","gone":"secret://never-set"}`)
	r.settings.list = []gateway.ChannelConfig{
		{ID: "hall", Driver: driver{r.settings}, Section: section, Policy: identity.Policy{Workspace: "guild"}},
		{ID: "yard", Driver: driver{r.settings}, Section: json.RawMessage(`{"token":"secret://shared"}`), Policy: identity.Policy{Workspace: "guild"}},
		{ID: "home", Driver: driver{r.settings}, Section: json.RawMessage(`{"token":"secret://hall-token"}`)},
	}
	left, err := r.RemoveChannel(t.Context(), r.owner, "hall")
	if d := cmp.Diff(operator.Removed{Workspace: "guild", Secrets: []string{"hall-token"}}, left); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

// TestStartLinkOfAnotherWorkspace is made by the home's owner alone, and makes
// its reader the owner of that workspace.
func TestStartLinkOfAnotherWorkspace(t *testing.T) {
	r := newRig(t)
	if _, err := r.CreateWorkspace(t.Context(), r.owner, "guild", "The guild"); err != nil {
		t.Fatal(err)
	}
	r.settings.list = []gateway.ChannelConfig{
		{ID: "hall", Driver: driver{r.settings}, Policy: identity.Policy{Workspace: "guild"}},
		{ID: "home", Driver: driver{r.settings}},
	}
	link, err := r.StartLink(t.Context(), r.owner, "hall")
	if err != nil || link == "" {
		t.Fatalf("no link: %q, %v", link, err)
	}
	made := func(workspace string) int {
		t.Helper()
		codes, err := r.store.List(t.Context(), "identity", workspace+"/code/", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(codes)
	}
	if here, there := made("main"), made("guild"); here != 0 || there != 1 {
		t.Errorf("codes at home %d, in the guild %d", here, there)
	}
	admin := r.join(t, "main", "anna", scope.Admin)
	if link, err := r.StartLink(t.Context(), admin, "hall"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("an admin of the home gets %q, %v", link, err)
	}
	theirs := scope.New(scope.Principal{Workspace: "guild", Member: identity.OwnerID, Role: scope.Owner})
	if link, err := r.StartLink(t.Context(), theirs, "home"); err == nil {
		t.Errorf("the guild's owner gets %q for a channel of the home", link)
	}
}
