package egress

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some services sign with it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault"
)

// Formatted is a lease that says how its value is put into a request.
// *vault.Lease is one.
type Formatted interface {
	Lease
	How() vault.Format
}

var _ Formatted = (*vault.Lease)(nil)

var (
	errNoPlace   = errors.New("the secret says of no place in a request where it belongs")
	errExchanged = errors.New("the secret must be exchanged for a token before it is lent")
	errBody      = errors.New("the body is not JSON, or has no known length of less than 1 MiB")
	errNoPath    = errors.New("the path has no place for the secret")
)

// putFormatted puts a value where its own format says. The caller of the egress
// has no say in it. out may be changed; its body is replaced only.
func putFormatted(out *http.Request, f vault.Format, plain []byte, now time.Time) (*http.Request, error) {
	if len(plain) == 0 {
		return nil, errValue
	}
	value := string(plain)
	switch f.Kind {
	case vault.InPlace:
		return nil, errNoPlace
	case vault.Bearer:
		return out, setHeader(out, "Authorization", "Bearer "+value)
	case vault.Basic:
		if f.User != "" {
			value = f.User + ":" + value
		}
		return out, setHeader(out, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(value)))
	case vault.Header:
		return out, setHeader(out, f.Name, f.Prefix+value)
	case vault.Query:
		out.URL.RawQuery = setQuery(out.URL.RawQuery, f.Name, value)
		return out, nil
	case vault.Path:
		// Braces have to be escaped in a path, and may be written either way.
		place := "%7B" + url.PathEscape(f.Name) + "%7D"
		if !strings.Contains(out.URL.EscapedPath(), place) {
			return nil, errNoPath
		}
		return out, putPath(out.URL, place, value)
	case vault.Body:
		return putPointer(out, f.Pointer, value)
	case vault.HMAC:
		return putHMAC(out, f, plain, now)
	case vault.SigV4:
		return putSigV4(out, f, plain, now)
	case vault.OAuth2Refresh, vault.OAuth2Client, vault.JWTBearer:
		return nil, errExchanged
	}
	return nil, errNoPlace
}

func setHeader(req *http.Request, name, value string) error {
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return errValue
	}
	req.Header.Set(name, value)
	return nil
}

// setQuery sets a parameter, in the place of all that have its name. The order
// of the others stays as it is.
func setQuery(raw, name, value string) string {
	var parts []string
	for part := range strings.SplitSeq(raw, "&") {
		key, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(key); part == "" || err == nil && plain == name {
			continue
		}
		parts = append(parts, part)
	}
	return strings.Join(append(parts, url.QueryEscape(name)+"="+url.QueryEscape(value)), "&")
}

// wholeBody reads the body, and returns the request with it put back.
func wholeBody(req *http.Request) (*http.Request, []byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil, nil
	}
	if req.ContentLength <= 0 || req.ContentLength >= maxBody {
		return nil, nil, errBody
	}
	body, err := readBody(req)
	if err != nil {
		return nil, nil, err
	}
	return withBody(req, body), body, nil
}

// putPointer sets the string that an RFC 6901 pointer leads to, in a JSON body
// or, for a pointer of one name, in a form. The objects on the way must exist.
func putPointer(req *http.Request, pointer, value string) (*http.Request, error) {
	req, body, err := wholeBody(req)
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, n := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(n)
	}
	switch kind := kindOf(req); {
	case kind == formBody && len(names) == 1:
		return withBody(req, []byte(setQuery(string(body), names[0], value))), nil
	case kind != jsonBody:
		return nil, errBody
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil || decoder.More() {
		return nil, errBody
	}
	if document, err = setAt(document, names, value); err != nil {
		return nil, err
	}
	fresh, err := json.Marshal(document)
	if err != nil {
		return nil, errBody
	}
	return withBody(req, fresh), nil
}

func setAt(at any, names []string, value string) (any, error) {
	if len(names) == 0 {
		return value, nil
	}
	var err error
	switch node := at.(type) {
	case map[string]any:
		below, is := node[names[0]]
		if !is && len(names) > 1 {
			return nil, fmt.Errorf("the body has no %q", names[0])
		}
		node[names[0]], err = setAt(below, names[1:], value)
	case []any:
		i, aerr := strconv.Atoi(names[0])
		if aerr != nil || i < 0 || i >= len(node) {
			return nil, fmt.Errorf("the body has no %q", names[0])
		}
		node[i], err = setAt(node[i], names[1:], value)
	default:
		return nil, fmt.Errorf("the body has no %q", names[0])
	}
	return at, err
}

// putHMAC signs what the format says and sets the signature's header.
func putHMAC(req *http.Request, f vault.Format, key []byte, now time.Time) (*http.Request, error) {
	req, body, err := wholeBody(req)
	if err != nil {
		return nil, err
	}
	hashes := map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}
	stamp := strconv.FormatInt(now.Unix(), 10)
	signs := f.Signs
	if signs == "" {
		signs = "{body}"
	}
	text := strings.NewReplacer("{method}", method(req), "{path}", req.URL.EscapedPath(), "{query}", req.URL.RawQuery,
		"{timestamp}", stamp, "{body}", string(body)).Replace(signs)
	sum := mac(hashes[f.Hash], key, text)
	signature := hex.EncodeToString(sum)
	if f.Encoding == "base64" {
		signature = base64.StdEncoding.EncodeToString(sum)
	}
	if f.Stamp != "" {
		req.Header.Set(f.Stamp, stamp)
	}
	return req, setHeader(req, f.Name, f.Prefix+signature)
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func method(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}
