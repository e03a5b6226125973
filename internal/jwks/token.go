package jwks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// ErrNoKeys says that a token could not be judged, because its issuer's keys
// are not to be had at this time.
var ErrNoKeys = errors.New("the issuer's keys are not to be had")

// Options say whose tokens are believed.
type Options struct {
	Issuer   string           // exactly what the token has to say
	Audience string           // one of the audiences that the token has to name
	KeysURL  string           // where the issuer publishes its public keys
	Client   *http.Client     // reaches KeysURL
	Now      func() time.Time // nil: time.Now
}

// Tokens reads the tokens of one issuer. It denies whatever it cannot check:
// another signature, another issuer or audience, no expiry, no key. It is safe
// for concurrent use.
type Tokens struct {
	o    Options
	keys *keySet
}

// The limits of a token.
const (
	maxToken = 16 << 10
	skew     = time.Minute // by how much the two clocks may differ
	leastRSA = 2048        // bits
)

// algorithms are those that issuers sign with. A token names its own, and any
// other one, "none" and those with a shared key among them, is refused.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// New makes a reader. It asks for no key before the first token.
func New(o Options) *Tokens {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Tokens{o: o, keys: newKeySet(o.Client, o.KeysURL, o.Now)}
}

// Read checks a token and unmarshals what it says into more, which may be nil.
// It may wait some seconds for the keys. Nothing of more is to be believed when
// it fails; [ErrNoKeys] is the one failure that says nothing of the token.
func (t *Tokens) Read(ctx context.Context, raw string, more any) error {
	if t.o.Issuer == "" || t.o.Audience == "" {
		return errors.New("no issuer or audience is configured")
	}
	if len(raw) > maxToken {
		return errors.New("it is too long")
	}
	token, err := jwt.ParseSigned(raw, algorithms)
	if err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if len(token.Headers) != 1 || token.Headers[0].KeyID == "" {
		return errors.New("it does not name its key")
	}
	key, err := t.keys.find(ctx, token.Headers[0].KeyID, token.Headers[0].Algorithm)
	if err != nil {
		return err
	}
	var c jwt.Claims
	into := []any{&c}
	if more != nil {
		into = append(into, more)
	}
	if err := token.Claims(key, into...); err != nil {
		return fmt.Errorf("its signature does not hold: %w", err)
	}
	if c.Expiry == nil {
		return errors.New("it does not end")
	}
	return c.ValidateWithLeeway(jwt.Expected{Issuer: t.o.Issuer, AnyAudience: jwt.Audience{t.o.Audience}, Time: t.o.Now()}, skew)
}

// Check looks at the issuer's keys and returns how many there are.
func (t *Tokens) Check(ctx context.Context) (int, error) {
	keys, err := t.keys.fetch(ctx)
	return len(keys), err
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
