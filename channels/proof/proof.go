// Package proof decides whether a request is a platform's own. How a platform
// signs is data, a [Spec], so that an adapter, a section of the configuration
// and a module's manifest say it in the same words and nobody writes the check
// a second time.
//
// Whatever cannot be checked is refused: a missing header, one that stands
// twice, a time outside of the window, an empty secret. Comparisons take the
// same time whatever they compare.
package proof

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/jwks"
)

// Kind is how a platform proves that a request is its own. The set is closed.
type Kind string

// The kinds.
const (
	Standard Kind = "standard-webhooks" // https://www.standardwebhooks.com: webhook-id, webhook-timestamp, webhook-signature
	GitHub   Kind = "github"            // X-Hub-Signature-256
	Meta     Kind = "meta"              // the same, under the app's secret
	Stripe   Kind = "stripe"            // Stripe-Signature: t=...,v1=...
	Slack    Kind = "slack"             // X-Slack-Signature, version 0
	HMAC     Kind = "hmac"              // a signature in a header, as the other fields say
	Ed25519  Kind = "ed25519"           // a signature under PublicKey, as the other fields say
	Bearer   Kind = "bearer"            // Authorization: Bearer SECRET
	Header   Kind = "header"            // a header whose value is the secret
	Body     Kind = "body"              // a text in the JSON body that is the secret, at Pointer
	JWT      Kind = "jwt"               // a token that is signed by a key of KeysURL
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{Standard, GitHub, Stripe, Slack, Meta, HMAC, Ed25519, Bearer, Header, Body, JWT}
}

// Spec is how requests are proved, as it stands in a configuration or in a
// manifest. Secret and Previous name secrets; they are no values.
type Spec struct {
	Kind     Kind   `json:"kind"`
	Secret   string `json:"secret,omitempty"`
	Previous string `json:"previous,omitempty"` // is accepted as well, while a secret is being replaced

	Header   string `json:"header,omitempty"`   // hmac, ed25519, header; jwt: instead of Authorization
	Prefix   string `json:"prefix,omitempty"`   // hmac, ed25519, header: what stands before the value
	Encoding string `json:"encoding,omitempty"` // hmac, ed25519: hex (default) or base64
	Hash     string `json:"hash,omitempty"`     // hmac: sha256 (default), sha1 or sha512
	Stamp    string `json:"stamp,omitempty"`    // hmac, ed25519: the header with the time, in seconds since 1970
	// Signs is what is signed, hmac and ed25519: {timestamp} and {body} stand for
	// the request's. The default is {body}, and with Stamp {timestamp}.{body}.
	Signs  string `json:"signs,omitempty"`
	Within string `json:"within,omitempty"` // how far a time may be off; the default is 5m

	PublicKey string `json:"public_key,omitempty"` // ed25519: 32 bytes in hexadecimal or base64
	KeysURL   string `json:"keys_url,omitempty"`   // jwt: the issuer's key set
	Issuer    string `json:"issuer,omitempty"`     // jwt
	Audience  string `json:"audience,omitempty"`   // jwt
	// Match ties a token to the body, jwt: serviceurl=/serviceUrl wants the claim
	// serviceurl to be the text at that pointer. A token covers no body otherwise.
	Match string `json:"match,omitempty"`

	Pointer string `json:"pointer,omitempty"` // body: where the secret stands, such as /context/token
}

// Request is what is judged.
type Request struct {
	Header http.Header
	Body   []byte // exactly as it came in
	At     time.Time
}

// Verifier is a [channels.Host] that judges requests and signs with secrets
// that the adapter never sees, found by a type assertion.
//
// [channels.Host]: https://pkg.go.dev/github.com/gatehouse-chat/gatehouse/channels#Host
type Verifier interface {
	// Verify has c judge a request. It fails as [Checker.Check] does, and when a
	// secret is not to be had.
	Verify(ctx context.Context, c *Checker, r Request) error
	// Sign returns the header of a Standard Webhooks message, signed with the
	// secret of a reference. The message goes to host.
	Sign(ctx context.Context, ref, host, id string, at time.Time, body []byte) (http.Header, error)
}

// ErrRefused says that a request is not proved to be the platform's. What else
// is in the error says why, for the operator's log and not for the caller.
var ErrRefused = errors.New("the request is not proved")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

// Fault is a mistake in a spec.
type Fault struct{ Path, Text string }

// Stamped reports whether a proof holds for a short time only.
func (s Spec) Stamped() bool {
	switch s.Kind {
	case Standard, Stripe, Slack, JWT:
		return true
	case HMAC, Ed25519:
		return s.Stamp != ""
	case GitHub, Meta, Bearer, Header, Body:
	}
	return false
}

// Signed reports whether the proof covers the body.
func (s Spec) Signed() bool {
	return s.Kind != Bearer && s.Kind != Header && s.Kind != Body && s.Kind != JWT
}

// needs are the fields that each kind must and may have, besides kind.
func needs(k Kind) (must, may []string) {
	switch k {
	case Standard, Stripe, Slack:
		return []string{"secret"}, []string{"previous", "within"}
	case GitHub, Meta, Bearer:
		return []string{"secret"}, []string{"previous"}
	case HMAC:
		return []string{"secret", "header"}, []string{"previous", "prefix", "encoding", "hash", "stamp", "signs", "within"}
	case Ed25519:
		return []string{"public_key", "header"}, []string{"prefix", "encoding", "stamp", "signs", "within"}
	case Header:
		return []string{"secret", "header"}, []string{"previous", "prefix"}
	case JWT:
		return []string{"keys_url", "issuer", "audience"}, []string{"header", "match"}
	case Body:
		return []string{"secret", "pointer"}, []string{"previous"}
	}
	return nil, nil
}

// fields are a spec's texts by their names in a configuration.
func (s Spec) fields() map[string]string {
	return map[string]string{
		"secret": s.Secret, "previous": s.Previous, "header": s.Header, "prefix": s.Prefix, "encoding": s.Encoding,
		"hash": s.Hash, "stamp": s.Stamp, "signs": s.Signs, "within": s.Within, "public_key": s.PublicKey,
		"keys_url": s.KeysURL, "issuer": s.Issuer, "audience": s.Audience, "match": s.Match, "pointer": s.Pointer,
	}
}

// Read reads a spec and lists everything that is wrong with it.
func Read(b json.RawMessage) (Spec, []Fault) {
	var s Spec
	var keys map[string]json.RawMessage
	if json.Unmarshal(b, &keys) != nil || keys == nil {
		return s, []Fault{{Text: "must be a mapping, such as {kind: github, secret: secret://NAME}"}}
	}
	var faults []Fault
	for name, v := range keys {
		var text string
		switch _, known := s.fields()[name]; {
		case !known && name != "kind":
			faults = append(faults, Fault{Text: fmt.Sprintf("%q is not one of its keys", name)})
		case json.Unmarshal(v, &text) != nil:
			faults = append(faults, Fault{name, "must be a text"})
		}
	}
	if len(faults) > 0 {
		return s, faults
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, []Fault{{Text: "cannot be read"}}
	}
	return s, s.Faults()
}

// Faults lists everything that is wrong with a spec.
func (s Spec) Faults() []Fault {
	if !slices.Contains(Kinds(), s.Kind) {
		return []Fault{{"kind", "must be one of " + kindList()}}
	}
	var faults []Fault
	fault := func(path, text string) { faults = append(faults, Fault{path, text}) }
	must, may := needs(s.Kind)
	for name, v := range s.fields() {
		switch {
		case slices.Contains(must, name):
			if strings.TrimSpace(v) == "" {
				fault(name, "is missing: "+string(s.Kind)+" needs "+strings.Join(must, ", "))
			}
		case v != "" && !slices.Contains(may, name):
			fault(name, "is not used by "+string(s.Kind))
		}
	}
	if s.Encoding != "" && s.Encoding != "hex" && s.Encoding != "base64" {
		fault("encoding", "must be hex or base64")
	}
	if s.Hash != "" && hashOf(s.Hash) == nil {
		fault("hash", "must be sha256, sha1 or sha512")
	}
	if d, err := s.window(); err != nil || d <= 0 || d > time.Hour {
		fault("within", "must be a duration of at most an hour, such as 5m")
	}
	if s.Signs != "" && !strings.Contains(s.Signs, "{body}") {
		fault("signs", "must hold {body}: what is not signed is not proved")
	}
	if signs := s.signs(); strings.Contains(signs, "{timestamp}") != (s.Stamp != "") {
		fault("signs", "must hold {timestamp} if there is a 'stamp', and only then")
	}
	if s.PublicKey != "" {
		if _, err := publicKey(s.PublicKey); err != nil {
			fault("public_key", "must be 32 bytes in hexadecimal or base64")
		}
	}
	if u, err := url.Parse(s.KeysURL); s.KeysURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		fault("keys_url", "must be an https URL")
	}
	if s.Pointer != "" && !strings.HasPrefix(s.Pointer, "/") {
		fault("pointer", "must begin with a slash, as in /context/token")
	}
	if claim, at, ok := strings.Cut(s.Match, "="); s.Match != "" && (!ok || claim == "" || !strings.HasPrefix(at, "/")) {
		fault("match", "must be a claim and where its text stands in the body, such as serviceurl=/serviceUrl")
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Path, b.Path) })
	return faults
}

func kindList() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

const window = 5 * time.Minute

func (s Spec) window() (time.Duration, error) {
	if s.Within == "" {
		return window, nil
	}
	return time.ParseDuration(s.Within)
}

func (s Spec) signs() string {
	switch {
	case s.Signs != "":
		return s.Signs
	case s.Stamp != "":
		return "{timestamp}.{body}"
	}
	return "{body}"
}

// Checker judges requests by one spec. It is safe for concurrent use.
type Checker struct {
	spec   Spec
	within time.Duration
	tokens *jwks.Tokens
}

// New makes a checker. client fetches the key set of a jwt spec.
func New(s Spec, client *http.Client) (*Checker, error) {
	if f := s.Faults(); len(f) > 0 {
		return nil, fmt.Errorf("%s %s", f[0].Path, f[0].Text) //nolint:err113 // for people
	}
	d, err := s.window()
	c := &Checker{spec: s.general(), within: d}
	if s.Kind == JWT {
		c.tokens = jwks.New(jwks.Options{Issuer: s.Issuer, Audience: s.Audience, KeysURL: s.KeysURL, Client: client})
	}
	return c, err
}

// general is the spec of a platform that signs as others do, in their words.
func (s Spec) general() Spec {
	switch s.Kind {
	case GitHub, Meta:
		s.Kind, s.Header, s.Prefix = HMAC, "X-Hub-Signature-256", "sha256="
	case Slack:
		s.Kind, s.Header, s.Prefix = HMAC, "X-Slack-Signature", "v0="
		s.Stamp, s.Signs = "X-Slack-Request-Timestamp", "v0:{timestamp}:{body}"
	case Bearer:
		s.Kind, s.Header, s.Prefix = Header, "Authorization", "Bearer "
	case Standard, Stripe, HMAC, Ed25519, Header, Body, JWT:
	}
	return s
}

// Refs names the secrets that Check needs, in its order.
func (c *Checker) Refs() []string {
	var refs []string
	for _, r := range []string{c.spec.Secret, c.spec.Previous} {
		if r != "" {
			refs = append(refs, r)
		}
	}
	return refs
}

// Headers names those that prove a request, in their canonical form: nobody
// else needs to see them.
func (c *Checker) Headers() []string {
	switch c.spec.Kind {
	case Standard:
		return []string{"Webhook-Signature"}
	case Stripe:
		return []string{"Stripe-Signature"}
	case Body:
		return nil
	case JWT:
		return []string{http.CanonicalHeaderKey(cmp.Or(c.spec.Header, "Authorization"))}
	default:
		return []string{http.CanonicalHeaderKey(c.spec.Header)}
	}
}
