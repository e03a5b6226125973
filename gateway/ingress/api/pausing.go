package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// pausing are the routes by which work is held back. The channel stands in the
// query; none means all.
func (h *handler) pausing() map[string]route {
	id := func(r *http.Request) channels.ID { return channels.ID(r.URL.Query().Get("channel")) }
	return map[string]route{
		"POST /api/pause": func(r *http.Request, by scope.Scope) (any, error) {
			return struct{}{}, h.op.Pause(r.Context(), by, id(r))
		},
		"POST /api/resume": func(r *http.Request, by scope.Scope) (any, error) {
			n, err := h.op.Resume(r.Context(), by, id(r))
			return Count{N: n}, err
		},
		"POST /api/revoke": func(r *http.Request, by scope.Scope) (any, error) { return h.op.RevokeAll(r.Context(), by) },
	}
}

// Pause holds back a channel's work, all of it for "".
func (c *Client) Pause(ctx context.Context, id channels.ID) error {
	return c.call(ctx, http.MethodPost, "/api/pause?"+url.Values{"channel": {string(id)}}.Encode(), nil, nil)
}

// Resume ends a pause and returns how many events it has held back.
func (c *Client) Resume(ctx context.Context, id channels.ID) (int, error) {
	n, err := post[Count](ctx, c, "/api/resume?"+url.Values{"channel": {string(id)}}.Encode(), nil)
	return n.N, err
}

// RevokeAll stops and revokes everything at once.
func (c *Client) RevokeAll(ctx context.Context) (operator.Revoked, error) {
	return post[operator.Revoked](ctx, c, "/api/revoke", nil)
}
