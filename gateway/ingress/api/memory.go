package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// memoryPath is where the memory lies.
const memoryPath = "/api/memory"

// What goes over the wire in one request and in one answer, in bytes: an item of
// 8 MB may be six times as long in JSON.
const (
	maxItems  = 64 << 20
	pageBytes = 4 << 20 // of the texts of a list, before they are JSON
)

// IDs name items.
type IDs struct {
	IDs []string `json:"ids"`
}

func (h *handler) memoryRoutes() map[string]route {
	return map[string]route{
		"GET " + memoryPath:             h.listMemory,
		"GET " + memoryPath + "/search": h.searchMemory,
		"POST " + memoryPath: func(r *http.Request, by scope.Scope) (any, error) {
			items, err := read[[]store.Listed](r)
			if err != nil {
				return nil, err
			}
			ids, err := h.op.KeepMemory(r.Context(), by, items...)
			return IDs{IDs: ids}, err
		},
		"POST " + memoryPath + "/forget": func(r *http.Request, by scope.Scope) (any, error) {
			which, err := read[IDs](r)
			if err != nil {
				return nil, err
			}
			n, err := h.op.ForgetMemory(r.Context(), by, which.IDs...)
			return Count{N: n}, err
		},
		"POST " + memoryPath + "/reindex": func(r *http.Request, by scope.Scope) (any, error) { return h.op.ReindexMemory(r.Context(), by) },
	}
}

func (h *handler) listMemory(r *http.Request, by scope.Scope) (any, error) {
	v := r.URL.Query()
	limit, err := strconv.Atoi(orZero(v.Get("limit")))
	if err != nil {
		return nil, fmt.Errorf("%w: limit=%q is no number", operator.ErrInvalid, v.Get("limit"))
	}
	return h.op.Memory(r.Context(), by, store.Page{Reach: memory.Reach(v.Get("reach")), Kinds: kindsOf(v["kind"]), After: v.Get("after"), Limit: limit, Bytes: pageBytes})
}

func (h *handler) searchMemory(r *http.Request, by scope.Scope) (any, error) {
	v := r.URL.Query()
	limit, err := strconv.Atoi(orZero(v.Get("limit")))
	if err != nil {
		return nil, fmt.Errorf("%w: limit=%q is no number", operator.ErrInvalid, v.Get("limit"))
	}
	return h.op.SearchMemory(r.Context(), by, memory.Query{
		Text: v.Get("q"), Kinds: kindsOf(v["kind"]), Tags: v["tag"], Reach: memory.Reach(v.Get("reach")),
		Limit: limit, Legs: memory.Legs(v.Get("by")),
	})
}

func kindsOf(names []string) []memory.Kind {
	var out []memory.Kind
	for _, n := range names {
		out = append(out, memory.Kind(n))
	}
	return out
}

// Memory lists a part of what is remembered: the next items, fewer than wanted
// where they are long. An empty list is the end.
func (c *Client) Memory(ctx context.Context, p store.Page) ([]store.Listed, error) {
	v := url.Values{"after": {p.After}, "limit": {strconv.Itoa(p.Limit)}, "reach": {string(p.Reach)}}
	return get[[]store.Listed](ctx, c, memoryPath+"?"+v.Encode())
}

// SearchMemory searches.
func (c *Client) SearchMemory(ctx context.Context, q memory.Query) ([]memory.Hit, error) {
	v := url.Values{"q": {q.Text}, "limit": {strconv.Itoa(q.Limit)}, "tag": q.Tags, "by": {string(q.Legs)}, "reach": {string(q.Reach)}}
	for _, k := range q.Kinds {
		v.Add("kind", string(k))
	}
	return get[[]memory.Hit](ctx, c, memoryPath+"/search?"+v.Encode())
}

// KeepMemory keeps items.
func (c *Client) KeepMemory(ctx context.Context, items ...store.Listed) ([]string, error) {
	got, err := post[IDs](ctx, c, memoryPath, items)
	return got.IDs, err
}

// ForgetMemory forgets items.
func (c *Client) ForgetMemory(ctx context.Context, ids ...string) (int, error) {
	got, err := post[Count](ctx, c, memoryPath+"/forget", IDs{IDs: ids})
	return got.N, err
}

// ReindexMemory makes some vectors that are missing, and says how far it is.
func (c *Client) ReindexMemory(ctx context.Context) (store.Progress, error) {
	return post[store.Progress](ctx, c, memoryPath+"/reindex", struct{}{})
}
