package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some platforms sign with it, and an HMAC of it holds
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/gatehouse-chat/gatehouse/internal/jwks"
)

// Check judges a request with the values of the secrets that Refs names. It
// returns [ErrRefused] for one that is not the platform's, and another error
// when that could not be found out at this time. Only a jwt blocks, while it
// fetches keys.
func (c *Checker) Check(ctx context.Context, secrets [][]byte, r Request) error {
	switch c.spec.Kind {
	case JWT:
		return c.token(ctx, r)
	case Ed25519:
		return c.signature(r)
	case Standard, Stripe, HMAC, Header, Body, GitHub, Meta, Slack, Bearer:
	}
	if len(secrets) == 0 {
		return refuse("there is no secret to check it with")
	}
	for _, s := range secrets {
		if len(strings.TrimSpace(string(s))) == 0 {
			return refuse("a secret is empty")
		}
	}
	switch c.spec.Kind {
	case Standard:
		return c.standard(secrets, r)
	case Stripe:
		return c.stripe(secrets, r)
	case Header:
		return c.shown(secrets, r)
	case Body:
		return c.told(secrets, r)
	default:
		return c.mac(secrets, r)
	}
}

// one is the value of a header that has to stand once.
func one(h http.Header, name string) (string, error) {
	switch v := h.Values(name); len(v) {
	case 1:
		return strings.TrimSpace(v[0]), nil
	case 0:
		return "", refuse("the header %s is missing", name)
	}
	return "", refuse("the header %s stands more than once", name)
}

// value is what stands in the spec's header, after its prefix.
func (c *Checker) value(h http.Header) (string, error) {
	v, err := one(h, c.spec.Header)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(v, c.spec.Prefix)
	if !ok && len(v) >= len(c.spec.Prefix) && c.spec.Header == "Authorization" { // the scheme's case does not matter
		rest, ok = v[len(c.spec.Prefix):], strings.EqualFold(v[:len(c.spec.Prefix)], c.spec.Prefix)
	}
	if !ok {
		return "", refuse("the header %s does not begin with %q", c.spec.Header, c.spec.Prefix)
	}
	return rest, nil
}

// shown compares a secret that is shown as it is. Hashes are compared, so that
// not even its length can be measured.
func (c *Checker) shown(secrets [][]byte, r Request) error {
	v, err := c.value(r.Header)
	if err != nil {
		return err
	}
	if !equal(secrets, v) {
		return refuse("the header %s holds another secret", c.spec.Header)
	}
	return nil
}

func equal(secrets [][]byte, v string) bool {
	got, found := sha256.Sum256([]byte(v)), 0
	for _, s := range secrets {
		want := sha256.Sum256(s)
		found |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return found == 1
}

// stamp is the time that a request says, as it is written, once it is known to
// be within the window; "" where the platform says none.
func (c *Checker) stamp(r Request) (string, error) {
	if c.spec.Stamp == "" {
		return "", nil
	}
	text, err := one(r.Header, c.spec.Stamp)
	if err != nil {
		return "", err
	}
	return text, c.recent(text, r.At)
}

// recent refuses a time that is too far from now.
func (c *Checker) recent(seconds string, now time.Time) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return refuse("its time is not a number of seconds")
	}
	at := time.Unix(n, 0)
	if at.Before(now.Add(-c.within)) || at.After(now.Add(c.within)) {
		return refuse("its time is more than %s from now: it is a repetition, or a clock is wrong", c.within)
	}
	return nil
}

// write writes what is signed.
func (c *Checker) write(w io.Writer, stamp string, body []byte) {
	rest := c.spec.signs()
	for rest != "" {
		before, after, found := strings.Cut(rest, "{")
		_, _ = io.WriteString(w, before)
		switch {
		case !found:
			return
		case strings.HasPrefix(after, "timestamp}"):
			_, _ = io.WriteString(w, stamp)
			rest = after[len("timestamp}"):]
		case strings.HasPrefix(after, "body}"):
			_, _ = w.Write(body)
			rest = after[len("body}"):]
		default:
			_, _ = io.WriteString(w, "{")
			rest = after
		}
	}
}

func hashOf(name string) func() hash.Hash {
	switch name {
	case "", "sha256":
		return sha256.New
	case "sha1":
		return sha1.New
	case "sha512":
		return sha512.New
	}
	return nil
}

// decode reads a signature in the spec's encoding.
func (c *Checker) decode(text string) ([]byte, error) {
	var b []byte
	var err error
	if c.spec.Encoding == "base64" {
		b, err = base64.StdEncoding.DecodeString(text)
	} else {
		b, err = hex.DecodeString(text)
	}
	if err != nil || len(b) == 0 {
		return nil, refuse("its signature cannot be read")
	}
	return b, nil
}

// mac checks an HMAC.
func (c *Checker) mac(secrets [][]byte, r Request) error {
	text, err := c.value(r.Header)
	if err != nil {
		return err
	}
	got, err := c.decode(text)
	if err != nil {
		return err
	}
	stamp, err := c.stamp(r)
	if err != nil {
		return err
	}
	return c.matches(secrets, stamp, r.Body, got)
}

// matches compares signatures with those that the secrets make.
func (c *Checker) matches(secrets [][]byte, stamp string, body []byte, got ...[]byte) error {
	found := 0
	for _, s := range secrets {
		m := hmac.New(hashOf(c.spec.Hash), s)
		c.write(m, stamp, body)
		want := m.Sum(nil)
		for _, g := range got {
			found |= subtle.ConstantTimeCompare(g, want)
		}
	}
	if found != 1 {
		return refuse("its signature is another")
	}
	return nil
}

// stripe checks a header that holds the time and any number of signatures.
func (c *Checker) stripe(secrets [][]byte, r Request) error {
	text, err := one(r.Header, "Stripe-Signature")
	if err != nil {
		return err
	}
	var stamp string
	var got [][]byte
	for part := range strings.SplitSeq(text, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if stamp != "" {
				return refuse("it says two times")
			}
			stamp = v
		case "v1":
			if b, err := hex.DecodeString(v); err == nil {
				got = append(got, b)
			}
		}
	}
	if err := c.recent(stamp, r.At); err != nil {
		return err
	}
	general := *c
	general.spec.Signs = "{timestamp}.{body}"
	return general.matches(secrets, stamp, r.Body, got...)
}

// standard has the library of Standard Webhooks judge.
func (c *Checker) standard(secrets [][]byte, r Request) error {
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature} {
		if _, err := one(r.Header, name); err != nil {
			return err
		}
	}
	if err := c.recent(r.Header.Get(standardwebhooks.HeaderWebhookTimestamp), r.At); err != nil {
		return err
	}
	var last error
	for _, s := range secrets {
		w, err := standardKey(s)
		if err == nil {
			err = w.VerifyIgnoringTimestamp(r.Body, r.Header)
		}
		if err == nil {
			return nil
		}
		last = err
	}
	return refuse("%v", last)
}

// leastKey is the shortest key that is signed with, in bytes; the standard asks
// for 24.
const leastKey = 16

var errShortKey = errors.New("the secret is not 'whsec_' and a base64 text of at least 16 bytes")

func standardKey(secret []byte) (*standardwebhooks.Webhook, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(secret)), "whsec_"))
	if err != nil || len(key) < leastKey {
		return nil, errShortKey
	}
	return standardwebhooks.NewWebhookRaw(key)
}

// SignStandard makes the header of a Standard Webhooks message.
func SignStandard(secret []byte, id string, at time.Time, body []byte) (http.Header, error) {
	w, err := standardKey(secret)
	if err != nil {
		return nil, err
	}
	sum, err := w.Sign(id, at, body)
	h := http.Header{}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, sum)
	return h, err
}

// signature checks an Ed25519 signature.
func (c *Checker) signature(r Request) error {
	text, err := c.value(r.Header)
	if err != nil {
		return err
	}
	got, err := c.decode(text)
	if err != nil {
		return err
	}
	stamp, err := c.stamp(r)
	if err != nil {
		return err
	}
	key, err := publicKey(c.spec.PublicKey)
	if err != nil {
		return refuse("%v", err)
	}
	var signed strings.Builder
	c.write(&signed, stamp, r.Body)
	if !ed25519.Verify(key, []byte(signed.String()), got) {
		return refuse("its signature is another")
	}
	return nil
}

var errPublicKey = errors.New("the public key is not 32 bytes in hexadecimal or base64")

func publicKey(text string) (ed25519.PublicKey, error) {
	for _, read := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if b, err := read(strings.TrimSpace(text)); err == nil && len(b) == ed25519.PublicKeySize {
			return b, nil
		}
	}
	return nil, errPublicKey
}

// token checks a JWT.
func (c *Checker) token(ctx context.Context, r Request) error {
	name, prefix := c.spec.Header, ""
	if name == "" {
		name, prefix = "Authorization", "Bearer "
	}
	v, err := one(r.Header, name)
	if err != nil {
		return err
	}
	if len(v) < len(prefix) || !strings.EqualFold(v[:len(prefix)], prefix) {
		return refuse("the header %s holds no token", name)
	}
	var claims map[string]any
	switch err := c.tokens.Read(ctx, v[len(prefix):], &claims); {
	case errors.Is(err, jwks.ErrNoKeys):
		return fmt.Errorf("the token cannot be judged now: %w", err)
	case err != nil:
		return refuse("the token: %v", err)
	}
	return c.matched(claims, r.Body)
}
