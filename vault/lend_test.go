package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestLeaseConfigured(t *testing.T) {
	v, _, _ := home(t)
	if _, err := v.Set(t.Context(), "home", "fixed", []byte(secret), []string{"api.example.com"}); err != nil {
		t.Fatal(err)
	}
	set := func(b ...vault.Binding) {
		if err := v.Configure("home", b...); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(ref vault.Ref, kind, name string, hosts ...string) vault.Binding {
		return vault.Binding{Ref: ref, Kind: kind, Name: name, Hosts: hosts}
	}
	set(
		bind("secret://bot", "channel", "support", "api.example.com", "127.0.0.1:8081"),
		bind("secret://fixed", "channel", "support", "api.example.com", "other.example"),
		bind("secret://bot", "webhook", "hook"),
		bind("secret://bot", "channel", "wide", "*.gate.example"),
	)
	tests := []struct {
		name, workspace string
		ref             vault.Ref
		p               vault.Purpose
		want            error
	}{
		{"named", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "support", Host: "api.example.com:443"}, nil},
		{"named, without a port", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "support", Host: "API.example.com"}, nil},
		{"private host", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "support", Host: "127.0.0.1:8081"}, nil},
		{"does not leave", "home", "secret://bot", vault.Purpose{Kind: "webhook", Name: "hook"}, nil},
		{"bare name", "home", "bot", vault.Purpose{Kind: "channel", Name: "support", Host: "api.example.com:443"}, nil},
		{"another host", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "support", Host: "evil.example:443"}, vault.ErrDenied},
		{"another port", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "support", Host: "api.example.com:80"}, vault.ErrDenied},
		{"a host where none is named", "home", "secret://bot", vault.Purpose{Kind: "webhook", Name: "hook", Host: "api.example.com:443"}, vault.ErrDenied},
		{"another channel", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "sales", Host: "api.example.com:443"}, vault.ErrDenied},
		{"another kind", "home", "secret://bot", vault.Purpose{Kind: "provider", Name: "support", Host: "api.example.com:443"}, vault.ErrDenied},
		{"a tool", "home", "secret://bot", vault.Purpose{Kind: "tool", Name: "support", Host: "api.example.com:443"}, vault.ErrDenied},
		{"nobody", "home", "secret://bot", vault.Purpose{}, vault.ErrDenied},
		{"another workspace", "away", "secret://bot", vault.Purpose{Kind: "channel", Name: "support"}, vault.ErrNotFound},
		{"a label that the platform chooses", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "wide", Host: "us-1.gate.example:443"}, nil},
		{"no label", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "wide", Host: "gate.example:443"}, vault.ErrDenied},
		{"two labels", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "wide", Host: "a.b.gate.example:443"}, vault.ErrDenied},
		{"a label with another port", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "wide", Host: "us-1.gate.example:80"}, vault.ErrDenied},
		{"a wildcard itself", "home", "secret://bot", vault.Purpose{Kind: "channel", Name: "wide", Host: "*.gate.example:443"}, vault.ErrDenied},
		{"unknown", "home", "secret://x", vault.Purpose{Kind: "channel", Name: "support"}, vault.ErrNotFound},
		{"both allow", "home", "secret://fixed", vault.Purpose{Kind: "channel", Name: "support", Host: "api.example.com:443"}, nil},
		{"the secret itself does not allow", "home", "secret://fixed", vault.Purpose{Kind: "channel", Name: "support", Host: "other.example:443"}, vault.ErrDenied},
	}
	for _, tt := range tests {
		l, err := v.LeaseConfigured(t.Context(), tt.workspace, tt.ref, tt.p)
		if !errors.Is(err, tt.want) || (l == nil) != (tt.want != nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	set()
	if _, err := v.LeaseConfigured(t.Context(), "home", "bot", vault.Purpose{Kind: "webhook", Name: "hook"}); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("no longer configured: %v", err)
	}
}

// TestLeaseTrial: to a secret's own hosts, without a grant, and to nothing that
// the configuration names beside them.
func TestLeaseTrial(t *testing.T) {
	v, _, _ := home(t)
	for name, hosts := range map[string][]string{"fixed": {"api.example.com"}, "nowhere": nil, "fixed@m-anna": {"own.example"}} {
		if _, err := v.Set(t.Context(), "home", name, []byte(secret), hosts); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Configure("home", vault.Binding{Ref: "secret://nowhere", Kind: "channel", Name: "support", Hosts: []string{"api.example.com"}}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		workspace, secret, host string
		want                    error
	}{
		{"home", "fixed", "api.example.com:443", nil},
		{"home", "fixed", "API.example.com", nil},
		{"home", "fixed@m-anna", "own.example:443", nil},
		{"home", "fixed@m-anna", "api.example.com:443", vault.ErrDenied},
		{"home", "fixed", "api.example.com:80", vault.ErrDenied},
		{"home", "fixed", "own.example:443", vault.ErrDenied},
		{"home", "fixed", "", vault.ErrDenied},
		{"home", "nowhere", "api.example.com:443", vault.ErrDenied},
		{"home", "fixed@m-ben", "api.example.com:443", vault.ErrNotFound},
		{"home", "x", "api.example.com:443", vault.ErrNotFound},
		{"away", "fixed", "api.example.com:443", vault.ErrNotFound},
	}
	for _, tt := range tests {
		by := scope.Principal{Workspace: tt.workspace, Member: "m-anna", Role: scope.Ordinary}
		l, err := v.LeaseTrial(t.Context(), by, tt.secret, tt.host)
		if !errors.Is(err, tt.want) || (l == nil) != (tt.want != nil) {
			t.Errorf("%s of %s to %q: %v", tt.secret, tt.workspace, tt.host, err)
		}
	}
}

func TestConfigureRefuses(t *testing.T) {
	v, _, _ := home(t)
	for name, b := range map[string]vault.Binding{
		"a tool":       {Ref: "secret://bot", Kind: "tool", Name: "x"},
		"no kind":      {Ref: "secret://bot", Name: "x"},
		"no name":      {Ref: "secret://bot", Kind: "channel"},
		"no secret":    {Kind: "channel", Name: "x"},
		"a URL":        {Ref: "secret://bot", Kind: "channel", Name: "x", Hosts: []string{"https://a"}},
		"a wild card":  {Ref: "secret://bot", Kind: "channel", Name: "x", Hosts: []string{"*"}},
		"a top level":  {Ref: "secret://bot", Kind: "channel", Name: "x", Hosts: []string{"*.com"}},
		"an address":   {Ref: "secret://bot", Kind: "channel", Name: "x", Hosts: []string{"*.0.0.1"}},
		"a bad secret": {Ref: "secret://../bot", Kind: "channel", Name: "x"},
	} {
		if err := v.Configure("home", b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Every way in which a scope can differ from the one that is granted.
func TestInvariant01EveryWrongScopeIsDenied(t *testing.T) {
	v, _, _ := home(t)
	if _, err := v.Set(t.Context(), "away", "bot", []byte(secret), []string{"h:1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), []string{"h:1"}); err != nil {
		t.Fatal(err)
	}
	g := vault.Grant{Kind: "tool", Name: "http", Channel: "support", Conversation: "room", Member: "anna"}
	if err := v.Grant(t.Context(), "home", "bot", g); err != nil {
		t.Fatal(err)
	}
	right := scope.Principal{Workspace: "home", Channel: "support", Conversation: "room", Member: "anna", Role: scope.Ordinary}
	p := vault.Purpose{Kind: "tool", Name: "http", Host: "h:1"}
	n := 0
	for _, workspace := range []string{"home", "away", "none", ""} {
		for _, channel := range []string{"support", "sales", ""} {
			for _, conversation := range []string{"room", "other", ""} {
				for _, member := range []string{"anna", "ben", ""} {
					for _, role := range []scope.Role{scope.Owner, scope.Ordinary, scope.Guest, ""} {
						for _, purpose := range []vault.Purpose{
							p,
							{Kind: "tool", Name: "http"},
							{Kind: "tool", Name: "http", Host: "evil:1"},
							{Kind: "tool", Name: "other", Host: "h:1"},
							{Kind: "channel", Name: "http", Host: "h:1"},
							{},
						} {
							x := scope.Principal{Workspace: workspace, Channel: channel, Conversation: conversation, Member: member, Role: role}
							here := x
							here.Role = right.Role
							want := here == right && role != "" && purpose.Kind == "tool" && purpose.Name == "http" && purpose.Host != "evil:1"
							l, err := v.Lease(t.Context(), scope.New(x), "secret://bot", purpose)
							if (err == nil) != want || (l != nil) != want {
								t.Errorf("%+v for %+v: %v", x, purpose, err)
							}
							n++
						}
					}
				}
			}
		}
	}
	t.Logf("%d combinations", n)
}

func TestTheZeroScopeIsDenied(t *testing.T) {
	v, _, _ := home(t)
	p := vault.Purpose{Kind: "tool", Name: "http"}
	if err := v.Grant(t.Context(), "home", "bot", vault.Grant{Kind: p.Kind, Name: p.Name}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Lease(t.Context(), scope.Scope{}, "secret://bot", p); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("got %v", err)
	}
}

func TestGrantAndRevoke(t *testing.T) {
	v, state, key := home(t)
	s := scope.New(scope.Principal{Workspace: "home", Member: "anna", Role: scope.Ordinary})
	p := vault.Purpose{Kind: "tool", Name: "http"}
	g := vault.Grant{Kind: "tool", Name: "http"}
	lease := func() (*vault.Lease, error) { return v.Lease(t.Context(), s, "secret://bot", p) }
	if _, err := lease(); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		if err := v.Grant(t.Context(), "home", "bot", g); err != nil {
			t.Fatal(err)
		}
	}
	l, err := lease()
	if err != nil {
		t.Fatal(err)
	}
	if got := vaulttest.Value(t, l); got != secret || l.Version() != 1 {
		t.Errorf("version %d is %q", l.Version(), got)
	}
	if err := v.Revoke(t.Context(), "home", "bot", g); err != nil {
		t.Fatal(err)
	}
	if _, err := lease(); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("after: %v", err)
	}
	if err := l.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("the lease: %v", err)
	}
	v = vaulttest.Open(t, state, key)
	if _, err := lease(); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("after a restart: %v", err)
	}
	for _, bad := range []vault.Grant{{}, {Kind: "tool"}, {Name: "http"}, {Kind: "channel", Name: "support"}} {
		if err := v.Grant(t.Context(), "home", "bot", bad); err == nil {
			t.Errorf("granted %+v", bad)
		}
	}
	if err := v.Grant(t.Context(), "home", "none", g); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestAudit(t *testing.T) {
	var got []vault.Use
	now := time.Unix(1, 0)
	v, err := vault.Open(t.Context(), vault.Options{
		State: &vaulttest.State{}, Key: vaulttest.NewKey(t), Now: func() time.Time { return now },
		Audit: func(_ context.Context, u vault.Use) { got = append(got, u) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := vaulttest.Lease(t, v, "home", "bot"); err != nil {
		t.Fatal(err)
	}
	anna := scope.Principal{Workspace: "home", Member: "anna", Role: scope.Ordinary}
	tool := vault.Purpose{Kind: "tool", Name: "http", Host: "h:1"}
	_, _ = v.Lease(t.Context(), scope.New(anna), "secret://bot", tool)
	want := []vault.Use{
		{At: now, Workspace: "home", Secret: "bot", Version: 1, Purpose: vaulttest.Bot},
		{At: now, Workspace: "home", By: anna, Secret: "bot", Purpose: tool, Err: vault.ErrDenied},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(fmt.Sprintf("%+v", got), secret) {
		t.Error("the audit holds the value")
	}
}

func TestLeaseShowsNothing(t *testing.T) {
	v, _, _ := home(t)
	l, err := vaulttest.Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "lease", l, "in", struct{ L *vault.Lease }{l})
	text, _ := json.Marshal(map[string]any{"lease": l})
	for _, x := range []*vault.Lease{l, vault.Literal([]byte(secret))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, x); got != "[secret]" {
				t.Errorf("%s: %s", verb, got)
			}
		}
	}
	if x := log.String() + string(text); strings.Contains(x, secret) || !strings.Contains(x, "[secret]") {
		t.Errorf("got %s", x)
	}
}

func TestLeaseIsClearedAndEnds(t *testing.T) {
	now := time.Unix(1, 0)
	v, err := vault.Open(t.Context(), vault.Options{
		State: &vaulttest.State{}, Key: vaulttest.NewKey(t), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	l, err := vaulttest.Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	var held []byte
	use := func() error { return l.Use(func(plain []byte) error { held = plain; return nil }) }
	if err := use(); err != nil || !bytes.Equal(held, make([]byte, len(secret))) {
		t.Errorf("after use: %q, %v", held, err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = l.Use(func(plain []byte) error { held = plain; panic("x") })
	}()
	if !bytes.Equal(held, make([]byte, len(secret))) {
		t.Error("a panic leaves the value behind")
	}
	now = now.Add(vault.LeaseFor - 1)
	if err := use(); err != nil {
		t.Errorf("at the last moment: %v", err)
	}
	now = now.Add(1)
	if err := use(); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("afterwards: %v", err)
	}
	var none *vault.Lease
	for name, x := range map[string]*vault.Lease{"nil": none, "zero": {}, "empty": vault.Literal(nil)} {
		if err := x.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeaseWithholdsErrorsThatTell(t *testing.T) {
	v, _, _ := home(t)
	l, err := vaulttest.Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	other := errors.New("other")
	if err := l.Use(func([]byte) error { return other }); !errors.Is(err, other) {
		t.Errorf("got %v", err)
	}
	err = l.Use(func(plain []byte) error { return fmt.Errorf("with %s: %w", plain, other) })
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("got %v", err)
		}
	}
}
