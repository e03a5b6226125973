package cloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// upload gives a file to the platform, which returns an id for the message. It
// may be repeated: what is uploaded and not sent is forgotten after a month.
func (c *Channel) upload(ctx context.Context, f channels.File) (id string, err error) {
	const op = "upload"
	if f.Open == nil {
		return "", c.api.fail(op, channels.Other, errors.New("the file has no content"))
	}
	r, err := f.Open(ctx)
	if err != nil {
		return "", c.api.fail(op, channels.Other, fmt.Errorf("the file cannot be opened: %w", err))
	}
	defer func() { _ = r.Close() }()
	src := &source{r: r, left: codec.MaxFile}
	content, kind, err := form(f, src)
	if err != nil {
		return "", c.api.fail(op, channels.Other, err)
	}
	n, err := c.api.do(ctx, call{
		op: op, method: http.MethodPost, url: c.api.root + c.cfg.Number + "/media", kind: kind, content: content,
		again: true, timeout: uploadTimeout, broken: src.broken,
	})
	if err != nil {
		return "", err
	}
	if !n.OK {
		return "", c.api.refused(op, n)
	}
	var got struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(n.Result, &got) != nil || got.ID == "" {
		return "", c.api.fail(op, channels.Transient, errors.New("the answer names no file"))
	}
	return got.ID, nil
}

// form is the body of an upload. The platform judges a file by its type, so an
// unknown one is said to be bytes.
func form(f channels.File, src io.Reader) (content io.Reader, kind string, err error) {
	mime := cmp.Or(f.MIME, "application/octet-stream")
	if strings.ContainsAny(mime, "\r\n") {
		mime = "application/octet-stream"
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, cmp.Or(f.Name, string(f.Kind), "file"))
	var head, tail bytes.Buffer
	w := multipart.NewWriter(&head)
	for _, x := range [][2]string{{"messaging_product", "whatsapp"}, {"type", mime}} {
		if err := w.WriteField(x[0], x[1]); err != nil {
			return nil, "", err
		}
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipart.FileContentDisposition("file", name))
	h.Set("Content-Type", mime)
	if _, err := w.CreatePart(h); err != nil {
		return nil, "", err
	}
	fmt.Fprintf(&tail, "\r\n--%s--\r\n", w.Boundary())
	return io.MultiReader(&head, src, &tail), w.FormDataContentType(), nil
}

// source reads a file and remembers that it broke off.
type source struct {
	r    io.Reader
	left int64
	err  atomic.Pointer[error]
}

var errTooLarge = errors.New("the file is larger than WhatsApp takes (100 MB)")

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file cannot be read: %w", err)
		s.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (s *source) broken() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Fetch implements channels.Fetcher. The platform gives the content's address
// for some minutes; the token goes to no other host than the configured one.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "fetch"
	if f.Ref == "" || url.PathEscape(f.Ref) != f.Ref {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file has no reference"))
	}
	var meta struct {
		URL  string `json:"url"`
		Size int64  `json:"file_size"`
	}
	if err := c.api.get(ctx, f.Ref+"?phone_number_id="+c.cfg.Number, &meta); err != nil {
		return nil, err
	}
	if meta.Size > codec.MaxFetch {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file is larger than the gateway takes in (64 MB)"))
	}
	if !c.ours(meta.URL) {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file is not where media_url says"))
	}
	return c.download(ctx, op, meta.URL)
}

// ours reports whether an address is on the host that serves media.
func (c *Channel) ours(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	for _, base := range []string{c.cfg.MediaURL, c.cfg.BaseURL} {
		if b, err := url.Parse(base); err == nil && b.Scheme == u.Scheme && b.Host == u.Host {
			return true
		}
	}
	return false
}

func (c *Channel) download(ctx context.Context, op, from string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file's address is not a URL"))
	}
	if err := c.api.authorize(ctx, r, auth{}); err != nil {
		return nil, err
	}
	resp, err := c.api.client.Do(r)
	if err != nil {
		return nil, c.api.fail(op, channels.Transient, cause(err))
	}
	if resp.StatusCode == http.StatusOK {
		return &limited{ReadCloser: resp.Body, left: codec.MaxFetch}, nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode == http.StatusNotFound {
		return nil, c.api.fail(op, channels.Gone, errors.New("the file no longer exists"))
	}
	return nil, c.api.refused(op, codec.Classify(resp.StatusCode, 0, body, true))
}

// limited fails a download that is longer than it may be.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, errors.New("the file is larger than the gateway takes in (64 MB)")
	}
	return n, err
}
