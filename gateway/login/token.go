package login

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/jwks"
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
	o     TokenOptions
	token *jwks.Tokens
}

// NewToken makes an authenticator. It asks for no key before the first token.
func NewToken(o TokenOptions) *Token {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Token{o: o, token: jwks.New(jwks.Options{
		Issuer: o.Issuer, Audience: o.Audience, KeysURL: o.KeysURL, Client: o.Client, Now: o.Now,
	})}
}

// claims are what is read of a token beside what every token has.
type claims struct {
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
	var c claims
	if err := t.token.Read(r.Context(), raw, &c); err != nil {
		return "", err
	}
	switch {
	case c.Email == "":
		return "", errors.New("it names no address")
	case c.Verified != nil && !*c.Verified:
		return "", errors.New("its address is not verified")
	}
	return c.Email, nil
}

// Check looks at the proxy's keys and returns how many there are.
func (t *Token) Check(ctx context.Context) (int, error) { return t.token.Check(ctx) }
