package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// TokenOptions describe a proxy that logs people in and says so in a signed
// header, in the manner of Cloudflare Access.
type TokenOptions struct {
	Header   string // "Cf-Access-Jwt-Assertion"
	Issuer   string // exactly what the token has to say
	Audience string // one of the audiences that the token has to name
	KeysURL  string // where the proxy publishes its public keys, as a JWK set
	// Member returns whose e-mail address it is, "" for nobody's. It is asked
	// with lower-case addresses and must be a list that somebody wrote: an
	// address alone makes nobody a member.
	Member func(email string) string
	Client *http.Client     // reaches KeysURL and nothing else
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger
}

// Token believes a proxy's signed tokens. It denies whatever it cannot check:
// another signature, another issuer or audience, no expiry, no key. It is safe
// for concurrent use.
type Token struct {
	o    TokenOptions
	keys *keySet
}

// The limits of a token.
const (
	maxToken = 16 << 10
	skew     = time.Minute // by how much the two clocks may differ
	leastRSA = 2048        // bits
)

// algorithms are those that proxies sign with. A token names its own, and any
// other one, "none" and those with a shared key among them, is refused.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// NewToken makes an authenticator. It asks for no key before the first token.
func NewToken(o TokenOptions) *Token {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Token{o: o, keys: newKeySet(o.Client, o.KeysURL, o.Now)}
}

// claims are what is read of a token beside what every token has.
type claims struct {
	jwt.Claims
	Email    string `json:"email"`
	Verified *bool  `json:"email_verified"`
}

// Member returns the member whose address the proxy vouches for; ErrNobody when
// there is no token, or none that holds. It may wait some seconds for the keys.
func (t *Token) Member(r *http.Request) (string, error) {
	raw := r.Header.Values(t.o.Header)
	if len(raw) == 0 {
		return "", ErrNobody
	}
	if len(raw) > 1 {
		return "", t.refuse(errors.New("the header stands more than once"))
	}
	email, err := t.email(r, raw[0])
	if err != nil {
		return "", t.refuse(err)
	}
	member := t.o.Member(strings.ToLower(email))
	if member == "" {
		return "", t.refuse(errors.New("its address belongs to no member"))
	}
	return member, nil
}

// refuse says why at a level that strangers cannot fill the log at.
func (t *Token) refuse(err error) error {
	t.o.Log.Debug("a proxy's token is refused", "err", err)
	return ErrNobody
}

// email checks a token and returns the address in it.
func (t *Token) email(r *http.Request, raw string) (string, error) {
	if len(raw) > maxToken {
		return "", errors.New("it is too long")
	}
	token, err := jwt.ParseSigned(raw, algorithms)
	if err != nil {
		return "", fmt.Errorf("it cannot be read: %w", err)
	}
	if len(token.Headers) != 1 || token.Headers[0].KeyID == "" {
		return "", errors.New("it does not name its key")
	}
	key, err := t.keys.find(r.Context(), token.Headers[0].KeyID, token.Headers[0].Algorithm)
	if err != nil {
		return "", err
	}
	var c claims
	if err := token.Claims(key, &c); err != nil {
		return "", fmt.Errorf("its signature does not hold: %w", err)
	}
	return c.Email, t.holds(c)
}

// holds checks what a token says, once its signature is known to be good. What
// it says nothing of is as bad as what it says wrong.
func (t *Token) holds(c claims) error {
	switch {
	case c.Expiry == nil:
		return errors.New("it does not end")
	case t.o.Issuer == "" || t.o.Audience == "":
		return errors.New("no issuer or audience is configured")
	case c.Email == "":
		return errors.New("it names no address")
	case c.Verified != nil && !*c.Verified:
		return errors.New("its address is not verified")
	}
	return c.ValidateWithLeeway(jwt.Expected{Issuer: t.o.Issuer, AnyAudience: jwt.Audience{t.o.Audience}, Time: t.o.Now()}, skew)
}

// fits reports whether a key of the set may check tokens of an algorithm.
func fits(k jose.JSONWebKey, algorithm string) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != algorithm {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == string(jose.RS256) && key.N.BitLen() >= leastRSA
	case *ecdsa.PublicKey:
		return algorithm == string(jose.ES256) && key.Curve == elliptic.P256()
	}
	return false
}
