package login_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-chat/gatehouse/gateway/login"
)

const (
	header   = "Cf-Access-Jwt-Assertion"
	issuer   = "https://team.example.org"
	audience = "the-application"
)

// proxy is a proxy's key set, in place of the network, and its signer.
type proxy struct {
	mu    sync.Mutex
	keys  []jose.JSONWebKey
	down  bool
	asked int
}

// RoundTrip implements http.RoundTripper.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.down {
		return nil, errors.New("unreachable")
	}
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: p.keys})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, err
}

func (p *proxy) publish(id string, key crypto.PublicKey, more ...func(*jose.JSONWebKey)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := jose.JSONWebKey{KeyID: id, Key: key, Use: "sig"}
	for _, f := range more {
		f(&k)
	}
	p.keys = append(p.keys, k)
}

func (p *proxy) set(down bool) { p.mu.Lock(); defer p.mu.Unlock(); p.down = down }
func (p *proxy) count() int    { p.mu.Lock(); defer p.mu.Unlock(); return p.asked }

// clock is a time that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time      { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

func newToken(p *proxy, c *clock) *login.Token {
	return login.NewToken(login.TokenOptions{
		Header: header, Issuer: issuer, Audience: audience, KeysURL: issuer + "/keys",
		Member: func(email string) string { return map[string]string{"ann@example.org": "owner"}[email] },
		Client: &http.Client{Transport: p}, Now: c.Now, Log: slog.New(slog.DiscardHandler),
	})
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, id string, key any, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func member(tok *login.Token, values ...string) (string, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, v := range values {
		r.Header.Add(header, v)
	}
	return tok.Member(r)
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestToken(t *testing.T) {
	now := time.Now()
	good := func(change ...any) map[string]any {
		c := map[string]any{"iss": issuer, "aud": []string{"other", audience}, "email": "Ann@Example.org", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		for i := 0; i < len(change); i += 2 {
			name := change[i].(string) //nolint:forcetypeassert // written below
			if c[name] = change[i+1]; change[i+1] == nil {
				delete(c, name)
			}
		}
		return c
	}
	p, rs, es, stranger, weak, p384 := &proxy{}, rsaKey(t, 2048), ecKey(t, elliptic.P256()), rsaKey(t, 2048), rsaKey(t, 1024), ecKey(t, elliptic.P384())
	p.publish("rsa", &rs.PublicKey)
	p.publish("ec", &es.PublicKey)
	p.publish("weak", &weak.PublicKey)
	p.publish("p384", &p384.PublicKey)
	p.publish("encrypts", &rs.PublicKey, func(k *jose.JSONWebKey) { k.Use = "enc" })
	p.publish("pss", &rs.PublicKey, func(k *jose.JSONWebKey) { k.Algorithm = "PS256" })
	tok := newToken(p, &clock{now: now})
	rsaSigned := func(c map[string]any) string { return sign(t, jose.RS256, "rsa", rs, c) }
	whole := rsaSigned(good())
	part := strings.Split(whole, ".")
	tests := []struct {
		name string
		raw  []string
		in   bool
	}{
		{"RS256", []string{whole}, true},
		{"ES256", []string{sign(t, jose.ES256, "ec", es, good())}, true},
		{"one audience", []string{rsaSigned(good("aud", audience))}, true},
		{"a clock that is half a minute ahead", []string{rsaSigned(good("nbf", now.Add(30*time.Second).Unix(), "iat", now.Add(30*time.Second).Unix()))}, true},
		{"ended half a minute ago", []string{rsaSigned(good("exp", now.Add(-30*time.Second).Unix()))}, true},
		{"a verified address", []string{rsaSigned(good("email_verified", true))}, true},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"two", []string{whole, whole}, false},
		{"garbage", []string{"a.b.c"}, false},
		{"too long", []string{whole + strings.Repeat("A", 20<<10)}, false},
		{"ended", []string{rsaSigned(good("exp", now.Add(-2*time.Minute).Unix()))}, false},
		{"never ends", []string{rsaSigned(good("exp", nil))}, false},
		{"not yet", []string{rsaSigned(good("nbf", now.Add(2*time.Minute).Unix()))}, false},
		{"another issuer", []string{rsaSigned(good("iss", issuer+"/"))}, false},
		{"no issuer", []string{rsaSigned(good("iss", nil))}, false},
		{"another audience", []string{rsaSigned(good("aud", "other"))}, false},
		{"no audience", []string{rsaSigned(good("aud", nil))}, false},
		{"an address that is nobody's", []string{rsaSigned(good("email", "bob@example.org"))}, false},
		{"a member's name in place of an address", []string{rsaSigned(good("email", "owner"))}, false},
		{"no address", []string{rsaSigned(good("email", nil))}, false},
		{"an address that is not verified", []string{rsaSigned(good("email_verified", false))}, false},
		{"a stranger's signature", []string{sign(t, jose.RS256, "rsa", stranger, good())}, false},
		{"a key that is not published", []string{sign(t, jose.RS256, "other", rs, good())}, false},
		{"a weak key", []string{sign(t, jose.RS256, "weak", weak, good())}, false},
		{"another curve", []string{sign(t, jose.ES384, "p384", p384, good())}, false},
		{"a key for encryption", []string{sign(t, jose.RS256, "encrypts", rs, good())}, false},
		{"a key for another algorithm", []string{sign(t, jose.RS256, "pss", rs, good())}, false},
		{"another algorithm", []string{sign(t, jose.RS512, "rsa", rs, good())}, false},
		{"the public key as a shared one", []string{sign(t, jose.HS256, "rsa", rs.PublicKey.N.Bytes(), good())}, false},
		{"no signature", []string{part[0] + "." + part[1] + "."}, false},
		{"a signature of another token", []string{part[0] + "." + strings.Split(rsaSigned(good("exp", now.Add(2*time.Hour).Unix())), ".")[1] + "." + part[2]}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := member(tok, tt.raw...)
			if tt.in && (err != nil || m != "owner") {
				t.Errorf("refused: %q, %v", m, err)
			}
			if !tt.in && (!errors.Is(err, login.ErrNobody) || m != "") {
				t.Errorf("let in: %q, %v", m, err)
			}
		})
	}
	if n := p.count(); n != 1 {
		t.Errorf("the keys were fetched %d times within a minute", n)
	}
}

func TestKeysChange(t *testing.T) {
	c := &clock{now: time.Now()}
	p, old, fresh := &proxy{}, ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	tok := newToken(p, c)
	in := func(id string, key *ecdsa.PrivateKey) bool {
		t.Helper()
		_, err := member(tok, sign(t, jose.ES256, id, key, map[string]any{
			"iss": issuer, "aud": audience, "email": "ann@example.org", "exp": c.Now().Add(time.Hour).Unix(),
		}))
		return err == nil
	}
	expect := func(step string, got, want bool, asked int) {
		t.Helper()
		if got != want || p.count() != asked {
			t.Errorf("%s: let in %v, want %v; asked %d times, want %d", step, got, want, p.count(), asked)
		}
	}
	p.set(true)
	expect("the proxy is down", in("old", old), false, 1)
	p.set(false)
	p.publish("old", &old.PublicKey)
	expect("within the same minute", in("old", old), false, 1)
	c.add(time.Minute)
	expect("a minute later", in("old", old), true, 2)
	p.publish("fresh", &fresh.PublicKey)
	c.add(30 * time.Second)
	expect("a new key, too early to ask", in("fresh", fresh), false, 2)
	expect("the old one all the same", in("old", old), true, 2)
	c.add(30 * time.Second)
	expect("a new key", in("fresh", fresh), true, 3)
	p.mu.Lock()
	p.keys = p.keys[1:]
	p.mu.Unlock()
	c.add(time.Hour)
	expect("a key that was withdrawn", in("old", old), false, 4)
	p.set(true)
	c.add(23 * time.Hour)
	expect("the proxy does not answer for a while", in("fresh", fresh), true, 5)
	c.add(time.Hour)
	expect("nor for a day", in("fresh", fresh), false, 6)
}

// FuzzToken: whatever a stranger sends logs nobody in.
func FuzzToken(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	p, c := &proxy{}, &clock{now: time.Now()}
	p.publish("k", &key.PublicKey)
	tok := newToken(p, c)
	good := sign(f, jose.ES256, "k", key, map[string]any{"iss": issuer, "aud": audience, "email": "ann@example.org", "exp": c.now.Add(time.Hour).Unix()})
	f.Add("")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(good[:len(good)-4])
	f.Add(strings.ToUpper(good))
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := member(tok, raw)
		signed := strings.LastIndex(good, ".")
		if err == nil && !strings.HasPrefix(raw, good[:signed]) { // the last character of base64 may have spare bits
			t.Errorf("let %q in with %q", m, raw)
		}
	})
}

// body answers every request with itself.
type body string

// RoundTrip implements http.RoundTripper.
func (b body) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(b))), Request: r}, nil
}

// FuzzKeySet: a key set that is none is an error, and never a panic.
func FuzzKeySet(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}`, `<html>`,
		`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tok := login.NewToken(login.TokenOptions{Header: header, KeysURL: issuer, Client: &http.Client{Transport: body(s)}, Log: slog.New(slog.DiscardHandler)})
		if n, err := tok.Check(t.Context()); (err == nil) != (n > 0) {
			t.Errorf("%d keys and %v", n, err)
		}
	})
}
