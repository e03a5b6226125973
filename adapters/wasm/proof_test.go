package wasm_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// TestProofs: a guest's webhooks are proved by the host, with secrets that the
// operator stored as well as with the channel's own, before the guest is asked.
func TestProofs(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{CacheDir: t.TempDir()})
	t.Cleanup(func() { _ = d.Close() })
	const secret = "what the platform signs with"
	h := channeltest.NewHost(t, channeltest.WithSecret("secret://signing", secret))
	issuer := newIssuer(t)
	code := asks("https://api.example.org/v1/x")
	manifest := fmt.Appendf(nil, `{"id":"hooked","version":"1.0.0","abi":"gw1","kind":["channel"],"sha256":"%x","limits":{"fuel":50000000},
		"webhooks":[
			{"path":"/slack","methods":["POST"],"verify":{"kind":"slack","secret":"signing_secret"}},
			{"path":"/own","methods":["POST"],"verify":{"kind":"hmac","secret":"mine","name":"X-Sig","prefix":"sha256="}},
			{"path":"/told","methods":["POST"],"verify":{"kind":"body","secret":"mine","pointer":"/context/token"}},
			{"path":"/token","methods":["POST"],"verify":{"kind":"jwt","keys_url":"${config.keys_url}","issuer":"https://issuer","audience":"${config.app}","match":"url=/type"}},
			{"path":"/key","methods":["POST"],"verify":{"kind":"ed25519","public_key":"${config.public_key}","name":"X-Sig"}}],
		"config_schema":{"type":"object","required":["signing_secret"],"properties":{"signing_secret":{"type":"string"},"public_key":{"type":"string"},
			"keys_url":{"type":"string","format":"uri"},"app":{"type":"string"}}}}`, sha256.Sum256(code))
	public, key, _ := ed25519.GenerateKey(nil)
	b, err := module.Pack(manifest, code, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hooked.gwm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	section, _ := json.Marshal(map[string]string{
		"module": path, "publisher": module.Publisher(public).String(), "signing_secret": "secret://signing", "public_key": hex.EncodeToString(public),
		"keys_url": issuer.url, "app": "an-app",
	})
	ch, err := d.Open(t.Context(), h, section)
	if err != nil {
		t.Fatal(err)
	}
	receiver, ok := channels.As[channels.Receiver](ch)
	if !ok {
		t.Fatal("it receives nothing")
	}
	hook := receiver.Receive(channeltest.NewSink(h))
	mac := func(key, text string) string {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(text))
		return hex.EncodeToString(m.Sum(nil))
	}
	const body = `{"type":"event"}`
	now := strconv.FormatInt(time.Now().Unix(), 10)
	derived := sha256.Sum256([]byte(h.Derive("mine").Reveal()))
	const refused, taken = http.StatusUnauthorized, http.StatusServiceUnavailable // nobody runs the guest
	for _, c := range []struct {
		name, path string
		header     map[string]string
		want       int
	}{
		{"a stored secret", "/slack", map[string]string{"X-Slack-Signature": "v0=" + mac(secret, "v0:"+now+":"+body), "X-Slack-Request-Timestamp": now}, taken},
		{"another one", "/slack", map[string]string{"X-Slack-Signature": "v0=" + mac("x", "v0:"+now+":"+body), "X-Slack-Request-Timestamp": now}, refused},
		{"none", "/slack", nil, refused},
		{"an own secret", "/own", map[string]string{"X-Sig": "sha256=" + mac(hex.EncodeToString(derived[:]), body)}, taken},
		{"another own secret", "/own", map[string]string{"X-Sig": "sha256=" + mac(secret, body)}, refused},
		{"an own secret in the body", "/told", nil, taken},
		{"a token", "/token", map[string]string{"Authorization": "Bearer " + issuer.token("an-app", "event")}, taken},
		{"a token for another", "/token", map[string]string{"Authorization": "Bearer " + issuer.token("app", "event")}, refused},
		{"a token for another body", "/token", map[string]string{"Authorization": "Bearer " + issuer.token("an-app", "other")}, refused},
		{"no token", "/token", nil, refused},
		{"a public key", "/key", map[string]string{"X-Sig": hex.EncodeToString(ed25519.Sign(key, []byte(body)))}, taken},
		{"a signature of something else", "/key", map[string]string{"X-Sig": hex.EncodeToString(ed25519.Sign(key, []byte("{}")))}, refused},
	} {
		content := body
		if c.path == "/told" {
			content = `{"context":{"token":"` + hex.EncodeToString(derived[:]) + `"}}`
		}
		r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(content))
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		hook.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.want)
		}
	}
}

// issuer signs tokens and publishes its key.
type issuer struct {
	t   *testing.T
	key *rsa.PrivateKey
	url string
}

func newIssuer(t *testing.T) issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","kid":"1","n":%q,"e":"AQAB"}]}`, encode(key.N.Bytes()))
	}))
	t.Cleanup(srv.Close)
	return issuer{t, key, srv.URL}
}

func (i issuer) token(audience, url string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + encode(fmt.Appendf(nil,
		`{"iss":"https://issuer","aud":%q,"url":%q,"exp":%d}`, audience, url, time.Now().Add(time.Hour).Unix()))
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		i.t.Fatal(err)
	}
	return text + "." + encode(signature)
}
