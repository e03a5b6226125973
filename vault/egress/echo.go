package egress

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// minEcho is how many bytes a value has at least that is searched for in a
// response. A shorter one stands in ordinary text by chance, and is no secret.
const minEcho = 8

// unecho hides what was put into a request where the server repeats it: its
// caller has not seen the value, and does not by asking a server that shows
// what it gets. Where everything known is searched for (see [Policy.Screen]),
// that includes what was put in.
func (r *rules) unecho(res *http.Response, secrets []used) {
	hideHeader(res, secrets)
	if r.Screen && r.gate.o.Leaks != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	var values [][]byte
	for _, s := range secrets {
		values = append(values, spellings(s.value)...)
	}
	if len(values) > 0 {
		res.Body = newEcho(res.Body, values)
	}
}

// hideHeader puts the placeholder back where a server repeats the value in its
// header: that of a redirect would come into the next request's URL, and with it
// into errors.
func hideHeader(res *http.Response, secrets []used) {
	redirect := res.StatusCode >= 300 && res.StatusCode <= 399
	for _, s := range secrets {
		if !redirect && len(s.value) < minEcho {
			continue
		}
		res.Status = hide(res.Status, s.value, s.placeholder)
		for _, values := range res.Header {
			for i := range values {
				values[i] = hide(values[i], s.value, s.placeholder)
			}
		}
	}
}

// hide replaces a value, in the spellings a URL gives it.
func hide(s, value, placeholder string) string {
	s = strings.ReplaceAll(s, value, placeholder)
	s = strings.ReplaceAll(s, url.QueryEscape(value), placeholder)
	return strings.ReplaceAll(s, url.PathEscape(value), placeholder)
}

// spellings are the ways in which servers repeat a value: as it is, escaped for
// a URL or in JSON, in hexadecimal, and within a text in base64, where it looks in
// three ways, by what stands before it. It runs for every request, so that what
// looks the same is made once.
func spellings(value string) [][]byte {
	if len(value) < minEcho {
		return nil
	}
	all := make([][]byte, 1, 12)
	all[0] = []byte(value)
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), inJSON(value)} {
		if escaped != value {
			all = append(all, []byte(escaped))
		}
	}
	digits := hex.AppendEncode(nil, all[0])
	all = append(all, digits, bytes.ToUpper(digits))
	for _, letters := range inBase64(value) {
		all = append(all, letters)
		if bytes.ContainsAny(letters, "+/") {
			other := bytes.ReplaceAll(letters, []byte("+"), []byte("-"))
			all = append(all, bytes.ReplaceAll(other, []byte("/"), []byte("_")))
		}
	}
	return all
}

func inJSON(value string) string {
	if !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
		return value
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		return value
	}
	return string(quoted[1 : len(quoted)-1])
}

// inBase64 are the letters that are of the value alone, when zero, one or two
// bytes stand before it in its group of three.
func inBase64(value string) [3][]byte {
	const longest = 2 // bytes before it
	padded := append(make([]byte, longest, longest+len(value)), value...)
	room := base64.RawStdEncoding.EncodedLen(len(padded))
	text := make([]byte, 3*room)
	var out [3][]byte
	for before := range out {
		into := text[before*room : (before+1)*room]
		base64.RawStdEncoding.Encode(into, padded[longest-before:])
		out[before] = into[(before*8+5)/6 : (before+len(value))*8/6]
	}
	return out
}

// echo hides values in what it reads, each byte by an asterisk, so that the
// length stays as it was announced. What could be the beginning of a value
// waits for the next read; everything else is passed on at once.
type echo struct {
	io.ReadCloser
	values  [][]byte
	longest int
	waiting []byte // read, and perhaps the beginning of a value
	ready   []byte // looked at, and not yet asked for
	err     error  // the reader's, for when ready is empty
}

func newEcho(r io.ReadCloser, values [][]byte) *echo {
	e := &echo{ReadCloser: r, values: values}
	for _, v := range values {
		e.longest = max(e.longest, len(v))
	}
	return e
}

// Read implements io.Reader.
func (e *echo) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(e.ready) == 0 && e.err == nil && len(p) >= 2*e.longest {
		return e.fill(p) // without a copy
	}
	for len(e.ready) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		text := make([]byte, 2*e.longest)
		n, err := e.fill(text)
		e.ready, e.err = text[:n], err
	}
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	return n, nil
}

// fill reads until it has something that is no beginning of a value. into has
// room for two of the longest.
func (e *echo) fill(into []byte) (int, error) {
	for {
		n := copy(into, e.waiting)
		more, err := e.ReadCloser.Read(into[n:])
		text := into[:n+more]
		for _, v := range e.values {
			blot(text, v)
		}
		keep := 0
		if err == nil {
			keep = e.begun(text)
		}
		e.waiting = append(e.waiting[:0], text[len(text)-keep:]...)
		if done := len(text) - keep; done > 0 || err != nil {
			e.err = err
			return done, err
		}
	}
}

// begun is the length of the longest end of the text with which a value begins.
func (e *echo) begun(text []byte) int {
	longest := 0
	for _, v := range e.values {
		for n := min(len(v)-1, len(text)); n > longest; n-- {
			if bytes.HasSuffix(text, v[:n]) {
				longest = n
			}
		}
	}
	return longest
}

func blot(text, value []byte) {
	for {
		i := bytes.Index(text, value)
		if i < 0 {
			return
		}
		for j := range value {
			text[i+j] = '*'
		}
		text = text[i+len(value):]
	}
}
