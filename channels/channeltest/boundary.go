package channeltest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// boundary fills secrets in on the way out and looks that none comes back.
type boundary struct {
	h       *Host
	account channels.AccountID
}

// RoundTrip implements http.RoundTripper. Like the gateway's it replaces
// placeholders within the path and the headers, and where they are the whole
// value of a query parameter, and nowhere else.
func (b *boundary) RoundTrip(req *http.Request) (*http.Response, error) {
	out, err := b.fill(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := b.h.transport.RoundTrip(out)
	if err != nil {
		b.h.watch("the error of a request", err.Error())
		return nil, err
	}
	for name, vs := range resp.Header {
		b.h.watch("the response header "+name, strings.Join(vs, " "))
	}
	resp.Request = req
	resp.Body = b.h.watchBody(resp.Body)
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (b *boundary) CloseIdleConnections() {
	if c, ok := b.h.transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// fill is a copy of req with the values in the places of the placeholders.
func (b *boundary) fill(req *http.Request) (*http.Request, error) {
	values := b.h.tickIndex()
	f := &filler{values: values}
	out := req.Clone(req.Context())
	out.URL.Path = f.swap(out.URL.Path, same, same)
	if out.URL.RawPath != "" {
		out.URL.RawPath = f.swap(out.URL.RawPath, url.PathEscape, url.PathEscape)
	}
	out.URL.RawQuery = f.query(out.URL.RawQuery)
	for _, vs := range out.Header {
		for i := range vs {
			vs[i] = f.swap(vs[i], same, same)
		}
	}
	if err := b.searchBody(out); err != nil {
		return nil, err
	}
	for _, ref := range f.used {
		if !b.h.mayGo(ref, out.URL) {
			b.h.violate("secret %s was sent towards %s, which it is not allowed for", ref, out.URL.Host)
			return nil, fmt.Errorf("egress: %s may not go to %s", ref, out.URL.Host)
		}
	}
	return out, nil
}

// ticket is a placeholder that was handed out.
type ticket struct{ ref, placeholder, value string }

func (h *Host) tickIndex() []ticket {
	var out []ticket
	h.board.read(func() {
		for ref, p := range h.tickets {
			out = append(out, ticket{ref, p, h.disk.secrets[ref]})
		}
	})
	return out
}

func (h *Host) mayGo(ref string, u *url.URL) bool {
	hosts := h.allowed[ref]
	return len(hosts) == 0 || slices.Contains(hosts, u.Host) || slices.Contains(hosts, u.Hostname())
}

type filler struct {
	values []ticket
	used   []string
}

// swap replaces each placeholder, as find writes it, with its value, as put does.
func (f *filler) swap(s string, find, put func(string) string) string {
	for _, v := range f.values {
		if p := find(v.placeholder); strings.Contains(s, p) {
			s = strings.ReplaceAll(s, p, put(v.value))
			f.used = append(f.used, v.ref)
		}
	}
	return s
}

func same(s string) string { return s }

// query replaces the parameters whose whole value is a placeholder.
func (f *filler) query(raw string) string {
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		k, v, ok := strings.Cut(part, "=")
		for _, t := range f.values {
			if ok && (v == t.placeholder || v == url.QueryEscape(t.placeholder)) {
				parts[i] = k + "=" + url.QueryEscape(t.value)
				f.used = append(f.used, t.ref)
			}
		}
	}
	return strings.Join(parts, "&")
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// searchBody finds a placeholder in a JSON body, where no value is put in: what
// people wrote must not ask for a secret, so that the platform gets the
// placeholder.
func (b *boundary) searchBody(req *http.Request) error {
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if req.Body == nil || req.Body == http.NoBody || (kind != "application/json" && !strings.HasSuffix(kind, "+json")) {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err = errors.Join(err, req.Body.Close()); err != nil {
		return fmt.Errorf("egress: read body: %w", err)
	}
	for _, t := range b.h.tickIndex() {
		if bytes.Contains(body, []byte(t.placeholder)) {
			b.h.violate("a body holds the placeholder of %s: it is put into paths, parameters and headers only", t.ref)
		}
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	return nil
}

// Violations are the breaches that were seen so far; each has failed the test already.
func (h *Host) Violations() []string {
	var out []string
	h.board.read(func() { out = slices.Clone(h.violations) })
	return out
}

// violate fails the test with a breach of the contract. It may be called from
// any goroutine, and is silent once the test is over.
func (h *Host) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	var closed bool
	h.board.change(func() {
		if closed = h.closed; !closed {
			h.violations = append(h.violations, text)
			h.t.Errorf("contract: %s", text)
		}
	})
}

// watch reports a violation when text holds a secret.
func (h *Host) watch(where, text string) {
	if name := h.Leak(text); name != "" {
		h.violate("%s holds the value of %s", where, name)
	}
}

// Leak names the secret whose value text holds, plain or in an encoding that
// is undone without a key; "" for none. Derived secrets count.
func (h *Host) Leak(text string) string {
	found := ""
	h.board.read(func() { found = h.leak(text) })
	return found
}

func (h *Host) leak(text string) string {
	for ref, v := range h.disk.secrets {
		if holds(text, v) {
			return ref
		}
	}
	for purpose, v := range h.derived {
		if holds(text, v) {
			return "the derived secret for " + purpose
		}
	}
	return ""
}

func holds(text, v string) bool {
	if v == "" {
		return false
	}
	for _, form := range encodings(v) {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func encodings(v string) []string {
	return []string{
		v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)),
		base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
	}
}

// redact makes text safe to print in a test's output.
func (h *Host) redact(text string) string {
	h.board.read(func() {
		for _, v := range h.disk.secrets {
			for _, form := range encodings(v) {
				if v != "" {
					text = strings.ReplaceAll(text, form, "[secret]")
				}
			}
		}
	})
	return text
}

// watchBody looks for secrets in a body while it is read.
func (h *Host) watchBody(r io.ReadCloser) io.ReadCloser {
	if w, ok := r.(io.ReadWriteCloser); ok { // an upgraded connection
		return &watchedPipe{watched{h: h, r: r}, w}
	}
	return &watched{h: h, r: r}
}

type watched struct {
	h    *Host
	r    io.ReadCloser
	tail []byte // the end of what was read, in case a value spans two reads
	told bool
}

const watchTail = 512 // bytes; longer than any secret of a test in any encoding

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 && !w.told {
		text := slices.Concat(w.tail, p[:n])
		if name := w.h.Leak(string(text)); name != "" {
			w.told = true
			w.h.violate("a response body holds the value of %s", name)
		}
		w.tail = bytes.Clone(text[max(0, len(text)-watchTail):])
	}
	return n, err
}

func (w *watched) Close() error { return w.r.Close() }

type watchedPipe struct {
	watched
	io.Writer
}
