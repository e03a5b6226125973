package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func (h *handler) approvalRoutes() map[string]route {
	return map[string]route{
		"GET /api/approvals": func(r *http.Request, by scope.Scope) (any, error) { return h.op.Approvals(r.Context(), by) },
		"POST /api/approvals/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			a, err := read[approval.Answer](r)
			if err != nil {
				return nil, err
			}
			return h.op.Decide(r.Context(), by, r.PathValue("id"), approval.Answer{Outcome: a.Outcome, Extent: a.Extent})
		},
		"DELETE /api/approvals/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			return h.op.RevokeApproval(r.Context(), by, r.PathValue("id"))
		},
	}
}

// Approvals lists what people are asked and what they have allowed for longer.
func (c *Client) Approvals(ctx context.Context) (operator.Approvals, error) {
	return get[operator.Approvals](ctx, c, "/api/approvals")
}

// Decide answers a question, named by its id or its code.
func (c *Client) Decide(ctx context.Context, id string, a approval.Answer) (approval.Question, error) {
	return post[approval.Question](ctx, c, "/api/approvals/"+url.PathEscape(id), a)
}

// RevokeApproval ends a lasting approval.
func (c *Client) RevokeApproval(ctx context.Context, id string) (approval.Standing, error) {
	var s approval.Standing
	err := c.call(ctx, http.MethodDelete, "/api/approvals/"+url.PathEscape(id), nil, &s)
	return s, err
}
