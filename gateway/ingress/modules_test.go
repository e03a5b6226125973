package ingress_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// testModules are those of a house whose packages come from packageAt.
func testModules(store kv.Store) operator.Modules {
	return operator.Modules{
		Shelf: shelf.New(store, time.Now), Prove: func(context.Context, []byte) error { return nil },
		Faults:   func([]byte, json.RawMessage) ([]channels.Fault, error) { return nil, nil },
		Failures: func() map[string]int64 { return map[string]int64{"mychat": 7} },
		Fetch: func(_ context.Context, _ scope.Scope, from string) ([]byte, error) {
			_, version, _ := strings.Cut(from, "mychat-")
			return packageOf(strings.TrimSuffix(version, ".gwm")), nil
		},
	}
}

var authorKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// packageOf is a version of a module; from 1.1.0 on it wants another host.
func packageOf(version string) []byte {
	code := []byte("\x00asm\x01\x00\x00\x00")
	host := ""
	if version != "1.0.0" {
		host = `, {"scheme": "https", "host": "files.example.org", "methods": ["GET"], "path": "/"}`
	}
	b, err := module.Pack(fmt.Appendf(nil, `{"id": "mychat", "version": %q, "abi": "gw1", "kind": ["channel"], "sha256": "%x",
		"http": [{"scheme": "https", "host": "api.example.org", "methods": ["POST"], "path": "/v1/"}%s]}`, version, sha256.Sum256(code), host), code, authorKey)
	if err != nil {
		panic(err)
	}
	return b
}

// TestModulesPage: a module is looked at before it is granted anything, and then
// installed, upgraded, rolled back and removed; all of it is in the audit.
func TestModulesPage(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	shows := func(what string, page answer, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(page.Body, w) {
				t.Errorf("%s (%s): the page has no %q:\n%s", what, page.Status, w, page.Body)
			}
		}
	}
	from := func(version string) string {
		return "https://example.org/mychat-" + version + ".gwm#sha256=" + shelf.Sum(packageOf(version))
	}
	plan := func(version string) answer { return h.post(c, "/modules/plan", url.Values{"source": {from(version)}}) }
	install := func(version string) answer {
		return h.post(c, "/modules", url.Values{"source": {from(version)}, "sum": {shelf.Sum(packageOf(version))}})
	}
	publisher := module.PublisherOf(authorKey).String()
	shows("nothing yet", h.get(c, "/modules"), "No module is installed")
	shows("a stranger's", plan("1.0.0"), "is not trusted here")
	if err := h.modules.Shelf.Trust(t.Context(), publisher, ""); err != nil {
		t.Fatal(err)
	}
	shows("looked at", plan("1.0.0"), "is new here", "api.example.org", shelf.Sum(packageOf("1.0.0")))
	shows("still nothing", h.get(c, "/modules"), "No module is installed")
	shows("installed", install("1.0.0"), "mychat 1.0.0 is in use", publisher, "7 failed calls")
	upgrade := plan("1.1.0")
	shows("an upgrade", upgrade, "in place of 1.0.0", "It wants in addition", "files.example.org")
	shows("upgraded", install("1.1.0"), "mychat 1.1.0 is in use", "/modules/mychat/rollback")
	shows("rolled back", h.post(c, "/modules/mychat/rollback", nil), "mychat is at version 1.0.0 again")
	if other := h.post(c, "/modules", url.Values{"source": {from("1.1.0")}, "sum": {shelf.Sum(packageOf("1.0.0"))}}); other.StatusCode/100 == 2 {
		t.Errorf("another package than was agreed to: %s", other.Status)
	}
	if err := h.modules.Shelf.Revoke(t.Context(), publisher); err != nil {
		t.Fatal(err)
	}
	shows("revoked", h.get(c, "/modules"), "in quarantine", "was revoked")
	shows("removed", h.post(c, "/modules/mychat/remove", nil), "mychat was removed", "No module is installed")
	shows("the audit", h.get(c, "/audit?kind=admin"), "Module installed", "Module rolled back", "Module removed")
	if gone := h.post(c, "/modules/mychat/remove", nil); gone.StatusCode != http.StatusNotFound && gone.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a module that there is not: %s", gone.Status)
	}
}
