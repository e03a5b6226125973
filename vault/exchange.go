package vault

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
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxTokenAnswer bounds what a token's address may answer, in bytes.
const maxTokenAnswer = 64 << 10

// tokenAnswer is RFC 6749, 5.1 and 5.2.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"`
}

// ask makes the request for a token: plain is the secret's value, refresh the
// newest refresh token if there was one.
func (f Format) ask(plain []byte, refresh string, now time.Time) (url.Values, http.Header, error) {
	form, header := url.Values{}, http.Header{}
	if f.Scope != "" {
		form.Set("scope", f.Scope)
	}
	switch f.Kind {
	case OAuth2Client:
		form.Set("grant_type", "client_credentials")
		header.Set("Authorization", clientBasic(f.ClientID, string(plain)))
	case OAuth2Refresh:
		first, client := refreshParts(plain)
		if refresh == "" {
			refresh = first
		}
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", refresh)
		if client == "" {
			form.Set("client_id", f.ClientID)
		} else {
			header.Set("Authorization", clientBasic(f.ClientID, client))
		}
	case JWTBearer:
		assertion, err := f.assertion(plain, now)
		if err != nil {
			return nil, nil, err
		}
		form.Del("scope") // it is a claim
		form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		form.Set("assertion", assertion)
	default:
		return nil, nil, fmt.Errorf("%w: %s is not exchanged", ErrExchange, f.Kind)
	}
	return form, header, nil
}

// clientBasic is RFC 6749, 2.3.1: both parts are form-encoded first.
func clientBasic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// refreshParts reads the value of a refresh token: the token itself, or JSON
// with the client's secret beside it.
func refreshParts(plain []byte) (refresh, client string) {
	var parts struct {
		Refresh string `json:"refresh_token"`
		Client  string `json:"client_secret"`
	}
	if strict(plain, &parts) == nil && parts.Refresh != "" {
		return parts.Refresh, parts.Client
	}
	return string(plain), ""
}

// postForm sends a form and reads what RFC 6749 answers. No error quotes the
// answer: it may hold what was sent.
func postForm(ctx context.Context, c *http.Client, to string, form url.Values, header http.Header) (tokenAnswer, error) {
	var a tokenAnswer
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return a, errors.New("the token's address cannot be asked")
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return a, fmt.Errorf("ask for a token: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err != nil {
		return a, errors.New("the answer with the token broke off")
	}
	defer clear(text)
	err = json.Unmarshal(text, &a)
	switch {
	case resp.StatusCode != http.StatusOK && known(a.Error):
		return a, fmt.Errorf("the token's address refuses: %s", a.Error)
	case resp.StatusCode != http.StatusOK:
		return a, fmt.Errorf("the token's address answers with status %d", resp.StatusCode)
	case err != nil || a.AccessToken == "" || strings.ContainsFunc(a.AccessToken, control):
		return a, errors.New("the token's address answers with something else than a token")
	case a.TokenType != "" && !strings.EqualFold(a.TokenType, "bearer"):
		return a, errors.New("the token is of a type that cannot be sent")
	}
	return a, nil
}

// known reports whether an error is one of those that the standards name.
func known(code string) bool {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return true
	}
	return false
}

// assertion makes a signed token of RFC 7523.
func (f Format) assertion(pemText []byte, now time.Time) (string, error) {
	key, alg, err := signingKey(pemText)
	if err != nil {
		return "", err
	}
	audience := f.Audience
	if audience == "" {
		audience = f.TokenURL
	}
	head := map[string]any{"alg": alg, "typ": "JWT"}
	if f.KeyID != "" {
		head["kid"] = f.KeyID
	}
	claims := map[string]any{
		"iss": f.Issuer, "aud": audience, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"jti": base64.RawURLEncoding.EncodeToString(random(16)),
	}
	if f.Subject != "" {
		claims["sub"] = f.Subject
	}
	if f.Scope != "" {
		claims["scope"] = f.Scope
	}
	var text []byte
	for _, part := range []any{head, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		if text != nil {
			text = append(text, '.')
		}
		text = append(text, base64.RawURLEncoding.EncodeToString(b)...)
	}
	signature, err := sign(key, text)
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	return string(text) + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

var errPrivateKey = errors.New("the value is not a private key in PEM: RSA of at least 2048 bits, P-256 or Ed25519")

// signingKey reads a private key and names its algorithm.
func signingKey(text []byte) (crypto.Signer, string, error) {
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil {
		return nil, "", errPrivateKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			if parsed, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
				return nil, "", errPrivateKey
			}
		}
	}
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return k, "RS256", nil
		}
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return k, "ES256", nil
		}
	case ed25519.PrivateKey:
		return k, "EdDSA", nil
	}
	return nil, "", errPrivateKey
}

// sign signs as RFC 7518 and 8037 say.
func sign(key crypto.Signer, text []byte) ([]byte, error) {
	sum := sha256.Sum256(text)
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(k, text), nil
	}
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}
