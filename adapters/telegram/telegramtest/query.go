package telegramtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxField bounds the parameters of a request that are not files.
const maxField = 1 << 20

// query is one decoded call. Whatever the encoding of the body, parameters are
// strings, and those that the API calls objects are JSON text.
type query struct {
	method string // lower case
	name   string // as the caller wrote it
	args   map[string]string
	files  map[string]upload
	lost   bool // the answer will not reach the bot
}

type upload struct {
	name  string
	mime  string
	bytes []byte
}

var (
	errBodyTooLarge = errors.New("request body is too large")
	errBodyBroken   = errors.New("request body is broken")
)

// decodeQuery reads the parameters of r from its query string and its body, with
// files of up to limit bytes.
func decodeQuery(r *http.Request, name string, limit int) (*query, error) {
	q := &query{method: strings.ToLower(name), name: name, args: map[string]string{}}
	q.take(r.URL.Query())
	if r.Body == nil || r.Body == http.NoBody {
		return q, nil
	}
	return q, q.decodeBody(r.Header.Get("Content-Type"), r.Body, limit)
}

func (q *query) decodeBody(contentType string, body io.Reader, limit int) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	limited := &io.LimitedReader{R: body, N: int64(limit) + maxField + 1}
	switch kind {
	case "application/json":
		err = q.decodeJSON(limited)
	case "multipart/form-data":
		err = q.decodeMultipart(limited, params["boundary"])
	case "application/x-www-form-urlencoded":
		err = q.decodeForm(limited)
	default:
		_, err = io.Copy(io.Discard, limited)
	}
	if limited.N <= 0 {
		return errBodyTooLarge
	}
	return err
}

func (q *query) take(values url.Values) {
	for key, all := range values {
		if len(all) > 0 {
			q.args[key] = all[0]
		}
	}
}

func (q *query) decodeForm(body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return errBodyBroken
	}
	q.take(values)
	return nil
}

func (q *query) decodeJSON(body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return errBodyBroken
	}
	for key, raw := range fields {
		if value, ok := argument(raw); ok {
			q.args[key] = value
		}
	}
	return nil
}

// argument turns a JSON value into the string a form would have carried.
func argument(raw json.RawMessage) (string, bool) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", false
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	default:
		return string(raw), true
	}
}

func (q *query) decodeMultipart(body io.Reader, boundary string) error {
	if boundary == "" {
		return errBodyBroken
	}
	parts := multipart.NewReader(body, boundary)
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.Join(errBodyBroken, err)
		}
		if err := q.takePart(part); err != nil {
			return err
		}
	}
}

func (q *query) takePart(part *multipart.Part) error {
	name := part.FormName()
	if part.FileName() == "" {
		text, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil {
			return errors.Join(errBodyBroken, err)
		}
		if len(text) > maxField {
			return errBodyTooLarge
		}
		q.args[name] = string(text)
		return nil
	}
	content, err := io.ReadAll(part)
	if err != nil {
		return errors.Join(errBodyBroken, err)
	}
	if q.files == nil {
		q.files = map[string]upload{}
	}
	q.files[name] = upload{name: part.FileName(), mime: part.Header.Get("Content-Type"), bytes: content}
	return nil
}

func (q *query) str(name string) string { return q.args[name] }

// int reads an integer, 0 when it is missing or none, as the platform does.
func (q *query) int(name string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(q.args[name]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// clamped reads an integer between low and high, missing or 0-length as def.
func (q *query) clamped(name string, def, low, high int64) int64 {
	if q.args[name] == "" {
		return def
	}
	return min(max(q.int(name), low), high)
}

func (q *query) flag(name string) bool { return truthy(q.args[name]) }

func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "1":
		return true
	}
	return false
}
