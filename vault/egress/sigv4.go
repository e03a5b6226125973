package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault"
)

const (
	amzDate = "20060102T150405Z"
	sigV4   = "AWS4-HMAC-SHA256"
)

// putSigV4 signs a request as AWS wants it, version 4: the host, the date, the
// content's type, and for S3 the body's hash.
func putSigV4(req *http.Request, f vault.Format, key []byte, now time.Time) (*http.Request, error) {
	req, body, err := wholeBody(req)
	if err != nil {
		return nil, err
	}
	stamp, payload := now.UTC().Format(amzDate), hexHash(string(body))
	req.Header.Set("X-Amz-Date", stamp)
	headers := map[string]string{"host": hostHeader(req), "x-amz-date": stamp}
	if f.Service == "s3" {
		req.Header.Set("X-Amz-Content-Sha256", payload)
		headers["x-amz-content-sha256"] = payload
	}
	if kind := req.Header.Get("Content-Type"); kind != "" {
		headers["content-type"] = strings.Join(strings.Fields(kind), " ")
	}
	names := make([]string, 0, len(headers))
	for n := range headers {
		names = append(names, n)
	}
	slices.Sort(names)
	var listed strings.Builder
	for _, n := range names {
		listed.WriteString(n + ":" + headers[n] + "\n")
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{
		method(req), canonicalURI(req.URL, f.Service), canonicalQuery(req.URL), listed.String(), signed, payload,
	}, "\n")
	scope := strings.Join([]string{stamp[:8], f.Region, f.Service, "aws4_request"}, "/")
	text := strings.Join([]string{sigV4, stamp, scope, hexHash(canonical)}, "\n")
	derived := mac(sha256.New, append([]byte("AWS4"), key...), stamp[:8])
	for _, step := range []string{f.Region, f.Service, "aws4_request"} {
		derived = mac(sha256.New, derived, step)
	}
	signature := hex.EncodeToString(mac(sha256.New, derived, text))
	return req, setHeader(req, "Authorization",
		sigV4+" Credential="+f.AccessKey+"/"+scope+", SignedHeaders="+signed+", Signature="+signature)
}

func hexHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// hostHeader is the Host header as net/http writes it.
func hostHeader(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}

// canonicalURI escapes each segment of the escaped path once more, but for S3.
func canonicalURI(u *url.URL, service string) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	if service == "s3" {
		path = u.Path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = amzEscape(s)
	}
	return strings.Join(segments, "/")
}

// canonicalQuery sorts the escaped parameters.
func canonicalQuery(u *url.URL) string {
	var parts []string
	for name, values := range u.Query() {
		for _, v := range values {
			parts = append(parts, amzEscape(name)+"="+amzEscape(v))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

// amzEscape escapes everything but the unreserved characters.
func amzEscape(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			out.WriteByte(c)
		default:
			out.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return out.String()
}
