package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

// Request is what a program sent, as far as templates see it.
type Request struct {
	Payload any                      // what the body says, as Decode gives it
	Header  func(name string) string // of the request; "" for none
	Query   url.Values
}

// MaxBody bounds a request, in bytes.
const MaxBody = 1 << 20

var errJSON = errors.New("the body is not the JSON that its content type promises")

// Decode reads a body: JSON becomes a Document and a form a mapping of texts, of
// type map[string]any; in one that has a JSON document under "payload", that is
// the payload. What is neither JSON nor a form is a text.
func Decode(contentType string, body []byte) (any, error) {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	if kind == "application/x-www-form-urlencoded" {
		return decodeForm(body)
	}
	promised := kind == "application/json" || strings.HasSuffix(kind, "+json")
	doc, ok := newDocument(body)
	switch {
	case ok:
		return doc, nil
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
		if name == "payload" {
			if inner, ok := newDocument([]byte(v[0])); ok {
				return inner, nil
			}
		}
	}
	return m, nil
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
	for i, s := range path {
		switch x := v.(type) {
		case Document:
			if inner := x.at(path[i:]); inner != nil {
				return inner
			}
			return nil
		case map[string]any:
			if s.list {
				return nil
			}
			v = x[s.key]
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
	case Document:
		return v.text()
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
