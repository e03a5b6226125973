package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// border makes everybody's way out: clients that reach what the configuration
// names and nothing else, with secrets put in at the boundary.
type border struct {
	memory    *store.Store // what turns remember by
	gate      *egress.Gate
	vault     *vault.Store
	state     kv.Store // for the tools that keep something
	workspace string
	leaks     *leak.Guard
	ollama    string // where OLLAMA_HOST says that Ollama is; "": its usual place
	// guests are the installed modules; nil: none can be found here.
	guests *wasm.Driver
	near   near
	log    *slog.Logger                           // nil: nothing is logged
	report func(context.Context, egress.Decision) // what was refused before it reached the gate; nil: nobody is told
}

// outside is one channel's way out.
type outside struct {
	b    *border
	id   channels.ID
	home string // the workspace whose secrets it uses
	to   []egress.Destination
	addr []string // host:port of what the configuration names
	// hosts are those, named in full, to which its secrets may go.
	hosts []string
	// screen: what goes out is searched for secrets, because the channel's
	// logic is a guest that nobody vouches for.
	screen bool

	mu      sync.Mutex
	inject  []egress.Injection
	holders map[string]string // reference or literal -> placeholder
	own     map[string]lent   // reference or literal -> what is lent for use in here
	client  *http.Client
	current atomic.Pointer[http.Client]
	dial    egress.DialFunc
}

var _ gateway.Outside = (*outside)(nil)

func (b *border) channel(c gateway.ChannelConfig) gateway.Outside {
	o := &outside{b: b, id: c.ID, home: b.workspaceOf(c), holders: map[string]string{}, own: map[string]lent{}}
	for _, u := range reaches(c.Driver, c.Section) {
		d, err := egress.ParseDestination(u)
		if err != nil {
			continue // the driver's own check reports it
		}
		o.to = append(o.to, d)
		if h := hostPort(u); !strings.Contains(h, "*") {
			o.hosts = append(o.hosts, h)
		}
		if named(c.Section, u) { // the operator meant exactly this address, wherever it lies
			o.addr = append(o.addr, hostPort(u))
		}
	}
	g, ok := c.Driver.(interface{ Guest() bool })
	o.screen = ok && g.Guest()
	o.client = &http.Client{Transport: o}
	o.rebuildLocked()
	return o
}

func (o *outside) policy() egress.Policy {
	return egress.Policy{
		Name: ofChannel + string(o.id), Allow: o.to, Operator: o.addr, Inject: slices.Clone(o.inject),
		MaxResponse: 64 << 20, Redirects: 3, Upgrade: true, Screen: o.screen,
	}
}

func (o *outside) rebuildLocked() {
	p := o.policy()
	o.current.Store(o.b.gate.Client(p))
	o.dial = o.b.gate.Dial(p)
}

// RoundTrip sends with the secrets known by now; an adapter may keep its client
// from before it asked for them.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.current.Load().Transport.RoundTrip(r)
	if errors.Is(err, egress.ErrDenied) { // it never left
		e := &channels.Error{Op: "send a request", Channel: o.id, Kind: channels.Transient, Err: err}
		if limited := (*egress.Limited)(nil); errors.As(err, &limited) {
			e.Kind, e.RetryAfter = channels.RateLimited, limited.After
		}
		err = e
	}
	return resp, err
}

// Client implements gateway.Outside.
func (o *outside) Client(channels.AccountID) *http.Client { return o.client }

// Dial implements gateway.Outside.
func (o *outside) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	o.mu.Lock()
	dial := o.dial
	o.mu.Unlock()
	return dial(ctx, network, addr)
}

// Secret implements gateway.Outside: it hands out a placeholder and from then
// on puts the value in its place.
func (o *outside) Secret(_ context.Context, ref string) (channels.Secret, error) {
	if ref == "" {
		return channels.Secret{}, fmt.Errorf("channel %s: an empty secret: %w", o.id, vault.ErrNotFound)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p, ok := o.holders[ref]; ok {
		return channels.NewSecret(p), nil
	}
	holder := egress.NewPlaceholder()
	o.inject = append(o.inject, egress.Injection{
		Placeholder: holder, In: egress.Anywhere | egress.InMessage,
		Lease: o.b.lease(o.home, ref, vault.Purpose{Kind: vault.ForChannel, Name: string(o.id)}),
	})
	o.holders[ref] = holder
	o.rebuildLocked()
	return channels.NewSecret(holder), nil
}

// lease lends what a configuration refers to, or the literal that stands there.
func (b *border) lease(workspace, ref string, p vault.Purpose) func(context.Context, string) (egress.Lease, error) {
	r, ok := vault.ParseRef(ref)
	if !ok {
		literal := []byte(ref)
		b.leaks.Learn(literal)
		return func(context.Context, string) (egress.Lease, error) { return vault.Literal(literal), nil }
	}
	return func(ctx context.Context, host string) (egress.Lease, error) {
		p := p
		p.Host = host
		return b.vault.LeaseConfigured(ctx, workspace, r, p)
	}
}

// Rotate implements gateway.Outside.
func (o *outside) Rotate(ctx context.Context, ref string, f func([]byte) ([]byte, error)) error {
	r, ok := vault.ParseRef(ref)
	if !ok {
		return fmt.Errorf("channel %s: only a secret of the vault can be rotated", o.id)
	}
	_, err := o.b.vault.Rotate(ctx, o.home, r.Name(), f)
	return err
}

// Derive implements gateway.Outside.
func (o *outside) Derive(purpose string) channels.Secret {
	b, err := o.b.vault.Derive(context.Background(), o.home, "channel", string(o.id), purpose)
	if err != nil {
		return channels.Secret{} // an empty secret never matches
	}
	return channels.NewSecret(hex.EncodeToString(b))
}

// property is the part of a JSON schema that says which keys are URLs.
type property struct {
	Format     string              `json:"format"`
	Default    any                 `json:"default"`
	Properties map[string]property `json:"properties"`
}

// reaches lists the URLs that a section names: the keys that the adapter's
// schema declares as a URI, with their defaults.
func reaches(d channels.Driver, section json.RawMessage) []string {
	var s property
	var values map[string]any
	_ = json.Unmarshal(d.Schema(), &s)
	_ = json.Unmarshal(section, &values)
	var urls []string
	if m, ok := d.(interface{ Reaches() []string }); ok {
		urls = m.Reaches()
	}
	urls = append(urls, s.urls(values)...)
	slices.Sort(urls)
	return slices.Compact(urls)
}

func (s property) urls(values map[string]any) (urls []string) {
	for name, p := range s.Properties {
		if len(p.Properties) > 0 {
			inner, _ := values[name].(map[string]any)
			urls = append(urls, p.urls(inner)...)
		}
		if p.Format != "uri" {
			continue
		}
		v, ok := values[name].(string)
		if !ok {
			v, _ = p.Default.(string)
		}
		if v != "" {
			urls = append(urls, v)
		}
	}
	return urls
}

// named reports whether a section itself holds the URL.
func named(section json.RawMessage, u string) bool {
	var values any
	_ = json.Unmarshal(section, &values)
	return holds(values, u)
}

func holds(v any, u string) bool {
	switch v := v.(type) {
	case string:
		return v == u
	case map[string]any:
		for _, e := range v {
			if holds(e, u) {
				return true
			}
		}
	}
	return false
}

// hostPort is the address that a URL names, with the scheme's usual port.
func hostPort(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https" || u.Scheme == "wss":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
