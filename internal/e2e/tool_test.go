package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	packages "github.com/gatehouse-chat/gatehouse/internal/module"
)

// lookupModule builds the guest that is a tool, once.
var lookupModule = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "module.wasm")
	build := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", to, "./testdata/lookup")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(to)
})

// installTool packs the tool for a server of this test, and installs it.
func (r *rig) installTool(server string) {
	r.t.Helper()
	code, err := lookupModule()
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		r.t.Fatal(err)
	}
	r.install("lookup", fmt.Appendf(nil, `{
		"id": "lookup", "version": "1.0.0", "abi": "gw1", "kind": ["tool"], "sha256": "%x", "limits": {"fuel": 3000000000, "wall_ms": 60000},
		"tool": {"description": "Looks things up.", "effect": "read-local",
			"schema": {"type": "object", "properties": {"what": {"type": "string"}, "url": {"type": "string"}}}},
		"http": [{"scheme": "http", "host": %q, "port": %s, "methods": ["GET"], "path": "/things",
			"credential": {"secret": "github", "in": "header", "name": "Authorization", "template": "Bearer {}"}}],
		"tests": [{"op": "tool_execute", "in": {"args": {"what": "nothing"}}, "error": "other"}]
	}`, sha256.Sum256(code), u.Hostname(), u.Port()), code)
}

// install packs a module and installs it, with all that it wants.
func (r *rig) install(name string, manifest, code []byte) {
	r.t.Helper()
	pkg, err := packages.Pack(manifest, code, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.dir, name+".gwm")
	if err := os.WriteFile(path, pkg, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.verb("adapter", "install", "--dev", "--yes", path)
}

// using calls the tool as a text says: "!use WHAT URL".
func using(r *agenttest.Request) agenttest.Answer {
	all := r.Messages()
	last := all[len(all)-1]
	if last.Role == agent.ToolRole {
		return agenttest.Say("answer: " + last.Text)
	}
	_, order, ok := strings.Cut(last.Text, "!use ")
	if !ok {
		return agenttest.Echo(r)
	}
	what, to, _ := strings.Cut(order, " ")
	args, err := json.Marshal(map[string]string{"what": what, "url": to})
	if err != nil {
		return agenttest.Refuse(http.StatusInternalServerError, "")
	}
	return agenttest.Use(fmt.Sprintf("call_%d", r.N), "lookup", string(args))
}

// TestModuleIsATool: the model is offered a guest with its schema. It has the
// speaker's secrets, the destinations of its manifest and nothing else, and
// whatever it does wrong ends its call and no more.
func TestModuleIsATool(t *testing.T) {
	t.Parallel()
	const token = "tok-0f6b1d2c3e4a5968-lookup"
	echo := newEchoServer(t)
	r := newRig(t, settings{
		policy: "pairing", script: using, agent: []string{"tools: [time, \"module:lookup\"]", fmt.Sprintf("hosts: [%q]", echo.URL)},
	})
	r.installTool(echo.URL)
	r.up()
	ada, adas := r.person(2001)
	id := r.member(ada, adas)
	r.secret(token, "github", "--member", id, "--host", strings.TrimPrefix(echo.URL, "http://"), "--tool", "lookup")

	adas.Say(ada, "!use get "+echo.URL+"/things/1")
	if got := r.awaitText(adas, "answer:"); !strings.Contains(got, "found ") || strings.Contains(got, token) {
		t.Errorf("Ada got %q", got)
	}
	if got := echo.seen(); len(got) != 1 || got[0] != "Bearer "+token {
		t.Fatalf("the server got %q", got)
	}
	for i, x := range []struct{ order, want string }{
		{"get " + echo.URL + "/things/2", "transient"},                // Bob has no such secret
		{"get " + echo.URL + "/other", "manifest does not list"},      // a path that is not granted
		{"get https://evil.example/things", "manifest does not list"}, // a host that is not
		{"loop", "fuel"},
		{"grow", "lookup"},
		{"trap", "lookup"},
		{"emit", "manifest does not list"},
		{"state", "manifest does not list"},
	} {
		who, chat := r.person(int64(3000 + i))
		r.member(who, chat)
		chat.Say(who, "!use "+x.order)
		if got := r.awaitText(chat, "answer:"); !strings.Contains(got, x.want) {
			t.Errorf("%s: %q", x.order, got)
		}
	}
	if got := echo.seen(); len(got) != 1 {
		t.Errorf("the server got %q", got)
	}
	adas.Say(ada, "still there?")
	r.awaitText(adas, "echo: still there?")
	r.audited(func(said string) bool {
		return strings.Contains(said, "evil.example") && strings.Contains(said, "tool lookup")
	}, "--kind", "egress", "--failed")
	for _, q := range r.model.Requests() {
		if strings.Contains(string(q.Body), token) {
			t.Error("a request to the model holds the token")
		}
	}
}
