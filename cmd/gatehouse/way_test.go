package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/request"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

func TestPrivateAuthorities(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := egress.ParseDestination(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range [][]string{nil, {file}} {
		a := &app{cfg: config.Config{Egress: config.Egress{CA: files}}}
		gate, err := a.openGate()
		if err != nil {
			t.Fatal(err)
		}
		client := gate.Client(egress.Policy{
			Name: "test", Allow: []egress.Destination{to}, Operator: []string{strings.TrimPrefix(server.URL, "https://")},
		})
		res, err := client.Get(server.URL)
		if err == nil {
			_ = res.Body.Close()
		}
		client.CloseIdleConnections()
		if trusted := err == nil; trusted != (files != nil) {
			t.Errorf("with %v: %v", files, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{empty, "/nowhere.pem"} {
		if _, err := (&app{cfg: config.Config{Egress: config.Egress{CA: []string{f}}}}).openGate(); err == nil {
			t.Errorf("%s passed", f)
		}
	}
}

func TestProxyBinding(t *testing.T) {
	if got := proxyBinding(config.Egress{Proxy: "http://Proxy.corp:3128", ProxyLogin: "secret://proxy"}); len(got) != 1 || got[0].Hosts[0] != "proxy.corp:3128" {
		t.Errorf("got %v", got)
	}
	for _, e := range []config.Egress{{}, {Proxy: "http://proxy.corp:3128"}, {ProxyLogin: "secret://proxy"}} {
		if got := proxyBinding(e); got != nil {
			t.Errorf("%v: got %v", e, got)
		}
	}
}

// What lies in a private network is reached with the secret for which the
// configuration says so, at that host, port and network: not with another one,
// not without one, and not from another workspace.
func TestInvariant05InsideForOneSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in here") }))
	t.Cleanup(server.Close)
	at := strings.TrimPrefix(server.URL, "http://")
	state := inprocess.New(inprocess.Options{})
	t.Cleanup(func() { _ = state.Close() })
	v := vaulttest.Open(t, state, vaulttest.NewKey(t))
	put := func(ws, name string) {
		t.Helper()
		to := vault.Setting{Hosts: []string{at}, Format: &vault.Format{Kind: vault.Bearer}}
		if _, err := v.Put(t.Context(), ws, name, []byte("the-value-of-a-secret"), to); err != nil {
			t.Fatal(err)
		}
		if err := v.Grant(t.Context(), ws, name, vault.Grant{Kind: "tool", Name: request.Name}); err != nil {
			t.Fatal(err)
		}
	}
	put(workspace, "git")
	put(workspace, "own@ann")
	put(workspace, "other")
	put("acme", "git")
	within := func(ws, name, place string) near { return near{{Name: name, Workspace: ws, Inside: []string{place}}} }
	here := at + " 127.0.0.0/8"
	for name, tt := range map[string]struct {
		near       near
		ws, secret string
		want       bool
	}{
		"named":               {within("", "git", here), workspace, "git", true},
		"a member's own":      {within("", "own", here), workspace, "own", true},
		"nothing is said":     {nil, workspace, "git", false},
		"another secret":      {within("", "git", here), workspace, "other", false},
		"no secret":           {within("", "git", here), workspace, "", false},
		"another network":     {within("", "git", at+" 10.0.0.0/8"), workspace, "git", false},
		"another port":        {within("", "git", "127.0.0.1:1 127.0.0.0/8"), workspace, "git", false},
		"another workspace":   {within("", "git", here), "acme", "git", false},
		"that workspace":      {within("acme", "git", here), "acme", "git", true},
		"a mistaken place":    {within("", "git", "nonsense"), workspace, "git", false},
		"a secret of no name": {within("", "", here), workspace, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := &border{gate: egress.New(egress.Options{}), vault: v, state: state, workspace: workspace, near: tt.near}
			tool := request.Tool{Gate: newPasses(b, []string{"https://elsewhere.example"})}
			args, err := json.Marshal(map[string]any{"url": server.URL + "/", "secret": tt.secret})
			if err != nil {
				t.Fatal(err)
			}
			turn := &agent.Turn{Scope: scope.New(scope.Principal{Workspace: tt.ws, Channel: "c", Conversation: "c/a/d/", Member: "ann", Role: scope.Ordinary, Direct: true})}
			res, err := tool.Call(t.Context(), turn, args)
			if got := err == nil && strings.Contains(res.Text, "in here"); got != tt.want {
				t.Errorf("reached: %v; %v", got, err)
			}
		})
	}
}
