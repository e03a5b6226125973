package scope_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

var roles = []scope.Role{scope.Owner, scope.Admin, scope.Approver, scope.Ordinary, scope.Guest, scope.Service, "", "root", "Owner", "owner "}

func full() scope.Principal {
	return scope.Principal{
		Workspace: "w", Channel: "c", Account: "a", Conversation: "c/a/r/", Member: "m", Role: scope.Owner, Direct: true,
	}
}

func TestInvariant01ZeroDenies(t *testing.T) {
	var s scope.Scope
	if s.Valid() || s.Workspace() != "" || s.Member() != "" || s.Role() != "" || s.Direct() || s.Role().Administers() || s.Role().Approves() {
		t.Errorf("the zero scope grants something: %+v", s.Principal())
	}
}

// TestInvariant01PartsMakeNoScope: what lacks a workspace, a member or a role is the zero
// Scope, whatever else it has.
func TestInvariant01PartsMakeNoScope(t *testing.T) {
	for _, strip := range []func(*scope.Principal){
		func(p *scope.Principal) { p.Workspace = "" }, func(p *scope.Principal) { p.Member = "" }, func(p *scope.Principal) { p.Role = "" },
	} {
		p := full()
		strip(&p)
		if s := scope.New(p); s != (scope.Scope{}) || s.Valid() {
			t.Errorf("%+v makes %+v", p, s.Principal())
		}
	}
	if s := scope.New(full()); !s.Valid() || s.Principal() != full() {
		t.Errorf("a whole one makes %+v", s.Principal())
	}
}

// TestRoles is the table of rights, written out a second time. A role that
// nobody knows has none, and neither has anybody a right that nobody knows.
func TestRoles(t *testing.T) {
	rights := []scope.Right{scope.Speak, scope.Console, scope.See, scope.Approve, scope.Administer, scope.Own, "", "root"}
	table := map[scope.Role]string{
		scope.Owner:    "xxxxxx..",
		scope.Admin:    "xxxxx...",
		scope.Approver: "xxxx....",
		scope.Ordinary: "xx......",
		scope.Guest:    "x.......",
		scope.Service:  "x.......",
	}
	for _, r := range roles {
		want, ok := table[r]
		if !ok {
			want = "........"
		}
		got := ""
		for _, right := range rights {
			if r.May(right) {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%q may %s, want %s", r, got, want)
		}
		if r.Administers() != (want[4] == 'x') || r.Approves() != (want[3] == 'x') {
			t.Errorf("%q administers %v and approves %v", r, r.Administers(), r.Approves())
		}
	}
	if n := len(scope.Roles()); n != len(table) {
		t.Errorf("%d roles are listed, want %d", n, len(table))
	}
}

// TestInvariant01NoDecoder: no decoder of the standard library makes a scope that grants
// anything, from whatever is written.
func TestInvariant01NoDecoder(t *testing.T) {
	if n := reflect.TypeFor[scope.Scope]().NumField(); n != 1 {
		t.Fatalf("a scope has %d fields", n)
	}
	for i := range reflect.TypeFor[scope.Scope]().NumField() {
		if f := reflect.TypeFor[scope.Scope]().Field(i); f.IsExported() || f.Anonymous {
			t.Errorf("the field %s can be set from outside", f.Name)
		}
	}
	row, err := json.Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(row), `{"p":` + string(row) + `}`, `{"P":` + string(row) + `}`, `{}`, `"w/c/r/m"`} {
		var s scope.Scope
		if err := json.Unmarshal([]byte(text), &s); err == nil || s.Valid() {
			t.Errorf("%s was decoded to %v, %v", text, s, err)
		}
		in := struct{ Scope scope.Scope }{}
		_ = json.Unmarshal([]byte(`{"Scope":`+text+`}`), &in)
		if in.Scope.Valid() {
			t.Errorf("%s was decoded within a struct", text)
		}
	}
	var s scope.Scope
	if err := s.UnmarshalText([]byte("w/c/r/m")); err == nil || s.Valid() {
		t.Errorf("a text was decoded: %v, %v", s, err)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(scope.New(full())); err == nil {
		if gob.NewDecoder(&b).Decode(&s) == nil && s.Valid() {
			t.Error("gob carries a scope")
		}
	}
	out, err := json.Marshal(scope.New(full())) //nolint:staticcheck // that nothing comes out is the point
	if err != nil || strings.Contains(string(out), `"m"`) {
		t.Errorf("a scope is written as %s, %v", out, err)
	}
}

func TestNames(t *testing.T) {
	s := scope.New(full())
	if got := s.String(); got != "w/c/c/a/r//m" {
		t.Errorf("String is %q", got)
	}
	if got := fmt.Sprint(scope.Scope{}); got != "denied" {
		t.Errorf("the zero scope prints as %q", got)
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "scope", s)
	if !strings.Contains(b.String(), "scope=w/c/c/a/r//m") {
		t.Errorf("logged as %s", b.String())
	}
}

// TestScopesCompare: scopes are equal exactly when everything about them is.
func TestScopesCompare(t *testing.T) {
	base := scope.New(full())
	if base != scope.New(full()) {
		t.Error("equal scopes differ")
	}
	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		p := full()
		f := reflect.ValueOf(&p).Elem().Field(i)
		if f.Kind() == reflect.Bool {
			f.SetBool(!f.Bool())
		} else {
			f.SetString(f.String() + "x")
		}
		if scope.New(p) == base {
			t.Errorf("%s makes no difference", v.Type().Field(i).Name)
		}
	}
}
