package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The bodies of requests about modules. A package travels as it is, and what
// else there is to say stands in the query.
type (
	// ModuleSource is where a package is, and what it must be.
	ModuleSource struct {
		URL string `json:"url"`
		Sum string `json:"sum"` // its SHA-256
	}
	// Publisher is a key, with a name for people.
	Publisher struct {
		Key  string `json:"key"`
		Name string `json:"name,omitempty"`
	}
	// Version names one; "" is the last before the one in use.
	Version struct {
		Version string `json:"version,omitempty"`
	}
)

// Package is the body of an answer that is a package.
type Package struct {
	Content []byte `json:"content"`
}

// most bounds the body of a request.
func most(r *http.Request) int64 {
	if r.Method == http.MethodPost && (r.URL.Path == modulesPath || r.URL.Path == modulesPath+"/plan") {
		return module.MaxPackage
	}
	if r.Method == http.MethodPost && r.URL.Path == memoryPath {
		return maxItems
	}
	return maxBody
}

const modulesPath = "/api/modules"

func (h *handler) moduleRoutes() map[string]route {
	return map[string]route{
		"GET " + modulesPath:            func(r *http.Request, by scope.Scope) (any, error) { return h.op.Modules(r.Context(), by) },
		"GET /api/platforms":            func(_ *http.Request, by scope.Scope) (any, error) { return h.op.Platforms(by), nil },
		"POST " + modulesPath:           h.installModule,
		"POST " + modulesPath + "/plan": h.planModule,
		"POST " + modulesPath + "/fetch": func(r *http.Request, by scope.Scope) (any, error) {
			in, err := read[ModuleSource](r)
			if err != nil {
				return nil, err
			}
			b, err := h.op.FetchModule(r.Context(), by, in.URL, in.Sum)
			return Package{b}, err
		},
		"POST " + modulesPath + "/{id}/rollback": func(r *http.Request, by scope.Scope) (any, error) {
			in, err := read[Version](r)
			if err != nil {
				return nil, err
			}
			return h.op.RollbackModule(r.Context(), by, r.PathValue("id"), in.Version)
		},
		"DELETE " + modulesPath + "/{id}": func(r *http.Request, by scope.Scope) (any, error) {
			return struct{}{}, h.op.RemoveModule(r.Context(), by, r.PathValue("id"))
		},
		"GET /api/publishers": func(r *http.Request, by scope.Scope) (any, error) { return h.op.Publishers(r.Context(), by) },
		"POST /api/publishers/trust": func(r *http.Request, by scope.Scope) (any, error) {
			in, err := read[Publisher](r)
			if err != nil {
				return nil, err
			}
			return struct{}{}, h.op.TrustPublisher(r.Context(), by, in.Key, in.Name)
		},
		"POST /api/publishers/revoke": func(r *http.Request, by scope.Scope) (any, error) {
			in, err := read[Publisher](r)
			if err != nil {
				return nil, err
			}
			return struct{}{}, h.op.RevokePublisher(r.Context(), by, in.Key)
		},
	}
}

// readPackage reads a package from a request's body.
func readPackage(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w: a package has at most %d bytes", operator.ErrInvalid, tooLarge.Limit)
	}
	return b, err
}

func isDev(r *http.Request) bool { return r.URL.Query().Get("dev") == "true" }

func (h *handler) planModule(r *http.Request, by scope.Scope) (any, error) {
	b, err := readPackage(r)
	if err != nil {
		return nil, err
	}
	return h.op.PlanModule(r.Context(), by, b, isDev(r))
}

func (h *handler) installModule(r *http.Request, by scope.Scope) (any, error) {
	b, err := readPackage(r)
	if err != nil {
		return nil, err
	}
	return h.op.InstallModule(r.Context(), by, b, r.URL.Query().Get("sum"), isDev(r))
}

// Modules lists the installed modules.
func (c *Client) Modules(ctx context.Context) ([]operator.Module, error) {
	return get[[]operator.Module](ctx, c, modulesPath)
}

// FetchModule gets a package from an https URL, through the gateway.
func (c *Client) FetchModule(ctx context.Context, from, sum string) ([]byte, error) {
	p, err := post[Package](ctx, c, modulesPath+"/fetch", ModuleSource{from, sum})
	return p.Content, err
}

// PlanModule asks what installing a package would do.
func (c *Client) PlanModule(ctx context.Context, pkg []byte, dev bool) (shelf.Plan, error) {
	var p shelf.Plan
	err := c.call(ctx, http.MethodPost, modulesPath+"/plan"+devQuery(dev, ""), pkg, &p)
	return p, err
}

// InstallModule puts a package into use; sum is that of the plan.
func (c *Client) InstallModule(ctx context.Context, pkg []byte, sum string, dev bool) (operator.Module, error) {
	var m operator.Module
	err := c.call(ctx, http.MethodPost, modulesPath+devQuery(dev, sum), pkg, &m)
	return m, err
}

func devQuery(dev bool, sum string) string {
	q := url.Values{}
	if dev {
		q.Set("dev", "true")
	}
	if sum != "" {
		q.Set("sum", sum)
	}
	return strings.TrimSuffix("?"+q.Encode(), "?")
}

// RollbackModule goes back to an earlier version.
func (c *Client) RollbackModule(ctx context.Context, id, to string) (operator.Module, error) {
	return post[operator.Module](ctx, c, modulesPath+"/"+url.PathEscape(id)+"/rollback", Version{to})
}

// RemoveModule takes a module away.
func (c *Client) RemoveModule(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, modulesPath+"/"+url.PathEscape(id), nil, nil)
}

// Publishers lists the publishers that are trusted or revoked.
func (c *Client) Publishers(ctx context.Context) ([]shelf.Publisher, error) {
	return get[[]shelf.Publisher](ctx, c, "/api/publishers")
}

// TrustPublisher lets a publisher's modules be installed.
func (c *Client) TrustPublisher(ctx context.Context, key, name string) error {
	return c.send(ctx, http.MethodPost, "/api/publishers/trust", Publisher{key, name}, nil)
}

// RevokePublisher quarantines a publisher's modules.
func (c *Client) RevokePublisher(ctx context.Context, key string) error {
	return c.send(ctx, http.MethodPost, "/api/publishers/revoke", Publisher{Key: key}, nil)
}

// Platforms lists the kinds of channels that can be added, those of installed
// modules as well.
func (c *Client) Platforms(ctx context.Context) ([]operator.Platform, error) {
	return get[[]operator.Platform](ctx, c, "/api/platforms")
}
