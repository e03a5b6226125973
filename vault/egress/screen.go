package egress

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

var errEncoded = errors.New("the response is encoded in a way that was not asked for, and cannot be searched for secrets")

// screen refuses a request that holds a secret, encoded or not, before its own
// are put in. A part of it is looked at together with the same part of the
// policy's earlier requests. A body of unknown length is searched on its way,
// and fails before the first byte of a secret.
func (r *rules) screen(req *http.Request) (*http.Request, error) {
	leaks := r.gate.o.Leaks
	if !r.Screen || leaks == nil {
		return req, nil
	}
	out := shallow(req)
	out.Header.Del("Accept-Encoding") // what comes back must be readable
	crosses := func(part, text string) bool { return leaks.Crosses(r.Name+" "+part, text) }
	bad := crosses("host", req.URL.Host)
	for i, segment := range strings.Split(req.URL.EscapedPath(), "/") {
		bad = bad || crosses(fmt.Sprint("path ", i), segment)
	}
	bad = bad || crosses("whole path", req.URL.EscapedPath()) || crosses("whole query", req.URL.RawQuery)
	for name, values := range req.URL.Query() {
		bad = bad || crosses("query", name) || crosses("query "+name, strings.Join(values, "\n"))
	}
	for name, values := range req.Header {
		bad = bad || crosses("header", name) || crosses("header "+name, strings.Join(values, "\n"))
	}
	if bad {
		return nil, leak.ErrLeak
	}
	if req.Body == nil || req.Body == http.NoBody {
		return out, nil
	}
	if req.ContentLength <= 0 || req.ContentLength >= maxBody {
		out.Body, out.GetBody = leaks.Barrier(req.Body), nil
		return out, nil
	}
	out, body, err := wholeBody(out)
	if err == nil && crosses("body", string(body)) {
		err = leak.ErrLeak
	}
	return out, err
}

// clean hides secrets in what comes back: a server may repeat what it was sent.
func (r *rules) clean(res *http.Response) (*http.Response, error) {
	leaks := r.gate.o.Leaks
	if !r.Screen || leaks == nil {
		return res, nil
	}
	if res.Header.Get("Content-Encoding") != "" {
		return res, errEncoded
	}
	// A copy: the transport fills the trailer of its own in behind the body.
	fresh := *res
	res = &fresh
	for name, values := range res.Header {
		for i, v := range values {
			values[i] = leaks.Redact("", v)
		}
		if leaks.Holds([]byte(name)) {
			delete(res.Header, name)
		}
	}
	res.Status = leaks.Redact("", res.Status)
	res.Trailer = nil
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = leaks.Reader(res.Body)
		res.ContentLength = -1
		res.Header.Del("Content-Length")
	}
	return res, nil
}
