package cloud

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"

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
		again: true, timeout: uploadTimeout, form: form,
	})
	if err != nil {
		return "", err
	}
	if !n.OK {
		return "", c.api.refused(op, n)
	}
	if id = codec.Uploaded(n.Result); id == "" {
		return "", c.api.fail(op, channels.Transient, errors.New("the answer names no file"))
	}
	return id, nil
}

// Fetch implements channels.Fetcher. The platform gives the content's address
// for some minutes; the token goes to no other host than the configured one.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "fetch"
	path, err := codec.MediaPath(f.Ref, c.cfg.Number)
	if err != nil {
		return nil, c.api.fail(op, channels.Rejected, err)
	}
	var meta codec.Media
	if err := c.api.get(ctx, path, &meta); err != nil {
		return nil, err
	}
	if meta.Size > codec.MaxFetch {
		return nil, c.api.fail(op, channels.Rejected, codec.ErrTooBigToFetch)
	}
	if !codec.Ours(meta.URL, c.cfg.MediaURL, c.cfg.BaseURL) {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file is not where media_url says"))
	}
	return c.download(ctx, op, meta.URL)
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
		return attempt.AtMost(resp.Body, codec.MaxFetch, codec.ErrTooBigToFetch), nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return nil, c.api.refused(op, codec.ClassifyDownload(resp.StatusCode, body))
}
