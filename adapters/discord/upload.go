package discord

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// upload is a form that streams its files, so that none is ever whole in
// memory. It is an io.ReadCloser; closing it closes the files.
type upload struct {
	content     io.Reader
	contentType string
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

// partial reports whether the transport has not taken the whole form, so that
// no server can have found its last boundary. A nil upload is not partial.
func (u *upload) partial() bool { return u != nil && !u.whole.Load() }

// source is one file of an upload. It remembers the failure of a read, which
// cuts the request short.
type source struct {
	io.ReadCloser
	left int64                 // bytes that may still come
	err  atomic.Pointer[error] // read by the sender while the transport may still be reading the file
}

var errTooBig = errors.New("a file is larger than the platform takes")

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = errTooBig
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("a file cannot be read: %w", err)
		s.err.Store(&err)
	}
	return n, err
}

// newUpload opens the files of a call.
func newUpload(ctx context.Context, c codec.Call) (*upload, error) {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	u := &upload{contentType: form.FormDataContentType()}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", `form-data; name="payload_json"`)
	h.Set("Content-Type", "application/json")
	w, err := form.CreatePart(h)
	if err == nil {
		_, err = w.Write(c.Body)
	}
	if err != nil {
		return nil, err
	}
	var parts []io.Reader
	for i, f := range c.Files {
		if _, err := form.CreatePart(partHeader(i, f)); err != nil {
			return nil, errors.Join(err, u.Close())
		}
		r, err := openFile(ctx, f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("a file cannot be opened: %w", err), u.Close())
		}
		s := &source{ReadCloser: r, left: codec.MaxFile}
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

func openFile(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	if f.Open == nil {
		return nil, errors.New("it has no content")
	}
	return f.Open(ctx)
}

// partHeader describes a file.
func partHeader(i int, f channels.File) textproto.MIMEHeader {
	kind := f.MIME
	if kind == "" || strings.ContainsAny(kind, "\r\n") {
		kind = "application/octet-stream"
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipart.FileContentDisposition("files["+strconv.Itoa(i)+"]", codec.Filename(f)))
	h.Set("Content-Type", kind)
	return h
}

// Close implements io.Closer. A nil upload has nothing to close.
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

// broken is the failure of a file, if there was one. A nil upload has none.
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
