package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func (h *handler) errandRoutes() map[string]route {
	return map[string]route{
		"GET /api/errands": func(r *http.Request, by scope.Scope) (any, error) { return h.op.Errands(r.Context(), by) },
		"DELETE /api/errands/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			return nil, h.op.CancelErrand(r.Context(), by, r.PathValue("id"))
		},
	}
}

// Errands lists what members want taken up later, without their words.
func (c *Client) Errands(ctx context.Context) ([]gateway.Waiting, error) {
	return get[[]gateway.Waiting](ctx, c, "/api/errands")
}

// CancelErrand takes one back.
func (c *Client) CancelErrand(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/errands/"+url.PathEscape(id), nil, nil)
}
