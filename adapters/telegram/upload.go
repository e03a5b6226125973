package telegram

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels/attempt"
)

// newUpload opens the files of a call.
func newUpload(ctx context.Context, c codec.Call) (*attempt.Form, error) {
	fields, err := fieldsOf(c.Params)
	if err != nil {
		return nil, err
	}
	for _, f := range c.Files {
		name := f.File.Name
		if name == "" {
			name = string(f.File.Kind)
		}
		fields = append(fields, attempt.Field{Name: f.Field, Type: f.File.MIME, File: name, Open: attempt.Content(f.File)})
	}
	return attempt.NewForm(ctx, fields, codec.MaxFile)
}

// fieldsOf is the top level of a JSON object as form fields: texts as they are,
// everything else as JSON.
func fieldsOf(params []byte) ([]attempt.Field, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(params, &all); err != nil {
		return nil, err
	}
	var fields []attempt.Field
	for name, value := range all {
		text := string(value)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, err
			}
		}
		fields = append(fields, attempt.Field{Name: name, Text: []byte(text)})
	}
	return fields, nil
}
