package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// secretValue reads a value that is the plain body, so that no JSON escaping can
// change it.
func secretValue(r *http.Request) ([]byte, error) {
	value, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: a secret has at most %d bytes", operator.ErrInvalid, vault.MaxValue)
	}
	return value, nil
}

func warned(warning string, err error) (any, error) {
	if warning == "" {
		return Warnings{}, err
	}
	return Warnings{Warnings: []string{warning}}, err
}

// setSecret takes the value from the body and what it is for from the query.
func (h *handler) setSecret(r *http.Request, by scope.Scope) (any, error) {
	var to operator.SecretSetting
	if text := r.URL.Query().Get("setting"); text != "" {
		if err := json.Unmarshal([]byte(text), &to); err != nil {
			return nil, fmt.Errorf("%w: the setting is not the JSON that belongs here", operator.ErrInvalid)
		}
	}
	value, err := secretValue(r)
	if err != nil {
		return nil, err
	}
	defer clear(value)
	return warned(h.op.SetSecret(r.Context(), by, r.PathValue("name"), value, to))
}

func (h *handler) rotateSecret(r *http.Request, by scope.Scope) (any, error) {
	value, err := secretValue(r)
	if err != nil {
		return nil, err
	}
	defer clear(value)
	return warned(h.op.RotateSecret(r.Context(), by, r.PathValue("name"), value))
}

func (h *handler) deleteSecret(r *http.Request, by scope.Scope) (any, error) {
	return struct{}{}, h.op.DeleteSecret(r.Context(), by, r.PathValue("name"))
}

// Trial says where a secret is tried out.
type Trial struct {
	URL string `json:"url,omitempty"` // "": the root of its first host
}

func (h *handler) trySecret(r *http.Request, by scope.Scope) (any, error) {
	t, err := read[Trial](r)
	if err != nil {
		return nil, err
	}
	return h.op.TrySecret(r.Context(), by, r.PathValue("name"), t.URL)
}

// TrySecret makes one request with a secret.
func (c *Client) TrySecret(ctx context.Context, name, to string) (operator.Tried, error) {
	return post[operator.Tried](ctx, c, secretPath(name, "/try"), Trial{URL: to})
}

// granted serves a change of a secret's grants.
func (h *handler) granted(act func(context.Context, scope.Scope, string, vault.Grant) error) route {
	return func(r *http.Request, by scope.Scope) (any, error) {
		g, err := read[vault.Grant](r)
		if err != nil {
			return nil, err
		}
		return struct{}{}, act(r.Context(), by, r.PathValue("name"), g)
	}
}

func (h *handler) rotateKey(r *http.Request, by scope.Scope) (any, error) {
	k, err := read[KeyRotation](r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, h.op.RotateKey(r.Context(), by, k.Data)
}
