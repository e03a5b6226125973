package proof_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

func sum(key, text string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

var (
	seed    = sha256.Sum256([]byte("a key for tests"))
	private = ed25519.NewKeyFromSeed(seed[:])
	public  = hex.EncodeToString(private.Public().(ed25519.PublicKey))
)

// sample is a request that holds, of one kind.
type sample struct {
	name   string
	spec   proof.Spec
	secret string
	body   string
	at     int64
	header http.Header
}

// samples holds the examples that the platforms publish, and our own where
// there are none.
func samples() []sample {
	const key, body = "a secret of the tests", `{"text":"hello"}`
	return []sample{
		{ // docs.github.com, validating webhook deliveries
			"github",
			proof.Spec{Kind: proof.GitHub, Secret: "s"},
			"It's a Secret to Everybody", "Hello, World!", 0,
			http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
		},
		{ // standardwebhooks.com
			"standard-webhooks",
			proof.Spec{Kind: proof.Standard, Secret: "s"},
			"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`, 1614265330,
			http.Header{
				"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Webhook-Timestamp": {"1614265330"},
				"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
			},
		},
		{ // api.slack.com, verifying requests
			"slack",
			proof.Spec{Kind: proof.Slack, Secret: "s"},
			"8f742231b10e8888abcd99yyyzzz85a5",
			"token=xyzz0WbapA4vBCDEFx0s6zyZ&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
				"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com" +
				"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
			1531420618, nil, // signed below: the published example is cut
		},
		{"stripe", proof.Spec{Kind: proof.Stripe, Secret: "s"}, key, body, 1492774577, http.Header{
			"Stripe-Signature": {"t=1492774577,v1=" + strings.Repeat("00", 32) + ",v1=" + hex.EncodeToString(sum(key, "1492774577."+body)) + ",v0=abc"},
		}},
		{"meta", proof.Spec{Kind: proof.Meta, Secret: "s"}, key, body, 0, http.Header{
			"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sum(key, body))},
		}},
		{
			"hmac with a time",
			proof.Spec{Kind: proof.HMAC, Secret: "s", Header: "X-Sig", Prefix: "v1 ", Encoding: "base64", Stamp: "X-Time", Signs: "{timestamp}|{body}"},
			key, body, 1700000000,
			http.Header{"X-Sig": {"v1 " + base64.StdEncoding.EncodeToString(sum(key, "1700000000|"+body))}, "X-Time": {"1700000000"}},
		},
		{
			"ed25519",
			proof.Spec{Kind: proof.Ed25519, PublicKey: public, Header: "X-Signature-Ed25519", Stamp: "X-Signature-Timestamp", Signs: "{timestamp}{body}"},
			"", body, 1700000000,
			http.Header{
				"X-Signature-Ed25519":   {hex.EncodeToString(ed25519.Sign(private, []byte("1700000000"+body)))},
				"X-Signature-Timestamp": {"1700000000"},
			},
		},
		{"bearer", proof.Spec{Kind: proof.Bearer, Secret: "s"}, key, body, 0, http.Header{"Authorization": {"bearer " + key}}},
		{"header", proof.Spec{Kind: proof.Header, Secret: "s", Header: "X-Token"}, key, body, 0, http.Header{"X-Token": {key}}},
	}
}

func (s sample) complete() sample {
	if s.name == "slack" {
		s.header = http.Header{
			"X-Slack-Request-Timestamp": {"1531420618"},
			"X-Slack-Signature":         {"v0=" + hex.EncodeToString(sum(s.secret, "v0:1531420618:"+s.body))},
		}
	}
	if s.at == 0 {
		s.at = 1700000000
	}
	return s
}

func (s sample) check(t testing.TB) error {
	t.Helper()
	c, err := proof.New(s.spec, nil)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	var secrets [][]byte
	for range c.Refs() {
		secrets = append(secrets, []byte(s.secret))
	}
	return c.Check(t.Context(), secrets, proof.Request{Header: s.header, Body: []byte(s.body), At: time.Unix(s.at, 0)})
}

func TestCheck(t *testing.T) {
	for _, s := range samples() {
		s = s.complete()
		t.Run(s.name, func(t *testing.T) {
			if err := s.check(t); err != nil {
				t.Fatalf("a good request: %v", err)
			}
			refused := func(what string, change func(*sample)) {
				t.Helper()
				x := s
				x.header = s.header.Clone()
				change(&x)
				if err := x.check(t); !errors.Is(err, proof.ErrRefused) {
					t.Errorf("%s: %v", what, err)
				} else if strings.Contains(err.Error(), s.secret) && s.secret != "" {
					t.Errorf("%s: the error shows the secret", what)
				}
			}
			if s.spec.Signed() {
				refused("another body", func(x *sample) { x.body += " " })
			}
			if s.secret != "" {
				refused("another secret", func(x *sample) { x.secret = "whsec_" + base64.StdEncoding.EncodeToString(seed[:]) })
				refused("a blank secret", func(x *sample) { x.secret = " " })
			}
			refused("no header", func(x *sample) { x.header = http.Header{} })
			for name, v := range s.header {
				refused("without "+name, func(x *sample) { x.header.Del(name) })
				refused("twice "+name, func(x *sample) { x.header[name] = append(v, v...) })
				refused("an empty "+name, func(x *sample) { x.header.Set(name, "") })
				refused("another "+name, func(x *sample) { x.header.Set(name, "v0=00") })
			}
			if s.spec.Stamped() {
				refused("too late", func(x *sample) { x.at += 301 })
				refused("too early", func(x *sample) { x.at -= 301 })
				late := s
				late.at += 299
				if err := late.check(t); err != nil {
					t.Errorf("within the window: %v", err)
				}
			}
		})
	}
}

func TestPrevious(t *testing.T) {
	s := samples()[0]
	s.spec.Previous = "old"
	c, err := proof.New(s.spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := proof.Request{Header: s.header, Body: []byte(s.body), At: time.Unix(1, 0)}
	if err := c.Check(t.Context(), [][]byte{[]byte("the new one"), []byte(s.secret)}, r); err != nil {
		t.Errorf("the secret that is being replaced: %v", err)
	}
	for _, secrets := range [][][]byte{nil, {[]byte("x")}, {[]byte(s.secret), nil}} {
		if err := c.Check(t.Context(), secrets, r); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("with %d secrets: %v", len(secrets), err)
		}
	}
}

func TestSignStandard(t *testing.T) {
	at := time.Unix(1700000000, 0)
	secret := []byte("whsec_" + base64.StdEncoding.EncodeToString(seed[:]))
	h, err := proof.SignStandard(secret, "turn/1", at, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := proof.New(proof.Spec{Kind: proof.Standard, Secret: "s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context(), [][]byte{secret}, proof.Request{Header: h, Body: []byte("{}"), At: at}); err != nil {
		t.Error(err)
	}
	for _, short := range []string{"", "whsec_", "whsec_AAAA", "not base64!"} {
		if _, err := proof.SignStandard([]byte(short), "x", at, nil); err == nil {
			t.Errorf("it signs with %q", short)
		}
	}
}

// TestJWT has an issuer publish its key, and then go away.
func TestJWT(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	published, down := true, false
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		set := jose.JSONWebKeySet{}
		if published {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
	defer issuer.Close()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "1"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(c jwt.Claims) string {
		s, err := jwt.Signed(signer).Claims(c).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := jwt.Claims{Issuer: "https://issuer", Audience: jwt.Audience{"hook"}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}
	spec := proof.Spec{Kind: proof.JWT, KeysURL: issuer.URL, Issuer: "https://issuer", Audience: "hook"}
	body := []byte(`{"from":{"url":"https://here"}}`)
	check := func(c *proof.Checker, authorization string) error {
		h := http.Header{}
		if authorization != "" {
			h.Set("Authorization", authorization)
		}
		return c.Check(t.Context(), nil, proof.Request{Header: h, Body: body, At: time.Now()})
	}
	tied := func(where string) string {
		s, err := jwt.Signed(signer).Claims(good).Claims(map[string]any{"url": where}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + s
	}
	c, err := proof.New(spec, issuer.Client())
	if err != nil {
		t.Fatal(err)
	}
	if err := check(c, "Bearer "+token(good)); err != nil {
		t.Errorf("a good token: %v", err)
	}
	other, endless, past := good, good, good
	other.Audience, endless.Expiry, past.Expiry = jwt.Audience{"another"}, nil, jwt.NewNumericDate(time.Now().Add(-time.Hour))
	for name, v := range map[string]string{
		"none": "", "no scheme": token(good), "another audience": "Bearer " + token(other), "without an end": "Bearer " + token(endless),
		"expired": "Bearer " + token(past), "garbage": "Bearer x.y.z",
	} {
		if err := check(c, v); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	spec.Match = "url=/from/url"
	if c, err = proof.New(spec, issuer.Client()); err != nil {
		t.Fatal(err)
	}
	if err := check(c, tied("https://here")); err != nil {
		t.Errorf("a token that says the same as the body: %v", err)
	}
	for name, v := range map[string]string{"says something else": tied("https://there"), "says nothing": "Bearer " + token(good), "is empty": tied("")} {
		if err := check(c, v); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("a token that %s: %v", name, err)
		}
	}
	down = true
	c, err = proof.New(spec, issuer.Client())
	if err != nil {
		t.Fatal(err)
	}
	if err := check(c, "Bearer "+token(good)); err == nil || errors.Is(err, proof.ErrRefused) {
		t.Errorf("without keys nobody can tell: %v", err)
	}
}

// TestBody: a secret that stands in the body, which is taken out once it is judged.
func TestBody(t *testing.T) {
	spec := proof.Spec{Kind: proof.Body, Secret: "s", Pointer: "/context/token"}
	c, err := proof.New(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(body string, secrets ...string) error {
		var all [][]byte
		for _, s := range secrets {
			all = append(all, []byte(s))
		}
		return c.Check(t.Context(), all, proof.Request{Body: []byte(body), At: time.Now()})
	}
	const good = `{"context":{"token":"hidden","n":12345678901234567890}}`
	if err := check(good, "other", "hidden"); err != nil {
		t.Error(err)
	}
	if got, want := string(c.Conceal([]byte(good))), `{"context":{"n":12345678901234567890}}`; got != want {
		t.Errorf("what is left is %s, want %s", got, want)
	}
	for _, body := range []string{`{"context":{"token":"hidde"}}`, `{"context":{"token":["hidden"]}}`, `{"context":"hidden"}`, `{"token":"hidden"}`, `[]`, ``, good + good} {
		if err := check(body, "hidden"); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, secrets := range [][]string{nil, {""}, {" "}} {
		if err := check(`{"context":{"token":""}}`, secrets...); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("with the secrets %q: %v", secrets, err)
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"kind":"github","secret":"secret://x"}`, ""},
		{`{"kind":"github"}`, "secret"},
		{`{"kind":"github","secret":" "}`, "secret"},
		{`{"kind":"github","secret":"s","stamp":"X"}`, "stamp"},
		{`{"kind":"gitlab"}`, "kind"},
		{`{}`, "kind"},
		{`{"kind":"github","secret":"s","sekret":"s"}`, "?"},
		{`{"kind":"github","secret":7}`, "secret"},
		{`{"kind":"hmac","secret":"s","header":"X","signs":"{timestamp}"}`, "signs signs"},
		{`{"kind":"hmac","secret":"s","header":"X","stamp":"T","signs":"{body}"}`, "signs"},
		{`{"kind":"hmac","secret":"s","header":"X","hash":"md5","encoding":"x"}`, "encoding hash"},
		{`{"kind":"stripe","secret":"s","within":"2h"}`, "within"},
		{`{"kind":"stripe","secret":"s","within":"-1m"}`, "within"},
		{`{"kind":"ed25519","public_key":"00","header":"X"}`, "public_key"},
		{`{"kind":"jwt","keys_url":"ftp://x","issuer":"i","audience":"a"}`, "keys_url"},
		{`{"kind":"jwt","keys_url":"https://x"}`, "audience issuer"},
		{`{"kind":"jwt","keys_url":"https://x","issuer":"i","audience":"a","match":"url"}`, "match"},
		{`{"kind":"body","secret":"s"}`, "pointer"},
		{`{"kind":"body","secret":"s","pointer":"token"}`, "pointer"},
		{`[]`, "?"},
	} {
		_, faults := proof.Read(json.RawMessage(c.in))
		var paths []string
		for _, f := range faults {
			paths = append(paths, cmp.Or(f.Path, "?"))
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range samples() {
		b, _ := json.Marshal(s.spec)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, faults := proof.Read(b)
		if len(faults) > 0 {
			return
		}
		if _, err := proof.New(s, nil); err != nil {
			t.Errorf("%s has no fault, and cannot be used: %v", b, err)
		}
	})
}

// FuzzCheck: nobody gets in with what he made up himself.
func FuzzCheck(f *testing.F) {
	for i, s := range samples() {
		s = s.complete()
		for _, v := range s.header {
			f.Add(i, v[0], strconv.FormatInt(s.at, 10), []byte(s.body))
		}
	}
	f.Fuzz(func(t *testing.T, i int, value, stamp string, body []byte) {
		all := samples()
		s := all[((i%len(all))+len(all))%len(all)].complete()
		for name := range s.header {
			s.header[name] = []string{value}
		}
		for _, name := range []string{"Webhook-Timestamp", "X-Slack-Request-Timestamp", "X-Time", "X-Signature-Timestamp"} {
			if s.header.Get(name) != "" {
				s.header.Set(name, stamp)
			}
		}
		s.body, s.secret = string(body), "whsec_"+base64.StdEncoding.EncodeToString(seed[:])
		if s.name == "ed25519" {
			s.spec.PublicKey = hex.EncodeToString(seed[:])
		}
		if err := s.check(t); err == nil {
			t.Errorf("%s lets in %q", s.name, value)
		}
	})
}
