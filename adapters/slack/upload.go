package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

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
	var out json.RawMessage
	in := url.Values{"filename": {codec.FileName(f)}, "length": {strconv.FormatInt(size, 10)}}
	if _, err := c.api.ask(ctx, t.ref, op, in, &out); err != nil {
		return "", err
	}
	id, to := codec.Place(out)
	if id == "" || !c.ours(to) {
		return "", c.api.fail(op, channels.Transient, errors.New("the platform does not say where the file goes"))
	}
	var s *source
	r, err := c.api.send(ctx, request{
		op: "upload", url: to, kind: "application/octet-stream", length: size, repeatable: true, timeout: uploadTimeout,
		body: func() (io.Reader, error) {
			r, err := openFile(ctx, f)
			if err != nil {
				return nil, err
			}
			s = &source{ReadCloser: r, left: size}
			return s, nil
		},
	})
	if s != nil {
		if broken := s.broken.Load(); broken != nil {
			return "", c.api.fail("upload", channels.Other, broken)
		}
	}
	switch {
	case err != nil:
		return "", err
	case r.status/100 != 2:
		return "", c.api.refused("upload", codec.Classify(r.status, r.header.Get("Retry-After"), r.body, true))
	}
	return id, nil
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
	left   int64
	broken atomic.Pointer[fileError] // read by the sender while the transport may still be reading the file
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
		broken := &fileError{err}
		s.broken.Store(broken)
		return n, broken
	}
	return n, err
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
		var out json.RawMessage
		if _, err := c.api.ask(ctx, t.ref, "files.info", url.Values{"file": {file}}, &out); err != nil {
			break
		}
		if id := codec.Shown(out, at.Conversation); id != "" {
			return id
		}
	}
	return channels.MessageID(codec.FileMessage + file)
}

// Fetch implements channels.Fetcher. The file is streamed.
func (c *Channel) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	const op = "download"
	account, ref, err := codec.CutTeam(f.Ref)
	switch {
	case err != nil:
		return nil, c.api.fail(op, channels.Rejected, err)
	case f.Size > codec.MaxFetch:
		return nil, c.api.fail(op, channels.Rejected, codec.ErrTooBigToFetch)
	}
	id, address := codec.FileRef(ref)
	t, err := c.at(ctx, account)
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
	var out json.RawMessage
	if _, err := c.api.ask(ctx, t.ref, "files.info", url.Values{"file": {id}}, &out); err != nil {
		return "", c.refused(err)
	}
	return codec.Located(out), nil
}

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
		return attempt.AtMost(resp.Body, codec.MaxFetch, codec.ErrTooBigToFetch), nil
	}
	_ = resp.Body.Close()
	return nil, c.api.refused(op, codec.ClassifyDownload(resp.StatusCode, resp.Header.Get("Retry-After")))
}
