package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func (h *handler) auditRoutes() map[string]route {
	return map[string]route{
		"GET /api/audit": func(r *http.Request, by scope.Scope) (any, error) {
			q, err := auditQuery(r.URL.Query())
			if err != nil {
				return nil, err
			}
			most, err := strconv.Atoi(orZero(r.URL.Query().Get("last")))
			if err != nil {
				return nil, fmt.Errorf("%w: last=%q is no number", operator.ErrInvalid, r.URL.Query().Get("last"))
			}
			return h.op.AuditEntries(r.Context(), by, q, most)
		},
		"GET /api/audit/check": func(r *http.Request, by scope.Scope) (any, error) { return h.op.VerifyAudit(r.Context(), by) },
	}
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

// exportAudit writes a JSON object a line.
func (h *handler) exportAudit(w http.ResponseWriter, r *http.Request) {
	by, ok := h.caller(w, r)
	if !ok {
		return
	}
	q, err := auditQuery(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	all, err := h.op.ReadAudit(r.Context(), by, q)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="audit.jsonl"`)
	w.Header().Set("Cache-Control", "no-store")
	out := json.NewEncoder(w)
	for e, err := range all {
		if err != nil {
			// The status is out already: an object with another shape tells the reader.
			_ = out.Encode(Failure{Error: err.Error(), Kind: "audit"})
			return
		}
		if out.Encode(e) != nil {
			return // the reader is gone
		}
	}
}

func auditQuery(v url.Values) (q audit.Query, err error) {
	q.Member, q.On, q.Failed = v.Get("member"), v.Get("on"), v.Get("failed") != ""
	for _, k := range v["kind"] {
		q.Kinds = append(q.Kinds, audit.Kind(k))
	}
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if s := v.Get(name); s != "" {
			if *to, err = time.Parse(time.RFC3339, s); err != nil {
				return q, fmt.Errorf("%w: %s=%q is no time such as 2006-01-02T15:04:05Z", operator.ErrInvalid, name, s)
			}
		}
	}
	return q, nil
}

func auditValues(q audit.Query) url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Add(name, value)
		}
	}
	set("member", q.Member)
	set("on", q.On)
	for _, k := range q.Kinds {
		set("kind", string(k))
	}
	if q.Failed {
		set("failed", "1")
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			set(name, t.UTC().Format(time.RFC3339))
		}
	}
	return v
}

// Audit lists the last entries of the audit log that a query selects.
func (c *Client) Audit(ctx context.Context, q audit.Query, last int) ([]audit.Entry, error) {
	v := auditValues(q)
	v.Set("last", strconv.Itoa(last))
	return get[[]audit.Entry](ctx, c, "/api/audit?"+v.Encode())
}

// VerifyAudit checks the audit log.
func (c *Client) VerifyAudit(ctx context.Context) (operator.Audited, error) {
	return get[operator.Audited](ctx, c, "/api/audit/check")
}

// ExportAudit writes the entries that a query selects, a JSON object a line, and
// returns how many.
func (c *Client) ExportAudit(ctx context.Context, q audit.Query, to io.Writer) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+"/api/audit/export?"+auditValues(q).Encode(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask the gateway: %w", err)
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var line json.RawMessage
		if err := lines.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			return n, fmt.Errorf("read the gateway's answer: %w", err)
		}
		var f Failure
		if json.Unmarshal(line, &f) == nil && f.Error != "" {
			return n, &Error{Status: resp.StatusCode, Failure: f}
		}
		if _, err := to.Write(append(line, '\n')); err != nil {
			return n, err
		}
		n++
	}
}
