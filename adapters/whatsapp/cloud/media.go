package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// upload gives a file to the platform, which returns an id for the message. It
// may be repeated: what is uploaded and not sent is forgotten after a month.
func (c *Channel) upload(ctx context.Context, f channels.File) (id string, err error) {
	const op = "upload"
	// The platform judges a file by its type, so an unknown one is said to be bytes.
	mime := cmp.Or(f.MIME, "application/octet-stream")
	form, err := attempt.NewForm(ctx, []attempt.Field{
		{Name: "messaging_product", Text: []byte("whatsapp")},
		{Name: "type", Text: []byte(mime)},
		{Name: "file", Type: mime, File: cmp.Or(f.Name, string(f.Kind)), Open: attempt.Content(f)},
	}, codec.MaxFile)
	if err != nil {
		return "", c.api.fail(op, channels.Other, err)
	}
	defer func() { _ = form.Close() }()
	n, err := c.api.do(ctx, call{
		op: op, method: http.MethodPost, url: c.api.root + c.cfg.Number + "/media", kind: form.Type, content: form,
		again: true, timeout: uploadTimeout, broken: form.Broken,
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
		return nil, c.api.fail(op, channels.Transient, attempt.Cause(err))
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
