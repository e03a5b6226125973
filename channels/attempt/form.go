package attempt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// ErrTooLarge is the failure of a file that is larger than it may be.
var ErrTooLarge = errors.New("it is larger than the platform takes")

// Field is one part of a multipart form: a text, or a file.
type Field struct {
	Name string
	Text []byte // of a field without Open
	Type string // media type; of a file "" is bytes, of a text none is said
	File string // the file's name
	// Open opens the file from the start.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Content opens a file that is to be sent.
func Content(f channels.File) func(context.Context) (io.ReadCloser, error) {
	if f.Open == nil {
		return func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it has no content") }
	}
	return f.Open
}

// Form is a body that streams its files, so that none is ever whole in memory.
// Closing it closes them; its methods but Read work on nil, which is no form.
type Form struct {
	Type    string // Content-Type; "": as the request says
	content io.Reader
	files   []*source
	whole   atomic.Bool // the transport has taken everything
}

var _ io.ReadCloser = (*Form)(nil)

// NewForm opens the files of a multipart form. Each may have most bytes; a
// longer one fails with [ErrTooLarge] while it is read.
func NewForm(ctx context.Context, fields []Field, most int64) (*Form, error) {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	u := &Form{Type: form.FormDataContentType()}
	var parts []io.Reader
	for _, f := range fields {
		w, err := form.CreatePart(f.header())
		if err != nil {
			return nil, errors.Join(err, u.Close())
		}
		if f.Open == nil {
			if _, err := w.Write(f.Text); err != nil {
				return nil, errors.Join(err, u.Close())
			}
			continue
		}
		r, err := f.Open(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("a file cannot be opened: %w", err), u.Close())
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

// OneFile is a body that is one file and nothing else. Closing it closes r.
func OneFile(r io.ReadCloser, most int64) *Form {
	s := &source{ReadCloser: r, left: most}
	return &Form{content: s, files: []*source{s}}
}

// header describes a part. Platforms refuse a file without a name.
func (f Field) header() textproto.MIMEHeader {
	h := textproto.MIMEHeader{}
	kind := f.Type
	if strings.ContainsAny(kind, "\r\n") {
		kind = ""
	}
	if f.Open == nil {
		h.Set("Content-Disposition", mime.FormatMediaType("form-data", map[string]string{"name": f.Name}))
		if kind != "" {
			h.Set("Content-Type", kind)
		}
		return h
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, f.File)
	h.Set("Content-Disposition", multipart.FileContentDisposition(f.Name, cmp.Or(name, "file")))
	h.Set("Content-Type", cmp.Or(kind, "application/octet-stream"))
	return h
}

// Read implements io.Reader.
func (u *Form) Read(p []byte) (int, error) {
	n, err := u.content.Read(p)
	if errors.Is(err, io.EOF) {
		u.whole.Store(true)
	}
	return n, err
}

func (u *Form) partial() bool { return u != nil && !u.whole.Load() }

// Close implements io.Closer.
func (u *Form) Close() error {
	if u == nil {
		return nil
	}
	var errs []error
	for _, f := range u.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Broken is the failure of a file, which cut the request short; nil when there
// was none.
func (u *Form) Broken() error {
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

// source is one file. It remembers the failure of a read.
type source struct {
	io.ReadCloser
	left int64                 // bytes that may still come
	err  atomic.Pointer[error] // read by the sender while the transport may still be reading the file
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("a file cannot be read: %w", err)
		s.err.CompareAndSwap(nil, &err)
	}
	return n, err
}
