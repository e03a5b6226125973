// Package api is the operator over HTTP: the handler that the gateway serves
// on its admin address and on its socket, and the client that the command line
// uses. Requests and answers are JSON; secrets go in and never come out.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// Who says who sends a request; an error means that nobody known does.
type Who func(*http.Request) (scope.Scope, error)

// Links makes login links for the console.
type Links func(*http.Request) (string, error)

// Workspace is the header in which whoever controls the machine says in which
// workspace they act; empty for the home.
const Workspace = "Gatehouse-Workspace"

// maxBody bounds a request; the largest is a secret.
const maxBody = vault.MaxValue + 4<<10

// Failure is the body of every answer that is not a success.
type Failure struct {
	Error string `json:"error"`
	Kind  string `json:"kind"`
}

// kinds pairs what a caller branches on with its name and status.
var kinds = []struct {
	err    error
	name   string
	status int
}{
	{identity.ErrForbidden, "forbidden", http.StatusForbidden},
	{identity.ErrUnknown, "unknown", http.StatusNotFound},
	{login.ErrUnknown, "no_login", http.StatusNotFound},
	{vault.ErrNotFound, "no_secret", http.StatusNotFound},
	{operator.ErrUnknownModule, "no_module", http.StatusNotFound},
	{operator.ErrInvalid, "invalid", http.StatusUnprocessableEntity},
	{operator.ErrConflict, "conflict", http.StatusConflict},
	{operator.ErrStopped, "stopped", http.StatusServiceUnavailable},
}

// errUnknownCaller: the request carries no login.
var errUnknownCaller = errors.New("log in first")

// Handler serves the API below /api/. links may be nil.
func Handler(op *operator.Operator, who Who, links Links) http.Handler {
	h := &handler{op: op, who: who, links: links}
	mux := http.NewServeMux()
	for _, routes := range []map[string]route{h.routes(), h.peopleRoutes(), h.pausing(), h.moduleRoutes(), h.memoryRoutes()} {
		for pattern, f := range routes {
			mux.HandleFunc(pattern, h.serve(f))
		}
	}
	for pattern, f := range h.approvalRoutes() {
		mux.HandleFunc(pattern, h.serve(f))
	}
	for pattern, f := range h.errandRoutes() {
		mux.HandleFunc(pattern, h.serve(f))
	}
	for pattern, f := range h.auditRoutes() {
		mux.HandleFunc(pattern, h.serve(f))
	}
	mux.HandleFunc("GET /api/audit/export", h.exportAudit)
	mux.HandleFunc("POST /api/channels/{id}/link", h.link)
	return mux
}

type handler struct {
	op    *operator.Operator
	who   Who
	links Links
}

// route answers a request of somebody known; a nil answer is an empty one.
type route func(r *http.Request, by scope.Scope) (any, error)

func (h *handler) serve(f route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, ok := h.caller(w, r)
		if !ok {
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, most(r))
		answer, err := f(r, by)
		if err != nil {
			fail(w, err)
			return
		}
		write(w, http.StatusOK, answer)
	}
}

// caller is who sends a request; false when it was refused.
func (h *handler) caller(w http.ResponseWriter, r *http.Request) (scope.Scope, bool) {
	by, err := h.who(r)
	switch {
	case err == nil:
		return by, true
	case r.Header.Get(Workspace) != "" && errors.Is(err, identity.ErrUnknown): // whoever controls the machine names one that there is not
		fail(w, err)
	default:
		write(w, http.StatusUnauthorized, Failure{Error: errUnknownCaller.Error(), Kind: "login"})
	}
	return by, false
}

func fail(w http.ResponseWriter, err error) {
	status, f := failure(err)
	write(w, status, f)
}

// failure is what a caller learns of an error.
func failure(err error) (status int, f Failure) {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.status, Failure{Error: err.Error(), Kind: k.name}
		}
	}
	if k := channels.KindOf(err); k != channels.Other {
		return http.StatusBadGateway, Failure{Error: err.Error(), Kind: "channel_" + string(k)}
	}
	return http.StatusInternalServerError, Failure{Error: err.Error(), Kind: "internal"}
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone; there is nobody to tell
}

func read[T any](r *http.Request) (T, error) {
	var v T
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("%w: the request is not the JSON that belongs here: %w", operator.ErrInvalid, err)
	}
	return v, nil
}

// The bodies of requests.
type (
	// Seqs names dead letters.
	Seqs struct {
		Seqs []int64 `json:"seqs"`
	}
	// ModelAndKey is a model with a key, which may be empty.
	ModelAndKey struct {
		Model operator.Model `json:"model"`
		Key   string         `json:"key"`
	}
	// KeyRotation says how much of the vault's keys is replaced.
	KeyRotation struct {
		Data bool `json:"data,omitempty"` // the workspace's data key as well
	}
	// NewChannel is a channel to add.
	NewChannel struct {
		ID      channels.ID       `json:"id"`
		Adapter string            `json:"adapter"`
		Answers map[string]string `json:"answers"` // by the keys of the platform's questions
		Section map[string]any    `json:"section,omitempty"`
	}
)

// The bodies of answers.
type (
	// Count says how many were changed.
	Count struct {
		N int `json:"n"`
	}
	// Link is a URL to open.
	Link struct {
		URL string `json:"url"`
	}
	// Warnings are things done, but unwise.
	Warnings struct {
		Warnings []string `json:"warnings,omitempty"`
	}
	// Turn is how a turn went.
	Turn struct {
		Failed string `json:"failed,omitempty"` // the kind of failure
	}
)

func (h *handler) routes() map[string]route {
	return map[string]route{
		"GET /api/status":                 func(r *http.Request, by scope.Scope) (any, error) { return h.op.Status(r.Context(), by) },
		"GET /api/secrets":                func(r *http.Request, by scope.Scope) (any, error) { return h.op.Secrets(r.Context(), by) },
		"GET /api/own/secrets":            func(r *http.Request, by scope.Scope) (any, error) { return h.op.OwnSecrets(r.Context(), by) },
		"PUT /api/secrets/{name}":         h.setSecret,
		"DELETE /api/secrets/{name}":      h.deleteSecret,
		"POST /api/secrets/{name}/rotate": h.rotateSecret,
		"POST /api/secrets/{name}/try":    h.trySecret,
		"POST /api/secrets/{name}/grants": h.granted(h.op.GrantSecret),
		"POST /api/secrets/{name}/revoke": h.granted(h.op.RevokeSecret),
		"POST /api/key/rotate":            h.rotateKey,
		"GET /api/dead":                   h.deadLetters,
		"GET /api/dead/{seq}":             h.deadLetter,
		"POST /api/dead/replay":           h.counted(h.op.Replay),
		"POST /api/dead/drop":             h.counted(h.op.Drop),
		"GET /api/turns/{id}":             h.turn,
		"POST /api/reload":                h.reload,
		"GET /api/providers":              func(*http.Request, scope.Scope) (any, error) { return h.op.Providers(), nil },
		"GET /api/models":                 func(_ *http.Request, by scope.Scope) (any, error) { return h.op.Models(by), nil },
		"POST /api/models/check":          h.checkModel,
		"PUT /api/models":                 h.setModel,
		"POST /api/channels":              h.addChannel,
		"DELETE /api/channels/{id}":       h.removeChannel,
		"POST /api/channels/{id}/probe":   h.probe,
		"POST /api/channels/{id}/connect": h.connect,
		"POST /api/login":                 h.login,
		"GET /api/logins":                 func(r *http.Request, by scope.Scope) (any, error) { return h.op.Logins(r.Context(), by) },
		"DELETE /api/logins":              h.revokeLogins,
		"DELETE /api/logins/{id}":         h.revokeLogin,
	}
}

func (h *handler) revokeLogin(r *http.Request, by scope.Scope) (any, error) {
	return struct{}{}, h.op.RevokeLogin(r.Context(), by, r.PathValue("id"))
}

// revokeLogins logs out the member in the query, or everybody.
func (h *handler) revokeLogins(r *http.Request, by scope.Scope) (any, error) {
	n, err := h.op.RevokeLogins(r.Context(), by, r.URL.Query().Get("member"))
	return Count{N: n}, err
}

func (h *handler) deadLetters(r *http.Request, by scope.Scope) (any, error) {
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64) // "" and nonsense begin at the start
	return h.op.DeadLetters(r.Context(), by, q.Get("queue"), after, 200)
}

func (h *handler) deadLetter(r *http.Request, by scope.Scope) (any, error) {
	seq, err := strconv.ParseInt(r.PathValue("seq"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: a dead letter is named by its number", operator.ErrInvalid)
	}
	return h.op.DeadLetter(r.Context(), by, seq)
}

func (h *handler) turn(r *http.Request, by scope.Scope) (any, error) {
	failed, err := h.op.TurnFailed(r.Context(), by, r.PathValue("id"))
	return Turn{Failed: failed}, err
}

func (h *handler) reload(r *http.Request, by scope.Scope) (any, error) {
	w, err := h.op.Reload(r.Context(), by)
	return Warnings{Warnings: w}, err
}

func (h *handler) checkModel(r *http.Request, by scope.Scope) (any, error) {
	m, err := read[ModelAndKey](r)
	if err != nil {
		return nil, err
	}
	return h.op.CheckModel(r.Context(), by, m.Model, m.Key)
}

func (h *handler) setModel(r *http.Request, by scope.Scope) (any, error) {
	m, err := read[ModelAndKey](r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, h.op.SetModel(r.Context(), by, m.Model, m.Key)
}

func (h *handler) addChannel(r *http.Request, by scope.Scope) (any, error) {
	c, err := read[NewChannel](r)
	if err != nil {
		return nil, err
	}
	return h.op.AddChannel(r.Context(), by, c.ID, c.Adapter, c.Answers, c.Section)
}

func (h *handler) removeChannel(r *http.Request, by scope.Scope) (any, error) {
	return h.op.RemoveChannel(r.Context(), by, channels.ID(r.PathValue("id")))
}

func (h *handler) probe(r *http.Request, by scope.Scope) (any, error) {
	return h.op.ProbeChannel(r.Context(), by, channels.ID(r.PathValue("id")))
}

func (h *handler) connect(r *http.Request, by scope.Scope) (any, error) {
	url, err := h.op.StartLink(r.Context(), by, channels.ID(r.PathValue("id")))
	return Link{URL: url}, err
}

func (h *handler) login(r *http.Request, by scope.Scope) (any, error) {
	if h.links == nil {
		return nil, operator.ErrStopped
	}
	if !by.Role().Administers() {
		return nil, identity.ErrForbidden
	}
	url, err := h.links(r)
	return Link{URL: url}, err
}

// counted serves an action on several dead letters.
func (h *handler) counted(act func(context.Context, scope.Scope, ...int64) (int, error)) route {
	return func(r *http.Request, by scope.Scope) (any, error) {
		s, err := read[Seqs](r)
		if err != nil {
			return nil, err
		}
		n, err := act(r.Context(), by, s.Seqs...)
		return Count{N: n}, err
	}
}
