package wasm

import (
	"context"
	"io"

	"github.com/gatehouse-chat/gatehouse/channels/attempt"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

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
