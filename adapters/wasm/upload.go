package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// opener opens the file under a handle from the start.
type opener func(ctx context.Context, handle string) (io.ReadCloser, error)

// upload is a multipart body that streams its files, so that none is ever whole
// in memory, the guest's least of all. Its methods work on nil, which is no body.
type upload struct {
	content     io.Reader
	contentType string // "": as the request says
	size        int64  // 0: it is not known
	files       []*source
	whole       atomic.Bool // the transport has taken everything
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.content.Read(p)
	if errors.Is(err, io.EOF) {
		u.whole.Store(true)
	}
	return n, err
}

// partial reports whether no server can have found the form's last boundary.
func (u *upload) partial() bool { return u != nil && !u.whole.Load() }

// source is one file of an upload. It remembers the failure of a read, which
// cuts the request short.
type source struct {
	io.ReadCloser
	left int64
	err  atomic.Pointer[error]
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("a file cannot be read: %w", err)
		s.err.Store(&err)
	}
	return n, err
}

func newUpload(ctx context.Context, fields []wire.Field, open opener, most int64) (*upload, error) {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	u := &upload{contentType: form.FormDataContentType()}
	var parts []io.Reader
	for _, f := range fields {
		if f.File == "" {
			if err := form.WriteField(f.Name, f.Value); err != nil {
				return nil, errors.Join(err, u.Close())
			}
			continue
		}
		if _, err := form.CreatePart(partHeader(f)); err != nil {
			return nil, errors.Join(err, u.Close())
		}
		r, err := open(ctx, f.File)
		if err != nil {
			return nil, errors.Join(err, u.Close())
		}
		s := &source{ReadCloser: r, left: most}
		u.files = append(u.files, s)
		parts = append(parts, bytes.NewReader(bytes.Clone(head.Bytes())), s)
		head.Reset()
	}
	if err := form.Close(); err != nil {
		return nil, errors.Join(err, u.Close())
	}
	u.content = io.MultiReader(append(parts, &head)...)
	return u, nil
}

// newRaw is a body that is one file and nothing else.
func newRaw(ctx context.Context, handle string, h *call, most int64) (*upload, error) {
	r, err := h.content(ctx, handle)
	if err != nil {
		return nil, err
	}
	s := &source{ReadCloser: r, left: most}
	return &upload{content: s, files: []*source{s}, size: h.size(handle)}, nil
}

func partHeader(f wire.Field) textproto.MIMEHeader {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, f.As)
	if name == "" {
		name = "file"
	}
	kind := f.MIME
	if kind == "" || strings.ContainsAny(kind, "\r\n") {
		kind = "application/octet-stream"
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipart.FileContentDisposition(f.Name, name))
	h.Set("Content-Type", kind)
	return h
}

// Close implements io.Closer.
func (u *upload) Close() error {
	if u == nil {
		return nil
	}
	var errs []error
	for _, f := range u.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// broken is the failure of a file, if there was one.
func (u *upload) broken() error {
	if u == nil {
		return nil
	}
	for _, f := range u.files {
		if err := f.err.Load(); err != nil {
			return *err
		}
	}
	return nil
}
