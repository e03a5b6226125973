package wasm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Files pass by the guest: it has handles, and gets at the content in parts if it
// must. What it makes itself is held in memory until its call is over.

const (
	maxPart  = 2 << 20  // bytes of one part that is read
	maxMade  = 32 << 20 // bytes that the files of one call hold together
	usedPart = 1 << 20
)

// mostMade is how many bytes the files that a guest puts in one call may hold, and
// those that are lent of them.
func (h *call) mostMade() int64 {
	return min(max(h.c.s.features.MaxFile, h.c.s.features.MaxFetch, maxBody), maxMade)
}

// put answers attachment_put.
func (h *call) put(in sandbox.Payload) (sandbox.Payload, error) {
	var w wire.AttachmentPut
	if in.Header != nil && json.Unmarshal(in.Header, &w) != nil {
		return sandbox.Payload{}, sandbox.Invalid
	}
	if h.made += int64(len(in.Body)); h.made > h.mostMade() {
		return sandbox.Payload{}, sandbox.TooLarge
	}
	if w.Handle == "" {
		w.Handle = "made" + strconv.Itoa(len(h.own))
		if h.own == nil {
			h.own = map[string]*bytes.Buffer{}
		}
		h.own[w.Handle] = &bytes.Buffer{}
	}
	b := h.own[w.Handle]
	if b == nil {
		return sandbox.Payload{}, sandbox.NotFound
	}
	b.Write(in.Body)
	header, err := json.Marshal(wire.Attachment{File: w.Handle})
	return sandbox.Payload{Header: header}, err
}

// readPart answers attachment_read: the next part of an outgoing file, of a saved
// response, or of what the guest put.
func (h *call) readPart(ctx context.Context, in sandbox.Payload) (sandbox.Payload, error) {
	var w wire.AttachmentRead
	if json.Unmarshal(in.Header, &w) != nil || w.Bytes < 0 {
		return sandbox.Payload{}, sandbox.Invalid
	}
	r, err := h.reader(ctx, w.Handle)
	if err != nil {
		return sandbox.Payload{}, err
	}
	part := make([]byte, min(cmp.Or(w.Bytes, usedPart), maxPart))
	n, err := io.ReadFull(r, part)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return sandbox.Payload{}, h.failed(err, sandbox.Unavailable)
	}
	return sandbox.Payload{Body: part[:n]}, nil
}

// size is that of a file, if it is known.
func (h *call) size(ctx context.Context, handle string) int64 {
	if b := h.own[handle]; b != nil {
		return int64(b.Len())
	}
	if f, ok := h.kept(ctx, handle); ok {
		return f.Size
	}
	return h.files[handle].Size
}

// reader is a file that is being read; it is opened at the first part.
func (h *call) reader(ctx context.Context, handle string) (io.Reader, error) {
	if r := h.reading[handle]; r != nil {
		return r, nil
	}
	r, err := h.content(ctx, handle)
	if err != nil {
		return nil, err
	}
	if h.reading == nil {
		h.reading = map[string]io.ReadCloser{}
	}
	h.reading[handle] = r
	return r, nil
}

// content is a file from its start. A saved response can be read once.
func (h *call) content(ctx context.Context, handle string) (io.ReadCloser, error) {
	if b := h.own[handle]; b != nil {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}
	if r := h.take(handle); r != nil {
		return r, nil
	}
	if f, ok := h.kept(ctx, handle); ok {
		r, err := h.openKept(ctx, f)
		if err != nil {
			return nil, h.failed(err, sandbox.Unavailable)
		}
		return r, nil
	}
	open := h.files[handle].Open
	if open == nil {
		return nil, sandbox.NotFound
	}
	r, err := open(ctx)
	if err != nil {
		return nil, h.failed(err, sandbox.Unavailable)
	}
	return r, nil
}
