package egress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// Lease lends a value for as long as f runs. vault.Lease is one.
type Lease interface {
	Use(f func(plain []byte) error) error
}

// Places are the parts of a request in which a placeholder is replaced.
type Places uint8

// The parts. A body is never searched unless the injection says so: it holds
// what people and models wrote, and must not be able to ask for the secret.
const (
	InPath    Places = 1 << iota // within a segment: /bot<placeholder>/getMe
	InQuery                      // the whole value of a parameter
	InHeader                     // within a header's value: Bearer <placeholder>
	InBody                       // a whole JSON string or the whole value of a form field
	InMessage                    // a whole JSON string in a message of a WebSocket

	// Anywhere but in bodies and messages: what a zero Places stands for.
	Anywhere = InPath | InQuery | InHeader
)

// Injection puts a secret in the place of its placeholder.
type Injection struct {
	// Placeholder is as NewPlaceholder makes it. "": the lease says how its value
	// is put into every request (see Formatted).
	Placeholder string
	In          Places // 0: Anywhere
	// Lease lends the value for one request to host:port. It is called only
	// once the destination is authorised, and only when the placeholder, if
	// there is one, stands in the request. An error refuses the request.
	Lease func(ctx context.Context, host string) (Lease, error)
}

const (
	minPlaceholder = 12      // a shorter one could stand in a request by chance
	maxBody        = 1 << 20 // bytes of a body that is searched; longer ones are sent as they are
)

var (
	errInjection = errors.New("the secret cannot be put in")
	errValue     = errors.New("the secret has characters that cannot stand there")
)

// usable reports whether an injection can be searched for.
func (i Injection) usable() bool { return len(i.Placeholder) >= minPlaceholder && i.Lease != nil }

// formatted reports whether the secret itself says where it belongs.
func (i Injection) formatted() bool { return i.Placeholder == "" && i.Lease != nil }

// places is where the placeholder is replaced.
func (i Injection) places() Places {
	if i.In == 0 {
		return Anywhere
	}
	return i.In
}

// used is one injection of a request. It is kept while the request, which holds
// the value itself, is under way, to hide the value in what comes back.
type used struct {
	placeholder string
	value       string
}

// inject returns the request with its placeholders replaced. The one passed in
// is not changed, so that everything a caller can see shows the placeholder.
func (r *rules) inject(req *http.Request, to Destination) (*http.Request, []used, error) {
	var all []used
	out := req
	for _, i := range r.Inject {
		if i.formatted() {
			u, next, err := r.format(out, i, to)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", errInjection, err)
			}
			out, all = next, append(all, u)
			continue
		}
		if !i.usable() {
			continue
		}
		spot, body, err := i.find(out)
		if err != nil {
			return nil, nil, err
		}
		if body != nil {
			out = withBody(out, body)
		}
		if spot == 0 {
			continue
		}
		lease, err := i.Lease(req.Context(), to.addr())
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errInjection, err)
		}
		u := used{placeholder: i.Placeholder}
		if out, err = u.put(out, spot, body, lease); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errInjection, err)
		}
		all = append(all, u)
	}
	return out, all, nil
}

// format puts a secret in where it says itself.
func (r *rules) format(req *http.Request, i Injection, to Destination) (used, *http.Request, error) {
	lease, err := i.Lease(req.Context(), to.addr())
	if err != nil {
		return used{}, nil, err
	}
	how, ok := lease.(Formatted)
	if !ok {
		return used{}, nil, errNoPlace
	}
	u, out := used{placeholder: leak.Hidden}, shallow(req)
	err = lease.Use(func(plain []byte) error {
		u.value = string(plain)
		out, err = putFormatted(out, how.How(), plain, r.gate.o.Now())
		return err
	})
	return u, out, err
}

// find says in which places the placeholder stands. body is not nil when it
// was read, and must be put back.
func (i Injection) find(req *http.Request) (spot Places, body []byte, err error) {
	in := i.places()
	if in&InPath != 0 && strings.Contains(req.URL.EscapedPath(), i.Placeholder) {
		spot |= InPath
	}
	if in&InQuery != 0 && inQuery(req.URL.RawQuery, i.Placeholder) {
		spot |= InQuery
	}
	if in&InHeader != 0 && inHeader(req.Header, i.Placeholder) {
		spot |= InHeader
	}
	if in&InBody == 0 || !searchable(req) {
		return spot, nil, nil
	}
	body, err = readBody(req)
	if err != nil {
		return 0, nil, err
	}
	if fresh, _ := replaceBody(body, kindOf(req), i.Placeholder, nil); fresh {
		spot |= InBody
	}
	return spot, body, nil
}

// put replaces the placeholder in a copy of the request.
func (u *used) put(req *http.Request, spot Places, body []byte, lease Lease) (*http.Request, error) {
	out, placeholder := shallow(req), u.placeholder
	err := lease.Use(func(plain []byte) error {
		if len(plain) == 0 {
			return errValue
		}
		value := string(plain)
		u.value = value
		if spot&InPath != 0 {
			if err := putPath(out.URL, placeholder, value); err != nil {
				return err
			}
		}
		if spot&InQuery != 0 {
			out.URL.RawQuery = mapQuery(out.URL.RawQuery, placeholder, url.QueryEscape(value))
		}
		if spot&InHeader != 0 {
			if err := putHeader(out.Header, placeholder, value); err != nil {
				return err
			}
		}
		if spot&InBody != 0 {
			_, fresh := replaceBody(body, kindOf(req), placeholder, plain)
			out = withBody(out, fresh)
		}
		return nil
	})
	return out, err
}

// shallow copies what injection changes.
func shallow(req *http.Request) *http.Request {
	out := *req
	u := *req.URL
	out.URL, out.Header = &u, req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	return &out
}

// putPath replaces within the path. A value that would need escaping there, or
// be understood as dots, is refused rather than guessed at.
func putPath(u *url.URL, placeholder, value string) error {
	for _, c := range []byte(value) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("-_~.:@!$&'()*+,=", rune(c)) {
			return errValue
		}
	}
	escaped := strings.ReplaceAll(u.EscapedPath(), placeholder, value)
	plain, err := url.PathUnescape(escaped)
	if err != nil || checkPath(escaped) != nil {
		return errValue
	}
	u.Path, u.RawPath = plain, escaped
	return nil
}

func inHeader(h http.Header, placeholder string) bool {
	for _, values := range h {
		for _, v := range values {
			if strings.Contains(v, placeholder) {
				return true
			}
		}
	}
	return false
}

// putHeader replaces within header values.
func putHeader(h http.Header, placeholder, value string) error {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return errValue
		}
	}
	for _, values := range h {
		for i, v := range values {
			values[i] = strings.ReplaceAll(v, placeholder, value)
		}
	}
	return nil
}

// inQuery reports whether a parameter has the placeholder as its value.
func inQuery(raw, placeholder string) bool {
	if !strings.Contains(raw, "=") {
		return false
	}
	return mapQuery(raw, placeholder, "") != raw
}

// mapQuery replaces the values that are the placeholder, escaped or not, in a
// query or a form. The order and everything else stay as they are.
func mapQuery(raw, placeholder, value string) string {
	escaped := url.QueryEscape(placeholder)
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		k, v, _ := strings.Cut(part, "=")
		if v == placeholder || v == escaped {
			parts[i] = k + "=" + value
		}
	}
	return strings.Join(parts, "&")
}

// bodyKind is how a body is searched.
type bodyKind int

const (
	opaqueBody bodyKind = iota
	jsonBody
	formBody
)

func kindOf(req *http.Request) bodyKind {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return opaqueBody
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return jsonBody
	case kind == "application/x-www-form-urlencoded":
		return formBody
	}
	return opaqueBody
}

// searchable reports whether the body is short, of known length and of a kind
// in which values can be told apart. Everything else is streamed as it is.
func searchable(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && kindOf(req) != opaqueBody &&
		req.ContentLength > 0 && req.ContentLength < maxBody && req.Header.Get("Content-Encoding") == ""
}

// readBody reads and closes the body.
func readBody(req *http.Request) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(req.Body, req.ContentLength+1))
	if cerr := req.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && int64(len(b)) != req.ContentLength {
		err = errors.New("the body is not as long as announced")
	}
	return b, err
}

// withBody returns the request with another body.
func withBody(req *http.Request, body []byte) *http.Request {
	out := *req
	out.ContentLength = int64(len(body))
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return &out
}

// replaceBody replaces whole values that are the placeholder, and says whether
// there were any.
func replaceBody(body []byte, kind bodyKind, placeholder string, plain []byte) (bool, []byte) {
	if kind == formBody {
		fresh := mapQuery(string(body), placeholder, url.QueryEscape(string(plain)))
		return fresh != string(body), []byte(fresh)
	}
	quoted, err := json.Marshal(placeholder)
	if err != nil || !bytes.Contains(body, quoted) {
		return false, body
	}
	value, err := json.Marshal(string(plain))
	if err != nil {
		return false, body
	}
	return true, bytes.ReplaceAll(body, quoted, value)
}
