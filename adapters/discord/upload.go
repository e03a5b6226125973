package discord

import (
	"context"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// newUpload opens the files of a call.
func newUpload(ctx context.Context, c codec.Call) (*attempt.Form, error) {
	fields := []attempt.Field{{Name: "payload_json", Type: "application/json", Text: c.Body}}
	for i, f := range c.Files {
		fields = append(fields, attempt.Field{
			Name: "files[" + strconv.Itoa(i) + "]", Type: f.MIME, File: codec.Filename(f), Open: attempt.Content(f),
		})
	}
	return attempt.NewForm(ctx, fields, codec.MaxFile)
}
