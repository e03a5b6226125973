package operator_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/builtin"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
	"github.com/gatehouse-chat/gatehouse/internal/db/postgres"
	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	mempostgres "github.com/gatehouse-chat/gatehouse/memory/postgres"
	memsqlite "github.com/gatehouse-chat/gatehouse/memory/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// right is the scope of everything in the matrix: anna's, in her direct chat.
var right = scope.Principal{
	Workspace: "main", Channel: "chat", Account: "a", Conversation: "chat/a/dm/", Member: "m-anna", Role: scope.Ordinary, Direct: true,
}

// wrong are all the scopes that differ from the right one in one field, by its
// name; in the workspace also where everything else is an owner's.
func wrong() map[string]scope.Scope {
	all := map[string]scope.Scope{"none": {}}
	v := reflect.ValueOf(right)
	for i := range v.NumField() {
		p := right
		f := reflect.ValueOf(&p).Elem().Field(i)
		if f.Kind() == reflect.Bool {
			f.SetBool(!f.Bool())
		} else {
			f.SetString(f.String() + "x")
		}
		all[v.Type().Field(i).Name] = scope.New(p)
	}
	p := right
	p.Workspace, p.Role = "other", scope.Owner
	all["an owner elsewhere"] = scope.New(p)
	p = right
	p.Member, p.Role = "m-ben", scope.Ordinary
	all["another member"] = scope.New(p)
	p = right // what a hostile module makes of its messages: everything as it says, but the channel, and who that makes them
	p.Channel, p.Conversation, p.Member, p.Role = "module", "module/a/dm/", "g-module-anna", scope.Guest
	all["a module's anna"] = scope.New(p)
	return all
}

// stores are what the matrix runs over, on one engine.
type stores struct {
	vault    *vault.Store
	approval *approval.Book
	session  *session.Book
	memory   *store.Store
	notes    []agent.Tool // to read them, to write them
	question approval.Question
}

// row is one method: whether it grants something to a scope, and which fields of
// the scope do not matter to it, with the reason.
type row struct {
	grants func(t *testing.T, s *stores, by scope.Scope) bool
	free   map[string]string
}

// matrix has a row for each method that takes a scope, TestMatrixIsWhole fails
// where one is missing, and for the tools that keep something by a turn's scope.
var matrix = map[string]row{
	"Store.Lease": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			granted := 0
			for _, name := range []string{"secret://narrow", "secret://own"} {
				l, err := s.vault.Lease(t.Context(), by, vault.Ref(name), vault.Purpose{Kind: "tool", Name: "fetch", Host: "api.test:443"})
				if err == nil && l != nil {
					granted++
				}
			}
			return granted > 0
		},
		free: map[string]string{
			"Account": "no grant names one", "Direct": "a secret is never shown, so that it does not matter who reads along",
			"Channel": "a member's own secret is theirs everywhere", "Conversation": "the same", "Role": "the same",
		},
	},
	"Book.Stands": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			_, ok, err := s.approval.Stands(t.Context(), by, "pay", "bank.test")
			return ok && err == nil
		},
		free: map[string]string{
			"Channel": "the conversation's name holds it", "Account": "the same", "Role": "the member allowed it themselves",
			"Direct": "the conversation is what it was allowed for",
		},
	},
	"Book.Decide": {
		grants: func(_ *testing.T, s *stores, by scope.Scope) bool {
			_, _, err := s.approval.Decide(s.question, by, approval.Answer{Outcome: approval.Approved, Extent: approval.Once})
			return err == nil
		},
		free: map[string]string{"Channel": "the conversation's name holds it", "Account": "the same", "Direct": "the same"},
	},
	"Book.Revoke": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			all, err := s.approval.Standings(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			_, err = s.approval.Revoke(t.Context(), by, all[0].ID)
			return err == nil
		},
		free: map[string]string{
			"Channel": "what was allowed is taken back from anywhere", "Account": "the same", "Conversation": "the same", "Direct": "the same",
			"Role": "members take back what was allowed for them",
		},
	},
	"session.Of": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			h, err := s.session.History(t.Context(), session.Of(by), session.Meta{})
			if err != nil {
				t.Fatal(err)
			}
			return len(h) > 0
		},
		free: map[string]string{"Channel": "the conversation's name holds it", "Account": "the same", "Role": "a history stays a member's, whatever their role"},
	},
	"Store.Recall": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			hits, _ := s.memory.Recall(t.Context(), by, memory.Query{Text: "the colour of the door", Everywhere: true})
			return len(hits) > 0
		},
		free: ofTheMember,
	},
	"Store.List": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			all, _ := s.memory.List(t.Context(), by, store.Page{Everywhere: true})
			return len(all) > 0
		},
		free: ofTheMember,
	},
	"Store.Get": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			all, _ := s.memory.Get(t.Context(), by, own.ID)
			return len(all) > 0
		},
		free: ofTheMember,
	},
	"Store.Remember": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool { // in the place of what is anna's
			_, err := s.memory.Remember(t.Context(), by, own)
			return err == nil
		},
		free: ofTheMember,
	},
	"Store.Restore": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			_, err := s.memory.Restore(t.Context(), by, store.Listed{Item: own, Where: "chat/a/dm/"})
			return err == nil
		},
		free: ofTheMember,
	},
	"notes_read": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			got, err := s.notes[0].Call(t.Context(), &agent.Turn{Scope: by}, []byte(`{"title":"door"}`))
			return err == nil && strings.Contains(got.Text, "green")
		},
		free: ofTheMember,
	},
	"notes_write": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool { // in the place of what is anna's
			_, _ = s.notes[1].Call(t.Context(), &agent.Turn{Scope: by, Seen: agent.Trusted}, []byte(`{"title":"door","text":"it is red"}`))
			got, err := s.notes[0].Call(t.Context(), &agent.Turn{Scope: scope.New(right)}, []byte(`{"title":"door"}`))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(got.Text, "red")
		},
		free: ofTheMember,
	},
	"Store.Forget": {
		grants: func(t *testing.T, s *stores, by scope.Scope) bool {
			n, _ := s.memory.Forget(t.Context(), by, own.ID)
			return n > 0
		},
		free: ofTheMember,
	},
}

// own is what anna remembers for herself.
var own = memory.Item{ID: "door", Reach: memory.Private, Kind: memory.Fact, Label: memory.Trusted, Text: "the colour of the door is green"}

// ofTheMember are the fields that do not matter to what is a member's own.
var ofTheMember = map[string]string{
	"Channel": "a member's own memory is theirs wherever they ask alone", "Account": "the same", "Conversation": "the same", "Role": "the same",
}

// unguarded take a scope for the record alone: whoever calls them has asked.
var unguarded = map[string]string{"Book.Stop": "the gateway decides who may stop a turn"}

func TestMatrixIsWhole(t *testing.T) {
	scopeType := reflect.TypeFor[scope.Scope]()
	for _, typ := range []reflect.Type{reflect.TypeFor[*vault.Store](), reflect.TypeFor[*approval.Book](), reflect.TypeFor[*session.Book](), reflect.TypeFor[*store.Store]()} {
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			name := typ.Elem().Name() + "." + m.Name
			for j := range m.Type.NumIn() {
				if m.Type.In(j) != scopeType {
					continue
				}
				if _, ok := matrix[name]; !ok && unguarded[name] == "" {
					t.Errorf("%s takes a scope and has no row", name)
				}
			}
		}
	}
}

func engines(t *testing.T) map[string]func() bus.Engine {
	t.Helper()
	store := func(at func() string, exclusive bool) func() bus.Engine {
		return func() bus.Engine {
			e, err := open.Open(t.Context(), at(), open.Options{Exclusive: exclusive})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
	}
	file := func() string { return filepath.Join(t.TempDir(), "x.db") }
	return map[string]func() bus.Engine{
		"memory":           func() bus.Engine { return inprocess.New(inprocess.Options{}) },
		"sqlite":           store(file, false),
		"sqlite exclusive": store(file, true),
		"postgres":         store(func() string { return pgtest.DSN(t) }, false),
	}
}

// TestInvariant01StoreMatrix: every method of every store that takes a scope,
// with every scope that is not the right one, in every engine.
func TestInvariant01StoreMatrix(t *testing.T) {
	for name, engine := range engines(t) {
		e := engine()
		t.Cleanup(func() { _ = e.Close() })
		s := fill(t, e)
		for method, r := range matrix {
			for what, by := range wrong() {
				_, free := r.free[what]
				s = refill(t, e, s)
				if got := r.grants(t, s, by); got && !free {
					t.Errorf("%s: %s grants to a wrong scope: %s", name, method, what)
				}
			}
		}
		for _, method := range []string{"Store.Lease", "Book.Stands", "Book.Decide", "session.Of", "Book.Revoke", "Store.Recall", "Store.List", "Store.Get", "Store.Remember", "Store.Restore", "Store.Forget", "notes_read", "notes_write"} {
			if s = refill(t, e, s); !matrix[method].grants(t, s, scope.New(right)) {
				t.Errorf("%s: %s denies the right scope", name, method)
			}
		}
	}
}

// fill puts something of anna's into every store.
func fill(t *testing.T, e bus.Engine) *stores {
	t.Helper()
	dir := t.TempDir()
	v, err := vault.Open(t.Context(), vault.Options{State: e, Key: vault.NewKeyFile(filepath.Join(dir, "conf", "key"), filepath.Join(dir, "data"))})
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range map[string]vault.Grant{
		"narrow":     {Kind: "tool", Name: "fetch", Channel: right.Channel, Conversation: right.Conversation, Member: right.Member, Role: right.Role},
		"own@m-anna": {Kind: "tool", Name: "fetch"},
	} {
		if _, err := v.Set(t.Context(), right.Workspace, name, []byte("a value of some length"), []string{"api.test"}); err != nil {
			t.Fatal(err)
		}
		if err := v.Grant(t.Context(), right.Workspace, name, g); err != nil {
			t.Fatal(err)
		}
	}
	s := &stores{
		vault: v, approval: approval.NewBook(e, time.Now), session: session.NewBook(e), memory: store.New(store.Options{Engine: memoryOn(t, e)}),
		notes: builtin.Notes{Store: e, Now: time.Now}.Tools(),
	}
	w, err := s.session.Append(session.Of(scope.New(right)), 1, []agent.Entry{{Role: agent.User, Text: "hello"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(t.Context(), w...); err != nil {
		t.Fatal(err)
	}
	return refill(t, e, s)
}

// refill makes what a right scope may have used up.
func refill(t *testing.T, e bus.Engine, s *stores) *stores {
	t.Helper()
	q := s.approval.Fill(approval.Question{Requester: right, Tool: "pay", Target: "bank.test"})
	for _, w := range s.approval.Ask(q) {
		if err := e.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.approval.Get(t.Context(), q.ID)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.approval.Standings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		_, w, err := s.approval.Decide(stored, scope.New(right), approval.Answer{Outcome: approval.Approved, Extent: approval.Conversation})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Write(t.Context(), w...); err != nil {
			t.Fatal(err)
		}
		return refill(t, e, s)
	}
	s.question = stored
	if _, err := s.memory.Remember(t.Context(), scope.New(right), own); err != nil {
		t.Fatal(err)
	}
	note := &agent.Turn{Scope: scope.New(right), Seen: agent.Trusted}
	if _, err := s.notes[1].Call(t.Context(), note, []byte(`{"title":"door","text":"it is green"}`)); err != nil {
		t.Fatal(err)
	}
	return s
}

// memoryOn is the memory beside an engine of the bus.
func memoryOn(t *testing.T, e bus.Engine) store.Engine {
	t.Helper()
	switch e := e.(type) {
	case interface{ DB() *sqlite.DB }:
		return memsqlite.New(e.DB())
	case interface{ DB() *postgres.DB }:
		return mempostgres.New(e.DB())
	}
	beside, err := open.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"), open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = beside.Close() })
	return memoryOn(t, beside)
}
