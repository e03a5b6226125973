package telegram

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
)

// body is a request's body that knows whether the transport has taken the whole
// of it. As long as it has not, no server can have carried the request out:
// what was sent ends before its announced length, or before the last boundary
// of its form. That holds behind every transport, also one that was refused,
// could not connect, or hides its progress.
type body struct {
	io.ReadCloser
	contentType string
	size        int64 // bytes, or -1 for a form, which is streamed
	params      []byte
	upload      *upload // nil for JSON
	whole       *atomic.Bool
}

// newBody makes the body of a call. It opens the call's files; closing the body
// closes them.
func newBody(ctx context.Context, c codec.Call) (*body, error) {
	b := &body{size: -1, whole: new(atomic.Bool)}
	if len(c.Files) > 0 {
		u, err := newUpload(ctx, c)
		if err != nil {
			return nil, err
		}
		b.upload, b.contentType, b.ReadCloser = u, u.contentType, u
		return b, nil
	}
	b.params, b.size = c.Params, int64(len(c.Params))
	b.ReadCloser, b.contentType = io.NopCloser(bytes.NewReader(b.params)), "application/json"
	return b, nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	// A transport that knows the length need not wait for the end of a JSON
	// body: once anything was taken, it may have it all.
	if err == io.EOF || (b.upload == nil && n > 0) { //nolint:errorlint // an io.Reader ends with io.EOF itself
		b.whole.Store(true)
	}
	return n, err
}

// again is the body once more. The transport asks for it only when nothing of
// the first one has left. A form cannot be read twice.
func (b *body) again() (io.ReadCloser, error) {
	if b.upload != nil {
		return nil, errOnce
	}
	b.whole.Store(false)
	return &body{ReadCloser: io.NopCloser(bytes.NewReader(b.params)), size: b.size, params: b.params, whole: b.whole}, nil
}

// broken is the failure of a file that cut the body short, if there was one.
func (b *body) broken() error { return b.upload.broken() }
