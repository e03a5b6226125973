package channeltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/gatehouse-chat/gatehouse/channels"
)

var errTooLarge = errors.New("channeltest: the file is larger than its limit")

// Keep implements channels.Keeper. A [Snapshot] holds the files that a value of
// the state names, and no others.
func (h *Host) Keep(ctx context.Context, f channels.File, r io.Reader, limit int64) (channels.File, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return f, err
	}
	if int64(len(body)) > limit {
		return f, &channels.Error{Op: "keep", Channel: h.id, Kind: channels.Rejected, Err: errTooLarge}
	}
	sum := sha256.Sum256(body)
	f.Blob, f.Size = hex.EncodeToString(sum[:]), int64(len(body))
	if f.Kind == "" {
		f.Kind = channels.Document
	}
	h.board.change(func() {
		if h.dead {
			err = errCrashed
			return
		}
		h.disk.files[f.Blob] = body
	})
	return f, err
}

// Kept implements channels.Keeper.
func (h *Host) Kept(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	var body []byte
	h.board.read(func() { body = slices.Clone(h.disk.files[f.Blob]) })
	if body == nil {
		return nil, errNotKept
	}
	return io.NopCloser(bytes.NewReader(body)), ctx.Err()
}

var errNotKept = errors.New("channeltest: there is no such file")
