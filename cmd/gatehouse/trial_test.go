package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// TestTry: the value goes where its kind says and nowhere else, and only those
// who look after the installation reach an address in a private network.
func TestTry(t *testing.T) {
	const value = "the-value-of-a-secret"
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")+r.Header.Get("X-Key")+string(body)))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer srv.Close()
	store := inprocess.New(inprocess.Options{})
	defer store.Close()
	v := vaulttest.Open(t, store, vaulttest.NewKey(t))
	b := &border{gate: egress.New(egress.Options{Log: slog.New(slog.DiscardHandler)}), vault: v, workspace: workspace}
	host := strings.TrimPrefix(srv.URL, "http://")
	owner := scope.New(scope.Principal{Workspace: workspace, Member: "owner", Role: scope.Owner})
	tests := []struct {
		format vault.Format
		path   string
		want   string
	}{
		{vault.Format{}, "/me", "GET /me Bearer " + value},
		{vault.Format{Kind: vault.Bearer}, "/me?a=b", "GET /me?a=b Bearer " + value},
		{vault.Format{Kind: vault.Header, Name: "X-Key"}, "/", "GET / " + value},
		{vault.Format{Kind: vault.Query, Name: "key"}, "/x", "GET /x?key=" + value},
		{vault.Format{Kind: vault.Path, Name: "token"}, "/bot{token}/me", "GET /bot" + value + "/me"},
		{vault.Format{Kind: vault.Body, Pointer: "/key"}, "/", `POST / {"key":"` + value + `"}`},
	}
	for _, tt := range tests {
		got = nil
		if _, err := v.Put(t.Context(), workspace, "s", []byte(value), vault.Setting{Hosts: []string{host}, Format: &tt.format}); err != nil {
			t.Fatal(err)
		}
		status, err := b.try(t.Context(), owner, "s", parsed(t, srv.URL+tt.path))
		if d := cmp.Diff([]string{tt.want}, got); d != "" || err != nil || status != "418 I'm a teapot" {
			t.Errorf("%q: %q, %v\n%s", tt.format.Kind, status, err, d)
		}
	}

	got = nil
	if _, err := v.Set(t.Context(), workspace, "s@m-anna", []byte(value), []string{host}); err != nil {
		t.Fatal(err)
	}
	anna := scope.New(scope.Principal{Workspace: workspace, Member: "m-anna", Role: scope.Ordinary})
	away := scope.New(scope.Principal{Workspace: "away", Member: "m-zoe", Role: scope.Owner})
	if _, err := v.Set(t.Context(), "away", "s", []byte(value), []string{host}); err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]scope.Scope{"s@m-anna": anna, "s": away} {
		status, err := b.try(t.Context(), by, name, parsed(t, srv.URL))
		if err == nil || len(got) != 0 || strings.Contains(err.Error(), value) {
			t.Errorf("%s reaches a private address: %q, %v", by, status, err)
		}
	}
}

func parsed(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
