package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// host is what one channel may use from outside.
type host struct {
	Outside
	g   *Gateway
	cfg ChannelConfig

	mu        sync.Mutex
	health    channels.Health
	heard     time.Time
	received  time.Time     // when the last event came in
	trouble   string        // the last reason that was logged; "" since it works
	lost      time.Time     // since when it has not been connected
	connected chan struct{} // closed at the first connection
}

var (
	_ channels.Host     = (*host)(nil)
	_ channels.Keeper   = (*host)(nil)
	_ channels.Lender   = (*host)(nil)
	_ channels.Recorder = (*host)(nil)
	_ channels.Socketer = (*host)(nil)
	_ proof.Verifier    = (*host)(nil)
	_ channels.Keyring  = (*host)(nil)
)

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

// Refused implements channels.Recorder.
func (h *host) Refused(_ context.Context, to, why string) {
	if h.g.audit != nil {
		h.g.audit.Record(audit.Entry{
			Kind: audit.Egress, Do: "refused", By: scope.Principal{Workspace: h.g.workspaceOf(h.cfg.ID), Member: "gateway", Role: scope.Service},
			To: to, For: "channel " + string(h.cfg.ID), Err: why,
		})
	}
}

// State implements channels.Host.
func (h *host) State() channels.State {
	return state{store: h.g.bus, space: stateSpace(h.cfg.ID), now: h.g.now}
}

// Keep implements channels.Keeper.
func (h *host) Keep(ctx context.Context, f channels.File, r io.Reader, limit int64) (channels.File, error) {
	got, err := files{g: h.g}.put(ctx, f, r, limit)
	if errors.Is(err, agent.ErrFileTooLarge) {
		err = &channels.Error{Op: "keep", Channel: h.cfg.ID, Kind: channels.Rejected, Err: err}
	}
	got.Kind = shownAs(got)
	return got, err
}

// Kept implements channels.Keeper.
func (h *host) Kept(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	return h.g.blobs.Open(ctx, blob.ID(f.Blob))
}

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
	changed := n.Phase != h.health.Phase
	if changed {
		n.Since = h.g.now()
	}
	if h.news(n, changed) {
		attrs := []any{"channel", h.cfg.ID, "kind", n.Phase}
		if n.Err != nil {
			attrs = append(attrs, "err", n.Err)
		}
		h.g.log.Info("channel", attrs...)
	}
	h.health = n
	if n.Phase == channels.Connected {
		h.firstLocked()
	}
}

// news says whether a report is worth a line of the log. A channel that is tried
// again and again for one reason has one line at the beginning and one at the
// end; a new reason for the same trouble is news.
func (h *host) news(n channels.Health, changed bool) bool {
	before := h.trouble
	switch {
	case n.Err != nil:
		h.trouble = string(n.Phase) + " " + n.Err.Error()
		return h.trouble != before
	case n.Phase == channels.Connecting:
		return changed && before == ""
	}
	h.trouble = ""
	return changed
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

// accepted notes that an event came in.
func (h *host) accepted() {
	h.mu.Lock()
	h.received = h.g.now()
	h.mu.Unlock()
}

func (h *host) lastReceived() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.received
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
	now   func() time.Time
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
	writes, err := stateWrites(s.space, w, s.now())
	if err != nil {
		return err
	}
	return s.store.Write(ctx, writes...)
}

// stateWrites are an adapter's writes to its space, and with them the references
// to the files that they name.
func stateWrites(space string, all []channels.Write, now time.Time) ([]bus.Write, error) {
	out := make([]bus.Write, 0, len(all))
	for _, w := range all {
		out = append(out, bus.Write{Space: space, Key: w.Key, Value: w.Value})
		for _, f := range w.Files {
			ref, err := blob.Refer(blob.ID(f.Blob), blob.Holder{Space: space, Key: w.Key}, now)
			if err != nil {
				return nil, err
			}
			out = append(out, ref)
		}
	}
	return out, nil
}
