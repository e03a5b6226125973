package vault_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// issuer is an OAuth2 server that replaces its refresh token at each use, as
// RFC 6749 allows, and forgets the one that was spent.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	refresh string
	asked   []url.Values
	auth    []string
	answer  func(w http.ResponseWriter, n int) // nil: a token
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{refresh: "refresh-token-0000"}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_ = r.ParseForm()
	i.asked, i.auth = append(i.asked, r.PostForm), append(i.auth, r.Header.Get("Authorization"))
	n := len(i.asked)
	if i.answer != nil {
		i.answer(w, n)
		return
	}
	out := map[string]any{"access_token": fmt.Sprintf("access-token-%04d", n), "token_type": "Bearer", "expires_in": 600}
	if r.PostForm.Get("grant_type") == "refresh_token" {
		if r.PostForm.Get("refresh_token") != i.refresh {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"`+r.PostForm.Get("refresh_token")+`"}`)
			return
		}
		i.refresh = fmt.Sprintf("refresh-token-%04d", n)
		out["refresh_token"] = i.refresh
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (i *issuer) calls() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked)
}

// bank is a vault with one secret that is exchanged.
type bank struct {
	*vault.Store
	state *vaulttest.State
	key   *vault.KeyFile
	now   time.Time

	mu   sync.Mutex
	uses []vault.Use
}

func (b *bank) used(_ context.Context, u vault.Use) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uses = append(b.uses, u)
}

func (b *bank) open(t *testing.T) {
	t.Helper()
	var err error
	b.Store, err = vault.Open(t.Context(), vault.Options{
		State: b.state, Key: b.key, Now: func() time.Time { return b.now },
		Audit:    b.used,
		Exchange: func(_, _, _ string) *http.Client { return http.DefaultClient },
	})
	if err != nil {
		t.Fatal(err)
	}
}

func newBank(t *testing.T, value string, f vault.Format) *bank {
	t.Helper()
	b := &bank{state: &vaulttest.State{}, key: vaulttest.NewKey(t), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.open(t)
	if _, err := b.Put(t.Context(), "home", "mail", []byte(value), vault.Setting{Format: &f}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bank) lend(t *testing.T) string {
	t.Helper()
	l, err := vaulttest.Lease(t, b.Store, "home", "mail")
	if err != nil {
		t.Fatal(err)
	}
	if l.How() != (vault.Format{Kind: vault.Bearer}) {
		t.Errorf("the lease is sent as %v", l.How())
	}
	return vaulttest.Value(t, l)
}

func TestARefreshTokenIsExchanged(t *testing.T) {
	i := newIssuer(t)
	b := newBank(t, i.refresh, vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL + "/token", ClientID: "me", Scope: "a b"})
	if got := b.lend(t); got != "access-token-0001" {
		t.Errorf("got %q", got)
	}
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh-token-0000"}, "client_id": {"me"}, "scope": {"a b"}}
	if diff := cmp.Diff(want, i.asked[0]); diff != "" || i.auth[0] != "" {
		t.Error(diff, i.auth[0])
	}
	b.now = b.now.Add(9*time.Minute - 1)
	if got := b.lend(t); got != "access-token-0001" || i.calls() != 1 {
		t.Errorf("got %q after %d calls", got, i.calls())
	}
	b.now = b.now.Add(1) // a minute is left: too little
	if got := b.lend(t); got != "access-token-0002" {
		t.Errorf("got %q", got)
	}
	b.open(t) // a restart needs no new one, and knows the newest refresh token
	if got := b.lend(t); got != "access-token-0002" || i.calls() != 2 {
		t.Errorf("got %q after %d calls", got, i.calls())
	}
	b.now = b.now.Add(time.Hour)
	if got := b.lend(t); got != "access-token-0003" {
		t.Errorf("got %q", got)
	}
	for name, text := range rows(b.state) {
		if bytes.Contains(text, []byte("token-000")) {
			t.Errorf("%s holds a token", name)
		}
	}
	if err := b.RotateData(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if got := b.lend(t); got != "access-token-0003" || i.calls() != 3 {
		t.Errorf("after a rotation %q, %d calls", got, i.calls())
	}
	// A new value has its own tokens.
	i.refresh = "refresh-token-again"
	if _, err := b.Set(t.Context(), "home", "mail", []byte(i.refresh), nil); err != nil {
		t.Fatal(err)
	}
	if got := b.lend(t); got != "access-token-0004" {
		t.Errorf("got %q", got)
	}
	if err := b.Delete(t.Context(), "home", "mail"); err != nil {
		t.Fatal(err)
	}
	if _, left := rows(b.state)["token/home/mail"]; left {
		t.Error("the token is left behind")
	}
}

func TestALeaseEndsWithItsAccessToken(t *testing.T) {
	i := newIssuer(t)
	i.answer = func(w http.ResponseWriter, _ int) {
		_, _ = io.WriteString(w, `{"access_token":"short-lived","expires_in":30}`)
	}
	b := newBank(t, "the-client-secret", vault.Format{Kind: vault.OAuth2Client, TokenURL: i.URL, ClientID: "me"})
	l, err := vaulttest.Lease(t, b.Store, "home", "mail")
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(30 * time.Second)
	if err := l.Use(func([]byte) error { return nil }); !errors.Is(err, vault.ErrExpired) {
		t.Errorf("got %v", err)
	}
}

func TestAClientIsExchanged(t *testing.T) {
	i := newIssuer(t)
	b := newBank(t, "the client&secret", vault.Format{Kind: vault.OAuth2Client, TokenURL: i.URL, ClientID: "me:1", Scope: "a"})
	if got := b.lend(t); got != "access-token-0001" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff(url.Values{"grant_type": {"client_credentials"}, "scope": {"a"}}, i.asked[0]); diff != "" {
		t.Error(diff)
	}
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me%3A1:the+client%26secret")); i.auth[0] != want {
		t.Errorf("authorized as %s", i.auth[0])
	}
	both := newBank(t, `{"refresh_token":"refresh-token-0000","client_secret":"the client's"}`,
		vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL, ClientID: "me"})
	if got := both.lend(t); got != "access-token-0002" {
		t.Errorf("got %q", got)
	}
	if i.asked[1].Get("client_id") != "" || i.auth[1] != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:the+client%27s")) {
		t.Errorf("%v, %s", i.asked[1], i.auth[1])
	}
	// Each exchange stands in the audit beside the lease.
	u := b.uses[0]
	if u.Secret != "mail" || u.Version != 1 || u.Purpose.Kind != vault.ForToken || u.Purpose.Name != "oauth2-client" || !strings.HasPrefix(u.Purpose.Host, "127.0.0.1:") || u.Err != nil {
		t.Errorf("audited %+v", u)
	}
	if len(b.uses) != 2 {
		t.Errorf("%d entries", len(b.uses))
	}
}

// One exchange at a time: the spent refresh token would be refused.
func TestExchangesAtOnce(t *testing.T) {
	i := newIssuer(t)
	b := newBank(t, i.refresh, vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL, ClientID: "me"})
	if err := b.Configure("home", vault.Binding{Ref: "mail", Kind: vaulttest.Bot.Kind, Name: vaulttest.Bot.Name, Hosts: []string{vaulttest.Bot.Host}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := b.LeaseConfigured(t.Context(), "home", "mail", vaulttest.Bot); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if i.calls() != 1 {
		t.Errorf("%d calls", i.calls())
	}
}

// A token that could not be made durable is not used.
func TestATokenIsKeptBeforeItIsUsed(t *testing.T) {
	i := newIssuer(t)
	b := newBank(t, i.refresh, vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL, ClientID: "me"})
	b.state.CrashAt(1, false)
	if l, err := vaulttest.Lease(t, b.Store, "home", "mail"); !errors.Is(err, vaulttest.ErrCrash) || l != nil {
		t.Errorf("got %v", err)
	}
	b.state = b.state.Restart()
	b.open(t)
	i.refresh = "refresh-token-0000" // nobody used the new one, the server is asked as before
	b.state.CrashAt(1, true)
	if _, err := vaulttest.Lease(t, b.Store, "home", "mail"); !errors.Is(err, vaulttest.ErrCrash) {
		t.Errorf("got %v", err)
	}
	b.state = b.state.Restart()
	b.open(t)
	if got := b.lend(t); got != "access-token-0002" || i.calls() != 2 {
		t.Errorf("got %q after %d calls", got, i.calls())
	}
}

// Two processes share a secret: the slower one reads what the faster one kept.
func TestExchangesByTwoProcesses(t *testing.T) {
	i := newIssuer(t)
	b := newBank(t, i.refresh, vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL, ClientID: "me"})
	other := &bank{state: b.state, key: b.key, now: b.now}
	other.open(t)
	if b.lend(t) != "access-token-0001" || other.lend(t) != "access-token-0001" || i.calls() != 1 {
		t.Errorf("%d calls", i.calls())
	}
}

func TestInvariant02ExchangesThatFail(t *testing.T) {
	const value = "refresh-token-wrong-0001"
	say := func(status int, text string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) { w.WriteHeader(status); _, _ = io.WriteString(w, text) }
	}
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter, int)
		says   string
	}{
		"refused":            {nil, "invalid_grant"},
		"refused otherwise":  {say(400, `{"error":"`+value+`"}`), "status 400"},
		"an outage":          {say(503, value), "status 503"},
		"a redirect":         {func(w http.ResponseWriter, _ int) { w.Header().Set("Location", "/"+value); w.WriteHeader(302) }, ""},
		"no JSON":            {say(200, value), "something else"},
		"no token":           {say(200, `{}`), "something else"},
		"a line break in it": {say(200, `{"access_token":"a\r\nX: y"}`), "something else"},
		"another type":       {say(200, `{"access_token":"a","token_type":"mac"}`), "type"},
		"too long":           {say(200, `{"access_token":"`+strings.Repeat("a", 70<<10)+`"}`), "something else"},
	} {
		i := newIssuer(t)
		i.answer = tt.answer
		b := newBank(t, value, vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL, ClientID: "me"})
		l, err := vaulttest.Lease(t, b.Store, "home", "mail")
		if !errors.Is(err, vault.ErrExchange) && name != "a redirect" || err == nil || l != nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v", name, err)
		}
		if len(b.uses) != 2 || b.uses[0].Err == nil || b.uses[1].Err == nil {
			t.Errorf("%s: audited %+v", name, b.uses)
		}
	}
}

// An outage ends nothing as long as the token holds.
func TestAnOutageOfTheIssuer(t *testing.T) {
	i := newIssuer(t)
	b := newBank(t, i.refresh, vault.Format{Kind: vault.OAuth2Refresh, TokenURL: i.URL, ClientID: "me"})
	b.lend(t)
	i.answer = func(w http.ResponseWriter, _ int) { w.WriteHeader(503) }
	b.now = b.now.Add(9*time.Minute + 30*time.Second)
	if got := b.lend(t); got != "access-token-0001" {
		t.Errorf("got %q", got)
	}
	b.now = b.now.Add(30 * time.Second)
	if _, err := vaulttest.Lease(t, b.Store, "home", "mail"); !errors.Is(err, vault.ErrExchange) {
		t.Errorf("got %v", err)
	}
	i.answer = nil
	if got := b.lend(t); !strings.HasPrefix(got, "access-token-") {
		t.Errorf("got %q", got)
	}
}

func TestNothingToExchangeWith(t *testing.T) {
	v, _, _ := home(t)
	f := vault.Format{Kind: vault.OAuth2Client, TokenURL: "https://login.example.com/token", ClientID: "me"}
	if _, err := v.Put(t.Context(), "home", "bot", []byte(secret), vault.Setting{Format: &f}); err != nil {
		t.Fatal(err)
	}
	if _, err := vaulttest.Lease(t, v, "home", "bot"); !errors.Is(err, vault.ErrExchange) {
		t.Errorf("got %v", err)
	}
}

func TestAnAssertionIsSigned(t *testing.T) {
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	ecVerify := func(text, sig []byte) bool {
		sum := sha256.Sum256(text)
		return len(sig) == 64 && ecdsa.Verify(&ecKey.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	rsaVerify := func(text, sig []byte) bool {
		sum := sha256.Sum256(text)
		return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum[:], sig) == nil
	}
	for _, tt := range []struct {
		alg, pem string
		verify   func(text, sig []byte) bool
	}{
		{"RS256", pkcs8(rsaKey), rsaVerify},
		{"RS256", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})), rsaVerify},
		{"ES256", pkcs8(ecKey), ecVerify},
		{"ES256", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})), ecVerify},
		{"EdDSA", pkcs8(edKey), func(text, sig []byte) bool { return ed25519.Verify(public, text, sig) }},
	} {
		i := newIssuer(t)
		b := newBank(t, tt.pem, vault.Format{Kind: vault.JWTBearer, TokenURL: i.URL, Issuer: "me", Subject: "you", KeyID: "k1", Scope: "a b"})
		if got := b.lend(t); got != "access-token-0001" {
			t.Errorf("%s: got %q", tt.alg, got)
		}
		if i.asked[0].Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || i.asked[0].Has("scope") {
			t.Errorf("asked %v", i.asked[0])
		}
		parts := strings.Split(i.asked[0].Get("assertion"), ".")
		if len(parts) != 3 {
			t.Fatalf("%d parts", len(parts))
		}
		var decoded [3][]byte
		for n, p := range parts {
			if decoded[n], err = base64.RawURLEncoding.DecodeString(p); err != nil {
				t.Fatal(err)
			}
		}
		if !tt.verify([]byte(parts[0]+"."+parts[1]), decoded[2]) {
			t.Errorf("%s: the signature does not fit", tt.alg)
		}
		var head, claims map[string]any
		if err := errors.Join(json.Unmarshal(decoded[0], &head), json.Unmarshal(decoded[1], &claims)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{"alg": tt.alg, "typ": "JWT", "kid": "k1"}, head); diff != "" {
			t.Error(diff)
		}
		if id, _ := claims["jti"].(string); len(id) != 22 {
			t.Errorf("the id is %q", id)
		}
		delete(claims, "jti")
		at := float64(b.now.Unix())
		if diff := cmp.Diff(map[string]any{"iss": "me", "sub": "you", "aud": i.URL, "scope": "a b", "iat": at, "exp": at + 300}, claims); diff != "" {
			t.Error(diff)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"no key at all", pkcs8(small), pkcs8(p384), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		b := newBank(t, bad, vault.Format{Kind: vault.JWTBearer, TokenURL: "http://127.0.0.1:1", Issuer: "me"})
		if _, err := vaulttest.Lease(t, b.Store, "home", "mail"); err == nil || !strings.Contains(err.Error(), "not a private key") {
			t.Errorf("got %v", err)
		}
	}
}
