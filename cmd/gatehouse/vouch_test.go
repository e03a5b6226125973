package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// voucher is a proxy that logs people in: its key set on loopback, and its
// signature. It is written out by hand, so that it shares nothing with the code
// that believes it.
type voucher struct{ key *ecdsa.PrivateKey }

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ServeHTTP implements http.Handler.
func (v *voucher) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	point, err := v.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
		"kid": "k1", "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": encoded(point[1:33]), "y": encoded(point[33:]),
	}}})
}

func (v *voucher) sign(claims map[string]any) (string, error) {
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encoded([]byte(`{"alg":"ES256","kid":"k1","typ":"JWT"}`)) + "." + encoded(c)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, v.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return text + "." + encoded(sig), nil
}

// scriptProxy starts a proxy's key set and puts its URL into $KEYS.
func scriptProxy(ts *testscript.TestScript, _ bool, _ []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	w := worldOf(ts)
	w.voucher = &voucher{key: key}
	s := httptest.NewServer(w.voucher)
	w.shut = append(w.shut, s.Close)
	ts.Setenv("KEYS", s.URL)
}

// scriptVouch has the proxy sign that somebody owns an address, into $TOKEN.
func scriptVouch(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "vouch EMAIL")
	token, err := worldOf(ts).voucher.sign(map[string]any{
		"iss": "https://team.example.org", "aud": []string{"gate"}, "email": a[0], "exp": time.Now().Add(time.Hour).Unix(),
	})
	ts.Check(err)
	ts.Setenv("TOKEN", token)
}
