package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
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
