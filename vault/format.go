package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// Kind is how a value is put into a request. It belongs to the secret: a caller
// who could choose it could try out where a value shows.
type Kind string

// The kinds. The last three are exchanged before anything is sent: the value
// goes to the token's address only, and what a lease lends is the access token,
// as [Bearer].
const (
	InPlace Kind = ""       // in the place of its placeholder, wherever the egress allows that
	Bearer  Kind = "bearer" // Authorization: Bearer VALUE
	Basic   Kind = "basic"  // Authorization: Basic, of User and VALUE; without User the value is user:password
	Header  Kind = "header" // the header Name: Prefix + VALUE
	Query   Kind = "query"  // the parameter Name, replacing one that is there
	Path    Kind = "path"   // in the place of {Name} within a segment of the path
	Body    Kind = "body"   // the string at Pointer in a JSON body, replacing one that is there
	HMAC    Kind = "hmac"   // the header Name: Prefix + the signature of Signs under VALUE
	SigV4   Kind = "sigv4"  // a signature of AWS, version 4, under VALUE, the secret access key of AccessKey

	OAuth2Refresh Kind = "oauth2-refresh" // VALUE is the refresh token, or JSON: {"refresh_token": ..., "client_secret": ...}
	OAuth2Client  Kind = "oauth2-client"  // VALUE is the client's secret
	JWTBearer     Kind = "jwt-bearer"     // VALUE is a private key in PEM, which signs the assertion
)

// exchanged reports whether the value itself never goes to a secret's hosts.
func (k Kind) exchanged() bool { return k == OAuth2Refresh || k == OAuth2Client || k == JWTBearer }

// Format is a kind with what it needs. None of it is confidential: it is shown
// by lists, and bound to the value so that it cannot be changed in the database.
// The zero Format is [InPlace].
type Format struct {
	Kind   Kind   `json:"kind,omitempty"`
	Name   string `json:"name,omitempty"`   // header, query, path, hmac
	Prefix string `json:"prefix,omitempty"` // header, hmac: what stands before the value or signature, with its space
	User   string `json:"user,omitempty"`   // basic

	Pointer string `json:"pointer,omitempty"` // body: RFC 6901, such as /auth/token

	Hash     string `json:"hash,omitempty"`     // hmac: sha256 (default), sha1 or sha512
	Encoding string `json:"encoding,omitempty"` // hmac: hex (default) or base64
	// Signs is what an HMAC is made over. In it {method}, {path}, {query},
	// {timestamp} and {body} stand for the request's; the default is {body}.
	Signs string `json:"signs,omitempty"`
	Stamp string `json:"stamp,omitempty"` // hmac: the header that carries {timestamp}, in seconds

	AccessKey string `json:"access_key,omitempty"` // sigv4
	Region    string `json:"region,omitempty"`     // sigv4
	Service   string `json:"service,omitempty"`    // sigv4

	TokenURL string `json:"token_url,omitempty"` // oauth2-*, jwt-bearer: https
	ClientID string `json:"client_id,omitempty"` // oauth2-*
	Scope    string `json:"scope,omitempty"`     // oauth2-*, jwt-bearer: words with spaces between
	Issuer   string `json:"issuer,omitempty"`    // jwt-bearer
	Subject  string `json:"subject,omitempty"`   // jwt-bearer; empty: none
	Audience string `json:"audience,omitempty"`  // jwt-bearer; empty: TokenURL
	KeyID    string `json:"key_id,omitempty"`    // jwt-bearer; empty: none
}

// shape says which fields a kind has.
type shape struct{ must, may []string }

// shapes lists every kind.
func shapes() map[Kind]shape {
	return map[Kind]shape{
		InPlace: {}, Bearer: {},
		Basic:  {may: []string{"user"}},
		Header: {must: []string{"name"}, may: []string{"prefix"}},
		Query:  {must: []string{"name"}},
		Path:   {must: []string{"name"}},
		Body:   {must: []string{"pointer"}},
		HMAC:   {must: []string{"name"}, may: []string{"prefix", "hash", "encoding", "signs", "stamp"}},
		SigV4:  {must: []string{"access_key", "region", "service"}},

		OAuth2Refresh: {must: []string{"token_url", "client_id"}, may: []string{"scope"}},
		OAuth2Client:  {must: []string{"token_url", "client_id"}, may: []string{"scope"}},
		JWTBearer:     {must: []string{"token_url", "issuer"}, may: []string{"subject", "audience", "key_id", "scope"}},
	}
}

// Kinds lists the kinds that can be asked for by name.
func Kinds() []string {
	var all []string
	for k := range shapes() {
		if k != InPlace {
			all = append(all, string(k))
		}
	}
	slices.Sort(all)
	return all
}

// ParseFormat makes a format from a kind's name and its fields by their JSON
// names, and says everything that is missing, unknown or wrong.
func ParseFormat(kind string, fields map[string]string) (Format, error) {
	all := maps.Clone(fields)
	if all == nil {
		all = map[string]string{}
	}
	delete(all, "kind")
	all["kind"] = kind
	text, err := json.Marshal(all)
	if err != nil {
		return Format{}, err
	}
	var f Format
	if err := strict(text, &f); err != nil {
		return Format{}, errors.New("a field of the kind is not known; " + usage(Kind(kind)))
	}
	return f, f.Check()
}

// usage names a kind's fields.
func usage(k Kind) string {
	s, ok := shapes()[k]
	if !ok {
		return fmt.Sprintf("%q is no kind of injection; there are: %s", k, strings.Join(Kinds(), ", "))
	}
	text := string(k) + " needs "
	if len(s.must) == 0 {
		text += "nothing"
	}
	text += strings.Join(s.must, ", ")
	if len(s.may) > 0 {
		text += ", and takes " + strings.Join(s.may, ", ")
	}
	return text
}

// Check says what is wrong with a format.
func (f Format) Check() error {
	s, ok := shapes()[f.Kind]
	if !ok {
		return errors.New(usage(f.Kind))
	}
	set, err := f.fields()
	if err != nil {
		return err
	}
	for _, name := range s.must {
		if set[name] == "" {
			return fmt.Errorf("%s is missing; %s", name, usage(f.Kind))
		}
	}
	for name := range set {
		if !slices.Contains(s.must, name) && !slices.Contains(s.may, name) {
			return fmt.Errorf("%s does not belong there; %s", name, usage(f.Kind))
		}
	}
	return f.checkValues()
}

// fields are the fields that are set, by their JSON names, but for the kind.
func (f Format) fields() (map[string]string, error) {
	text, err := json.Marshal(f) //nolint:gosec // the id of an access key, which is no secret
	if err != nil {
		return nil, err
	}
	var set map[string]string
	err = json.Unmarshal(text, &set)
	delete(set, "kind")
	return set, err
}

// checkValues looks at the single fields.
func (f Format) checkValues() error {
	switch {
	case (f.Kind == Header || f.Kind == HMAC) && !headerName(f.Name):
		return fmt.Errorf("%q is not a header that a secret can stand in", f.Name)
	case f.Stamp != "" && !headerName(f.Stamp):
		return fmt.Errorf("%q is not a header that the time can stand in", f.Stamp)
	case strings.ContainsFunc(f.Prefix+f.User+f.Region+f.Service+f.AccessKey, control):
		return errors.New("control characters cannot be sent")
	case strings.Contains(f.User, ":"):
		return errors.New("the user's name of basic has no colon")
	case f.Kind == Path && strings.ContainsAny(f.Name, "{}/"):
		return errors.New("the name stands in braces in the path, and has none itself")
	case f.Kind == Body && !strings.HasPrefix(f.Pointer, "/"):
		return errors.New("the pointer begins with a slash, as in /auth/token")
	case !slices.Contains([]string{"", "sha1", "sha256", "sha512"}, f.Hash):
		return errors.New("the hash is sha256, sha512 or sha1")
	case !slices.Contains([]string{"", "hex", "base64"}, f.Encoding):
		return errors.New("the encoding is hex or base64")
	case f.TokenURL != "":
		return checkTokenURL(f.TokenURL)
	}
	return nil
}

func control(c rune) bool { return c < ' ' || c == 0x7f }

// headerName reports whether a secret may stand in a header: not in one that
// steers the connection or names its destination.
func headerName(name string) bool {
	if name == "" || strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	}) {
		return false
	}
	steers := []string{
		"Connection", "Content-Length", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	return !slices.Contains(steers, name) && !strings.HasPrefix(name, "Proxy-")
}

// checkTokenURL refuses addresses to which no credential may go. Which of them
// can be reached is the egress's to decide.
func checkTokenURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || !plainHost(u.Hostname()) {
		return errors.New("the token's address is not a URL such as https://login.example.com/token")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); u.Scheme != "https" && (err != nil || !ip.IsLoopback() || u.Scheme != "http") {
		return errors.New("the token's address begins with https://")
	}
	return nil
}
