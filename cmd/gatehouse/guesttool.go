package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// guestTool is an installed module that the model may call. What it answers is
// never trusted: nobody vouches for the code that said it.
type guestTool struct {
	b     *border
	name  string
	t     *wasm.Tool // nil: why says why not
	why   error
	to    []egress.Destination
	named []string // host:port of agent.hosts, which may lie at a private address
}

var _ agent.Tool = (*guestTool)(nil)

// logger is where tools that are modules write.
func (b *border) logger() *slog.Logger {
	if b.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.log
}

// guestTool finds the module. One that is missing stays a tool that fails, so
// that rules which name it still do.
func (b *border) guestTool(id string, hosts []string) *guestTool {
	g := &guestTool{b: b, name: wasm.ToolName(id), why: wasm.ErrNotInstalled}
	if b.guests == nil {
		return g
	}
	if g.t, g.why = b.guests.Tool(context.Background(), id); g.why != nil {
		return g
	}
	for _, u := range g.t.Reaches() {
		if d, err := egress.ParseDestination(u); err == nil {
			g.to = append(g.to, d)
		}
	}
	for _, h := range hosts {
		g.named = append(g.named, hostPort(h))
	}
	return g
}

// Spec implements agent.Tool.
func (g *guestTool) Spec() agent.Spec {
	if g.t == nil {
		return agent.Spec{
			Name: g.name, Effect: agent.Irreversible, Schema: json.RawMessage(`{"type":"object"}`),
			Description: "Cannot be used at present: its module is not there.",
		}
	}
	about := g.t.About()
	return agent.Spec{Name: g.name, Description: about.Description, Schema: about.Schema, Effect: agent.Effect(about.Effect)}
}

// Call implements agent.Tool.
func (g *guestTool) Call(ctx context.Context, t *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	if g.t == nil {
		return agent.ToolResult{Label: agent.Trusted}, fmt.Errorf("the tool %s cannot be used: %w", g.name, g.why)
	}
	h := &toolHost{g: g, scope: t.Scope}
	defer h.done()
	text, err := g.t.Call(ctx, h, args)
	return agent.ToolResult{Text: text, Label: agent.Untrusted}, err
}

// toolHost is what a tool that is a guest may use from outside in one call: the
// way out of the person for whom it is called, with their secrets.
type toolHost struct {
	g     *guestTool
	scope scope.Scope

	mu      sync.Mutex
	inject  []egress.Injection
	inside  []egress.Inside   // where those may go within private networks
	holders map[string]string // reference -> placeholder
	client  *http.Client      // with the secrets known by now; nil: none yet
}

var (
	_ channels.Host     = (*toolHost)(nil)
	_ channels.Recorder = (*toolHost)(nil)
	_ http.RoundTripper = (*toolHost)(nil)
)

// ID implements channels.Host.
func (h *toolHost) ID() channels.ID { return channels.ID(h.g.name) }

// Public implements channels.Host.
func (h *toolHost) Public() string { return "" }

// Log implements channels.Host.
func (h *toolHost) Log() *slog.Logger { return h.g.b.logger().With("tool", h.g.name) }

// Report implements channels.Host.
func (h *toolHost) Report(x channels.Health) {
	h.Log().Warn("a tool that is a module is not well", "kind", x.Phase, "err", x.Err)
}

// Heard implements channels.Host.
func (*toolHost) Heard() {}

var errToolState = errors.New("a tool keeps nothing")

// State implements channels.Host.
func (*toolHost) State() channels.State { return noState{} }

type noState struct{}

func (noState) Get(context.Context, string) ([]byte, error) { return nil, errToolState }
func (noState) List(context.Context, string, string, int) ([]channels.Write, error) {
	return nil, errToolState
}
func (noState) Put(context.Context, ...channels.Write) error { return errToolState }

// Client implements channels.Host.
func (h *toolHost) Client(channels.AccountID) *http.Client { return &http.Client{Transport: h} }

// RoundTrip sends with the secrets that were asked for by now.
func (h *toolHost) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	if h.client == nil {
		h.client = h.g.b.gate.Client(egress.Policy{
			Name: ofTool + h.g.name, By: speaker(h.scope), Allow: h.g.to, Operator: h.g.named, Inject: slices.Clone(h.inject),
			Inside:   slices.Clone(h.inside),
			Timeouts: egress.Timeouts{Header: requestFor, Idle: requestFor}, MaxResponse: 64 << 20, Screen: true,
		})
	}
	client := h.client
	h.mu.Unlock()
	resp, err := client.Transport.RoundTrip(r)
	if errors.Is(err, egress.ErrDenied) { // it never left
		err = &channels.Error{Op: "send a request", Channel: h.ID(), Kind: channels.Transient, Err: err}
	}
	return resp, err
}

// done gives back the connections that are kept; the caller holds the lock, or
// is the last.
func (h *toolHost) done() {
	if h.client != nil {
		h.client.CloseIdleConnections()
		h.client = nil
	}
}

var errToolDial = errors.New("a tool opens no sockets")

// Dial implements channels.Host.
func (*toolHost) Dial(context.Context, string, string) (net.Conn, error) { return nil, errToolDial }

// Secret implements channels.Host: a placeholder for the person's secret of that
// name. Whether they have one, and whether this tool may use it for the
// destination, is asked when a request leaves.
func (h *toolHost) Secret(_ context.Context, name string) (channels.Secret, error) {
	ref, ok := vault.ParseRef(name)
	if !ok {
		return channels.Secret{}, vault.ErrNotFound
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.holders[name]; ok {
		return channels.NewSecret(p), nil
	}
	h.done()
	holder := egress.NewPlaceholder()
	h.inject = append(h.inject, egress.Injection{Placeholder: holder, Lease: func(ctx context.Context, host string) (egress.Lease, error) {
		return h.g.b.vault.Lease(ctx, h.scope, ref, vault.Purpose{Kind: "tool", Name: h.g.name, Host: host})
	}})
	h.inside = append(h.inside, h.g.b.near.of(h.scope.Workspace(), ref.Name())...)
	if h.holders == nil {
		h.holders = map[string]string{}
	}
	h.holders[name] = holder
	return channels.NewSecret(holder), nil
}

// Derive implements channels.Host.
func (*toolHost) Derive(string) channels.Secret { return channels.Secret{} }

var errToolRotate = errors.New("a tool changes no secret")

// Rotate implements channels.Host.
func (*toolHost) Rotate(context.Context, string, func([]byte) ([]byte, error)) error {
	return errToolRotate
}

// Refused implements channels.Recorder.
func (h *toolHost) Refused(ctx context.Context, to, why string) {
	if h.g.b.report != nil {
		h.g.b.report(ctx, egress.Decision{Policy: ofTool + h.g.name, By: speaker(h.scope), Host: to, Err: errors.New(why)}) //nolint:err113 // for people
	}
}
