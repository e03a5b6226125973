package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/request"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// echo answers with everything that it was sent, as it stands and encoded.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var said strings.Builder
	say := func(s string) {
		encoded := base64.StdEncoding.EncodeToString([]byte(s))
		fmt.Fprintf(&said, "%s\n%s\n%s\n%s\n%s\n%s\n", s, encoded, base64.StdEncoding.EncodeToString([]byte(encoded)),
			hex.EncodeToString([]byte(s)), url.QueryEscape(s), html.EscapeString(s))
		if scheme, login, ok := strings.Cut(s, " "); ok && scheme == "Basic" {
			plain, _ := base64.StdEncoding.DecodeString(login)
			said.Write(plain)
		}
	}
	say(r.URL.String())
	for name, values := range r.Header {
		for _, v := range values {
			say(name + ": " + v)
			say(v)
		}
	}
	for _, values := range r.URL.Query() {
		say(values[0])
	}
	say(string(body))
	_, _ = io.WriteString(w, said.String())
}

// Every kind of secret is used rightly by way of the tool, against a server that
// says everything back, and no byte of any value comes to the model.
func TestInvariant02EveryKindThroughTheTool(t *testing.T) {
	const (
		value  = "Zx81-qP44-mmT7-0aWc-9Lr2-members-own"
		access = "aT7-access-4f9c1b-kk20-token"
	)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	header := func(name, want string) func(*http.Request, []byte) bool {
		return func(r *http.Request, _ []byte) bool { return r.Header.Get(name) == want }
	}
	bearer := header("Authorization", "Bearer "+access)
	tests := []struct {
		name   string
		how    vault.Format
		value  string
		path   string // with its query
		body   string
		right  func(r *http.Request, body []byte) bool
		grants string // the grant_type that the token's server is asked with
	}{
		{"in place", vault.Format{}, value, "/", "", header("Authorization", "Bearer "+value), ""},
		{"bearer", vault.Format{Kind: vault.Bearer}, value, "/", "", header("Authorization", "Bearer "+value), ""},
		{"basic", vault.Format{Kind: vault.Basic, User: "ann"}, value, "/", "", func(r *http.Request, _ []byte) bool {
			user, password, ok := r.BasicAuth()
			return ok && user == "ann" && password == value
		}, ""},
		{"header with a prefix", vault.Format{Kind: vault.Header, Name: "X-Key", Prefix: "Token "}, value, "/", "", header("X-Key", "Token "+value), ""},
		{"query", vault.Format{Kind: vault.Query, Name: "key"}, value, "/?a=1&key=mine", "", func(r *http.Request, _ []byte) bool {
			return r.URL.Query().Get("key") == value && r.URL.Query().Get("a") == "1"
		}, ""},
		{"path", vault.Format{Kind: vault.Path, Name: "token"}, value, "/bot{token}/getMe", "", func(r *http.Request, _ []byte) bool {
			return r.URL.Path == "/bot"+value+"/getMe"
		}, ""},
		{"body", vault.Format{Kind: vault.Body, Pointer: "/auth/token"}, value, "/", `{"auth":{"token":"mine"},"n":1}`, func(_ *http.Request, body []byte) bool {
			var b struct{ Auth struct{ Token string } }
			return json.Unmarshal(body, &b) == nil && b.Auth.Token == value
		}, ""},
		{"hmac", vault.Format{Kind: vault.HMAC, Name: "X-Signature", Prefix: "sha256="}, value, "/", "what is signed", func(r *http.Request, body []byte) bool {
			m := hmac.New(sha256.New, []byte(value))
			m.Write(body)
			return r.Header.Get("X-Signature") == "sha256="+hex.EncodeToString(m.Sum(nil))
		}, ""},
		{"sigv4", vault.Format{Kind: vault.SigV4, AccessKey: "AKIDEXAMPLE", Region: "us-east-1", Service: "s3"}, value, "/", "", func(r *http.Request, _ []byte) bool {
			return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") && r.Header.Get("X-Amz-Date") != ""
		}, ""},
		{"oauth2-refresh", vault.Format{Kind: vault.OAuth2Refresh, ClientID: "me"}, value, "/", "", bearer, "refresh_token"},
		{"oauth2-client", vault.Format{Kind: vault.OAuth2Client, ClientID: "me"}, value, "/", "", bearer, "client_credentials"},
		{"jwt-bearer", vault.Format{Kind: vault.JWTBearer, Issuer: "me"}, key, "/", "", bearer, "urn:ietf:params:oauth:grant-type:jwt-bearer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			used := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				used = used || tt.right(r, body)
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				echo(w, r)
			}))
			t.Cleanup(server.Close)
			asked := ""
			tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.PostFormValue("grant_type")
				fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":600}`, access)
			}))
			t.Cleanup(tokens.Close)
			if tt.grants != "" {
				tt.how.TokenURL = tokens.URL + "/token"
			}
			result := throughTool(t, server.URL, tt.how, tt.value, tt.path, tt.body)
			if !used || asked != tt.grants {
				t.Errorf("used rightly: %v; the token's server was asked for %q", used, asked)
			}
			if !strings.HasPrefix(result, "200") {
				t.Errorf("the answer begins %.60q", result)
			}
			for _, v := range []string{tt.value, access} {
				encoded := base64.StdEncoding.EncodeToString([]byte(v))
				for _, form := range []string{v, encoded, base64.StdEncoding.EncodeToString([]byte(encoded)), hex.EncodeToString([]byte(v)), url.QueryEscape(v), html.EscapeString(v)} {
					if strings.Contains(result, form) {
						t.Errorf("the model gets %s", form)
					}
				}
			}
		})
	}
}

// throughTool makes a request with a member's secret and returns what the model
// is told.
func throughTool(t *testing.T, base string, how vault.Format, value, path, body string) string {
	t.Helper()
	leaks, err := leak.New()
	if err != nil {
		t.Fatal(err)
	}
	folder, log := t.TempDir(), slog.New(slog.DiscardHandler)
	engine := inprocess.New(inprocess.Options{})
	v, err := vault.Open(t.Context(), vault.Options{
		State: engine, Key: vault.NewKeyFile(filepath.Join(folder, "conf", "key"), filepath.Join(folder, "data")), Log: log, Leaks: leaks,
		Exchange: func(_, _, _ string) *http.Client { return http.DefaultClient }, //nolint:forbidigo // a server of this test
	})
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(base, "http://")
	name := vault.OwnedBy("mine", "ada")
	if _, err := v.Put(t.Context(), workspace, name, []byte(value), vault.Setting{Hosts: []string{host}, Format: &how}); err != nil {
		t.Fatal(err)
	}
	if err := v.Grant(t.Context(), workspace, name, vault.Grant{Kind: "tool", Name: request.Name}); err != nil {
		t.Fatal(err)
	}
	b := &border{gate: egress.New(egress.Options{Log: log, Leaks: leaks}), vault: v, state: engine, workspace: workspace, leaks: leaks}
	tool := request.Tool{Gate: newPasses(b, []string{base})}
	method := http.MethodGet
	headers := map[string]string{}
	if body != "" {
		method, headers["Content-Type"] = http.MethodPost, "application/json"
	}
	args, err := json.Marshal(map[string]any{"method": method, "url": base + path, "headers": headers, "body": body, "secret": "mine"})
	if err != nil {
		t.Fatal(err)
	}
	turn := &agent.Turn{Scope: scope.New(scope.Principal{
		Workspace: workspace, Channel: "c", Conversation: "c/a/d/", Member: "ada", Role: scope.Ordinary, Direct: true,
	})}
	result, err := tool.Call(t.Context(), turn, args)
	if err != nil {
		t.Fatal(err)
	}
	return result.Text
}
