package slack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/slack-go/slack"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// fileMessage begins the id of a message whose own id Slack has not told: then
// the first file's id stands for it.
const fileMessage = "file/"

var errTooBig = errors.New("a file is larger than the platform takes")

// fileError is the failure of a file that was to be sent.
type fileError struct{ err error }

// Error implements error.
func (e *fileError) Error() string { return "a file cannot be read: " + e.err.Error() }

// Unwrap returns the cause.
func (e *fileError) Unwrap() error { return e.err }

// share uploads files and then shows them all in one message. Nothing is to be
// seen before the last call, so that only that one can be ambiguous.
func (c *Channel) share(ctx context.Context, t *team, p channels.Part) (channels.Receipt, error) {
	if _, err := codec.EncodeFiles(p, make([]string, len(p.Files))); err != nil {
		return channels.Receipt{}, c.api.fail("send", channels.Rejected, err)
	}
	var ids []string
	for _, f := range p.Files {
		id, err := c.upload(ctx, t, f)
		if err != nil {
			return channels.Receipt{}, c.refused(err)
		}
		ids = append(ids, id)
	}
	call, err := codec.EncodeFiles(p, ids)
	if err != nil {
		return channels.Receipt{}, c.api.fail("send", channels.Rejected, err)
	}
	c.joins(ctx, p.To)
	n, err := c.api.do(ctx, t.ref, call)
	if err != nil {
		return channels.Receipt{}, err
	}
	if !n.OK {
		return channels.Receipt{}, c.refused(c.api.refused(call.Method, n))
	}
	return channels.Receipt{ID: c.shown(ctx, t, p.To, ids[0]), At: time.Now()}, nil
}

// upload puts one file where Slack wants it, and returns its id.
func (c *Channel) upload(ctx context.Context, t *team, f channels.File) (string, error) {
	const op = "files.getUploadURLExternal"
	size, err := c.size(ctx, f)
	if err != nil {
		return "", err
	}
	var out sdk.GetUploadURLExternalResponse
	in := url.Values{"filename": {fileName(f)}, "length": {strconv.FormatInt(size, 10)}}
	if _, err := c.api.ask(ctx, t.ref, op, in, &out); err != nil {
		return "", err
	}
	if out.FileID == "" || !c.ours(out.UploadURL) {
		return "", c.api.fail(op, channels.Transient, errors.New("the platform does not say where the file goes"))
	}
	var s *source
	r, err := c.api.send(ctx, request{
		op: "upload", url: out.UploadURL, kind: "application/octet-stream", length: size, repeatable: true, timeout: uploadTimeout,
		body: func() (io.Reader, error) {
			r, err := openFile(ctx, f)
			if err != nil {
				return nil, err
			}
			s = &source{ReadCloser: r, left: size}
			return s, nil
		},
	})
	if s != nil && s.err != nil {
		return "", c.api.fail("upload", channels.Other, s.err)
	}
	switch {
	case err != nil:
		return "", err
	case r.status/100 != 2:
		return "", c.api.refused("upload", codec.Classify(r.status, r.header.Get("Retry-After"), r.body, true))
	}
	return out.FileID, nil
}

// size is a file's size, which Slack wants to know first. One that is not known
// is read once to find out.
func (c *Channel) size(ctx context.Context, f channels.File) (int64, error) {
	size := f.Size
	if size <= 0 {
		r, err := openFile(ctx, f)
		if err != nil {
			return 0, c.api.fail("upload", channels.Other, err)
		}
		size, err = io.Copy(io.Discard, io.LimitReader(r, codec.MaxFile+1))
		if err = errors.Join(err, r.Close()); err != nil {
			return 0, c.api.fail("upload", channels.Other, &fileError{err})
		}
	}
	switch {
	case size > codec.MaxFile:
		return 0, c.api.fail("upload", channels.Rejected, errTooBig)
	case size == 0:
		return 0, c.api.fail("upload", channels.Rejected, errors.New("the file is empty"))
	}
	return size, nil
}

func openFile(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	if f.Open == nil {
		return nil, &fileError{errors.New("it has no content")}
	}
	r, err := f.Open(ctx)
	if err != nil {
		return nil, &fileError{err}
	}
	return r, nil
}

// source is a file that is being sent. It fails when it does not give as many
// bytes as were promised.
type source struct {
	io.ReadCloser
	left int64
	err  error // read by the sender once the request has ended
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.left -= int64(n)
	switch {
	case s.left < 0:
		err = errors.New("it is longer than was said")
	case errors.Is(err, io.EOF) && s.left > 0:
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = &fileError{err}
		return n, s.err
	}
	return n, err
}

func fileName(f channels.File) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, f.Name)
	if name == "" {
		name = string(f.Kind)
	}
	if name == "" {
		name = "file"
	}
	return name
}

// Pauses between questions for the id of a message with files, which Slack
// makes a moment after it has answered.
var shareWaits = []time.Duration{0, 200 * time.Millisecond, 500 * time.Millisecond, time.Second}

// shown finds the message that shows a file.
func (c *Channel) shown(ctx context.Context, t *team, at channels.Address, file string) channels.MessageID {
	for _, wait := range shareWaits {
		if sleep(ctx, wait) != nil {
			break
		}
		var out struct {
			File sdk.File `json:"file"`
		}
		if _, err := c.api.ask(ctx, t.ref, "files.info", url.Values{"file": {file}}, &out); err != nil {
			break
		}
		room := string(at.Conversation)
		for _, s := range slices.Concat(out.File.Shares.Public[room], out.File.Shares.Private[room]) {
			if s.Ts != "" {
				return channels.MessageID(s.Ts)
			}
		}
	}
	return channels.MessageID(fileMessage + file)
}

// Fetch implements channels.Fetcher. The file is streamed.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "download"
	account, ref, _ := strings.Cut(f.Ref, "/")
	id, address := codec.FileRef(ref)
	switch {
	case id == "":
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file has no reference"))
	case f.Size > codec.MaxFetch:
		return nil, c.api.fail(op, channels.Rejected, errTooBigToFetch)
	}
	t, err := c.at(ctx, channels.AccountID(account))
	if err != nil {
		return nil, err
	}
	if address == "" {
		if address, err = c.locate(ctx, t, id); err != nil {
			return nil, err
		}
	}
	if !c.ours(address) {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file does not lie with the platform"))
	}
	return c.download(ctx, t, address)
}

// locate asks where a file is.
func (c *Channel) locate(ctx context.Context, t *team, id string) (string, error) {
	var out struct {
		File sdk.File `json:"file"`
	}
	if _, err := c.api.ask(ctx, t.ref, "files.info", url.Values{"file": {id}}, &out); err != nil {
		return "", c.refused(err)
	}
	if out.File.URLPrivateDownload != "" {
		return out.File.URLPrivateDownload, nil
	}
	return out.File.URLPrivate, nil
}

var errTooBigToFetch = fmt.Errorf("the file is larger than %d MB", codec.MaxFetch>>20)

func (c *Channel) download(ctx context.Context, t *team, address string) (io.ReadCloser, error) {
	const op = "download"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, c.api.fail(op, channels.Rejected, errors.New("the file's address is not a URL"))
	}
	token, err := c.api.secret(ctx, t.ref)
	if err != nil {
		return nil, c.api.fail(opToken, channels.Other, fmt.Errorf("the token cannot be read: %w", err))
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := c.api.client.Do(req)
	if err != nil {
		return nil, c.api.fail(op, channels.Transient, attempt.Cause(err))
	}
	if resp.StatusCode == http.StatusOK {
		return &limited{ReadCloser: resp.Body, left: codec.MaxFetch}, nil
	}
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, c.api.fail(op, channels.Gone, errors.New("the file no longer exists"))
	case resp.StatusCode/100 == 3: // to the page where people log in
		return nil, c.api.fail(op, channels.Rejected, errors.New("the app may not read the file: it needs the scope files:read"))
	}
	return nil, c.api.refused(op, codec.Classify(resp.StatusCode, resp.Header.Get("Retry-After"), nil, true))
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
		return n, errTooBigToFetch
	}
	return n, err
}
