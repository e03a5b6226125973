package vault_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestFormats(t *testing.T) {
	with := func(all ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(all); i += 2 {
			out[all[i]] = all[i+1]
		}
		return out
	}
	const token = "https://login.example.com/token"
	tests := []struct {
		kind string
		with map[string]string
		ok   bool
	}{
		{"", nil, true},
		{"", with("name", "x"), false},
		{"bearer", nil, true},
		{"bearer", with("name", "x"), false},
		{"Bearer", nil, false},
		{"basic", nil, true},
		{"basic", with("user", "me"), true},
		{"basic", with("user", "me:you"), false},
		{"basic", with("user", "me\r\nX: y"), false},
		{"header", with("name", "X-Api-Key"), true},
		{"header", with("name", "X-Api-Key", "prefix", "Token "), true},
		{"header", with("name", "X-Api-Key", "prefix", "a\nb"), false},
		{"header", with("name", "X-Api-Key", "prefix", "a\x7fb"), false},
		{"header", nil, false},
		{"header", with("name", ""), false},
		{"header", with("name", "Host"), false},
		{"header", with("name", "transfer-encoding"), false},
		{"header", with("name", "Proxy-Authorization"), false},
		{"header", with("name", "X Api"), false},
		{"header", with("name", "X\r\nEvil"), false},
		{"header", with("name", "X:"), false},
		{"header", with("name", "Xé"), false},
		{"query", with("name", "key"), true},
		{"query", with("name", "key", "prefix", "x"), false},
		{"query", nil, false},
		{"path", with("name", "token"), true},
		{"path", with("name", "{token}"), false},
		{"path", with("name", "a/b"), false},
		{"body", with("pointer", "/auth/token"), true},
		{"body", with("pointer", "auth"), false},
		{"body", nil, false},
		{"hmac", with("name", "X-Signature"), true},
		{"hmac", with("name", "X-Signature", "prefix", "sha256=", "hash", "sha512", "encoding", "base64", "signs", "{timestamp}.{body}", "stamp", "X-Time"), true},
		{"hmac", with("name", "X-Signature", "hash", "sha1"), true},
		{"hmac", with("name", "X-Signature", "hash", "md5"), false},
		{"hmac", with("name", "X-Signature", "encoding", "base32"), false},
		{"hmac", with("name", "X-Signature", "stamp", "Host"), false},
		{"hmac", with("name", "Connection"), false},
		{"sigv4", with("access_key", "AKIDEXAMPLE", "region", "eu-central-1", "service", "s3"), true},
		{"sigv4", with("access_key", "AKIDEXAMPLE", "region", "eu-central-1"), false},
		{"sigv4", with("access_key", "AKID\nX", "region", "eu-central-1", "service", "s3"), false},
		{"oauth2-refresh", with("token_url", token, "client_id", "me", "scope", "a b"), true},
		{"oauth2-refresh", with("token_url", token), false},
		{"oauth2-client", with("token_url", token, "client_id", "me"), true},
		{"oauth2-client", with("token_url", "http://127.0.0.1:8080/token", "client_id", "me"), true},
		{"oauth2-client", with("token_url", "ftp://127.0.0.1:8080/token", "client_id", "me"), false},
		{"oauth2-client", with("token_url", "http://login.example.com/token", "client_id", "me"), false},
		{"oauth2-client", with("token_url", "https://me@login.example.com/token", "client_id", "me"), false},
		{"oauth2-client", with("token_url", "https://login.example.com/token#x", "client_id", "me"), false},
		{"oauth2-client", with("token_url", "/token", "client_id", "me"), false},
		{"oauth2-client", with("token_url", token, "client_id", "me", "issuer", "x"), false},
		{"jwt-bearer", with("token_url", token, "issuer", "me", "subject", "you", "audience", "x", "key_id", "1", "scope", "a"), true},
		{"jwt-bearer", with("issuer", "me"), false},
		{"bearer", with("nothing", "x"), false},
		{"bearer", with("kind", "basic"), true}, // the kind is said once
		{"magic", nil, false},
	}
	for _, tt := range tests {
		f, err := vault.ParseFormat(tt.kind, tt.with)
		if (err == nil) != tt.ok {
			t.Errorf("%s %v: %v", tt.kind, tt.with, err)
		}
		if err == nil && string(f.Kind) != tt.kind {
			t.Errorf("%s became %s", tt.kind, f.Kind)
		}
	}
	if _, err := vault.ParseFormat("hmac", nil); err == nil || !strings.Contains(err.Error(), "needs name") {
		t.Errorf("the error does not help: %v", err)
	}
	if _, err := vault.ParseFormat("magic", nil); err == nil || !strings.Contains(err.Error(), "jwt-bearer, oauth2-client") {
		t.Errorf("the error does not help: %v", err)
	}
}

// The format belongs to the secret: it is stored, bound and lent with it.
func TestTheFormatBelongsToTheSecret(t *testing.T) {
	v, state, key := home(t)
	f := vault.Format{Kind: vault.Header, Name: "X-Api-Key", Prefix: "Token "}
	if _, err := v.Put(t.Context(), "home", "bot", []byte(secret), vault.Setting{Format: &f}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret+"2"), nil); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*vault.Store{v, vaulttest.Open(t, state, key)} {
		l, err := vaulttest.Lease(t, x, "home", "bot")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, l.How()); diff != "" {
			t.Error(diff)
		}
	}
	if got := vault.Literal([]byte("x")).How(); got != (vault.Format{}) {
		t.Errorf("a literal has the format %v", got)
	}
	bad := vault.Format{Kind: vault.Header}
	if _, err := v.Put(t.Context(), "home", "bot", []byte(secret), vault.Setting{Format: &bad}); err == nil {
		t.Error("a format without a name is stored")
	}
}

func as(member string) scope.Scope {
	return scope.New(scope.Principal{Workspace: "home", Channel: "support", Conversation: "room", Member: member, Role: scope.Ordinary})
}

// Two members have secrets of one name; each gets their own, and who has none
// gets the workspace's.
func TestInvariant01MembersOwnSecrets(t *testing.T) {
	v, state, key := home(t)
	p := vault.Purpose{Kind: "tool", Name: "http_request", Host: "h:1"}
	for name, value := range map[string]string{
		"github": "the token of everybody", "github@anna": "the token of anna", "github@ben": "the token of ben",
	} {
		if _, err := v.Set(t.Context(), "home", name, []byte(value), []string{"h:1"}); err != nil {
			t.Fatal(err)
		}
		if err := v.Grant(t.Context(), "home", name, vault.Grant{Kind: p.Kind, Name: p.Name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []*vault.Store{v, vaulttest.Open(t, state, key)} {
		for member, want := range map[string]string{
			"anna": "the token of anna", "ben": "the token of ben", "carl": "the token of everybody",
		} {
			l, err := x.Lease(t.Context(), as(member), "secret://github", p)
			if err != nil {
				t.Fatalf("%s: %v", member, err)
			}
			if got := vaulttest.Value(t, l); got != want {
				t.Errorf("%s gets %s", member, got)
			}
		}
		for _, ref := range []vault.Ref{"secret://github@ben", "github@ben", "secret://@ben", "secret://github@"} {
			if _, err := x.Lease(t.Context(), as("anna"), ref, p); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("anna asks for %s: %v", ref, err)
			}
		}
	}
	if _, ok := vault.ParseRef("secret://github@ben"); ok {
		t.Error("a configuration can name a member's own secret")
	}
}

func TestOwnNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "a@m": true, "a@m-2_X.y": true, "a@" + strings.Repeat("m", vault.MaxName): true,
		"": false, "@m": false, "a@": false, "a@m@n": false, "a@m/n": false, "a@ m": false, "A@m": false,
		"a@" + strings.Repeat("m", vault.MaxName+1): false,
	} {
		if err := vault.CheckSecret(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if m := (vault.Meta{Name: vault.OwnedBy("a", "m")}); m.Member() != "m" {
		t.Errorf("it belongs to %q", m.Member())
	}
	if m := (vault.Meta{Name: "a"}); m.Member() != "" {
		t.Errorf("it belongs to %q", m.Member())
	}
}

// A grant ends by itself, and with it the leases under it.
func TestGrantsEnd(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	v, err := vault.Open(t.Context(), vault.Options{
		State: &vaulttest.State{}, Key: vaulttest.NewKey(t), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Set(t.Context(), "home", "bot", []byte(secret), nil); err != nil {
		t.Fatal(err)
	}
	p := vault.Purpose{Kind: "tool", Name: "x"}
	g := vault.Grant{Kind: "tool", Name: "x", Role: scope.Ordinary, Until: now.Add(30 * time.Second)}
	if err := v.Grant(t.Context(), "home", "bot", g); err != nil {
		t.Fatal(err)
	}
	guest := scope.New(scope.Principal{Workspace: "home", Member: "anna", Role: scope.Guest})
	if _, err := v.Lease(t.Context(), guest, "bot", p); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("another role: %v", err)
	}
	l, err := v.Lease(t.Context(), as("anna"), "bot", p)
	if err != nil {
		t.Fatal(err)
	}
	use := func() error { return l.Use(func([]byte) error { return nil }) }
	now = now.Add(30*time.Second - 1)
	if err := use(); err != nil {
		t.Errorf("before the end: %v", err)
	}
	now = now.Add(1)
	if err := use(); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("the lease outlives its grant: %v", err)
	}
	if _, err := v.Lease(t.Context(), as("anna"), "bot", p); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("after the end: %v", err)
	}
	g.Until = now.Add(time.Hour) // the same grant, for longer
	if err := v.Grant(t.Context(), "home", "bot", g); err != nil {
		t.Fatal(err)
	}
	all, err := v.List(t.Context(), "home")
	if err != nil || len(all[0].Grants) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if l, err = v.Lease(t.Context(), as("anna"), "bot", p); err != nil {
		t.Fatal(err)
	}
	now = now.Add(vault.LeaseFor - 1)
	if err := use(); err != nil {
		t.Errorf("within the lease: %v", err)
	}
	now = now.Add(1)
	if err := use(); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("a lease lasts too long: %v", err)
	}
	g.Until = time.Time{}
	if err := v.Revoke(t.Context(), "home", "bot", g); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Lease(t.Context(), as("anna"), "bot", p); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("revoked: %v", err)
	}
}
