package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Tool is a guest that the model may call. Its methods may be called
// concurrently.
type Tool struct {
	d       *Driver
	id      string
	about   module.Tool
	reaches []string
	strikes *strikes
	room    chan struct{}
}

var errNoTool = errors.New("is a channel and no tool")

// Tool finds an installed module that is a tool.
func (d *Driver) Tool(ctx context.Context, id string) (*Tool, error) {
	g, err := d.tool(ctx, id)
	if err != nil {
		return nil, err
	}
	t := &Tool{d: d, id: id, about: *g.pkg.Manifest.Tool, strikes: &strikes{}, room: make(chan struct{}, perChannel)}
	for _, h := range g.pkg.Manifest.HTTP {
		t.reaches = append(t.reaches, manifestURL(h))
	}
	t.about.Effect = floor(g.pkg.Manifest)
	return t, nil
}

func (d *Driver) tool(ctx context.Context, id string) (*guest, error) {
	if d.o.Installed == nil {
		return nil, ErrNotInstalled
	}
	g, err := d.findInstalled(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", id, err)
	}
	if g.pkg.Manifest.Tool == nil {
		return nil, fmt.Errorf("module %s: %w", id, errNoTool)
	}
	return g, nil
}

// floor is the effect of a tool: what its manifest says, but never less than
// what it is able to do. Whatever goes out may carry something with it.
func floor(m *module.Manifest) string {
	order := []string{"read-local", "read-net", "write-reversible", "external", "irreversible"}
	least := 0
	for _, h := range m.HTTP {
		least = max(least, slices.Index(order, "external"))
		if slices.Contains(h.Methods, "DELETE") {
			least = len(order) - 1
		}
	}
	return order[max(least, slices.Index(order, m.Tool.Effect))]
}

// Name is what the model and the rules call the tool.
func (t *Tool) Name() string { return ToolName(t.id) }

// ToolName is the name of the tool that a module with this id is.
func ToolName(id string) string { return strings.ReplaceAll(id, "-", "_") }

// About is what the model is told of it, with the effect that counts.
func (t *Tool) About() module.Tool { return t.about }

// Reaches are the destinations that its manifest names.
func (t *Tool) Reaches() []string { return t.reaches }

const maxToolText = 128 << 10 // bytes of an answer that the model is given

// Call runs the tool for one turn. The host is the turn's own: its client has the
// person's way out, and its secrets are the person's, by the names of the
// manifest. The module that is installed now is called, whatever was there when
// the tool was made.
func (t *Tool) Call(ctx context.Context, h channels.Host, args json.RawMessage) (string, error) {
	g, err := t.d.tool(ctx, t.id)
	if err != nil {
		return "", err
	}
	if g.barred != "" {
		return "", barredError(g.barred)
	}
	s := section{forGuest: json.RawMessage("{}"), refs: map[string]string{}}
	for _, name := range g.terms.secrets() {
		s.refs[name] = "secret://" + name
	}
	for _, x := range g.pkg.Manifest.HTTP {
		grant, err := newGrant(x, manifestURL(x))
		if err != nil {
			return "", err
		}
		s.grants = append(s.grants, grant)
	}
	c := &channel{d: t.d, g: g, h: h, s: s, client: link.Client(h, ""), health: link.Reporter{Host: h}, strikes: t.strikes, room: t.room, timers: newTimers(), ration: &ration{}}
	here := &call{}
	defer here.end()
	out, r, err := c.invoke(ctx, sandbox.OpToolExecute, wire.In{Args: args}, nil, here)
	if err == nil && len(r.Effects) > 0 {
		err = c.fail(sandbox.OpToolExecute, channels.Rejected, errEffect)
	}
	if err != nil {
		return "", err
	}
	return cut(out.Text, maxToolText), nil
}
