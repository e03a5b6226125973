package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
)

// Request is what a program sent, as far as templates see it.
type Request struct {
	Payload any                      // what the body says: JSON's values, with numbers as json.Number
	Header  func(name string) string // of the request; "" for none
	Query   url.Values
}

// What bounds a request, in bytes. A guest takes less: what reading a body costs
// there grows to the limit of a call.
const (
	MaxBody      = 1 << 20
	MaxGuestBody = 64 << 10
)

var errJSON = errors.New("the body is not the JSON that its content type promises")

// Decode reads a body. A form becomes a mapping of texts; in one that has a
// JSON document under "payload", that document is the payload. What is neither
// JSON nor a form is a text.
func Decode(contentType string, body []byte) (any, error) {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	if kind == "application/x-www-form-urlencoded" {
		return decodeForm(body)
	}
	promised := kind == "application/json" || strings.HasSuffix(kind, "+json")
	v, err := decodeJSON(body)
	switch {
	case err == nil:
		return v, nil
	case promised:
		return nil, errJSON
	}
	return strings.ToValidUTF8(string(body), "�"), nil
}

func decodeForm(body []byte) (any, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("the body is not the form that its content type promises")
	}
	m := map[string]any{}
	for name, v := range form {
		m[name] = v[0]
		if inner, err := decodeJSON([]byte(v[0])); name == "payload" && err == nil {
			return inner, nil
		}
	}
	return m, nil
}

// decodeJSON reads exactly one document.
func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return v, nil
}

// Fill fills a template from a request. A place for which nothing is there
// stays empty.
func (t Template) Fill(r Request) string {
	var b strings.Builder
	for _, p := range t.pieces {
		b.WriteString(p.text)
		for _, o := range p.any {
			if s, ok := o.value(r); ok {
				b.WriteString(s)
				break
			}
		}
	}
	return b.String()
}

// value is an operand's text; false when it is not there, null or empty.
func (o operand) value(r Request) (string, bool) {
	var s string
	switch o.from {
	case literal:
		return o.name, true
	case fromHeader:
		s = r.Header(o.name)
	case fromQuery:
		s = r.Query.Get(o.name)
	case fromPayload:
		s = text(at(r.Payload, o.path))
	}
	return s, s != ""
}

// at follows a path; nil when it leads nowhere.
func at(v any, path []step) any {
	for _, s := range path {
		switch x := v.(type) {
		case map[string]any:
			if s.list {
				return nil
			}
			v = x[s.key]
		case []any:
			if !s.list || s.index >= len(x) {
				return nil
			}
			v = x[s.index]
		default:
			return nil
		}
	}
	return v
}

// text is a value as people read it: texts and numbers as they are, lists and
// mappings as JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
