package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// sealPath makes an event fit to be kept: the token of its reply path is sealed
// under the workspace's key, and Raw does not hold it. Without seals the path is
// dropped, and replies go the ordinary way.
func (i *intake) sealPath(ctx context.Context, e *channels.Event) (err error) {
	if e.Via == nil {
		return nil
	}
	token := e.Via.Token.Reveal()
	e.Raw = without(e.Raw, token)
	if token == "" || i.g.seals == nil {
		e.Via = nil
		return nil
	}
	at := channels.Address{Channel: i.id, Account: e.Account}
	e.Via, err = delivery.SealVia(ctx, i.g.seals, i.g.workspaceOf(i.id), at, *e.Via)
	return err
}

// without returns raw with a token hidden, however its text was escaped; nil
// when raw is not JSON.
func without(raw json.RawMessage, token string) json.RawMessage {
	if token == "" || len(raw) == 0 {
		return raw
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil
	}
	out, err := json.Marshal(hide(v, token))
	if err != nil {
		return nil
	}
	return out
}

func hide(v any, token string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, token, "[secret]")
	case json.Number:
		if v.String() == token {
			return "[secret]"
		}
	case []any:
		for i := range v {
			v[i] = hide(v[i], token)
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for k, e := range v {
			clean[strings.ReplaceAll(k, token, "[secret]")] = hide(e, token)
		}
		return clean
	}
	return v
}
