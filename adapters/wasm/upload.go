package wasm

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/gatehouse-chat/gatehouse/channels/attempt"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// inline puts files into a JSON body. They are held in memory: the body is signed
// whole.
func (h *call) inline(ctx context.Context, all []wire.Inline, body []byte) ([]byte, error) {
	for _, f := range all {
		content, err := h.content(ctx, f.File)
		if err != nil {
			return nil, fmt.Errorf("a file cannot be opened: %w", err)
		}
		most := min(cmp.Or(h.c.s.features.MaxFile, maxBody), maxMade)
		b, err := io.ReadAll(io.LimitReader(content, most+1))
		err = errors.Join(err, content.Close())
		if err == nil && int64(len(b)) > most {
			err = errTooLarge
		}
		if err == nil {
			body, err = setAt(body, f.Pointer, base64.StdEncoding.EncodeToString(b))
		}
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}

// newUpload opens the files of a form, by the handles that the guest has of them.
func (h *call) newUpload(ctx context.Context, form []wire.Field, most int64) (*attempt.Form, error) {
	fields := make([]attempt.Field, len(form))
	for i, f := range form {
		fields[i] = attempt.Field{Name: f.Name, Text: []byte(f.Value), Type: f.MIME, File: f.As}
		if f.File != "" {
			fields[i].Open = func(ctx context.Context) (io.ReadCloser, error) { return h.content(ctx, f.File) }
		}
	}
	return attempt.NewForm(ctx, fields, most)
}
