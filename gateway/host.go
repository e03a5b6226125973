package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// host is what one channel may use from outside.
type host struct {
	Outside
	g   *Gateway
	cfg ChannelConfig

	mu        sync.Mutex
	health    channels.Health
	heard     time.Time
	lost      time.Time     // since when it has not been connected
	connected chan struct{} // closed at the first connection
}

var _ channels.Host = (*host)(nil)

func newHost(g *Gateway, c ChannelConfig) *host {
	h := &host{g: g, cfg: c, connected: make(chan struct{})}
	h.health = channels.Health{Phase: channels.Connecting, Since: g.now()}
	h.lost = h.health.Since
	if g.outside != nil {
		h.Outside = g.outside(c)
	}
	return h
}

// ID implements channels.Host.
func (h *host) ID() channels.ID { return h.cfg.ID }

// Public implements channels.Host.
func (h *host) Public() string { return h.cfg.Public }

// Log implements channels.Host.
func (h *host) Log() *slog.Logger { return h.g.log.With("channel", h.cfg.ID) }

// State implements channels.Host.
func (h *host) State() channels.State { return state{store: h.g.bus, space: stateSpace(h.cfg.ID)} }

// Report implements channels.Host.
func (h *host) Report(n channels.Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.As == "" {
		n.As = h.health.As
	}
	n.Since = h.health.Since
	if h.health.Phase == channels.Connected || h.health.Phase == channels.Standby {
		h.lost = h.g.now()
	}
	if n.Phase != h.health.Phase {
		n.Since = h.g.now()
		h.g.log.Info("channel", "channel", h.cfg.ID, "kind", n.Phase, "err", n.Err)
	}
	h.health = n
	if n.Phase == channels.Connected {
		h.firstLocked()
	}
}

func (h *host) firstLocked() {
	select {
	case <-h.connected:
	default:
		close(h.connected)
	}
}

// Heard implements channels.Host.
func (h *host) Heard() {
	h.mu.Lock()
	h.heard = h.g.now()
	h.mu.Unlock()
}

// Health returns what was reported last.
func (h *host) Health() channels.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health
}

// away is how long the channel has not been connected, whatever it tried. One
// that leaves receiving to another gateway is not away.
func (h *host) away() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.health.Phase == channels.Connected || h.health.Phase == channels.Standby {
		return 0
	}
	return h.g.now().Sub(h.lost)
}

func (h *host) lastHeard() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard
}

func (h *host) waitConnected(ctx context.Context) error {
	select {
	case <-h.connected:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// state is an adapter's own corner of the durable state.
type state struct {
	store bus.Store
	space string
}

// Get implements channels.State.
func (s state) Get(ctx context.Context, key string) ([]byte, error) {
	e, err := s.store.Get(ctx, s.space, key)
	return e.Value, err
}

// List implements channels.State.
func (s state) List(ctx context.Context, prefix, after string, limit int) ([]channels.Write, error) {
	rows, err := s.store.List(ctx, s.space, prefix, after, limit)
	out := make([]channels.Write, len(rows))
	for i, r := range rows {
		out[i] = channels.Write{Key: r.Key, Value: r.Value}
	}
	return out, err
}

// Put implements channels.State.
func (s state) Put(ctx context.Context, w ...channels.Write) error {
	writes := make([]bus.Write, len(w))
	for i, x := range w {
		writes[i] = bus.Write{Space: s.space, Key: x.Key, Value: x.Value}
	}
	return s.store.Write(ctx, writes...)
}
